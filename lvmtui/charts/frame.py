"""What stands around the curves of a chart: the axes' ranges, ticks and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvmtui import format as fmt
from lvmtui.charts.curve_data import LARGEST
from lvmtui.charts.figure import Axes, Level, Look
from lvmtui.charts.ticks import log_label, log_ticks, nice_ticks, tick_labels, x_label, x_ticks

Array = NDArray[np.float64]


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
        dot = math.floor((self.y_high - y) * ((self.down - 1) / (self.y_high - self.y_low)) + 0.5)
        return dot * rows // self.down if 0 <= dot < self.down else None

    def column(self, x: float, columns: int) -> int:
        """The column of cells, of `columns`, in which `x` lies; the nearest one outside the chart."""
        dot = math.floor((x - self.x_low) * ((self.across - 1) / (self.x_high - self.x_low)) + 0.5)
        return min(columns - 1, max(0, dot * columns // self.across))


def widened(low: float, high: float) -> tuple[float, float]:
    """A range that is not empty."""
    middle = 0.5 * (low + high)
    if high - low > max(1e-12 * abs(middle), 1e-150):
        return low, high
    half = max(0.5, 1e-9 * abs(middle))
    return middle - half, middle + half


def on_scale(value: float, axes: Axes) -> float:
    """A value of y on the axis's scale; NaN where it has no place there."""
    if not abs(value) <= LARGEST:
        return math.nan
    if not axes.log_y:
        return value
    return math.log10(value) if value > 1 / LARGEST else math.nan


def y_range(
    drawn: Sequence[tuple[float, float]], levels: Sequence[Level], axes: Axes
) -> tuple[float, float] | None:
    """What y shows, on the axis's scale: these ranges and every level, with some air. None: nothing drawn."""
    if not drawn:
        return None
    marks = [mark for level in levels if math.isfinite(mark := on_scale(level.value, axes))]
    low = min([*(low for low, _ in drawn), *marks])
    high = max([*(high for _, high in drawn), *marks])
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        air = 0.1 if axes.log_y else abs(low) * 0.1 or (0.01 if axes.percent else 1.0)
        return low - air, high + air
    air = 0.04 * (high - low)
    if axes.from_zero and not axes.log_y and 0 <= low <= 0.5 * high:
        return 0.0, high + air
    reaches_below = low >= 0 > low - air and not axes.log_y
    return (0.0 if reaches_below else low - air), high + air


def y_ticks(shown: tuple[float, float], rows: int, axes: Axes) -> tuple[list[float], list[str]]:
    """Places on the axis's scale and what they say; at least two where there is room."""
    count = max(1, min(10, rows // 2 if rows < 12 else rows // 3))
    found = _y_ticks(shown, count, axes)
    for finer in range(count + 1, 2 * count + 4):
        if len(found[0]) > 1:
            break
        found = max(found, _y_ticks(shown, finer, axes), key=lambda ticks: len(ticks[0]))
    return found


def _y_ticks(shown: tuple[float, float], count: int, axes: Axes) -> tuple[list[float], list[str]]:
    if not axes.log_y:
        unit = 100.0 if axes.percent else 1.0
        ticks = [tick / unit for tick in nice_ticks(shown[0] * unit, shown[1] * unit, count)]
        return ticks, tick_labels(ticks, percent=axes.percent)
    values = log_ticks(10.0 ** shown[0], 10.0 ** shown[1], count)
    labels = [f"{100 * v:g}" if axes.percent else log_label(v) for v in values]
    return [math.log10(value) for value in values], labels


def y_gutter(
    scale: Scale, ticks: Sequence[float], labels: Sequence[str], left: int, rows: int, look: Look
) -> list[str]:
    """The y axis with its numbers: `left` cells for each row."""
    line, mark = ("|", "+") if look.ascii_only else ("│", "┤")
    texts = [" " * (left - 1) + line for _ in range(rows)]
    for tick, label in zip(ticks, labels, strict=True):
        row = scale.row(tick, rows)
        if row is not None:
            texts[row] = fmt.fit(look.text(label), left - 1, "").rjust(left - 1) + mark
    return texts


def x_axis(
    scale: Scale,
    columns: int,
    left: int,
    width: int,
    rows: int,
    axes: Axes,
    look: Look,
    resumed: Sequence[float],
    window: tuple[int, int] | None,
    cursor: float | None,
) -> list[str]:
    """The x axis: a line with ticks and one with numbers, or both in one where `rows` is 1.

    `window` gives the first and last of the columns under which the line is thick; where `cursor` is, the
    number stands in brackets.
    """
    corner, line, mark, again, thick, thick_mark = "+-+r==" if look.ascii_only else "└─┬↻━┯"
    name = look.text(axes.x)
    ticks, labels = x_ticks(axes.x, scale.x_low, scale.x_high, max(1, columns // 7), log=axes.log_x)
    places = [scale.column(tick, columns) for tick in ticks]
    labels = [look.text(label) for label in labels]
    rule = [" "] * (left - 1) + [corner] + [line] * columns + [" "] * (width - left - columns)
    for place in places:
        rule[left + place] = mark
    for column in range(window[0], window[1] + 1) if window else ():
        rule[left + column] = thick_mark if rule[left + column] == mark else thick
    for tick in resumed:
        if scale.x_low <= tick <= scale.x_high:
            rule[left + scale.column(tick, columns)] = again
    numbers = rule if rows == 1 else [" "] * width
    pointed = None
    if cursor is not None and rows > 1 and scale.x_low <= cursor <= scale.x_high:
        pointed = scale.column(cursor, columns), look.text(f"[{x_label(axes.x, cursor, log=axes.log_x)}]")
    _write_numbers(numbers, places, labels, left, left + columns, name, pointed, apart=rows == 1)
    return ["".join(rule)] if rows == 1 else ["".join(rule), "".join(numbers)]


def _write_numbers(
    row: list[str],
    places: Sequence[int],
    labels: Sequence[str],
    left: int,
    right: int,
    name: str,
    pointed: tuple[int, str] | None,
    *,
    apart: bool,
) -> None:
    """Write tick labels centred under their ticks, none touching another, and the axis's name at the end.

    The name stands right of the axis where there is room, else at its right end. `pointed`, a place and its
    label, comes before the ticks' labels.
    """
    name_at = right + 1 if len(row) - right >= len(name) + 1 else max(left, right - len(name))
    if name_at + len(name) <= len(row):
        row[name_at : name_at + len(name)] = name
        if apart and name_at < right and name_at - 1 >= left:
            row[name_at - 1] = " "
    free = left - 1 if not apart else left
    stop = name_at - 1
    taken = range(0)
    if pointed is not None and len(pointed[1]) < stop:
        start = max(0, min(left + pointed[0] - len(pointed[1]) // 2, stop - len(pointed[1])))
        taken = range(start, start + len(pointed[1]))
        row[taken.start : taken.stop] = pointed[1]
    for place, label in zip(places, labels, strict=True):
        start = left + place - (len(label) - 1) // 2
        start = max(0 if not apart else left, min(start, stop - len(label)))
        clear = not taken or start + len(label) < taken.start or start > taken.stop
        if clear and start >= free and start + len(label) <= stop and start <= left + place:
            row[start : start + len(label)] = label
            free = start + len(label) + 1
