"""Curves in text. Pure: series, size, colours -> lines of rich Text.

Every line is exactly `width` cells wide and every chart exactly `height` lines high. Charts are made for
20x5 and up; below that they shrink to their last values. Colours are anything that rich takes as a style
(`#56b4e9`, `cyan`); an empty one is the terminal's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.text import Span, Text

from lvmtui import format as fmt
from lvmtui.charts import curve_data as data
from lvmtui.charts import frame
from lvmtui.charts import labels as words
from lvmtui.charts.area import Item, paint, window_columns, with_cursor
from lvmtui.charts.cache import Recent, token
from lvmtui.charts.canvas import Canvas
from lvmtui.charts.figure import RAW_CURVES, Axes, Curve, Level, Look, Plot, message_lines, padded, style_of
from lvmtui.charts.frame import Scale
from lvmtui.charts.labels import Ended
from lvmtui.series import robust_range


@dataclass(frozen=True, slots=True)
class _Picture:
    """All of a chart's area but the cursor."""

    canvas: Canvas
    scale: Scale


_Range = tuple[float, float]
_Fitted = tuple[_Range | None, int]

_PLOTS: Recent[Plot] = Recent(30_000, lambda plot: sum(10 + len(line.spans) for line in plot.lines))
_FITTED: Recent[_Fitted] = Recent(200)
_PICTURES: Recent[_Picture] = Recent(400_000, lambda picture: picture.canvas.codes.size)


def forget() -> None:
    """Drop everything kept for drawing again."""
    _PLOTS.clear()
    _PICTURES.clear()
    _FITTED.clear()
    data.forget()


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
    """The lines of `plot_chart`."""
    return plot_chart(
        curves, width=width, height=height, levels=levels, axes=axes, look=look, empty=empty
    ).lines


def plot_chart(
    curves: Sequence[Curve],
    *,
    width: int,
    height: int,
    levels: Sequence[Level] = (),
    axes: Axes = Axes(),  # noqa: B008 - frozen
    look: Look = Look(),  # noqa: B008
    empty: str = "nothing to draw yet",
) -> Plot:
    """Draw curves over each other, the first on top, each with its name and last value at its end.

    Its `height` lines have `width` cells; `empty` stands in their middle where no point can be drawn. Plots
    are kept by the identity of the arrays and by the value of everything else, and without the cursor too.
    """
    of_curves = tuple(
        (token(c.x), token(c.y), token(c.low), token(c.high), c.label, c.colour, c.marker, c.best_x, c.ticks)
        for c in curves
    )
    key = (of_curves, width, height, tuple(levels), axes, look, empty)
    return _PLOTS.get(key) or _PLOTS.put(
        key, _draw(curves, of_curves, width, height, levels, axes, look, empty)
    )


def _draw(
    curves: Sequence[Curve],
    of_curves: object,
    width: int,
    height: int,
    levels: Sequence[Level],
    axes: Axes,
    look: Look,
    empty: str,
) -> Plot:
    """The chart itself; see `plot_chart`."""
    shown = _zoomed(axes) or data.x_range(curves, axes)
    if shown is None:
        return Plot(tuple(message_lines(empty, width, height, look)))
    shown = frame.widened(*shown)
    raw = axes.raw and axes.smoothing > 0 and len(curves) <= RAW_CURVES
    columns = max(1, width if look.ascii_only else 2 * width)
    items = [_item(i, curve, axes, look, shown, columns, raw=raw) for i, curve in enumerate(curves)]
    ended, unsaid = _ends(items, axes, shown, height)
    y_range, clipped = _fitted(items, of_curves, levels, axes, shown, raw=raw)
    if y_range is None:
        return Plot(tuple(message_lines(_why_nothing(curves, axes), width, height, look)))
    if width < 14 or height < 3:
        return Plot(tuple(_values_only(ended, width, height, axes, look)))

    x_rows = 2 if height >= 8 else 1
    rows = height - x_rows
    ticks, tick_text = frame.y_ticks(y_range, rows, axes)
    left = min(max(map(len, tick_text), default=0), width // 3) + 1
    labels = words.end_labels(ended, unsaid, rows, width - left, axes, look, _likely(items, axes))
    columns = width - left - labels.width
    picture_key = (of_curves, columns, height, tuple(levels), replace(axes, cursor=None), look)
    picture = _PICTURES.get(picture_key)
    if picture is None:
        canvas = Canvas(columns, rows, look.ascii_only)
        scale = Scale(*shown, *y_range, *canvas.dots)
        paint(canvas, scale, items, levels, axes, look)
        picture = _PICTURES.put(picture_key, _Picture(canvas, scale))
    scale, canvas = picture.scale, with_cursor(picture.canvas, picture.scale, ended, axes, look)

    gutter = frame.y_gutter(scale, ticks, tick_text, left, rows, look)
    ends = words.place_labels(ended, labels, scale, rows)
    lines = [
        _joined(before, look.axis, row, *after)
        for before, row, after in zip(gutter, canvas.lines(left), ends, strict=True)
    ]
    resumed = [place for place in _resumed(curves, axes) if shown[0] <= place <= shown[1]]
    window = window_columns(scale, columns, axes)
    cursor = data.place(axes.cursor, axes)
    below = frame.x_axis(scale, columns, left, width, x_rows, axes, look, resumed, window, cursor)
    lines += [Text(text, style_of(look.axis), no_wrap=True, end="") for text in below]
    return Plot(
        lines=tuple(lines),
        left=left,
        columns=columns,
        rows=rows,
        x_range=_unscaled(shown, log=axes.log_x),
        y_range=_unscaled(y_range, log=axes.log_y),
        dots=canvas.dots,
        log_x=axes.log_x,
        log_y=axes.log_y,
        clipped=clipped,
        unlabelled=labels.more,
    )


def _zoomed(axes: Axes) -> tuple[float, float] | None:
    """The range to show on the scale of x, where one is chosen."""
    if axes.zoom is None:
        return None
    low, high = (data.place(x, axes) for x in axes.zoom)
    return None if low is None or high is None else (low, high)


def _unscaled(shown: tuple[float, float], *, log: bool) -> tuple[float, float]:
    """A range in the values' own terms; rounded, because 10 ** log10(x) is not quite x."""
    return (float(f"{10.0 ** shown[0]:.12g}"), float(f"{10.0 ** shown[1]:.12g}")) if log else shown


def _fitted(
    items: Sequence[Item], of_curves: object, levels: Sequence[Level], axes: Axes, shown: _Range, *, raw: bool
) -> _Fitted:
    """The range of y to show, on its scale (None: nothing to draw), and how many values it leaves out."""
    if not axes.clip:
        return frame.y_range([found for item in items for found in item.drawn.ranges], levels, axes), 0
    key = (of_curves, tuple(levels), replace(axes, cursor=None))
    kept = _FITTED.get(key)
    if kept is not None:
        return kept
    values = [data.in_range(item.curve, axes, shown, raw=raw)[1] for item in items]
    found = robust_range(values)
    # Where no point but only a line lies in the range, it is the line that is shown.
    ranges = [found] if found else [found for item in items for found in item.drawn.ranges]
    fitted = frame.y_range(ranges, levels, axes)
    left_out = 0
    if fitted is not None:
        left_out = sum(int(np.count_nonzero((y < fitted[0]) | (y > fitted[1]))) for y in values)
    return _FITTED.put(key, (fitted, left_out))


def _item(
    position: int,
    curve: Curve,
    axes: Axes,
    look: Look,
    shown: tuple[float, float],
    columns: int,
    *,
    raw: bool,
) -> Item:
    """One curve as it is drawn."""
    drawn = data.drawn(curve, axes, shown, columns, raw=raw)
    return Item(curve, drawn, curve.colour or look.colour(position), curve.marker or look.marker(position))


def _ends(items: Sequence[Item], axes: Axes, shown: _Range, most: int) -> tuple[list[Ended | None], int]:
    """What the labels say: a curve's last value, or the one at the cursor; None where there is none.

    Of the curves that have something to say no more than `most` are asked; returns how many others there are.
    """
    cursor = data.place(axes.cursor, axes)
    ended: list[Ended | None] = []
    said = 0
    for position, item in enumerate(items):
        if said > most:
            return ended, sum(other.drawn.line.end is not None for other in items[position:])
        at, value, nan_follows = data.last_known(item.curve, axes, shown[1] if cursor is None else cursor)
        place = data.place(at, axes)
        if place is None or item.drawn.line.end is None:
            ended.append(None)
            continue
        said += 1
        ended.append(
            Ended(
                name=item.curve.label,
                colour=item.colour,
                marker=item.marker,
                value=value,
                ended_nan=nan_follows and cursor is None,
                end=item.drawn.line.end,
                beside=place >= shown[1],
            )
        )
    return ended, 0


def _likely(items: Sequence[Item], axes: Axes) -> list[float]:
    """Values that tell how wide labels get while the cursor moves, lest the chart changes its width."""
    if axes.cursor is None:
        return []
    known = [item.drawn.line.y[np.isfinite(item.drawn.line.y)] for item in items]
    values = np.concatenate(known)
    values = values[:: max(1, len(values) // 50)]
    likely: list[float] = (10.0**values if axes.log_y else values).tolist()
    return likely


def _resumed(curves: Sequence[Curve], axes: Axes) -> list[float]:
    """Where runs were resumed, on the scale of x."""
    places = {data.place(tick, axes) for curve in curves for tick in curve.ticks}
    return sorted(place for place in places if place is not None)


def _joined(before: str, colour: str, row: tuple[str, list[Span]], after: str, after_colour: str) -> Text:
    """One line: the y axis, the curves, the labels."""
    end = len(before) + len(row[0])
    spans = [Span(0, len(before), style_of(colour)), *row[1]] if colour else row[1]
    if after_colour and after.strip():
        spans.append(Span(end, end + len(after), style_of(after_colour)))
    return Text(f"{before}{row[0]}{after}", no_wrap=True, end="", spans=spans)


def _why_nothing(curves: Sequence[Curve], axes: Axes) -> str:
    """Why there are points and yet none to draw."""
    if axes.log_y and any(np.isfinite(curve.y).any() for curve in curves):
        return "nothing above zero in this range"
    if any(np.isfinite(curve.y).any() for curve in curves):
        return "nothing in this range"
    return "only NaN so far"


def _values_only(
    ended: Sequence[Ended | None], width: int, height: int, axes: Axes, look: Look
) -> list[Text]:
    """What is left of a chart where there is no room for one: a curve a line, name and last value."""
    known = [item for item in ended if item is not None]
    lines = []
    for row in range(height):
        text, colour = "", ""
        if row < len(known):
            item = known[row]
            said = look.text(f"{item.name} {axes.written(item.value)}")
            text = fmt.fit(said, width, "." if look.ascii_only else "…")
            colour = item.colour
        lines.append(Text(padded(text, width), style_of(colour), no_wrap=True, end=""))
    return lines


def value_at(curve: Curve, x: float) -> float | None:
    """The curve's last finite y at or before `x`; None when there is none."""
    found = data.last_known(curve, Axes(), x)[1]
    return found if math.isfinite(found) else None


def values_at(
    curves: Sequence[Curve],
    x: float,
    axes: Axes = Axes(),  # noqa: B008 - frozen
) -> list[tuple[str, float, float]]:
    """Label, value and its x for each curve: the last finite value at or before `x`, smoothed as `axes` say.

    Value and x are NaN for a curve that has none.
    """
    until = data.place(x, axes)
    found = [data.last_known(curve, axes, math.nan if until is None else until) for curve in curves]
    return [(curve.label, value, at) for curve, (at, value, _) in zip(curves, found, strict=True)]
