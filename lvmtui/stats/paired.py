"""Two predictors over the same queries: which is better, and could it be chance?"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvmtui.stats.intervals import CONFIDENCE, corrected_tail, error_of, interval_of
from lvmtui.stats.resampling import RESAMPLES, group_sums, resampled_sums
from lvmtui.stats.student import NORMAL, normal_from_t, t_from_normal
from lvmtui.store.records import Interval

Floats = NDArray[np.float64]

POWER = 0.8
"""How often a true difference of the detectable size is found."""


class Comparison(NamedTuple):
    """How one set of per-query scores differs from another over the same queries."""

    difference: float
    """Mean of the first minus mean of the second."""
    interval: Interval
    p: float
    """Two-sided; below 0.05 just when the interval leaves out 0."""
    detectable: float
    """The smallest true difference that these queries would show at the 5 % level with a power of 80 %."""


class McNemar(NamedTuple):
    """Queries that only one of two predictors hits."""

    only_first: int
    only_second: int
    p: float
    """Two-sided, exact."""


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """`paired_bootstraps` of two per-query scores (n,)."""
    other = np.asarray(second, np.float64)[:, None]
    return paired_bootstraps(first, other, groups, resamples=resamples, seed=seed)[0]


def paired_bootstraps(
    first: ArrayLike, others: ArrayLike, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Comparison]:
    """Compare a per-query score with several others of the same queries by one bootstrap over documents.

    The p-value is the level at which the interval begins to hold 0. It is never below 2 / (resamples + 1):
    no more can be told from so many (Davison and Hinkley, "Bootstrap Methods and their Application", 1997).

    Args:
        first: (n,).
        others: (n, m), one column a score.
        groups: (n,) whole numbers, equal for queries of one document.

    Raises:
        ValueError: wrong shapes, not finite, or fewer than 2 groups.
    """
    a, b = np.asarray(first, np.float64), np.asarray(others, np.float64)
    if b.ndim != 2 or a.shape != b.shape[:1]:
        raise ValueError(f"the queries differ: {a.shape} and {b.shape}")
    gains = a[:, None] - b
    sums, counts = group_sums(gains, groups)
    drawn = resampled_sums(np.column_stack([sums, counts]), resamples, seed)
    means = drawn[:, :-1] / drawn[:, -1:]
    return [_compared(*columns, counts) for columns in zip(gains.T, means.T, strict=True)]


def _compared(gains: Floats, resampled: Floats, counts: Floats) -> Comparison:
    """From gains (n,), their resampled means (R,) and the queries of each document (G,)."""
    documents = len(counts)
    difference = float(gains.mean())
    error, widening = error_of(gains, resampled, counts)
    beyond = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    tail = 1 / (len(resampled) + 1)
    if beyond:
        tail = max(tail, corrected_tail(min(beyond / len(resampled), 0.5), widening, documents))
    if error > 0:
        tail = max(tail, NORMAL.cdf(-normal_from_t(abs(difference) / error, documents - 1)))
    return Comparison(
        difference=difference,
        interval=interval_of(gains, resampled, counts, score=False),
        p=min(2 * tail, 1.0),
        detectable=detectable_difference(error, documents),
    )


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's exact test of two predictors' hits (n,) on the same queries (Psychometrika 12, 1947).

    Only queries that one hits and the other misses count; if both are equally good, either is as likely. The
    test treats queries as independent. Queries of one document are not, so its p is too small where hits come
    in clusters: `paired_bootstrap` is the one to trust.

    Raises:
        ValueError: the queries differ.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"the queries differ: {a.shape} and {b.shape}")
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    return McNemar(
        only_first, only_second, _binomial_p(min(only_first, only_second), only_first + only_second)
    )


def _binomial_p(fewer: int, n: int) -> float:
    """Two-sided p of `fewer` or less extreme splits of n fair coins."""
    logs = [
        math.lgamma(n + 1) - math.lgamma(x + 1) - math.lgamma(n - x + 1) - n * math.log(2)
        for x in range(fewer + 1)
    ]
    return min(2 * math.fsum(map(math.exp, logs)), 1.0)


def detectable_difference(error: float, documents: int) -> float:
    """The smallest true difference that is found with a power of 80 % at the two-sided 5 % level.

    Args:
        error: standard error of the difference.
        documents: how many it comes from; few widen it, by Student's t.
    """
    degrees = documents - 1
    level = t_from_normal(NORMAL.inv_cdf((1 + CONFIDENCE) / 2), degrees)
    power = t_from_normal(NORMAL.inv_cdf(POWER), degrees)
    return (level + power) * error
