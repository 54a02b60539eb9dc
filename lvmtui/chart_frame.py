"""What stands around the curves of a chart: the axes' ranges, ticks and numbers, and the labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len as cells
from rich.text import Text

from lvmtui import format as fmt
from lvmtui.canvas import Canvas
from lvmtui.figure import Axes, Curve, Level, Look, padded, style_of
from lvmtui.series import finite_range
from lvmtui.ticks import log_label, log_ticks, nice_ticks, tick_labels, x_ticks

Array = NDArray[np.float64]

LARGEST = 1e150
"""Values beyond this are drawn at it, and those within its inverse at zero: no difference overflows."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A curve ready to draw: smoothed, on the y axis's scale, as many points as can be seen."""

    curve: Curve
    x: Array
    y: Array
    """Values on the (possibly logarithmic) scale of the axis."""
    colour: str
    marker: str
    shown: float
    """The value its label gives: the last finite one, or the one at the cursor."""
    shown_x: float
    ended_nan: bool
    """NaN follows the shown value."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to dots from the top left of a canvas."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    across: int
    down: int

    def u(self, x: Array) -> Array:
        """Dots from the left."""
        result: Array = (x - self.x_low) * ((self.across - 1) / (self.x_high - self.x_low))
        return result

    def v(self, y: Array) -> Array:
        """Dots from the top."""
        result: Array = (self.y_high - y) * ((self.down - 1) / (self.y_high - self.y_low))
        return result

    def row(self, y: float, rows: int) -> int | None:
        """The row of cells, of `rows`, in which `y` lies; None outside the chart."""
        if not math.isfinite(y):
            return None
        dot = round((self.y_high - y) * ((self.down - 1) / (self.y_high - self.y_low)))
        return dot * rows // self.down if 0 <= dot < self.down else None

    def column(self, x: float, columns: int) -> int:
        """The column of cells, of `columns`, in which `x` lies; the nearest one outside the chart."""
        dot = round((x - self.x_low) * ((self.across - 1) / (self.x_high - self.x_low)))
        return min(columns - 1, max(0, dot * columns // self.across))


def widened(low: float, high: float) -> tuple[float, float]:
    """A range that is not empty."""
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def on_scale(value: float, axes: Axes) -> float:
    """A value of y on the axis's scale; NaN where it has no place there."""
    if not abs(value) <= LARGEST:
        return math.nan
    if not axes.log_y:
        return value
    return math.log10(value) if value > 1 / LARGEST else math.nan


def y_range(prepared: Sequence[Prepared], levels: Sequence[Level], axes: Axes) -> tuple[float, float] | None:
    """What y shows, on the axis's scale: every curve and level, with some air. None: nothing finite."""
    drawn = finite_range([item.y for item in prepared])
    if drawn is None:
        return None
    marks = [mark for level in levels if math.isfinite(mark := on_scale(level.value, axes))]
    low, high = min([drawn[0], *marks]), max([drawn[1], *marks])
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        air = 0.1 if axes.log_y else abs(low) * 0.1 or (0.01 if axes.percent else 1.0)
        return low - air, high + air
    air = 0.04 * (high - low)
    if axes.from_zero and not axes.log_y and 0 <= low <= 0.5 * high:
        return 0.0, high + air
    reaches_below = low >= 0 > low - air and not axes.log_y
    return (0.0 if reaches_below else low - air), high + air


def y_ticks(shown: tuple[float, float], rows: int, axes: Axes) -> tuple[list[float], list[str]]:
    """Places on the axis's scale and what they say."""
    count = max(1, min(10, rows // 2 if rows < 12 else rows // 3))
    if not axes.log_y:
        unit = 100.0 if axes.percent else 1.0
        ticks = [tick / unit for tick in nice_ticks(shown[0] * unit, shown[1] * unit, count)]
        return ticks, tick_labels(ticks, percent=axes.percent)
    values = log_ticks(10.0 ** shown[0], 10.0 ** shown[1], count)
    labels = [f"{100 * v:g}" if axes.percent else log_label(v) for v in values]
    return [math.log10(value) for value in values], labels


def y_gutter(
    scale: Scale, ticks: Sequence[float], labels: Sequence[str], left: int, rows: int, look: Look
) -> list[Text]:
    """The y axis with its numbers: a text of `left` cells for each row."""
    line, mark = ("|", "+") if look.ascii_only else ("│", "┤")
    texts = [" " * (left - 1) + line for _ in range(rows)]
    for tick, label in zip(ticks, labels, strict=True):
        row = scale.row(tick, rows)
        if row is not None:
            texts[row] = fmt.fit(look.text(label), left - 1, "").rjust(left - 1) + mark
    return [Text(text, style_of(look.axis)) for text in texts]


def end_labels(prepared: Sequence[Prepared], room: int, axes: Axes, look: Look) -> tuple[list[str], int]:
    """The text at each curve's end and the cells it takes: name and value, or what there is room for."""
    several = len(prepared) > 1
    values = [f"{axes.written(p.shown)}{' NaN' if p.ended_nan else ''}" for p in prepared]
    values = [look.text(value) for value in values]
    value_width = max(map(cells, values))
    names = [look.text(item.curve.label) for item in prepared]
    budget = min(room * 11 // 20, room - 12)
    for longest in (24, 16, 12, 8, 6, 4, 3, 0):
        if longest and any(cells(name) > longest for name in names) and longest < 6:
            continue
        shown = [fmt.fit(name, longest, "." if look.ascii_only else "…") for name in names]
        name_width = max(map(cells, shown))
        labels = [
            (f" {item.marker}" if several else "")
            + (f" {padded(name, name_width)}" if name_width else "")
            + f" {value.rjust(value_width)}"
            for item, name, value in zip(prepared, shown, values, strict=True)
        ]
        widest = max(map(cells, labels))
        if widest <= budget:
            return labels, widest
    return [""] * len(prepared), 0


def place_labels(
    prepared: Sequence[Prepared], labels: Sequence[str], scale: Scale, rows: int, right: int
) -> list[Text]:
    """Labels beside their curves' ends, moved apart where they would overlap; a text for each row.

    A label right beside its curve's own marker does not repeat it.
    """
    ends = [Text(" " * right) for _ in range(rows)]
    if not right:
        return ends
    wanted: list[tuple[float, int]] = []
    for position, item in enumerate(prepared):
        finite = np.flatnonzero(np.isfinite(item.y))
        if len(finite) and math.isfinite(item.shown) and len(wanted) < rows:
            dot = float(np.clip(scale.v(item.y[finite[-1]]), 0, scale.down - 1))
            wanted.append((dot, position))
    wanted.sort()
    ideal = [round(dot) * rows // scale.down for dot, _ in wanted]
    for row, best_row, (_, position) in zip(_apart(ideal, rows), ideal, wanted, strict=True):
        item, label = prepared[position], labels[position]
        if row == best_row and len(prepared) > 1 and item.shown_x >= scale.x_high:
            label = label.replace(item.marker, " ", 1)
        ends[row] = Text(padded(label, right), style_of(item.colour))
    return ends


def _apart(wanted: Sequence[int], rows: int) -> list[int]:
    """Rows, ascending and all different, near the wanted ones: one pass down, one up."""
    placed = list(wanted)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + 1)
    limit = rows - 1
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - 1
    return placed


def name_levels(canvas: Canvas, scale: Scale, levels: Sequence[Level], axes: Axes, look: Look) -> None:
    """Write each level's name and value on its dashes, where it covers the least of the curves.

    Levels in one row share a text; names that do not fit are counted instead.
    """
    rows: dict[int, list[Level]] = {}
    for level in levels:
        row = scale.row(on_scale(level.value, axes), canvas.height)
        if row is not None:
            rows.setdefault(row, []).append(level)
    for row, group in rows.items():
        texts = [look.text(f"{level.label} {axes.written(level.value)}") for level in group]
        text = _shortened(texts, canvas.width - 4)
        if text:
            canvas.put(row, _free_place(canvas.weight[row], cells(text)), text, group[0].colour or look.level)


def _shortened(texts: Sequence[str], room: int) -> str:
    """As many texts as fit between blanks, and how many are left out; empty when not even one fits."""
    for shown in range(len(texts), 0, -1):
        more = f" +{len(texts) - shown}" if shown < len(texts) else ""
        text = f" {', '.join(texts[:shown])}{more} "
        if cells(text) <= room:
            return text
    return ""


def _free_place(taken: NDArray[np.int16], width: int) -> int:
    """The column where `width` cells cover the least; nearest to the middle among equals."""
    covered = np.convolve(taken.astype(np.int64), np.ones(width, dtype=np.int64), mode="valid")
    middle = (len(taken) - width) / 2
    distance = np.abs(np.arange(len(covered)) - middle)
    return int(np.lexsort((distance, covered))[0])


def x_axis(
    scale: Scale,
    columns: int,
    left: int,
    width: int,
    rows: int,
    axes: Axes,
    look: Look,
    resumed: Sequence[float],
) -> list[Text]:
    """The x axis: a line with ticks and one with numbers, or both in one where `rows` is 1."""
    corner, line, mark, again = "+-+r" if look.ascii_only else "└─┬↻"
    name = look.text(axes.x)
    ticks, labels = x_ticks(axes.x, scale.x_low, scale.x_high, max(1, columns // 8), log=axes.log_x)
    places = [scale.column(tick, columns) for tick in ticks]
    labels = [look.text(label) for label in labels]
    rule = [" "] * (left - 1) + [corner] + [line] * columns + [" "] * (width - left - columns)
    for place in places:
        rule[left + place] = mark
    for tick in resumed:
        if scale.x_low <= tick <= scale.x_high:
            rule[left + scale.column(tick, columns)] = again
    numbers = rule if rows == 1 else [" "] * width
    _write_numbers(numbers, places, labels, left, left + columns, name, apart=rows == 1)
    texts = ["".join(rule)] if rows == 1 else ["".join(rule), "".join(numbers)]
    return [Text(text, style_of(look.axis), no_wrap=True, end="") for text in texts]


def _write_numbers(
    row: list[str],
    places: Sequence[int],
    labels: Sequence[str],
    left: int,
    right: int,
    name: str,
    *,
    apart: bool,
) -> None:
    """Write tick labels centred under their ticks, none touching another, and the axis's name at the end.

    The name stands right of the axis where there is room, else at its right end.
    """
    name_at = right + 1 if len(row) - right >= len(name) + 1 else max(left, right - len(name))
    if name_at + len(name) <= len(row):
        row[name_at : name_at + len(name)] = name
        if apart and name_at < right and name_at - 1 >= left:
            row[name_at - 1] = " "
    free = left - 1 if not apart else left
    stop = name_at - 1
    for place, label in zip(places, labels, strict=True):
        start = left + place - (len(label) - 1) // 2
        start = max(0 if not apart else left, min(start, stop - len(label)))
        if start >= free and start + len(label) <= stop and start <= left + place:
            row[start : start + len(label)] = label
            free = start + len(label) + 1
