"""Cells that several tables have."""

from __future__ import annotations

from rich.text import Text
from textual.content import Content, Span

from lvmtui.format import percent
from lvmtui.store.records import Interval
from lvmtui.widgets.look import Ink

MUTED = "$foreground 60%"
"""Lesser text."""

FAINT = "$foreground 40%"
"""Hints."""


def with_interval(value: float, bounds: Interval | None, style: str = "") -> Content:
    """A score and its interval in percent, digits under digits: `17.9 [16.8, 19.1]`."""
    around = f" [{percent(bounds.low):>4}, {percent(bounds.high):>4}]" if bounds else " " * 13
    return Content.assemble((percent(value), style), (around, MUTED))


INK = Ink(
    text="$foreground",
    muted=MUTED,
    primary="$primary",
    accent="$accent",
    success="$success",
    warning="$warning",
    error="$error",
)
"""Colours as the theme's variables, for what is drawn as `Content`: another theme needs no other words."""


def from_text(text: Text) -> Content:
    """A line whose styles are those of `INK`, as `Content`."""
    spans = [Span(span.start, span.end, str(span.style)) for span in text.spans if span.style]
    return Content(text.plain, spans)
