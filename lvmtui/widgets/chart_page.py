"""A page of charts: how many fit, what holds them, and the line below that says how they are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from lvmtui.format import duration, thousands

GRIDS = ("", "1x1", "2x2", "3x2", "3x3", "4x4", "6x6")
"""Columns and rows of a page, in the order in which a key offers them; empty: what fits."""

FITTING_WIDTH, FITTING_HEIGHT = 38, 7
"""Cells of a chart with its border where as many are shown as fit."""

LEAST_WIDTH, LEAST_HEIGHT = 20, 5
"""Cells of a chart with its border where the user has chosen how many are shown."""

MOST = 6
"""Columns or rows of a page at most."""


def shape(width: int, height: int, count: int, wanted: str = "") -> tuple[int, int]:
    """Columns and rows of a page for `count` charts: what is wanted, as far as it fits, or what fits well."""
    try:
        columns, rows = (min(MOST, max(1, int(part))) for part in wanted.split("x"))
    except ValueError:
        columns = max(1, min(MOST, width // FITTING_WIDTH, count))
        rows = max(1, min(MOST, height // FITTING_HEIGHT, math.ceil(count / columns)))
        while columns > 1 and (columns - 1) * rows >= count:
            columns -= 1
        return columns, rows
    return max(1, min(columns, width // LEAST_WIDTH)), max(1, min(rows, height // LEAST_HEIGHT))


class Charts(Widget):
    """Holds the charts of a page."""

    DEFAULT_CSS = """
    Charts { layout: grid; height: 1fr; grid-gutter: 0; }
    """


class ChartStatus(Widget):
    """How the charts are drawn, in a line; the wheel turns pages on it."""

    DEFAULT_CSS = """
    ChartStatus { height: auto; max-height: 2; padding: 0 1; color: $text-muted; }
    """

    @dataclass
    class Turned(Message):
        """Another page is wanted."""

        by: int

    content: reactive[Content] = reactive(Content(""), layout=True)

    def render(self) -> Content:
        return self.content

    def on_mouse_scroll_up(self) -> None:
        self.post_message(self.Turned(-1))

    def on_mouse_scroll_down(self) -> None:
        self.post_message(self.Turned(1))


def written(x: float, axis: str) -> str:
    """A place on the x axis as people write it."""
    if axis == "time":
        return duration(x)
    return f"step {thousands(x)}" if axis == "step" else f"epoch {round(x, 2):g}"
