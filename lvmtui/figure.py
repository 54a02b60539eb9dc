"""What a chart consists of: curves, levels, axes, colours; and what stands in its place where there is none.

Nothing heavy is imported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len as cells
from rich.style import Style
from rich.text import Text

from lvmtui import format as fmt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OKABE_ITO = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2", "#999999")
"""Colours told apart with every common colour vision (Okabe and Ito, Color Universal Design, 2008)."""

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
    ascii_only: bool = False
    """No braille, no stars: ASCII throughout."""

    def colour(self, position: int) -> str:
        """The palette's colour of the curve at `position`; the palette starts over."""
        return self.palette[position % len(self.palette)] if self.palette else ""

    def marker(self, position: int) -> str:
        """The sign of the curve at `position`."""
        signs = ASCII_MARKERS if self.ascii_only else MARKERS
        return signs[position % len(signs)]

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
    """Where curves are smoothed, draw the unsmoothed line behind, dimmed."""

    def written(self, value: float) -> str:
        """A value of y as the labels write it."""
        return fmt.percent(value) if self.percent else fmt.number(value)


def style_of(colour: str) -> Style:
    """A rich style from `#rrggbb`, a colour name or `bold #rrggbb`; empty is the terminal's own."""
    return Style.parse(colour) if colour else Style.null()


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
