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


def within(x: Array, y: Array, low: float, high: float) -> tuple[Array, Array]:
    """The points with x in [low, high] and the nearest neighbour on each side. `x` is ascending."""
    first = max(0, int(np.searchsorted(x, low, side="left")) - 1)
    last = min(len(x), int(np.searchsorted(x, high, side="right")) + 1)
    return x[first:last], y[first:last]


def min_max(x: Array, y: Array, low: float, high: float, columns: int) -> tuple[Array, Array]:
    """Reduce a series to at most five points for each of `columns` equal columns of [low, high].

    Each column keeps its first, least, greatest and last finite point and one NaN if it holds any, in
    order, so that the drawn curve equals the full one at that resolution. `x` is ascending. Points outside
    the range are dropped but for the nearest neighbour on each side. Short series are returned whole.
    """
    x, y = within(x, y, low, high)
    if len(x) <= 5 * columns or high <= low:
        return x, y
    column = np.clip(((x - low) * (columns / (high - low))).astype(np.int64), -1, columns)
    finite = np.isfinite(y)
    keep = np.zeros(len(x), dtype=bool)
    gaps = np.flatnonzero(~finite)
    keep[gaps[_first_of_group(column[gaps])]] = True
    rows = np.flatnonzero(finite)
    if len(rows):
        group = column[rows]
        starts = np.flatnonzero(_first_of_group(group))
        stops = np.append(starts[1:], len(rows))
        keep[rows[starts]] = True
        keep[rows[stops - 1]] = True
        values = y[rows]
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            keep[rows[start + int(values[start:stop].argmin())]] = True
            keep[rows[start + int(values[start:stop].argmax())]] = True
    return x[keep], y[keep]


def _first_of_group(group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a new value begins in an ascending array."""
    first = np.ones(len(group), dtype=bool)
    first[1:] = group[1:] != group[:-1]
    return first
