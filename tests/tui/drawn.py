"""What tests of charts look at."""

from collections.abc import Sequence

import numpy as np
from rich.text import Text

from lvmtui.charts.figure import Plot

EPOCHS = np.arange(1.0, 24.0)
RISING = 0.18 * (1 - np.exp(-EPOCHS / 5)) + 0.02


def plain(lines: Sequence[Text]) -> list[str]:
    return [line.plain for line in lines]


def braille(text: str) -> bool:
    return any("\u2801" <= character <= "\u28ff" for character in text)


def area(plot: Plot) -> list[str]:
    """The part of the lines that the curves are drawn in."""
    return [line.plain[plot.left : plot.left + plot.columns] for line in plot.lines[: plot.rows]]


def span_at(line: Text, column: int) -> str:
    return next((str(style) for start, end, style in line.spans if start <= column < end), "")
