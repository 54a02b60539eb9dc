"""The line in which a filter of runs is typed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from lvmtui.config import ViewOptions
from lvmtui.format import plain
from lvmtui.messages import OptionsChanged
from lvmtui.widgets.run_rows import chosen


class FilterLine(Horizontal):
    """Filters as it is typed: enter keeps the filter, tab switches glob and regex, esc clears it."""

    DEFAULT_CSS = """
    FilterLine {
        display: none;
        height: 1;
        background: $panel;
        & > Input { width: 1fr; background: $panel; }
        & > Static { width: auto; padding: 0 1; color: $text-muted; }
        &.-wrong > Static { color: $error; }
        &.-open { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "kind", "glob/regex", show=False),
        Binding("escape", "clear", "clear", show=False),
    ]

    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)

    def __init__(self) -> None:
        super().__init__()
        self._before: Widget | None = None

    def compose(self) -> ComposeResult:
        yield Input(compact=True, select_on_focus=False, placeholder="phase-3* or running")
        yield Static(markup=False)

    def watch_options(self) -> None:
        """Say how the text is read, and what is wrong with it."""
        if not self.is_mounted:
            return
        problem = chosen((), self.options)[1]
        kind = "regex" if self.options.filter_is_regex else "glob"
        self.set_class(bool(problem), "-wrong")
        words = plain(problem) if problem else f"{kind} (tab) · enter keeps · esc clears"
        self.query_one(Static).update(Content(words))

    def open(self) -> None:
        """Begin to type."""
        line = self.query_one(Input)
        if not line.has_focus:
            self._before = self.screen.focused
        with line.prevent(Input.Changed):
            line.value = self.options.filter
        line.cursor_position = len(line.value)
        self.add_class("-open")
        self.watch_options()
        # Not `focus()`, which comes later: what is typed on must not reach the keys of the table.
        self.screen.set_focus(line)

    def close(self) -> None:
        """Go back to where the cursor was."""
        self.screen.set_focus(self._before)
        self.remove_class("-open")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self.options.filter:
            self.post_message(OptionsChanged(replace(self.options, filter=event.value)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close()

    def action_kind(self) -> None:
        """Switch between glob and regular expression."""
        other = not self.options.filter_is_regex
        self.post_message(OptionsChanged(replace(self.options, filter_is_regex=other)))

    def action_clear(self) -> None:
        """Show all runs again."""
        self.post_message(OptionsChanged(replace(self.options, filter="")))
        self.close()
