"""From lines through points to dots: for each line and column of dots, the rows it passes. Pure numpy.

Lines run to the right, so a connected piece of one covers one range of rows in each column. Finding these
ranges costs as much as there are points and columns, however high the lines are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Ranges of rows, each (s,), by line and then from left to right. Rows may lie outside the grid."""

    line: Ints
    column: Ints
    top: Ints
    bottom: Ints


_NOTHING = Spans(*(np.zeros(0, dtype=np.int64) for _ in range(4)))

_CLOSE = 1e-6
"""Dots between two places that differ by rounding alone."""

_FAR = 1e9
"""Dots from the top beyond which it does not matter where a line is."""


def column_spans(u: Array, v: Array, line: Ints, across: int, down: int) -> Spans:
    """What lines through points given in dots from the top left cover of a grid of `across` x `down` dots.

    `u`, `v` and `line`, the ascending number of the line that a point is of, are (n,); `u` is finite. A line
    breaks where `v` is not finite and where `u` goes back. Where it passes less than a row within a column,
    it has one dot there, and that of a peak or of its end; else all rows that it crosses, and those of its
    points. Rows are cut to [-1, down], columns to [0, across).
    """
    at = np.flatnonzero(np.isfinite(v))
    if not len(at):
        return _NOTHING
    broken = (line[1:] != line[:-1]) | (u[1:] < u[:-1])
    if len(at) < len(v):
        broken = np.concatenate(([False], broken))[at[1:]] | (np.diff(at) > 1)
        u, v, line = u[at], v[at], line[at]
    v = np.clip(v, -_FAR, _FAR)
    column = _dot(np.clip(u, -1, across)).astype(np.int64)
    fresh = np.ones(len(u), dtype=bool)
    fresh[1:] = broken | (column[1:] != column[:-1])
    first = np.flatnonzero(fresh)
    """Where the points of one column begin."""
    starts = np.ones(len(first), dtype=bool)
    starts[1:] = broken[first[1:] - 1]
    least, most, crossing, columns, of, ends = _along(u, v, column, first, starts)

    entering = np.full(len(crossing), np.nan)
    entering[1:] = crossing[:-1]
    ends[1:] |= ends[:-1]
    ends[0] = True
    """Whether the line begins or ends in the column."""
    passed_low, passed_high = np.fmin(entering, crossing), np.fmax(entering, crossing)
    low, high = np.fmin(least, passed_low), np.fmax(most, passed_high)
    flat = high - low <= 1.0
    middle = _dot(0.5 * (low + high))
    peak = np.where(ends | (least <= passed_low + _CLOSE), np.fmin(_dot(least), middle), middle)
    top = np.where(flat, peak, np.fmin(_dot(least), np.ceil(low)))
    peak = np.where(ends | (most >= passed_high - _CLOSE), np.fmax(_dot(most), middle), middle)
    bottom = np.where(flat, peak, np.fmax(_dot(most), np.floor(high)))
    seen = np.flatnonzero((columns >= 0) & (columns < across))
    return Spans(
        line[first][of[seen]],
        columns[seen],
        np.clip(top[seen], -1, down).astype(np.int64),
        np.clip(bottom[seen], -1, down).astype(np.int64),
    )


def _dot(place: Array) -> Array:
    """The nearest dot, always the further one of two."""
    result: Array = np.floor(place + 0.5)
    return result


def _along(
    u: Array, v: Array, column: Ints, first: Ints, starts: NDArray[np.bool_]
) -> tuple[Array, Array, Array, Ints, Ints, NDArray[np.bool_]]:
    """Every column of every piece of line, from left to right.

    `first` (g,) is where each group of points of one column begins, and `starts` (g,) whether a piece does.
    Returns (k,): least and greatest v of the points in the column, v where the line leaves it to the right
    (all NaN where there is none), its number, the group at or before it, whether its piece ends there.
    """
    last = np.append(first[1:], len(u)) - 1
    opening = np.flatnonzero(starts)
    closing = np.append(opening[1:], len(first)) - 1
    begin, end = column[first[opening]], column[first[closing]]
    base = np.cumsum(end - begin + 1) - (end - begin + 1)
    shift = np.repeat(base - begin, closing - opening + 1)
    place = column[first] + shift
    size = int(place[-1]) + 1
    of = np.zeros(size, dtype=np.int64)
    of[place] = np.arange(len(first))
    of = np.maximum.accumulate(of)
    columns = np.arange(size) - shift[of]
    ends = np.zeros(size, dtype=bool)
    ends[place[closing]] = True

    least, most = np.full(size, np.nan), np.full(size, np.nan)
    least[place], most[place] = np.minimum.reduceat(v, first), np.maximum.reduceat(v, first)
    following = np.minimum(last + 1, len(u) - 1)
    run = u[following] - u[last]
    slope = np.divide(v[following] - v[last], run, out=np.zeros(len(run)), where=run > 1e-9)
    walked = np.clip(columns + 0.5 - u[last][of], 0.0, np.maximum(run, 0.0)[of])
    crossing = v[last][of] + walked * slope[of]
    crossing[ends] = np.nan
    return least, most, crossing, columns, of, ends
