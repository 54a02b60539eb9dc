"""Preparing series of numbers for drawing: smoothing, downsampling, ranges. Pure numpy.

NaN stands for a value that is missing or was not finite; it is kept, and drawn as a gap.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BLOCK = 512
"""Points smoothed at once: weight ** -_BLOCK must stay far from overflow."""


def ema(values: Array, weight: float) -> Array:
    """Exponential moving average, corrected for its start as in Adam (Kingma and Ba, 2015).

    `weight` in [0, 1) is the share kept from the past: 0 changes nothing. NaN stays NaN and does not
    disturb what follows. Shape (n,) -> (n,).
    """
    if weight <= 0.0 or not len(values):
        return values
    finite = np.isfinite(values)
    smooth = np.full(len(values), np.nan)
    smooth[finite] = _ema_finite(values[finite], min(weight, 0.9999))
    return smooth


def _ema_finite(values: Array, weight: float) -> Array:
    """The recurrence, solved in closed form block by block; blocks short enough not to overflow."""
    block = max(1, min(_BLOCK, int(300 / -np.log(weight))))
    powers = weight ** np.arange(1, block + 1)
    total = norm = 0.0
    parts = []
    for start in range(0, len(values), block):
        part = values[start : start + block]
        decay = powers[: len(part)]
        sums = decay * (total + np.cumsum(part / decay))
        norms = decay * (norm + np.cumsum(1.0 / decay))
        parts.append(sums / norms)
        total, norm = float(sums[-1]), float(norms[-1])
    return np.concatenate(parts) if parts else values


def finite_range(arrays: Iterable[Array]) -> tuple[float, float] | None:
    """Least and greatest finite value of all `arrays`; None when there is none."""
    ranges = []
    for array in arrays:
        finite = array[np.isfinite(array)]
        if len(finite):
            ranges.append((float(finite.min()), float(finite.max())))
    if not ranges:
        return None
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def ascending(x: Array) -> bool:
    """Whether no value is less than the one before it."""
    return bool((x[1:] >= x[:-1]).all())


def within(x: Array, low: float, high: float) -> slice | NDArray[np.int64]:
    """Indices of the points with x in [low, high] and of their neighbours on both sides."""
    if ascending(x):
        first = max(0, int(np.searchsorted(x, low, side="left")) - 1)
        return slice(first, min(len(x), int(np.searchsorted(x, high, side="right")) + 1))
    inside = (x >= low) & (x <= high)
    near = inside.copy()
    near[1:] |= inside[:-1]
    near[:-1] |= inside[1:]
    return np.flatnonzero(near)


def min_max(x: Array, y: Array, low: float, high: float, columns: int) -> tuple[Array, Array]:
    """Reduce a series to at most five points for each of `columns` equal columns of [low, high].

    Each column keeps its first, least, greatest and last finite point and one NaN if it holds any, in
    order, so that the drawn curve equals the full one at that resolution. Points outside the range are
    dropped but for the nearest neighbour on each side. Short series are returned whole. Where x goes back,
    each stretch within a column is reduced for itself.
    """
    shown = within(x, low, high)
    x, y = x[shown], y[shown]
    if len(x) <= 5 * columns or high <= low:
        return x, y
    column = _columns(x, low, high, columns)
    finite = np.isfinite(y)
    keep = np.zeros(len(x), dtype=bool)
    if finite.all():
        _mark_extremes(keep, None, y, column)
    else:
        gaps = np.flatnonzero(~finite)
        keep[gaps[_first_of_group(column[gaps])]] = True
        rows = np.flatnonzero(finite)
        if len(rows):
            _mark_extremes(keep, rows, y[rows], column[rows])
    return x[keep], y[keep]


def _columns(x: Array, low: float, high: float, columns: int) -> NDArray[np.int64]:
    """The column of each point; -1 and `columns` outside the range."""
    return np.clip(np.floor((x - low) * (columns / (high - low))), -1, columns).astype(np.int64)


def _mark_extremes(
    keep: NDArray[np.bool_], rows: NDArray[np.int64] | None, values: Array, group: NDArray[np.int64]
) -> None:
    """Mark the first, the last, the first least and the first greatest of each group's finite values."""
    fresh = _first_of_group(group)
    starts = np.flatnonzero(fresh)
    number = np.cumsum(fresh) - 1
    chosen = [starts, np.append(starts[1:], len(values)) - 1]
    for extreme in (np.minimum, np.maximum):
        hits = np.flatnonzero(values == extreme.reduceat(values, starts)[number])
        chosen.append(hits[_first_of_group(number[hits])])
    for places in chosen:
        keep[places if rows is None else rows[places]] = True


def envelope(
    x: Array, low: Array, high: Array, shown: tuple[float, float], columns: int
) -> tuple[Array, Array, Array]:
    """Reduce a band to its least and greatest edge in each column, where it has many points.

    Shapes (n,) -> (m,). NaN stands where a column holds no finite edge.
    """
    kept = within(x, *shown)
    x, low, high = x[kept], low[kept], high[kept]
    if len(x) <= 5 * columns or shown[1] <= shown[0]:
        return x, low, high
    starts = np.flatnonzero(_first_of_group(_columns(x, *shown, columns)))
    return x[starts], np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)


def robust_range(values: Iterable[Array], reach: float = 0.5) -> tuple[float, float] | None:
    """The range of all values that are no outliers; None when nothing is finite.

    Outliers lie beyond the 5th and 95th percentile by more than `reach` times their distance (whiskers as
    in Tukey's box plot, 1977, about wider quantiles: a falling loss has a long tail). Each array counts
    alike, however long it is.
    """
    finite = [array[np.isfinite(array)] for array in values]
    finite = [array for array in finite if len(array)]
    if not finite:
        return None
    shares = np.linspace(0.0, 1.0, 101)
    pooled = finite[0] if len(finite) == 1 else np.concatenate([np.quantile(a, shares) for a in finite])
    low, high = np.quantile(pooled, (0.05, 0.95)).tolist()
    beyond = reach * (high - low)
    inside = [array[(array >= low - beyond) & (array <= high + beyond)] for array in finite]
    return finite_range(inside) or (low, high)


def _first_of_group(group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it."""
    first = np.ones(len(group), dtype=bool)
    first[1:] = group[1:] != group[:-1]
    return first
