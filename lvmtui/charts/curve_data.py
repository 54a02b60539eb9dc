"""What is drawn of a curve: smoothed, on the axes' scales, in the range shown, as many points as can be seen.

Results are kept by the identity of the curve's arrays, so a chart drawn again costs what changed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvmtui.charts.cache import Recent, own, token
from lvmtui.charts.figure import Axes, Curve
from lvmtui.series import ascending, ema, envelope, finite_range, min_max, within

Array = NDArray[np.float64]

LARGEST = 1e150
"""Values beyond this are drawn at it, and those within its inverse at zero: no difference overflows."""


@dataclass(frozen=True, slots=True)
class Line:
    """The points of a line."""

    x: Array
    y: Array
    range: tuple[float, float] | None
    """Least and greatest finite y in the chart."""
    end: float | None
    """The last finite y."""


@dataclass(frozen=True, slots=True)
class Band:
    """The edges of a band; NaN where it is not known."""

    x: Array
    low: Array
    high: Array
    range: tuple[float, float] | None
    """What y has to show of it."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One curve ready to draw; x and y on the (possibly logarithmic) scales of the axes."""

    line: Line
    raw: Line | None
    """The unsmoothed line."""
    band: Band | None

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """The ranges of y of all that is drawn of the curve."""
        parts = (part for part in (self.line, self.raw, self.band) if part is not None)
        return [part.range for part in parts if part.range is not None]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of x on its scale."""

    range: tuple[float, float] | None
    ordered: bool
    """All of it is finite and ascending."""


def _size(drawn: Drawn) -> int:
    arrays = [drawn.line.x, drawn.line.y]
    arrays += [drawn.raw.x, drawn.raw.y] if drawn.raw else []
    arrays += [drawn.band.x, drawn.band.low, drawn.band.high] if drawn.band else []
    return 200 + sum(int(array.nbytes) for array in arrays)


_DRAWN: Recent[Drawn] = Recent(16_000_000, _size)
_SMOOTH: Recent[Array] = Recent(16_000_000, lambda array: array.nbytes + 100)
_FACTS: Recent[_Facts] = Recent(10_000)
_UNCHANGED: Recent[tuple[bool]] = Recent(10_000)
"""Whether all of y can be drawn as it is."""


def forget() -> None:
    """Drop everything kept."""
    for kept in (_DRAWN, _SMOOTH, _FACTS, _UNCHANGED):
        kept.clear()


def on_x_scale(x: Array, axes: Axes) -> Array:
    """x on the axis's scale; NaN where it has no place there."""
    x = np.asarray(x, dtype=np.float64)
    if not axes.log_x:
        return x
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x > 0, np.log10(x), np.nan)


def place(x: float | None, axes: Axes) -> float | None:
    """One x on the axis's scale; None where it has no place there."""
    if x is None or not math.isfinite(x):
        return None
    if not axes.log_x:
        return x
    return math.log10(x) if x > 0 else None


def x_range(curves: Sequence[Curve], axes: Axes) -> tuple[float, float] | None:
    """Least and greatest x of all curves, on the axis's scale."""
    found = [known for curve in curves if (known := _facts(curve.x, axes).range) is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _facts(x: Array, axes: Axes) -> _Facts:
    key = (token(x), axes.log_x)
    kept = _FACTS.get(key)
    if kept is None:
        x = on_x_scale(x, axes)
        kept = _FACTS.put(key, _Facts(finite_range([x]), bool(np.isfinite(x).all()) and ascending(x)))
    return kept


def drawn(curve: Curve, axes: Axes, shown: tuple[float, float], columns: int, *, raw: bool) -> Drawn:
    """One curve in the range `shown` of its x scale, with detail for `columns` columns of dots."""
    banded = axes.bands and curve.low is not None and curve.high is not None
    key = (
        (token(curve.x), token(curve.y), axes.log_x, axes.log_y, axes.smoothing, shown, columns, raw),
        (token(curve.low), token(curve.high)) if banded else (),
    )
    kept = _DRAWN.get(key)
    if kept is not None:
        return kept
    x = on_x_scale(curve.x, axes)
    raw = raw and axes.smoothing > 0
    made = Drawn(
        _line(x, smoothed(curve, axes), axes, shown, columns),
        _line(x, _drawable(curve.y, axes), axes, shown, columns) if raw else None,
        _band(x, curve, axes, shown, columns) if banded else None,
    )
    return _DRAWN.put(key, made)


def smoothed(curve: Curve, axes: Axes) -> Array:
    """All of y as it is drawn, but not on a logarithmic scale yet; NaN for gaps. Shape (n,)."""
    if axes.smoothing <= 0:
        return _drawable(curve.y, axes)
    key = (token(curve.y), axes.log_y, axes.smoothing)
    kept = _SMOOTH.get(key)
    if kept is None:
        kept = _SMOOTH.put(key, ema(_drawable(curve.y, axes), axes.smoothing))
    return kept


def _drawable(y: Array, axes: Axes) -> Array:
    """y with NaN where it cannot be drawn, without values so large or small that differences overflow."""
    key = (token(y), axes.log_y)
    y = np.asarray(y, dtype=np.float64)
    unchanged = _UNCHANGED.get(key) or _UNCHANGED.put(key, (_is_drawable(y, axes),))
    if unchanged[0]:
        return y
    y = np.where(np.isfinite(y) & ((y > 0) | (not axes.log_y)), y, np.nan)
    y = np.clip(y, -LARGEST, LARGEST)
    return np.where(np.abs(y) < 1 / LARGEST, np.nan if axes.log_y else 0.0, y)


def _is_drawable(y: Array, axes: Axes) -> bool:
    size = np.abs(y)
    if not float(size.max(initial=0.0)) <= LARGEST:
        return False
    return bool((y > 1 / LARGEST).all() if axes.log_y else ((size > 1 / LARGEST) | (y == 0)).all())


def _line(x: Array, y: Array, axes: Axes, shown: tuple[float, float], columns: int) -> Line:
    if not np.isfinite(x).all():
        known = np.isfinite(x)
        x, y = x[known], y[known]
    x, y = min_max(x, y, *shown, columns)
    if axes.log_y:
        y = np.log10(y)
    inside = (x >= shown[0]) & (x <= shown[1])
    if inside.all():
        found = finite_range([y])
    else:
        finite = np.isfinite(y)
        edges = np.zeros(0)
        if finite.any() and ascending(x) and x[0] <= shown[1] and x[-1] >= shown[0]:
            edges = np.interp([max(shown[0], x[0]), min(shown[1], x[-1])], x[finite], y[finite])
        found = finite_range([y[inside], edges])
    known = np.flatnonzero(np.isfinite(y))
    return Line(own(x), own(y), found, float(y[known[-1]]) if len(known) else None)


def _band(x: Array, curve: Curve, axes: Axes, shown: tuple[float, float], columns: int) -> Band:
    assert curve.low is not None
    assert curve.high is not None
    low, high = (np.asarray(edge, dtype=np.float64) for edge in (curve.low, curve.high))
    known = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    if axes.log_y:
        known &= high > 0
    low, high = (np.clip(np.where(known, edge, np.nan), -LARGEST, LARGEST) for edge in (low, high))
    placed = np.isfinite(x)
    x, low, high = envelope(x[placed], low[placed], high[placed], shown, columns)
    inside = (x >= shown[0]) & (x <= shown[1])
    if not axes.log_y:
        return Band(own(x), own(low), own(high), finite_range([low[inside], high[inside]]))
    # Where it reaches down to zero, it fills the chart to the bottom; the range cannot.
    reaches = low > 1 / LARGEST
    lowest = np.log10(np.where(reaches, low, 1 / LARGEST))
    low, high = np.where(np.isnan(low), np.nan, lowest), np.log10(high)
    return Band(own(x), low, high, finite_range([low[inside & reaches], high[inside]]))


def last_known(curve: Curve, axes: Axes, until: float) -> tuple[float, float, bool]:
    """The last drawn value at or before `until` on the x axis's scale: its x and y, and whether what is not
    known follows it up to there. NaN where there is none."""
    x, y = on_x_scale(curve.x, axes), smoothed(curve, axes)
    found, last = _last_index(x, y, until, ordered=_facts(curve.x, axes).ordered)
    if found < 0:
        return math.nan, math.nan, False
    return float(curve.x[found]), float(y[found]), found != last


def _last_index(x: Array, y: Array, until: float, *, ordered: bool) -> tuple[int, int]:
    """Index of the last finite y, and of the last point, with x at most `until`; -1 where there is none."""
    if ordered:
        last = int(np.searchsorted(x, until, side="right")) - 1
        if last >= 0 and math.isfinite(y[last]):
            return last, last
        finite = np.flatnonzero(np.isfinite(y[: last + 1]))
        return (int(finite[-1]) if len(finite) else -1), last
    before = np.flatnonzero(x <= until)
    if not len(before):
        return -1, -1
    order = before[np.argsort(x[before], kind="stable")]
    finite = order[np.isfinite(y[order])]
    return (int(finite[-1]) if len(finite) else -1), int(order[-1])


def in_range(
    curve: Curve, axes: Axes, shown: tuple[float, float], *, raw: bool = False
) -> tuple[Array, Array]:
    """Every point of the curve with x in the range `shown`, on the axes' scales, not thinned out."""
    x = on_x_scale(curve.x, axes)
    y = _drawable(curve.y, axes) if raw else smoothed(curve, axes)
    near = within(x, *shown) if np.isfinite(x).all() else np.flatnonzero(np.isfinite(x))
    x, y = x[near], y[near]
    inside = (x >= shown[0]) & (x <= shown[1])
    return x[inside], np.log10(y[inside]) if axes.log_y else y[inside]
