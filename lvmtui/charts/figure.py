"""What a chart consists of: curves, levels, axes, colours; and what stands in its place where there is none.

Nothing heavy is imported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len as cells
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from lvmtui import format as fmt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

OKABE_ITO = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#999999")
"""Colours told apart with every common colour vision (Okabe and Ito, Color Universal Design, 2008)."""

RAW_CURVES = 8
"""Smoothed curves up to which the unsmoothed lines are drawn behind them; more would hide each other."""

MARKERS = "●■▲◆○□△◇"
ASCII_MARKERS = "o+x#%&=~"


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One curve: ascending `x` (n,), `y` (n,) with NaN for gaps. The arrays must not be changed later."""

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: str = ""
    """Empty: the palette's colour at the curve's position."""
    best_x: float | None = None
    """Where a star stands on the curve: the best epoch."""
    ticks: tuple[float, ...] = ()
    """Places on x where the run was resumed."""
    low: NDArray[np.float64] | None = None
    """Lower end (n,) of a confidence band around y; NaN where it is not known."""
    high: NDArray[np.float64] | None = None
    """Upper end (n,) of the band."""
    marker: str = ""
    """Its sign; empty: the one at the curve's position."""


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal dashed line with its name and value: a baseline, a target."""

    label: str
    value: float
    colour: str = ""
    target: bool = False
    """Something to be reached, drawn apart from what is to be beaten."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a chart is drawn with."""

    palette: tuple[str, ...] = OKABE_ITO
    axis: str = "#8a8f98"
    level: str = "#a7adb7"
    star: str = "bold #f0e442"
    target: str = ""
    """Of target lines; empty: as the star."""
    shade: str = ""
    """Background of the shaded window, `#rrggbb`; empty: sparse dots in its place."""
    ascii_only: bool = False
    """No braille, no stars: ASCII throughout."""
    marks: bool = False
    """Set signs along the curves, not at their ends only: for terminals without colours."""

    def colour(self, position: int) -> str:
        """The palette's colour of the curve at `position`; the palette starts over."""
        return self.palette[position % len(self.palette)] if self.palette else ""

    def marker(self, position: int) -> str:
        """The sign of the curve at `position`. Where the palette starts over, signs are moved on by one: with
        eight of each, 64 curves have a colour and sign of their own."""
        signs = ASCII_MARKERS if self.ascii_only else MARKERS
        return signs[(position + position // len(signs)) % len(signs)]

    def text(self, text: str) -> str:
        """Outside text as it may be drawn."""
        text = fmt.plain(text)
        return fmt.ascii_text(text) if self.ascii_only else text


@dataclass(frozen=True, slots=True)
class Axes:
    """How the axes are scaled and named."""

    x: str = "epoch"
    """Name of the x axis: `epoch`, `step`, or `time` (seconds, written as spans of time)."""
    percent: bool = False
    """y holds fractions and is written in percent."""
    log_y: bool = False
    log_x: bool = False
    """x is above zero and drawn on a logarithmic axis."""
    smoothing: float = 0.0
    """Share of the past in the moving average; 0: none."""
    zoom: tuple[float, float] | None = None
    """Range of x to show; None: all."""
    from_zero: bool = False
    """Let y begin at zero where that costs less than half of the height."""
    cursor: float | None = None
    """Where on x a vertical line stands; the labels then give the values there."""
    window: tuple[float, float] | None = None
    """Range of x that is shaded: the epochs since the best one, which patience counts."""
    clip: bool = False
    """Leave outliers out of the range of y; curves then run off the chart where they are."""
    bands: bool = True
    """Draw the confidence bands of curves that have them."""
    raw: bool = True
    """Where at most `RAW_CURVES` curves are smoothed, draw the unsmoothed lines behind, dimmed and dotted."""

    def written(self, value: float) -> str:
        """A value of y as the labels write it."""
        return fmt.percent(value) if self.percent else fmt.number(value)


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn chart, and where in it what lies. Rows and columns are cells from its top left."""

    lines: tuple[Text, ...]
    left: int = 0
    """Cells left of the area that the curves are drawn in."""
    columns: int = 0
    """Cells that this area is wide; 0 where a message or bare values stand in place of a chart."""
    rows: int = 0
    """Lines of this area; it begins at the top."""
    x_range: tuple[float, float] | None = None
    """x at the first and at the last column."""
    y_range: tuple[float, float] | None = None
    """y at the last and at the first row."""
    dots: tuple[int, int] = (0, 0)
    """Points that can be told apart across and down."""
    log_x: bool = False
    log_y: bool = False
    clipped: int = 0
    """Values that lie above or below the chart, because `Axes.clip` leaves outliers out."""
    unlabelled: int = 0
    """Curves without a label at their end, for want of room."""

    def x_at(self, column: int) -> float | None:
        """The x in the middle of a column; None outside the area of the curves."""
        place = column - self.left
        if self.x_range is None or not 0 <= place < self.columns:
            return None
        return _between(*self.x_range, place / max(1, self.columns - 1), log=self.log_x)

    def y_at(self, row: int) -> float | None:
        """The y in the middle of a row; None outside the area of the curves."""
        if self.y_range is None or not 0 <= row < self.rows:
            return None
        return _between(*self.y_range, 1 - row / max(1, self.rows - 1), log=self.log_y)

    def column_of(self, x: float) -> int | None:
        """The column that `x` lies in; None outside the area."""
        share = _share(*self.x_range, x, log=self.log_x) if self.x_range and self.columns else None
        across = self.dots[0]
        return (
            None
            if share is None
            else self.left + math.floor(share * (across - 1) + 0.5) * self.columns // across
        )

    def row_of(self, y: float) -> int | None:
        """The row that `y` lies in; None outside the area."""
        share = _share(*self.y_range, y, log=self.log_y) if self.y_range and self.rows else None
        down = self.dots[1]
        return None if share is None else math.floor((1 - share) * (down - 1) + 0.5) * self.rows // down


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    if log:
        low, high = math.log10(low), math.log10(high)
    value = low + share * (high - low)
    return float(10.0**value) if log else value


def _share(low: float, high: float, value: float, *, log: bool) -> float | None:
    if log:
        if value <= 0:
            return None
        low, high, value = math.log10(low), math.log10(high), math.log10(value)
    share = (value - low) / (high - low) if high > low else 0.5
    return share if 0 <= share <= 1 else None


def style_of(colour: str) -> Style:
    """A rich style from `#rrggbb`, a colour name or `bold #rrggbb`; empty is the terminal's own."""
    return Style.parse(colour) if colour else Style.null()


def segments_of(line: Text, console: Console) -> list[Segment]:
    """What `line.render` gives, without the line's own style; several times as fast for a chart's lines."""
    text, at = line.plain, 0
    segments = []
    for start, end, style in line.spans:
        if start < at or not isinstance(style, Style):
            return list(line.render(console, end=""))
        if start > at:
            segments.append(Segment(text[at:start]))
        if end > start:
            segments.append(Segment(text[start:end], style))
            at = end
    if at < len(text):
        segments.append(Segment(text[at:]))
    return segments


def same_text(one: Text, other: Text) -> bool:
    """Whether two texts look the same. (rich compares words and spans, but not the text's own style.)"""
    return one == other and one.style == other.style


def padded(text: str, width: int) -> str:
    """`text` filled with blanks to `width` cells."""
    return text + " " * (width - cells(text))


def message_lines(text: str, width: int, height: int, look: Look) -> list[Text]:
    """`text` in the middle of `height` lines of exactly `width` cells."""
    parts = fmt.wrap(look.text(text), max(1, width - 2), height)
    top = (height - len(parts)) // 2
    lines = []
    for row in range(height):
        part = parts[row - top] if 0 <= row - top < len(parts) else ""
        line = padded(" " * max(0, (width - cells(part)) // 2) + part, width)
        line = look.text(fmt.fit(line, width))
        lines.append(Text(line, style_of(look.axis), no_wrap=True, end=""))
    return lines


def sparkline(
    values: Sequence[float | None],
    width: int,
    *,
    low: float = 0.0,
    high: float = 1.0,
    ascii_only: bool = False,
) -> str:
    """The last `width` values as one line of bars, exactly `width` cells; what is missing is blank."""
    steps = "_.-=oO#@" if ascii_only else "▁▂▃▄▅▆▇█"
    recent = list(values[-width:]) if width > 0 else []
    span = (high - low) or 1.0
    bars = []
    for value in recent:
        if value is None or not math.isfinite(value):
            bars.append(" ")
        else:
            share = min(1.0, max(0.0, (value - low) / span))
            bars.append(steps[min(len(steps) - 1, int(share * len(steps)))])
    return "".join(bars).rjust(max(width, 0))
