"""Baselines: what can be predicted without training. A model that does no better has learnt nothing.

- `copy-last`: the last vector.
- `mean`: the mean of the context.
- `ewm`: the exponentially weighted mean of the context, weights `(1 - rate)^j` from the newest vector on.
- `ewm-centred`: the same minus the mean of the training vectors.
- `ewm-whitened`: that times C^-g, C the covariance of the training vectors, its eigenvalues floored.

Rate and g are chosen on the validation split by MRR, which is smoother than Hit@K; the choice looks at up to
`TUNED_ON` queries, evenly spread, against the whole pool.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.data.split import SplitView
from engine.evaluate import Judge, spread
from engine.models.composer import ComposerStart, recency_weights
from engine.protocol import Queries
from engine.ranks import gather
from lvmtui import stats
from lvmtui.errors import DataError, TrainingError
from lvmtui.store.records import Evaluation

NAMES = ("copy-last", "mean", "ewm", "ewm-centred", "ewm-whitened")
RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Rates that are tried."""
POWERS = (0.0, 0.15, 0.25, 0.35, 0.5)
"""Exponents g of the whitening that are tried."""
FLOOR = 1e-3
"""Eigenvalues count as at least this share of the largest."""
TUNED_ON = 1024
"""Queries that rate and g are chosen on, at most."""
COVARIANCE_ROWS = 50_000
"""Training vectors that the covariance is taken from, at most."""
_BLOCK = 256
_NEGLIGIBLE = 1e-9
"""Weights below this are left out."""


def compute_baselines(
    splits: Mapping[str, SplitView], judge: Judge, *, context: int, device: torch.device
) -> list[Evaluation]:
    """Every baseline judged, in the order of `NAMES`; what was chosen is in the details: rate (0 for the
    plain mean), centre (weight of the train mean) and g.

    Args:
        context: vectors that a prediction may look at.
        device: where predictions are computed.

    Raises:
        DataError: the validation split cannot be judged on, or all training vectors are equal.
    """
    tuner = _Tuner(judge_of_validation(splits, judge), TrainStatistics(splits["train"]), context, device)
    choices = {
        "copy-last": Choice(rate=1.0),
        "mean": Choice(rate=0.0),
        "ewm": tuner.best(Choice(rate) for rate in RATES),
        "ewm-centred": tuner.best(Choice(rate, centre=1.0) for rate in RATES),
        "ewm-whitened": tuner.best(Choice(rate, centre=1.0, g=g) for g in POWERS for rate in RATES),
    }
    evaluations = []
    for name in NAMES:
        choice = choices[name]
        means = weighted_means(judge, judge.asked, rate=choice.rate, context=context)
        predictions = tuner.statistics.apply(means.to(device), choice)
        details = {"rate": choice.rate, "centre": choice.centre, "g": choice.g}
        evaluations.append(
            judge.evaluation(predictions, epoch=0, step=0, baseline=name, context=context, details=details)
        )
    return evaluations


def tuned_start(splits: Mapping[str, SplitView], baselines: Iterable[Evaluation]) -> ComposerStart:
    """The composer's start at the strongest (by MRR) of these baselines that it can express: all but the
    plain mean.

    Raises:
        TrainingError: there is none.
    """
    expressible = [baseline for baseline in baselines if baseline.details.get("rate", 0.0) > 0.0]
    if not expressible:
        raise TrainingError("there is no baseline that the composer could start at")
    return start_from_details(splits, max(expressible, key=lambda baseline: baseline.mrr).details)


def start_from_details(splits: Mapping[str, SplitView], details: Mapping[str, Any]) -> ComposerStart:
    """The composer's start that equals a baseline, from what the store keeps of it; nothing is ranked."""
    choice = Choice(float(details["rate"]), float(details["centre"]), float(details["g"]))
    statistics = TrainStatistics(splits["train"])
    return ComposerStart(
        mean=statistics.mean, centre=choice.centre, rate=choice.rate, whitening=statistics.whitening(choice.g)
    )


def check_copy_last(judge: Judge, stored: Evaluation) -> None:
    """Copying the last vector must give the ranks that it gave when the baselines were computed.

    Raises:
        TrainingError: it does not.
    """
    means = weighted_means(judge, judge.asked, rate=1.0, context=1)
    if not np.array_equal(judge.rank(means), stats.unpack_ranks(stored.ranks)):
        raise TrainingError(
            "self-check failed: copying the last vector no longer gives the ranks that the store has of it",
            "The data may have changed since, or this is a bug in lvmtui: please report it.",
        )


@dataclass(frozen=True)
class Choice:
    """One baseline: `C^-g (weighted mean - centre * train mean)`."""

    rate: float
    """Of the exponentially weighted mean; 0 is the plain mean."""
    centre: float = 0.0
    g: float = 0.0


@dataclass
class TrainStatistics:
    """Mean and covariance of the training vectors, computed when first asked for."""

    train: SplitView
    _mean: Tensor | None = None
    _eigen: tuple[Tensor, Tensor] | None = None
    _maps: dict[float, Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> Tensor:
        """(D,) mean of all training vectors, float32."""
        if self._mean is None:
            total = np.zeros(self.train.data.vectors.shape[1])
            for start in range(0, len(self.train), 4096):
                total += self.train.take(start, min(start + 4096, len(self.train))).sum(0, dtype=np.float64)
            self._mean = torch.from_numpy(total / len(self.train)).float()
        return self._mean

    def whitening(self, g: float) -> Tensor | None:
        """(D, D) the map C^-g, float32, C scaled to a mean variance of 1 (scores are blind to the scale);
        None for g = 0.

        Raises:
            DataError: all training vectors are equal.
        """
        if g == 0.0:
            return None
        if g not in self._maps:
            values, vectors = self._spectrum()
            self._maps[g] = ((vectors * values**-g) @ vectors.T).float()
        return self._maps[g]

    def apply(self, means: Tensor, choice: Choice) -> Tensor:
        """Predictions (n, D) from weighted means (n, D), on their device."""
        predictions = means - choice.centre * self.mean.to(means)
        whitening = self.whitening(choice.g)
        return predictions if whitening is None else predictions @ whitening.to(means)

    def _spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (D,), floored, and eigenvectors (D, D) of the covariance about the mean, float64."""
        if self._eigen is None:
            chosen = spread(len(self.train), COVARIANCE_ROWS)
            mean = self.mean.double()
            covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
            for start in range(0, len(chosen), 4096):
                part = torch.from_numpy(gather(self.train, chosen[start : start + 4096])) - mean
                covariance += part.T @ part
            values, vectors = torch.linalg.eigh(covariance)
            if not values[-1] > 0:
                raise DataError(
                    f"all training vectors of {self.train.data.path} are equal",
                    "Look at the vectors with `lvmtui data info`.",
                )
            values = values.clamp(min=FLOOR * values[-1].item())
            self._eigen = values / values.mean(), vectors
        return self._eigen


class _Tuner:
    """Tries choices on the validation split."""

    def __init__(self, judge: Judge, statistics: TrainStatistics, context: int, device: torch.device) -> None:
        self.statistics = statistics
        self._judge = judge
        self._context = context
        self._device = device
        self._index = spread(len(judge.asked), TUNED_ON)
        self._means: dict[float, Tensor] = {}
        self._scores: dict[Choice, float] = {}

    def best(self, choices: Iterable[Choice]) -> Choice:
        """The choice with the highest MRR; the first of equals."""
        return max(choices, key=self._score)

    def _score(self, choice: Choice) -> float:
        if choice not in self._scores:
            predictions = self.statistics.apply(self._weighted(choice.rate), choice)
            self._scores[choice] = stats.mrr(self._judge.rank(predictions, self._index))
        return self._scores[choice]

    def _weighted(self, rate: float) -> Tensor:
        if rate not in self._means:
            asked = self._judge.asked.subset(self._index)
            means = weighted_means(self._judge, asked, rate=rate, context=self._context)
            self._means[rate] = means.to(self._device)
        return self._means[rate]


def judge_of_validation(splits: Mapping[str, SplitView], judge: Judge) -> Judge:
    """The judge itself, or one of the validation split like it."""
    if judge.protocol.split == "validation":
        return judge
    return Judge.build(
        judge.split.data,
        splits,
        "validation",
        split_seed=judge.protocol.spec["split"]["seed"],
        within_document=judge.within_document,
        device=judge.device,
    )


def weighted_means(judge: Judge, asked: Queries, *, rate: float, context: int) -> Tensor:
    """Exponentially weighted means (n, D) of what precedes each query, up to `context` vectors; weights sum
    to 1. Float32 on the CPU, computed in float64.

    Args:
        asked: the judge's queries, or some of them.
        rate: see `recency_weights`; 0 weighs all alike.
    """
    split = judge.split
    reach = _reach(rate, context)
    weights = recency_weights(rate, reach).numpy() if rate else np.ones(reach)
    base = asked.document_start if judge.within_document else np.zeros_like(asked.positions)
    oldest = np.maximum(base, asked.positions - reach)
    means = torch.empty(len(asked), split.data.vectors.shape[1])
    ends = np.flatnonzero(np.diff(asked.positions // _BLOCK)) + 1
    for block in np.split(np.arange(len(asked)), ends):
        position = asked.positions[block]
        column = np.arange(oldest[block[0]], position[-1])
        lag = position[:, None] - 1 - column
        seen = (column >= oldest[block, None]) & (lag >= 0)
        share = np.where(seen, weights[lag.clip(0, reach - 1)], 0.0)
        share /= share.sum(axis=1, keepdims=True)
        vectors = torch.from_numpy(split.take(int(column[0]), int(column[-1]) + 1))
        means[block[0] : block[-1] + 1] = (torch.from_numpy(share) @ vectors.double()).float()
    return means


def _reach(rate: float, context: int) -> int:
    """Lags whose weight matters."""
    if rate == 0.0:
        return context
    if rate == 1.0:
        return 1
    return min(context, math.ceil(math.log(_NEGLIGIBLE) / math.log1p(-rate)))
