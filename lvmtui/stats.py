"""Statistics on per-query ranks: scores, intervals, tests. Pure numpy; shared with the engine.

Queries of one document are not independent, so what is resampled is documents. Percentile intervals from
few documents are too narrow; they are widened as Hesterberg does ("What Teachers Should Know About the
Bootstrap", The American Statistician 69, 2015, the expanded percentile interval): the quantiles are taken
further out, as far as Student's t with (documents - 1) degrees of freedom lies beyond the normal
distribution.
"""

import math
import sys
import zlib
from statistics import NormalDist
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvmtui.errors import StoreCorrupt
from lvmtui.store.records import Interval

Floats: TypeAlias = NDArray[np.float64]

RESAMPLES = 10_000
"""Bootstrap resamples unless told otherwise."""
CONFIDENCE = 0.95
"""Level of every interval."""

_NORMAL = NormalDist()
_WIDTHS: dict[int, np.dtype[np.unsignedinteger[Any]]] = {width: np.dtype(f"<u{width}") for width in (1, 2, 4)}
_BLOCK = 1 << 19
"""Resampled documents held at once: 2 MiB of draws."""


class Comparison(NamedTuple):
    """How one set of per-query scores differs from another over the same queries."""

    difference: float
    """Mean of the first minus mean of the second."""
    interval: Interval
    p: float
    """Two-sided; below 0.05 just when the interval leaves out 0."""


def pack_ranks(values: ArrayLike) -> bytes:
    """Non-negative integers (n,) below 2^32 as bytes: one that tells the width (1, 2 or 4 bytes a number),
    then zlib over the little-endian numbers.

    Raises:
        ValueError: not one-dimensional, not whole numbers, or out of range.
    """
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"ranks are whole numbers in one dimension, not {array.dtype} {array.shape}")
    largest = int(array.max(initial=0))
    if int(array.min(initial=0)) < 0 or largest >= 1 << 32:
        raise ValueError("ranks are from 0 to 2^32 - 1")
    width = next(width for width in _WIDTHS if largest < 1 << (8 * width))
    return bytes([width]) + zlib.compress(array.astype(_WIDTHS[width]).tobytes())


def unpack_ranks(blob: bytes) -> NDArray[np.uint32]:
    """What `pack_ranks` packed, as (n,); empty for an empty blob.

    Raises:
        StoreCorrupt: the bytes are not from `pack_ranks`.
    """
    if not blob:
        return np.empty(0, np.uint32)
    try:
        numbers = np.frombuffer(zlib.decompress(blob[1:]), _WIDTHS[blob[0]])
    except (zlib.error, KeyError, ValueError) as error:
        raise StoreCorrupt("stored ranks are damaged", "Check the disk, or evaluate again.") from error
    return numbers.astype(np.uint32)


def hits(ranks: ArrayLike, k: int) -> NDArray[np.bool_]:
    """Whether each rank (n,) is within the first k."""
    return np.asarray(np.asarray(ranks) <= k)


def reciprocal_ranks(ranks: ArrayLike) -> Floats:
    """1 / rank for each rank (n,); their mean is the MRR."""
    return 1.0 / np.asarray(ranks, np.float64)


def hit_at(ranks: ArrayLike, k: int) -> float:
    """Hit@k: the share of ranks (n,) within the first k; NaN for none."""
    within = hits(ranks, k)
    return float(within.mean()) if within.size else math.nan


def mrr(ranks: ArrayLike) -> float:
    """Mean reciprocal rank of ranks (n,); NaN for none."""
    values = reciprocal_ranks(ranks)
    return float(values.mean()) if values.size else math.nan


def wilson_interval(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Interval of a share of independent trials (Wilson, JASA 22, 1927).

    Raises:
        ValueError: no trials, or successes outside 0..n.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes in {n} trials")
    z = _NORMAL.inv_cdf((1 + confidence) / 2)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return Interval(low, high)


def bootstrap_intervals(
    values: ArrayLike, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Interval]:
    """95 % intervals of the means of several per-query scores, by bootstrap over groups (documents).

    Where every group has the same mean the bootstrap sees no spread: 0 hits in 300 is no proof of 0. A score
    of zeros and ones gets Wilson's interval over the queries then.

    Args:
        values: (n, m), one column a score.
        groups: (n,) whole numbers, equal for queries of one document.
        resamples: how many.
        seed: equal seeds give equal intervals.

    Raises:
        ValueError: wrong shapes, not finite, or fewer than 2 groups.
    """
    table = np.asarray(values, np.float64)
    sums, counts = _group_sums(table, groups)
    low, high = np.quantile(_resampled_means(sums, counts, resamples, seed), _levels(len(counts)), axis=0)
    return [
        _degenerate_interval(column) if high[k] - low[k] < 1e-12 else Interval(float(low[k]), float(high[k]))
        for k, column in enumerate(table.T)
    ]


def bootstrap_interval(
    values: ArrayLike, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """`bootstrap_intervals` of one score (n,)."""
    column = np.asarray(values, np.float64)[:, None]
    return bootstrap_intervals(column, groups, resamples=resamples, seed=seed)[0]


def paired_bootstrap(
    first: ArrayLike, second: ArrayLike, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare two per-query scores (n,) of the same queries by bootstrap over groups (documents).

    The p-value is the level at which the interval begins to hold 0. One is added to the count of resamples
    beyond 0, so that it is never 0 (Davison and Hinkley, "Bootstrap Methods and their Application", 1997).

    Raises:
        ValueError: wrong shapes, not finite, or fewer than 2 groups.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"the queries differ: {a.shape} and {b.shape}")
    gains = a - b
    sums, counts = _group_sums(gains[:, None], groups)
    means = _resampled_means(sums, counts, resamples, seed)[:, 0]
    low, high = np.quantile(means, _levels(len(counts)))
    beyond = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    tail = min((beyond + 1) / (resamples + 1), 0.5)
    return Comparison(
        difference=float(gains.mean()),
        interval=Interval(float(low), float(high)),
        p=min(2 * _corrected_tail(tail, len(counts)), 1.0),
    )


def _group_sums(table: Floats, groups: ArrayLike) -> tuple[Floats, Floats]:
    """Per group the sums (G, m) and the number of queries (G,)."""
    labels = np.asarray(groups)
    if table.ndim != 2 or labels.shape != table.shape[:1]:
        raise ValueError(f"scores {table.shape} and groups {labels.shape} do not fit")
    if not np.isfinite(table).all():
        raise ValueError("scores must be finite")
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError("at least 2 groups are needed to resample them")
    sums: Floats = np.stack([np.bincount(index, column) for column in table.T], axis=1).astype(np.float64)
    return sums, counts.astype(np.float64)


def _resampled_means(sums: Floats, counts: Floats, resamples: int, seed: int) -> Floats:
    """Means (resamples, m) over groups drawn with replacement: how often each group is drawn, times its sums.
    A few thousand draws at a time, so that memory stays bounded."""
    groups = len(counts)
    generator = np.random.default_rng(seed)
    totals = np.column_stack([sums, counts])
    means = np.empty((resamples, sums.shape[1]))
    rows = max(1, _BLOCK // groups)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        draws = generator.integers(0, groups, (size, groups), dtype=np.int32)
        draws += groups * np.arange(size, dtype=np.int32)[:, None]
        times = np.bincount(draws.ravel(), minlength=size * groups).reshape(size, groups)
        drawn = times.astype(np.float64) @ totals
        means[start : start + size] = drawn[:, :-1] / drawn[:, -1:]
    return means


def _degenerate_interval(column: Floats) -> Interval:
    if np.isin(column, (0.0, 1.0)).all():
        return wilson_interval(int(column.sum()), len(column))
    return Interval(float(column.mean()), float(column.mean()))


def _levels(groups: int) -> tuple[float, float]:
    """The two quantile levels of the expanded percentile interval."""
    degrees = groups - 1
    z = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)
    t = _t_from_normal(z, degrees)
    low = _NORMAL.cdf(-t * math.sqrt(groups / degrees))
    return low, 1 - low


def _corrected_tail(tail: float, groups: int) -> float:
    """The one-sided probability behind a share of resamples: `_levels` backwards."""
    degrees = groups - 1
    t = -_NORMAL.inv_cdf(tail) * math.sqrt(degrees / groups)
    return _NORMAL.cdf(-_normal_from_t(t, degrees))


def _t_from_normal(z: float, degrees: int) -> float:
    """The quantile of Student's t at the probability of the normal quantile z >= 0 (Wallace, Annals of
    Mathematical Statistics 30, 1959; 1 % off at 3 degrees, too far out below)."""
    stretched = z * (8 * degrees + 3) / (8 * degrees + 1)
    exponent = min(stretched * stretched / degrees, math.log(sys.float_info.max) - 1)
    return math.sqrt(degrees * math.expm1(exponent))


def _normal_from_t(t: float, degrees: int) -> float:
    """`_t_from_normal` backwards."""
    return (8 * degrees + 1) / (8 * degrees + 3) * math.sqrt(degrees * math.log1p(t * t / degrees))
