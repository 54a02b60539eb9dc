"""Cells that several tables have."""

from __future__ import annotations

from textual.content import Content

from lvmtui.format import percent
from lvmtui.store.records import Interval

MUTED = "$foreground 60%"
"""Lesser text."""

FAINT = "$foreground 40%"
"""Hints."""


def with_interval(value: float, bounds: Interval | None, style: str = "") -> Content:
    """A score and its interval in percent, digits under digits: `17.9 [16.8, 19.1]`."""
    around = f" [{percent(bounds.low):>4}, {percent(bounds.high):>4}]" if bounds else " " * 13
    return Content.assemble((percent(value), style), (around, MUTED))
