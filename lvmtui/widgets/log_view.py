"""The log of a run: its tail, followed while the end is in sight, and a search in it."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import Input, Static

from lvmtui import commands
from lvmtui.format import thousands
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.scroll_keys import ScrollKeys

SIDEWAYS = 16
"""Cells by which a key moves long lines."""

EMPTY = "No output yet: the log starts with the run's process."


def dropped(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines at the start of `old` are gone in `new`, which goes on where `old` ended."""
    return next(k for k in range(len(old) + 1) if list(old[k:]) == list(new[: len(old) - k]))


class LogLines(ScrollView, ScrollKeys, can_focus=True):
    """Lines of text as they are, with matches marked."""

    COMPONENT_CLASSES = {"log-lines--line", "log-lines--match", "log-lines--current"}
    DEFAULT_CSS = """
    LogLines {
        height: 1fr;
        margin-left: 1;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 1;
        & > .log-lines--match { background: $warning 30%; }
        & > .log-lines--current { background: $warning; color: auto; text-style: bold; }
    }
    """
    BINDINGS = [*commands.bindings("sideways")]

    class Scrolled(Message):
        """Another part of the log is in sight."""

    def __init__(self) -> None:
        super().__init__(id="log-lines")
        self.text: tuple[str, ...] = ()
        self.needle = ""
        self.matches: tuple[int, ...] = ()
        self.current: int | None = None
        """Line of the match that was gone to."""

    @property
    def follows(self) -> bool:
        """Whether the end is in sight, so that new lines scroll in."""
        return self.scroll_offset.y >= self.max_scroll_y

    def show(self, text: tuple[str, ...]) -> None:
        """Show these lines; what is in sight stays there unless the end was."""
        if text is self.text or text == self.text:
            return
        follows, gone = self.follows, dropped(self.text, text)
        self.text = text
        if self.current is not None:
            self.current = self.current - gone if self.current >= gone else None
        self._find()
        width = max((Content(line).cell_length for line in text), default=0)
        self.virtual_size = Size(width, len(text))
        if follows:
            self.call_after_refresh(self.scroll_end, animate=False)
        elif gone:
            self.scroll_to(y=max(0, self.scroll_offset.y - gone), animate=False)
        self.refresh()

    def copied(self) -> str:
        """The line of the match that was gone to, else the lines in sight."""
        if self.current is not None:
            return self.text[self.current]
        top = self.scroll_offset.y
        return "\n".join(self.text[top : top + self.size.height])

    def search(self, needle: str) -> None:
        """Mark every line with this text, upper and lower case alike, and go to the last of them."""
        self.needle = needle.lower()
        self.current = None
        self._find()
        self.refresh()
        if self.matches:
            self.go(-1)

    def _find(self) -> None:
        found = (i for i, line in enumerate(self.text) if self.needle and self.needle in line.lower())
        self.matches = tuple(found)

    def go(self, direction: int) -> None:
        """Go to the next match below (1) or above (-1); from the last to the first and back."""
        if not self.matches:
            return
        if self.current is None:
            self.current = self.matches[-1]
        elif direction > 0:
            self.current = next((i for i in self.matches if i > self.current), self.matches[0])
        else:
            self.current = next((i for i in reversed(self.matches) if i < self.current), self.matches[-1])
        height = self.scrollable_content_region.height
        if not self.scroll_offset.y <= self.current < self.scroll_offset.y + height:
            self.scroll_to(y=max(0, self.current - height // 2), animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        scroll = self.scroll_offset
        width = self.scrollable_content_region.width
        number = y + scroll.y
        base = self.get_visual_style("log-lines--line")
        if number < len(self.text):
            content = self._marked(number)
        else:
            content = Content.styled(EMPTY if not self.text and y == 0 else "", MUTED)
        strips = Visual.to_strips(self, content, max(1, content.cell_length), 1, base, apply_selection=False)
        strip = strips[0] if strips else Strip.blank(0)
        return strip.crop(scroll.x, scroll.x + width).extend_cell_length(width, base.rich_style)

    def _marked(self, number: int) -> Content:
        line = self.text[number]
        content = Content(line)
        lower = line.lower()
        if not self.needle or self.needle not in lower or len(lower) != len(line):
            return content
        name = "log-lines--current" if number == self.current else "log-lines--match"
        style = self.get_visual_style(name)
        start = lower.find(self.needle)
        while start >= 0:
            content = content.stylize(style, start, start + len(self.needle))
            start = lower.find(self.needle, start + len(self.needle))
        return content

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Scrolled())

    def action_cursor_left(self) -> None:
        """Show more of the beginning of long lines."""
        self.scroll_relative(x=-SIDEWAYS, animate=False)

    def action_cursor_right(self) -> None:
        """Show more of the end of long lines."""
        self.scroll_relative(x=SIDEWAYS, animate=False)


class LogView(Vertical):
    """The log of one run."""

    DEFAULT_CSS = """
    LogView {
        & > #log-search { display: none; height: 1; border: none; padding: 0 1; background: $boost; }
        &.-searching > #log-search { display: block; }
        & > #log-status { height: 1; color: $text-muted; padding: 0 1; }
    }
    """
    BINDINGS = [*commands.bindings("log")]

    def compose(self) -> ComposeResult:
        yield LogLines()
        yield Input(placeholder="search the log", id="log-search", compact=True)
        yield Static("", id="log-status", markup=False)

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:  # noqa: ARG002
        """Show the log of this run."""
        self.query_one(LogLines).show(detail.log)
        self.call_after_refresh(self._tell)

    def _tell(self) -> None:
        lines = self.query_one(LogLines)
        parts = [f"{thousands(len(lines.text))} lines"]
        parts.append("following" if lines.follows else "not following: G goes to the end")
        if lines.needle:
            place = lines.matches.index(lines.current) + 1 if lines.current in lines.matches else 0
            found = f"{place} of {len(lines.matches)}" if lines.matches else "nothing found"
            parts.insert(0, f"{found} · ↑ ↓ other matches · esc ends the search")
        else:
            parts.append("/ searches")
        if lines.max_scroll_x:
            parts.append("← → the rest of long lines")
        status = self.query_one("#log-status", Static)
        text = Content(" · ".join(parts))
        if not (isinstance(status.content, Content) and text.is_same(status.content)):
            status.update(text)

    def action_find(self) -> None:
        """Open the search."""
        self.add_class("-searching")
        # Not `focus()`, which comes later: what is typed on must not reach the keys of the log.
        self.screen.set_focus(self.query_one("#log-search", Input))

    @on(LogLines.Scrolled)
    def _tell_of_scroll(self, message: LogLines.Scrolled) -> None:
        message.stop()
        self._tell()

    @on(Input.Changed, "#log-search")
    def _search(self, message: Input.Changed) -> None:
        message.stop()
        self.query_one(LogLines).search(message.value)
        self._tell()

    @on(Input.Submitted, "#log-search")
    def _go_up(self, message: Input.Submitted) -> None:
        message.stop()
        self.query_one(LogLines).go(-1)
        self._tell()

    def on_key(self, event: events.Key) -> None:
        """Keys while the search is open."""
        if not self.has_class("-searching"):
            return
        if event.key in {"up", "down"} and self.query_one("#log-search").has_focus:
            self.query_one(LogLines).go(1 if event.key == "down" else -1)
            self._tell()
        elif event.key == "escape":
            self.end_search()
        else:
            return
        event.stop()
        event.prevent_default()

    def end_search(self) -> None:
        """Close the search and unmark everything."""
        search = self.query_one("#log-search", Input)
        with self.prevent(Input.Changed):
            search.value = ""
        self.query_one(LogLines).search("")
        self.remove_class("-searching")
        self.query_one(LogLines).focus()
        self._tell()
