"""Baselines that go by the training vectors themselves: random, nearest successor, ridge regression."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from engine.baselines.means import Tuner, means_before, weighted_means
from engine.baselines.statistics import ROWS, TrainStatistics
from engine.data.split import SplitView
from engine.evaluate import Judge, spread
from engine.protocol import Positions, Queries
from engine.ranks import unit_rows

SEED = 0
"""Of the random baseline."""
NEIGHBOURS = 100_000
"""Training vectors that the nearest one is looked for among, at most, evenly spread."""
PAIRS = 50_000
"""Pairs of context and next vector that the ridge regression is fitted to, at most, evenly spread."""
TILE = 1024
"""Vectors compared together."""
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Penalties lambda that are tried, in units of the mean variance of an input. All are large enough that
nothing divides by zero, however few directions the vectors span."""


def random_vectors(train: SplitView, n: int) -> Tensor:
    """Predictions (n, D): training vectors drawn with replacement, the same ones every time."""
    positions = np.random.default_rng(SEED).integers(0, len(train), n)
    return _vectors(train, positions)


def successors(train: SplitView, *, across: bool = False) -> Queries:
    """Every training vector that follows another one of its document, as something to predict.

    Args:
        across: documents do not matter; whatever stands next in the file follows.
    """
    position = np.arange(1, len(train))
    follows = train.rows[1:] == train.rows[:-1] + 1
    start = np.zeros(len(train), np.int64) if across else np.asarray(train.document_start, np.int64)
    kept = position[follows & (start[1:] < position)]
    return Queries(kept, start[kept], np.zeros(len(kept), np.int64), 1)


def nearest_successors(train: SplitView, pairs: Queries, judge: Judge, device: torch.device) -> Tensor:
    """Predictions (n, D): the successor of the training vector with the highest cosine to the last vector.

    Memory is bounded: `TILE` last vectors against `TILE` training vectors at a time.

    Args:
        pairs: the training vectors that have a predecessor, from `successors`; at least one.
    """
    followed = pairs.positions[spread(len(pairs), NEIGHBOURS)] - 1
    last = unit_rows(_last_vectors(judge.split, judge.asked))[0].to(device)
    best = torch.full((len(last),), -torch.inf, device=device)
    nearest = torch.zeros(len(last), dtype=torch.int64, device=device)
    for start in range(0, len(followed), TILE):
        tile = unit_rows(_vectors(train, followed[start : start + TILE]))[0].to(device)
        for first in range(0, len(last), TILE):
            rows = slice(first, first + TILE)
            score, column = (last[rows] @ tile.T).max(dim=1)
            closer = score > best[rows]
            best[rows] = torch.where(closer, score, best[rows])
            nearest[rows] = torch.where(closer, column + start, nearest[rows])
    return _vectors(train, followed[nearest.cpu().numpy()] + 1)


class Ridge:
    """Ridge regression (Hoerl and Kennard, Technometrics 12, 1970) of the next vector on the last vector and
    an exponentially weighted mean of the context, all minus the train mean, in closed form.

    Predictions stay centred, as the weighted means' do: adding the mean back would rank what lies near the
    mean first. It has 2 D times D weights to learn, and needs many pairs for that: on sentence vectors of 768
    numbers it stayed below the whitened mean (Hit@5 35.0 against 39.3 % with 14 000 pairs of wikitext2, 33.9
    against 40.1 % with 36 000 of the Brown corpus). A few vectors of NaN once gave a ridge baseline 100 %
    Hit@1, because NaN compares false with everything: such vector sets are refused, and predictions that are
    not finite are errors when they are ranked.

    Args:
        pairs: what it is fitted to, from `successors`; at least one.
        rate: of the weighted mean.

    Raises:
        DataError: all training vectors are equal.
    """

    def __init__(
        self,
        statistics: TrainStatistics,
        pairs: Queries,
        *,
        rate: float,
        context: int,
        within_document: bool,
        device: torch.device,
    ) -> None:
        self.rate = rate
        self.pairs = min(len(pairs), PAIRS)
        self._mean = statistics.mean
        self._context = context
        self._within_document = within_document
        train = statistics.train
        dim = len(self._mean)
        moments = torch.zeros(2 * dim, 2 * dim, dtype=torch.float64)
        products = torch.zeros(2 * dim, dim, dtype=torch.float64)
        for part in _parts(pairs.subset(spread(len(pairs), PAIRS))):
            inputs = self._inputs(train, part).to(device)
            targets = (_vectors(train, part.positions) - self._mean).to(device)
            moments += (inputs.T @ inputs).cpu()
            products += (inputs.T @ targets).cpu()
        self._moments = moments / self.pairs
        self._products = products / self.pairs
        self._scale = float(self._moments.diagonal().mean())
        if not self._scale > 0:
            raise statistics.refuse_equal()
        self._maps: dict[float, Tensor] = {}

    def tune(self, tuner: Tuner) -> float:
        """The penalty with the highest MRR on validation; the first of equals."""
        last = _last_vectors(tuner.judge.split, tuner.asked)
        inputs = self._joined(last, tuner.weighted(self.rate).cpu())
        return max(PENALTIES, key=lambda penalty: tuner.mrr(_never_zero(inputs @ self._map(penalty), last)))

    def predict(self, judge: Judge, penalty: float) -> Tensor:
        """Predictions (n, D) for the judge's queries."""
        predictions = []
        for part in _parts(judge.asked):
            last = _last_vectors(judge.split, part)
            means = weighted_means(judge, part, rate=self.rate, context=self._context)
            predictions.append(_never_zero(self._joined(last, means) @ self._map(penalty), last))
        return torch.cat(predictions)

    def _inputs(self, split: SplitView, asked: Queries) -> Tensor:
        means = means_before(
            split, asked, rate=self.rate, context=self._context, within_document=self._within_document
        )
        return self._joined(_last_vectors(split, asked), means)

    def _joined(self, last: Tensor, means: Tensor) -> Tensor:
        return torch.cat([last - self._mean, means - self._mean], dim=1)

    def _map(self, penalty: float) -> Tensor:
        """(2 D, D) the weights, float32."""
        if penalty not in self._maps:
            # Adding a share of the mean variance to every variance makes this positive definite.
            penalised = self._moments + penalty * self._scale * torch.eye(len(self._moments)).double()
            factor = torch.linalg.cholesky(penalised)
            self._maps[penalty] = torch.cholesky_solve(self._products, factor).float()
        return self._maps[penalty]


def _last_vectors(split: SplitView, asked: Queries) -> Tensor:
    """(n, D) what stands right before each query, float32."""
    return _vectors(split, asked.positions - 1)


def _vectors(split: SplitView, positions: Positions) -> Tensor:
    """(m, D) the vectors at any positions, float32."""
    return torch.from_numpy(split.data.vectors[split.rows[positions]].astype(np.float32))


def _never_zero(predictions: Tensor, last: Tensor) -> Tensor:
    """Predictions, the last vector standing in where there is none: the inputs equal the mean, or the map
    has learnt nothing."""
    nothing = torch.linalg.vector_norm(predictions, dim=1, keepdim=True) == 0
    return torch.where(nothing, last, predictions)


def _parts(asked: Queries) -> Iterator[Queries]:
    for start in range(0, len(asked), ROWS):
        index: Positions = np.arange(start, min(start + ROWS, len(asked)))
        yield asked.subset(index)
