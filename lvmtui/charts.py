"""Curves in text: the only module that draws them. Pure: series, size, colours -> lines of rich Text.

Every line is exactly `width` cells wide and every chart exactly `height` lines high. Charts are made for
20x5 and up; below that they shrink to their last values. Colours are anything that rich takes as a style
(`#56b4e9`, `cyan`); an empty one is the terminal's own.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.cells import cell_len as cells
from rich.text import Text

from lvmtui import chart_frame as frame
from lvmtui import format as fmt
from lvmtui.canvas import Canvas
from lvmtui.chart_frame import Prepared, Scale
from lvmtui.figure import (
    ASCII_MARKERS,
    MARKERS,
    OKABE_ITO,
    Axes,
    Curve,
    Level,
    Look,
    message_lines,
    padded,
    sparkline,
    style_of,
)
from lvmtui.series import ema, finite_range, min_max
from lvmtui.ticks import nice_ticks, tick_labels

__all__ = [
    "ASCII_MARKERS",
    "MARKERS",
    "OKABE_ITO",
    "Axes",
    "Curve",
    "Level",
    "Look",
    "curve_chart",
    "message_lines",
    "plot_inline",
    "sparkline",
    "value_at",
]

Array = NDArray[np.float64]
_Sign = tuple[int, int, str, str]
"""Row, column, character, colour."""


def curve_chart(
    curves: Sequence[Curve],
    *,
    width: int,
    height: int,
    levels: Sequence[Level] = (),
    axes: Axes = Axes(),  # noqa: B008 - frozen
    look: Look = Look(),  # noqa: B008
    empty: str = "nothing to draw yet",
) -> tuple[Text, ...]:
    """Draw curves over each other, the first on top, each with its name and last value at its end.

    Returns `height` lines of `width` cells; `empty` in their middle where no point can be drawn. Cached by
    the identity of the arrays and by the value of everything else.
    """
    key = (
        tuple((_Same(c.x), _Same(c.y), c.label, c.colour, c.best_x, c.ticks) for c in curves),
        (width, height, tuple(levels), axes, look, empty),
    )
    lines = _CACHE.get(key)
    if lines is None:
        lines = _CACHE[key] = tuple(_draw(curves, width, height, levels, axes, look, empty))
        while len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
    else:
        _CACHE.move_to_end(key)
    return lines


class _Same:
    """Equal only to the very same array, which it keeps alive so that its id is not given to another."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.array is self.array

    def __hash__(self) -> int:
        return id(self.array)


_CACHE_SIZE = 48
_CACHE: OrderedDict[object, tuple[Text, ...]] = OrderedDict()


def _draw(
    curves: Sequence[Curve],
    width: int,
    height: int,
    levels: Sequence[Level],
    axes: Axes,
    look: Look,
    empty: str,
) -> list[Text]:
    """The chart itself; see `curve_chart`."""
    if axes.log_x:
        curves, axes = [_on_log_x(curve) for curve in curves], _log_x_axes(axes)
    x_range = axes.zoom or finite_range([curve.x for curve in curves])
    if x_range is None:
        return message_lines(empty, width, height, look)
    x_range = frame.widened(*x_range)
    prepared = [_prepare(curve, i, axes, look, x_range, 2 * width) for i, curve in enumerate(curves)]
    y_range = frame.y_range(prepared, levels, axes)
    if y_range is None:
        return message_lines(_why_nothing(prepared, axes), width, height, look)
    if width < 14 or height < 3:
        return _values_only(prepared, width, height, axes, look)

    x_rows = 2 if height >= 8 else 1
    rows = height - x_rows
    ticks, tick_text = frame.y_ticks(y_range, rows, axes)
    left = min(max(map(len, tick_text), default=0), width // 3) + 1
    labels, right = frame.end_labels(prepared, width - left, axes, look)
    canvas = Canvas(width - left - right, rows, look.ascii_only)
    scale = Scale(*x_range, *y_range, *canvas.dots)

    _draw_cursor(canvas, scale, axes, look)
    for level in levels:
        _draw_dashes(canvas, scale, level, axes, look)
    for item in reversed(prepared):
        canvas.polyline(scale.u(item.x), scale.v(item.y), item.colour, item.marker)
    several = len(prepared) > 1
    signs = [
        sign for item in reversed(prepared) for sign in _signs(canvas, scale, item, look, several=several)
    ]
    for row, column, _, _ in signs:
        canvas.weight[row, column] = 100
    frame.name_levels(canvas, scale, levels, axes, look)
    for row, column, sign, colour in signs:
        canvas.put(row, column, sign, colour)

    gutter = frame.y_gutter(scale, ticks, tick_text, left, rows, look)
    ends = frame.place_labels(prepared, labels, scale, rows, right)
    lines = [_joined(gutter[row], canvas.line(row), ends[row]) for row in range(rows)]
    resumed = sorted({tick for curve in curves for tick in curve.ticks})
    return lines + frame.x_axis(scale, canvas.width, left, width, x_rows, axes, look, resumed)


def _on_log_x(curve: Curve) -> Curve:
    """The curve over the logarithms of its x; what is not above zero has no place there."""
    x = np.asarray(curve.x, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(x > 0, np.log10(x), np.nan)
    best = math.log10(curve.best_x) if curve.best_x is not None and curve.best_x > 0 else None
    return replace(curve, x=logs, best_x=best, ticks=tuple(math.log10(t) for t in curve.ticks if t > 0))


def _log_x_axes(axes: Axes) -> Axes:
    cursor = math.log10(axes.cursor) if axes.cursor is not None and axes.cursor > 0 else None
    zoom = (math.log10(axes.zoom[0]), math.log10(axes.zoom[1])) if axes.zoom and axes.zoom[0] > 0 else None
    return replace(axes, cursor=cursor, zoom=zoom)


def _joined(*parts: Text) -> Text:
    line = Text(no_wrap=True, end="")
    for part in parts:
        line.append_text(part)
    return line


def _prepare(
    curve: Curve, position: int, axes: Axes, look: Look, x_range: tuple[float, float], columns: int
) -> Prepared:
    """Smooth the whole curve, take what lies in the range, bring it to the axis's scale."""
    x, y = np.asarray(curve.x, dtype=np.float64), np.asarray(curve.y, dtype=np.float64)
    known = np.isfinite(x)
    if not known.all():
        x, y = x[known], y[known]
    zero = np.nan if axes.log_y else 0.0
    y = np.where(np.isfinite(y) & ((y > 0) | (not axes.log_y)), y, np.nan)
    y = np.clip(y, -frame.LARGEST, frame.LARGEST)
    y = ema(np.where(np.abs(y) < 1 / frame.LARGEST, zero, y), axes.smoothing)
    until = axes.cursor if axes.cursor is not None else x_range[1]
    last = int(np.searchsorted(x, until, side="right"))
    finite = np.flatnonzero(np.isfinite(y[:last]))
    at = int(finite[-1]) if len(finite) else -1
    drawn_x, drawn_y = min_max(x, y, *x_range, columns)
    return Prepared(
        curve=curve,
        x=drawn_x,
        y=np.log10(drawn_y) if axes.log_y else drawn_y,
        colour=curve.colour or look.colour(position),
        marker=look.marker(position),
        shown=float(y[at]) if at >= 0 else math.nan,
        shown_x=float(x[at]) if at >= 0 else math.nan,
        ended_nan=axes.cursor is None and 0 <= at < last - 1,
    )


def _why_nothing(prepared: Sequence[Prepared], axes: Axes) -> str:
    """Why there are points and yet none to draw."""
    if axes.log_y and any(np.isfinite(item.curve.y).any() for item in prepared):
        return "nothing above zero in this range"
    return "only NaN so far"


def _values_only(prepared: Sequence[Prepared], width: int, height: int, axes: Axes, look: Look) -> list[Text]:
    """What is left of a chart where there is no room for one: a curve a line, name and last value."""
    lines = []
    for row in range(height):
        text, colour = "", ""
        if row < len(prepared):
            item = prepared[row]
            said = look.text(f"{item.curve.label} {axes.written(item.shown)}")
            text = fmt.fit(said, width, "." if look.ascii_only else "…")
            colour = item.colour
        lines.append(Text(padded(text, width), style_of(colour), no_wrap=True, end=""))
    return lines


def _draw_cursor(canvas: Canvas, scale: Scale, axes: Axes, look: Look) -> None:
    if axes.cursor is None or not scale.x_low <= axes.cursor <= scale.x_high:
        return
    column = scale.column(axes.cursor, canvas.width)
    for row in range(canvas.height):
        canvas.put(row, column, "|" if look.ascii_only else "┊", look.axis)


def _draw_dashes(canvas: Canvas, scale: Scale, level: Level, axes: Axes, look: Look) -> None:
    row = scale.row(frame.on_scale(level.value, axes), canvas.height)
    if row is not None:
        dash = "-" if look.ascii_only else "╌"
        canvas.put(row, 0, dash * canvas.width, level.colour or look.level)


def _signs(canvas: Canvas, scale: Scale, item: Prepared, look: Look, *, several: bool) -> list[_Sign]:
    """The marker at a curve's end (or on its only point) and the star at its best."""
    finite = np.flatnonzero(np.isfinite(item.y))
    if not len(finite):
        return []
    x, y = item.x[finite], item.y[finite]
    places = [(float(x[-1]), float(y[-1]), item.marker, item.colour)] if several or len(finite) == 1 else []
    best = item.curve.best_x
    if best is not None:
        star = "*" if look.ascii_only else "★"
        places.append((best, float(np.interp(best, x, y)), star, look.star))
    signs = []
    for at, height, sign, colour in places:
        row = scale.row(height, canvas.height)
        if row is not None and scale.x_low <= at <= scale.x_high:
            signs.append((row, scale.column(at, canvas.width), sign, colour))
    return signs


def value_at(curve: Curve, x: float) -> float | None:
    """The curve's last finite y at or before `x`; None when there is none."""
    last = int(np.searchsorted(curve.x, x, side="right"))
    finite = curve.y[:last][np.isfinite(curve.y[:last])]
    return float(finite[-1]) if len(finite) else None


def plot_inline(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, width: int, height: int, colour: bool
) -> str:
    """Curves for `lvmtui plot`, drawn by plotext, as text of at most `width` x `height` cells.

    `series` maps a metric's key to x and y of equal length; NaN breaks a curve. Under the plot stands each
    curve's sign, name and last value. Without `colour` there is not one escape code in the text.
    """
    curves = {}
    for key, (x, y) in series.items():
        points = _drawable(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), 2 * width)
        if len(points[0]):
            curves[key] = points
    if not curves:
        return f"{fmt.fit(fmt.plain(title), width)}\nnothing to draw yet"
    signs = (
        [""] * len(curves) if len(curves) == 1 else [MARKERS[i % len(MARKERS)] for i in range(len(curves))]
    )
    legend = [
        f"{sign} {fmt.metric_name(key)} {fmt.metric_value(key, float(y[np.isfinite(y)][-1]))}".strip()
        for sign, (key, (_, y)) in zip(signs, curves.items(), strict=True)
    ]
    drawn = [(x, 100 * y if fmt.is_percent(key) else y) for key, (x, y) in curves.items()]
    plot = _plotext(drawn, fmt.fit(fmt.plain(title), width), width, height - 1, colour)
    return f"{plot}\n{_legend(legend, width, colour)}"


def _plotext(curves: Sequence[tuple[Array, Array]], title: str, width: int, height: int, colour: bool) -> str:
    """The plot itself. plotext has one global figure; it is cleared before and after."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.plot_size(max(width, 20), max(height, 6))
    figure.theme("colorless")
    for position, (x, y) in enumerate(curves):
        marker = "braille" if colour or len(curves) == 1 else MARKERS[position % len(MARKERS)]
        if colour:
            marker = plotext.marker(marker, _rgb(position))
        # plotext aborts the process on a line to NaN: leave these points out and break the line instead
        finite = np.isfinite(y)
        signal = figure.signal(x[finite].tolist(), y[finite].tolist(), marker=marker).lines()
        for first_after_gap in np.flatnonzero(np.diff(np.flatnonzero(finite)) > 1) + 1:
            signal.line(int(first_after_gap), False)
        figure.draw(signal)
    _round_ticks(figure, 0, np.concatenate([x for x, _ in curves]), width // 12, whole=True)
    _round_ticks(figure, 1, np.concatenate([y for _, y in curves]), height // 3, whole=False)
    figure.title(title)
    text = str(figure.build().string()).rstrip("\n")
    figure.clear()
    return text if colour else str(plotext.uncolorize(text))


def _round_ticks(figure: Any, axis: int, values: Array, count: int, *, whole: bool) -> None:
    """Ticks at round numbers; plotext's own are an even split of whatever the range is."""
    finite = values[np.isfinite(values)]
    ticks = nice_ticks(float(finite.min()), float(finite.max()), max(2, count), whole=whole)
    if len(ticks) > 1:
        figure.ruler(axis, 0).ticks(ticks, tick_labels(ticks))


def _rgb(position: int) -> tuple[int, int, int]:
    colour = OKABE_ITO[position % len(OKABE_ITO)]
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _legend(parts: Sequence[str], width: int, colour: bool) -> str:
    """As many names with their values as fit into a line."""
    shown = len(parts)
    while shown > 1 and sum(map(cells, parts[:shown])) + 3 * (shown - 1) > width:
        shown -= 1
    texts = [fmt.fit(part, width) for part in parts[:shown]]
    if colour:
        texts = ["\x1b[38;2;{};{};{}m".format(*_rgb(i)) + text + "\x1b[0m" for i, text in enumerate(texts)]
    return "   ".join(texts)


def _drawable(x: Array, y: Array, columns: int) -> tuple[Array, Array]:
    """A series as plotext takes it: x finite and not more points than can be seen; NaN in y kept as a gap."""
    known = np.isfinite(x)
    x, y = x[known], np.where(np.isfinite(y[known]), y[known], np.nan)
    if not np.isfinite(y).any():
        return x[:0], y[:0]
    return min_max(x, y, float(x[0]), float(x[-1]), columns)
