"""The area of a chart that the curves are in, drawn from the back to the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvmtui.charts import curve_data as data
from lvmtui.charts import labels as words
from lvmtui.charts.canvas import Canvas, Stroke, Weave
from lvmtui.charts.curve_data import Drawn
from lvmtui.charts.figure import RAW_CURVES, Axes, Curve, Level, Look
from lvmtui.charts.frame import Scale, on_scale
from lvmtui.charts.labels import CURVE_WEIGHT, Ended
from lvmtui.charts.raster import Spans

BAND_WEIGHT, BEHIND_WEIGHT, SIGN_WEIGHT = 1, 2, 100
"""How much of a chart is hidden by a text on these."""

MARKS_APART = 24
"""Columns between the signs along a curve."""

_Sign = tuple[int, int, str, str]
"""Row, column, character, colour."""


@dataclass(frozen=True, slots=True)
class Item:
    """One curve with all that its drawing needs."""

    curve: Curve
    drawn: Drawn
    colour: str
    marker: str


def paint(
    canvas: Canvas, scale: Scale, items: Sequence[Item], levels: Sequence[Level], axes: Axes, look: Look
) -> None:
    """Everything but the cursor, from the back to the front; the first of the items is on top."""
    _draw_window(canvas, scale, axes, look)
    bands, behind, strokes = [], [], []
    for item in reversed(items):
        drawn, dimmed = item.drawn, f"dim {item.colour}".rstrip()
        if drawn.band is not None:
            low, high = scale.v(drawn.band.low), scale.v(drawn.band.high)
            bands.append(Stroke(scale.u(drawn.band.x), low, dimmed, ":", high))
        if drawn.raw is not None:
            behind.append(Stroke(scale.u(drawn.raw.x), scale.v(drawn.raw.y), dimmed, "."))
        strokes.append(Stroke(scale.u(drawn.line.x), scale.v(drawn.line.y), item.colour, item.marker))
    if bands:
        canvas.draw(bands, Weave.SPARSE, BAND_WEIGHT)
    for level in sorted(levels, key=lambda level: level.target):
        _draw_dashes(canvas, scale, level, axes, look)
    if behind:
        canvas.draw(behind, Weave.HALF, BEHIND_WEIGHT)
    covered = canvas.draw(strokes, Weave.FULL, CURVE_WEIGHT)
    if look.marks and len(items) > 1:
        _put(canvas, _marks(canvas, scale, items))
    signs = _leaving(canvas, covered, strokes, look) if axes.clip else []
    for item in reversed(items):
        signs += _signs(canvas, scale, item, axes, look, several=len(items) > 1)
    for row, column, _, _ in signs:
        canvas.weight[row, column] = SIGN_WEIGHT
    words.name_levels(canvas, scale, levels, axes, look)
    _put(canvas, signs)


def _put(canvas: Canvas, signs: Sequence[_Sign]) -> None:
    for row, column, sign, colour in signs:
        canvas.put(row, column, sign, colour, SIGN_WEIGHT)


def window_columns(scale: Scale, columns: int, axes: Axes) -> tuple[int, int] | None:
    """First and last column of the shaded range of x."""
    if axes.window is None:
        return None
    low, high = (data.place(x, axes) for x in axes.window)
    if low is None or high is None or high < scale.x_low or low > scale.x_high:
        return None
    return scale.column(low, columns), scale.column(high, columns)


def _draw_window(canvas: Canvas, scale: Scale, axes: Axes, look: Look) -> None:
    """A background, or sparse dots where there is no colour for one; the axis line is thick there too."""
    window = window_columns(scale, canvas.width, axes)
    if window is None:
        return
    first, last = window
    if look.shade and not look.ascii_only:
        canvas.shade = look.shade
        canvas.shaded = np.zeros(canvas.width, dtype=np.bool_)
        canvas.shaded[first : last + 1] = True
        return
    dot = "." if look.ascii_only else "⠂"
    for row in range(0, canvas.height, 2):
        shift = first + (row // 2) % 2 * 2
        canvas.fill((slice(row, row + 1), slice(shift, last + 1, 4)), dot, f"dim {look.axis}".rstrip(), 0)


def _draw_dashes(canvas: Canvas, scale: Scale, level: Level, axes: Axes, look: Look) -> None:
    row = scale.row(on_scale(level.value, axes), canvas.height)
    if row is not None:
        dash = ("=" if level.target else "-") if look.ascii_only else ("╍" if level.target else "╌")
        canvas.fill((slice(row, row + 1), slice(None)), dash, words.level_colour(level, look), BEHIND_WEIGHT)


def _leaving(canvas: Canvas, covered: Spans, strokes: Sequence[Stroke], look: Look) -> list[_Sign]:
    """A sign in the middle of each stretch in which a curve runs above or below the chart."""
    above, below = "^v" if look.ascii_only else "▲▼"
    wide = 1 if look.ascii_only else 2
    signs = []
    for out, row, sign in (
        (covered.top < 0, 0, above),
        (covered.bottom >= canvas.dots[1], canvas.height - 1, below),
    ):
        lines, columns = covered.line[out], covered.column[out] // wide
        fresh = np.ones(len(columns), dtype=bool)
        fresh[1:] = (lines[1:] != lines[:-1]) | (columns[1:] > columns[:-1] + 1)
        starts = np.flatnonzero(fresh)
        stops = np.append(starts[1:], len(columns)) - 1
        middles = (columns[starts] + columns[stops]) // 2 if len(starts) else columns
        signs += [
            (row, column, sign, strokes[line].colour)
            for column, line in zip(middles.tolist(), lines[starts].tolist(), strict=True)
        ]
    return signs


def _signs(canvas: Canvas, scale: Scale, item: Item, axes: Axes, look: Look, *, several: bool) -> list[_Sign]:
    """The marker at a curve's end (or on its only point) and the star at its best."""
    line = item.drawn.line
    finite = np.flatnonzero(np.isfinite(line.y))
    places = []
    if len(finite) and (several or len(finite) == 1):
        last = finite[-1]
        places.append((float(line.x[last]), float(line.y[last]), item.marker, item.colour))
    best = data.place(item.curve.best_x, axes)
    if best is not None and len(finite):
        value = on_scale(data.last_known(item.curve, axes, best)[1], axes)
        places.append((best, value, "*" if look.ascii_only else "★", look.star))
    signs = []
    for at, height, sign, tint in places:
        row = scale.row(height, canvas.height)
        if row is not None and scale.x_low <= at <= scale.x_high:
            signs.append((row, scale.column(at, canvas.width), sign, tint))
    return signs


def _marks(canvas: Canvas, scale: Scale, items: Sequence[Item]) -> list[_Sign]:
    """Each curve's own sign at some of its points, no two curves' in one column where there is room."""
    apart = max(MARKS_APART, 2 * len(items))
    signs = []
    for position, item in enumerate(items):
        line = item.drawn.line
        known = np.isfinite(line.y) & (line.x >= scale.x_low) & (line.x <= scale.x_high)
        x, y = line.x[known], line.y[known]
        columns = np.clip(scale.u(x) * canvas.width / scale.across, 0, canvas.width - 1).astype(np.int64)
        wanted = np.arange((position + 1) * apart // (len(items) + 1), canvas.width, apart)
        found = np.searchsorted(np.maximum.accumulate(columns), wanted)
        for place in np.unique(found[found < len(x)]).tolist():
            row = scale.row(float(y[place]), canvas.height)
            if row is not None:
                signs.append((row, int(columns[place]), item.marker, item.colour))
    return signs


def with_cursor(
    canvas: Canvas, scale: Scale, ended: Sequence[Ended | None], axes: Axes, look: Look
) -> Canvas:
    """The picture with a vertical line at the cursor, behind the curves, and their markers on it."""
    cursor = data.place(axes.cursor, axes)
    if cursor is None or not scale.x_low <= cursor <= scale.x_high:
        return canvas
    canvas = canvas.copy()
    column = scale.column(cursor, canvas.width)
    free = np.flatnonzero(canvas.weight[:, column] <= BAND_WEIGHT)
    canvas.fill((free, slice(column, column + 1)), "|" if look.ascii_only else "┊", look.axis, 0)
    for item in reversed(ended) if len(ended) <= RAW_CURVES else ():
        if item is not None:
            row = scale.row(on_scale(item.value, axes), canvas.height)
            if row is not None and canvas.weight[row, column] <= CURVE_WEIGHT:
                canvas.put(row, column, item.marker, item.colour)
    return canvas
