"""The keys that move about in text which scrolls."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from lvmtui import commands


class ScrollKeys(Widget):
    """Mix in behind what scrolls, which gives the styles: keys that move a cursor elsewhere scroll here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in commands.bindings("list") if binding.action not in {"open", "mark"}
    ]

    def action_cursor_up(self) -> None:
        """Scroll up a line."""
        self.scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        """Scroll down a line."""
        self.scroll_down(animate=False)

    def action_first(self) -> None:
        """Go to the first line."""
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        """Go to the last line."""
        self.scroll_end(animate=False)
