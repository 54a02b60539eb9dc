"""How much of a difference may be chance: between levels of a curve, and between evaluations."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lvmtui import stats
from lvmtui.store.records import Evaluation

_NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def noise(values: NDArray[np.float64]) -> float:
    """Standard deviation (n,) of a curve about its trend, from the differences of neighbours (von Neumann et
    al., Annals of Mathematical Statistics 12, 1941), outliers aside; 0 for fewer than 3 values."""
    if len(values) < 3:
        return 0.0
    jumps = np.diff(values)
    return _NORMAL_MAD * float(np.median(np.abs(jumps - np.median(jumps)))) / math.sqrt(2)


def difference_noise(first: Evaluation, second: Evaluation, metric: str) -> float:
    """Standard error of the difference of a metric between two evaluations of the same queries.

    With ranks it is that of the paired difference; without, that of a single score: two models that were
    trained alike hit mostly the same queries, so the difference varies about as much as one score does.
    NaN for an MRR without ranks.
    """
    if first.ranks and second.ranks and first.n == second.n:
        a, b = (_per_query(item, metric) for item in (first, second))
        return float((a - b).std()) / math.sqrt(len(a))
    return score_noise(first, metric)


def score_noise(evaluation: Evaluation, metric: str) -> float:
    """Standard error of a metric over independent queries; NaN for an MRR without ranks. A share counts one
    hit and one miss more than there were, so that none in a few is not taken for certain."""
    if evaluation.n < 1:
        return math.nan
    if metric == "mrr":
        if not evaluation.ranks:
            return math.nan
        return float(_per_query(evaluation, metric).std()) / math.sqrt(evaluation.n)
    share = (float(getattr(evaluation, metric)) * evaluation.n + 1) / (evaluation.n + 2)
    return math.sqrt(share * (1 - share) / evaluation.n)


def _per_query(evaluation: Evaluation, metric: str) -> NDArray[np.float64]:
    ranks = stats.unpack_ranks(evaluation.ranks)
    if metric == "mrr":
        return stats.reciprocal_ranks(ranks)
    return stats.hits(ranks, int(metric.removeprefix("hit"))).astype(np.float64)
