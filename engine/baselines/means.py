"""Weighted means of the context, and the choice of their rate and whitening on the validation split."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.baselines.statistics import Choice, TrainStatistics
from engine.data.split import SplitView
from engine.evaluate import Judge, spread
from engine.models.composer import recency_weights
from engine.protocol import Positions, Queries
from lvmtui import stats

RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Rates that are tried."""
POWERS = (0.0, 0.15, 0.25, 0.35, 0.5)
"""Exponents g of the whitening that are tried."""
TUNED_ON = 1024
"""Queries that anything is chosen on, at most, in a large pool."""
TUNED_SCORES = 50_000_000
"""Cosines that one choice may cost: in a small pool more queries are looked at. With 1 024 of 5 551 queries a
whitening was chosen that is 0.5 points of Hit@5 below the best."""
_BLOCK = 256
_NEGLIGIBLE = 1e-9
"""Weights below this are left out."""


class Tuner:
    """Tries choices on queries of the validation split, all or as many as `TUNED_ON` and `TUNED_SCORES`
    allow, evenly spread, against the whole pool, and goes by the MRR, which is smoother than Hit@K.

    Args:
        judge: of the validation split, whatever is judged in the end.
        context: vectors that a prediction may look at.
    """

    def __init__(self, judge: Judge, statistics: TrainStatistics, context: int, device: torch.device) -> None:
        self.judge = judge
        self.index: Positions = spread(len(judge.asked), max(TUNED_ON, TUNED_SCORES // len(judge.pool)))
        """The queries that are looked at."""
        self.asked = judge.asked.subset(self.index)
        self._statistics = statistics
        self._context = context
        self._device = device
        self._means: dict[float, Tensor] = {}
        self._scores: dict[Choice, float] = {}

    def best(self, choices: Iterable[Choice]) -> Choice:
        """The choice with the highest MRR; the first of equals."""
        return max(choices, key=self._score)

    def best_whitened(self) -> Choice:
        """The best of `POWERS` with a rate each. Scores have one peak along the rates, which moves little
        from one power to the next: rates are tried from there outwards, as long as they gain."""
        peak = RATES.index(self.best(Choice(rate, centre=1.0) for rate in RATES).rate)
        peaks = []
        for g in POWERS:
            along = [Choice(rate, centre=1.0, g=g) for rate in RATES]
            peak = self._climb(along, peak)
            peaks.append(along[peak])
        return self.best(peaks)

    def mrr(self, predictions: Tensor) -> float:
        """The MRR of predictions (len(index), D)."""
        return stats.mrr(self.judge.rank(predictions, self.index))

    def weighted(self, rate: float) -> Tensor:
        """The weighted means (len(index), D) on the device."""
        if rate not in self._means:
            means = weighted_means(self.judge, self.asked, rate=rate, context=self._context)
            self._means[rate] = means.to(self._device)
        return self._means[rate]

    def _climb(self, along: Sequence[Choice], start: int) -> int:
        """The place of the peak that is reached by going up from `start`."""
        place = start
        for step in (-1, 1):
            while 0 <= place + step < len(along) and (
                self._score(along[place + step]) > self._score(along[place])
            ):
                place += step
        return place

    def _score(self, choice: Choice) -> float:
        if choice not in self._scores:
            self._scores[choice] = self.mrr(self._statistics.apply(self.weighted(choice.rate), choice))
        return self._scores[choice]


def weighted_means(judge: Judge, asked: Queries, *, rate: float, context: int) -> Tensor:
    """`means_before` of the judge's queries, or some of them, by the judge's rule of how far back contexts
    reach."""
    return means_before(judge.split, asked, rate=rate, context=context, within_document=judge.within_document)


def means_before(
    split: SplitView, asked: Queries, *, rate: float, context: int, within_document: bool
) -> Tensor:
    """Exponentially weighted means (n, D) of what precedes each query, up to `context` vectors; weights sum
    to 1. Float32 on the CPU, computed in float64.

    Args:
        asked: ascending.
        rate: see `recency_weights`; 0 weighs all alike.
        within_document: whether contexts end where the query's document begins.
    """
    reach = _reach(rate, context)
    weights = recency_weights(rate, reach).numpy() if rate else np.ones(reach)
    base = asked.document_start if within_document else np.zeros_like(asked.positions)
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
