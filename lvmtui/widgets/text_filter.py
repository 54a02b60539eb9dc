"""A line in which words are typed that rows must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static


class TextFilter(Horizontal):
    """Filters as it is typed: enter keeps the words, esc clears them."""

    DEFAULT_CSS = """
    TextFilter {
        display: none;
        height: 1;
        background: $panel;
        & > Input { width: 1fr; background: $panel; }
        & > Static { width: auto; padding: 0 1; color: $text-muted; }
        &.-open { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear", "clear", show=False)]

    @dataclass
    class Changed(Message):
        """Other words are looked for."""

        text: str

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self._placeholder = placeholder
        self._before: Widget | None = None

    def compose(self) -> ComposeResult:
        yield Input(compact=True, select_on_focus=False, placeholder=self._placeholder)
        yield Static(Content("enter keeps · esc clears"))

    def open(self, text: str) -> None:
        """Begin to type, from what is looked for now."""
        line = self.query_one(Input)
        if not line.has_focus:
            self._before = self.screen.focused
        with line.prevent(Input.Changed):
            line.value = text
        line.cursor_position = len(text)
        self.add_class("-open")
        # Not `focus()`, which comes later: what is typed on must not reach the keys of the table.
        self.screen.set_focus(line)

    def close(self) -> None:
        """Go back to where the cursor was."""
        self.screen.set_focus(self._before)
        self.remove_class("-open")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close()

    def action_clear(self) -> None:
        """Look for nothing in particular again."""
        self.post_message(self.Changed(""))
        self.close()
