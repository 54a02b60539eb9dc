"""The line in which a filter of runs is typed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.highlighter import Highlighter
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

from lvmtui import filters
from lvmtui.config import ViewOptions
from lvmtui.filters import FilterError
from lvmtui.format import counted, plain
from lvmtui.messages import OptionsChanged
from lvmtui.snapshot import RunView
from lvmtui.store.records import Shelf
from lvmtui.widgets.look import ink

HISTORY = 30
"""Filters that are remembered."""

HINTS = 6
"""Ways to go on that are named."""


class _Wrong(Highlighter):
    """Marks the part of the text that cannot be understood."""

    def __init__(self) -> None:
        self.part: tuple[int, int] | None = None
        self.style = ""

    def highlight(self, text: Text) -> None:
        if self.part is not None:
            text.stylize(self.style, *self.part)


class _Completion(Suggester):
    """Offers the likeliest end of the last word."""

    def __init__(self, line: FilterLine) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._line = line

    async def get_suggestion(self, value: str) -> str | None:
        return next(iter(self._line.ways_on(value)), None)


class FilterLine(Vertical):
    """Filters as it is typed: enter keeps the filter, tab switches glob and regex, esc clears it, right or
    ctrl+space takes the suggestion, up and down go through earlier filters.

    What cannot be understood (yet) is marked and explained; the list keeps to the last filter that could.
    """

    DEFAULT_CSS = """
    FilterLine {
        display: none;
        height: auto;
        background: $panel;
        & > Input.-textual-compact { width: 1fr; background: $panel; padding: 0 1; }
        & > Static { width: 1fr; height: 1; padding: 0 1; color: $text-muted; }
        & > Static { text-wrap: nowrap; text-overflow: ellipsis; }
        &.-wrong > Static { height: auto; max-height: 3; color: $text-error; text-wrap: wrap; }
        &.-open { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "kind", "glob/regex", show=False),
        Binding("escape", "clear", "clear", show=False),
        Binding("ctrl+space,ctrl+@", "complete", "complete", show=False),
        Binding("up", "earlier(-1)", "earlier filter", show=False),
        Binding("down", "earlier(1)", "later filter", show=False),
    ]

    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)

    def __init__(self, *, of_board: bool = False) -> None:
        """
        Args:
            of_board: filters a leaderboard, which has runs that were judged and are on no other shelf.
        """
        super().__init__()
        self._of_board = of_board
        self._before: Widget | None = None
        self._regex = False
        self._place = 0
        """How far back in the history the line is; 0: at what is typed now."""
        self._typed = ""
        self._wrong = _Wrong()

    def compose(self) -> ComposeResult:
        yield Input(
            compact=True,
            select_on_focus=False,
            placeholder="phase:3 hit5>15 -state:lost, or a word",
            highlighter=self._wrong,
            suggester=_Completion(self),
        )
        yield Static(markup=False)

    @property
    def views(self) -> tuple[RunView, ...]:
        """The runs that the screen knows."""
        snapshot = getattr(self.screen, "snapshot", None)
        return snapshot.runs if snapshot else ()

    def ways_on(self, text: str) -> list[str]:
        """How a text that ends at the cursor may go on."""
        return filters.suggest(text, len(text), self.views)

    def watch_options(self) -> None:
        """Say how the text is read, and how many runs fit."""
        if self.is_mounted and self.has_class("-open"):
            self._say()

    def open(self) -> None:
        """Begin to type."""
        line = self.query_one(Input)
        if not line.has_focus:
            self._before = self.screen.focused
        with line.prevent(Input.Changed):
            line.value = self.options.filter
        line.cursor_position = len(line.value)
        self._regex, self._place, self._typed = self.options.filter_is_regex, 0, line.value
        self.add_class("-open")
        self._say()
        # Not `focus()`, which comes later: what is typed on must not reach the keys of the table.
        self.screen.set_focus(line)

    def close(self) -> None:
        """Go back to where the cursor was."""
        self.screen.set_focus(self._before)
        self.remove_class("-open")

    def _problem(self) -> FilterError | None:
        """What is wrong with the text; None where nothing is."""
        try:
            filters.kept(self.query_one(Input).value, regex=self._regex)
        except FilterError as error:
            return error
        return None

    def _say(self) -> None:
        """Show what is wrong, where; or how many fit and how the text may go on."""
        line, problem = self.query_one(Input), self._problem()
        part = (problem.start, problem.end) if problem else None
        self._wrong.style = f"underline {ink(self).error}".strip()
        if part != self._wrong.part:
            self._wrong.part = part
            line.refresh()
        self.set_class(problem is not None, "-wrong")
        kind = "regex" if self._regex else "glob"
        words = f"✖ {problem.message}" if problem else f"{self._fits()} · {kind} (tab) · {self._advice()}"
        self.query_one(Static).update(Content(plain(words)))

    def _fits(self) -> str:
        options = self.options
        if self._of_board:
            options = replace(options, shelf=Shelf.RUNS.value, attention=False)
        shown, _ = filters.chosen(self.views, options)
        if self._of_board:
            shown = [view for view in shown if view.best is not None]
        return counted(len(shown), "run")

    def _advice(self) -> str:
        """How the word before the cursor may go on; what the keys do where nothing is begun."""
        text = self.query_one(Input).value
        begun = max(text.rfind(sign) for sign in " (-") + 1
        ways = [way[begun:].strip() for way in self.ways_on(text)]
        if not ways:
            return "enter keeps · esc clears · ↑ earlier"
        more = " …" if len(ways) > HINTS else ""
        return f"→ {'  '.join(ways[:HINTS])}{more}"

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._preview()

    def _preview(self) -> None:
        """Show what the text chooses; while it cannot be understood, what the last good one did."""
        if self._problem() is None:
            now = replace(self.options, filter=self._sensible(), filter_is_regex=self._regex)
            if now != self.options:
                self.post_message(OptionsChanged(now))
                return  # How many fit is said when they come back.
        self._say()

    def _sensible(self) -> str:
        """The text; without its last word where that fits nothing and may become the name of a field."""
        text = self.query_one(Input).value
        head = filters.without_begun(text)
        if head != text and not self._any_fit(text) and self._any_fit(head):
            return head
        return text

    def _any_fit(self, text: str) -> bool:
        try:
            fits = filters.kept(text, regex=self._regex).fits
        except FilterError:
            return False
        return any(map(fits, self.views))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._problem() is not None:
            self.app.bell()
            return
        text = event.value.strip()
        others = [item for item in self.options.filter_history if item != text]
        history = (*others, text)[-HISTORY:] if text else self.options.filter_history
        now = replace(self.options, filter=text, filter_is_regex=self._regex, filter_history=history)
        if now != self.options:
            self.post_message(OptionsChanged(now))
        self.close()

    def action_kind(self) -> None:
        """Switch between glob and regular expression."""
        self._regex = not self._regex
        self._preview()

    def action_clear(self) -> None:
        """Show all runs again."""
        self.post_message(OptionsChanged(replace(self.options, filter="")))
        self.close()

    def action_complete(self) -> None:
        """Take the suggestion."""
        line = self.query_one(Input)
        if line.cursor_at_end and (ways := self.ways_on(line.value)):
            self._put(ways[0])

    def action_earlier(self, by: int) -> None:
        """Go to an earlier or a later filter; past the latest is what was typed."""
        history = self.options.filter_history
        place = min(max(self._place - by, 0), len(history))
        if place == self._place:
            return
        if not self._place:
            self._typed = self.query_one(Input).value
        self._place = place
        self._put(history[-place] if place else self._typed)

    def _put(self, text: str) -> None:
        line = self.query_one(Input)
        line.value = text
        line.cursor_position = len(text)
