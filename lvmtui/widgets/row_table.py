"""A table of one-line rows that are known by key: the cursor stays on its row when rows come and go. Only
lines in sight are written, and only those that changed are drawn again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style

from lvmtui import commands
from lvmtui.format import wrap
from lvmtui.widgets.look import ascii_only
from lvmtui.widgets.table_columns import GAP, MEASURED, Column, Layout, Line, choose, fitted, in_ascii

__all__ = ["Column", "Line", "RowTable", "choose", "fitted"]

STRIPS_KEPT = 400
"""Drawn lines that are kept, for scrolling back."""

EMPTY_LINES = 4
"""Lines at most of each sentence that is said where there are no rows."""


class RowTable(ScrollView, can_focus=True):
    """Rows under a header line, with a cursor."""

    DEFAULT_CSS = """
    RowTable {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .row-table--header { text-style: bold; color: $text-muted; background: $surface; }
        & > .row-table--heading { color: $text-muted; }
        & > .row-table--hover { background: $boost; }
        & > .row-table--cursor { background: $block-cursor-blurred-background; }
        &:focus > .row-table--cursor {
            background: $block-cursor-blurred-background;
            text-style: bold;
        }
    }
    """
    COMPONENT_CLASSES = {
        "row-table--row",
        "row-table--header",
        "row-table--heading",
        "row-table--hover",
        "row-table--cursor",
    }
    LEAST_GAP: ClassVar[int] = GAP
    """Cells between two columns where there is not room for `GAP`."""

    BINDINGS = [
        *commands.bindings("list"),
        ("pageup", "page(-1)"),
        ("pagedown", "page(1)"),
    ]

    hovered: reactive[int | None] = reactive[int | None](None, repaint=False)

    @dataclass
    class OfRow(Message):
        """Something happened to one row."""

        table: RowTable
        key: str

        @property
        def control(self) -> RowTable:
            return self.table

    class Moved(OfRow):
        """The user put the cursor on another row."""

    class Opened(OfRow):
        """The row under the cursor was opened."""

    class Marked(OfRow):
        """The mark of the row under the cursor was toggled."""

    @dataclass
    class HeaderClicked(Message):
        """A column's label was clicked."""

        table: RowTable
        column: str

        @property
        def control(self) -> RowTable:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column] = (),
        *,
        empty: str = "",
        opens: bool = False,
        marks: bool = False,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """
        Args:
            columns: in the order in which they stand.
            empty: what is said where there are no lines.
            opens: rows can be opened.
            marks: rows can be marked.
        """
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self.lines: tuple[Line, ...] = ()
        self.empty = empty
        self._opens, self._marks = opens, marks
        self._cursor: str | None = None
        self._at = 0
        self._sort: tuple[str, bool] = ("", False)
        self._places: dict[str, int] = {}
        """Key of a row -> its line."""
        self._rows: list[int] = []
        """Lines that the cursor can stand on."""
        self._layout = Layout(self.LEAST_GAP)
        self._strips: dict[tuple[str, str], tuple[Content, Strip]] = {}
        self._drawn: list[tuple[Content, bool]] = []
        """What is in sight: header and lines, and whether the cursor is on them."""

    @property
    def cursor(self) -> str | None:
        """Key of the row that the cursor is on."""
        return self._cursor

    @property
    def shown_columns(self) -> tuple[tuple[Column, int], ...]:
        """The columns that fit, each with its width in cells."""
        return tuple(self._layout.shown)

    @property
    def cursor_region(self) -> Region | None:
        """Where the cursor's line is on the screen; None where it is out of sight."""
        room = self.content_region
        y = room.y + 1 + self._at - self.scroll_offset.y
        in_sight = self._cursor is not None and room.y < y < room.bottom
        return Region(room.x, y, room.width, 1) if in_sight else None

    def has_row(self, key: str) -> bool:
        """Whether the cursor can be put there."""
        return self._position(key) is not None

    def show(
        self,
        lines: Sequence[Line],
        *,
        columns: Sequence[Column] | None = None,
        sort: tuple[str, bool] = ("", False),
    ) -> None:
        """Show these lines; the cursor stays on its row, or on the row in its place when that one is gone.
        What is in sight stays where it is.

        Args:
            lines: from top to bottom, keys without repetition. A line that is the same object as before is
                not looked at again.
            columns: other columns than before.
            sort: column that the rows are sorted by, and whether downwards; marked in the header.
        """
        before, self.lines = self.lines, tuple(lines)
        self._sort = sort
        if columns is not None:
            self.columns = tuple(columns)
        self._places = {line.key: index for index, line in enumerate(self.lines)}
        # As `Line.is_row`, without ten thousand calls.
        self._rows = [
            index
            for index, line in enumerate(self.lines)
            if (line.heading is None or line.stops) and not line.passed_over
        ]
        self._draw(top=self._keep_place(before))

    def _keep_place(self, before: Sequence[Line]) -> int:
        """Keep the cursor on its row, and what is in sight where it is.

        Returns:
            the line that is then the first in sight.
        """
        top, height = self.scroll_offset.y, self._height
        was_at, in_sight = self._at, top <= self._at < top + height
        position = self._position(self._cursor)
        if position is None and self._rows:
            place = bisect_left(self._rows, was_at)
            near = self._rows[max(0, place - 1) : place + 1]
            position = min(near, key=lambda index: abs(index - was_at))
        self._at = position or 0
        self._cursor = self.lines[self._at].key if position is not None else None
        if in_sight or not before:
            return self._revealing(top + self._at - was_at if top else 0)
        for index in range(top, min(top + height, len(before))):
            now = self._places.get(before[index].key)
            if now is not None:
                return max(0, now - (index - top))
        return top

    def _position(self, key: str | None) -> int | None:
        place = self._places.get(key) if key is not None else None
        return place if place is not None and self.lines[place].is_row else None

    @property
    def _height(self) -> int:
        """Lines that are in sight under the header."""
        return max(0, self.scrollable_content_region.height - 1)

    def _in_sight(self, top: int | None = None) -> Sequence[Line]:
        first = self.scroll_offset.y if top is None else top
        return self.lines[first : first + max(0, self.content_size.height - 1)]

    def _draw(self, *, top: int | None = None) -> None:
        """Write what is in sight, and draw what differs from before.

        Args:
            top: line to scroll to; None: scroll no further than there are lines.
        """
        room = self.content_size
        if not room.width:
            # Hidden: what was drawn may have more lines than there are rows now.
            self._drawn = []
            return
        said = self._said(room.width - 2)
        number = len(self.lines) or len(said)
        width = room.width - (self.styles.scrollbar_size_vertical if number >= room.height else 0)
        self._layout.ascii_only = ascii_only(self)
        self._layout.fit(self.columns, self.lines, self._in_sight(top), width, self._sort)
        before, offset, size = self._drawn, self.scroll_offset.y, Size(width, number + 1)
        resized = self.virtual_size != size
        if resized:
            self.virtual_size = size
        if top is not None and top != offset:
            self.scroll_to(y=top, animate=False)
        if not self.lines:
            self._drawn = [(Content(""), False), *((Content(f" {part}"), False) for part in said)]
        else:
            self._note_drawn()
        if resized or offset != self.scroll_offset.y or len(before) != len(self._drawn):
            self.refresh()
            return
        for y, ((new, on), (old, was_on)) in enumerate(zip(self._drawn, before, strict=True)):
            if on != was_on or not new.is_same(old):
                self.refresh(Region(0, y, self.size.width, 1))

    def _said(self, width: int) -> list[str]:
        """What is said where there are no lines."""
        return [part for text in self.empty.split("\n") for part in wrap(text, width, EMPTY_LINES) or [""]]

    def _note_drawn(self) -> None:
        lines = ((self._layout.content(line), line.key == self._cursor) for line in self._in_sight())
        self._drawn = [(self._layout.header, False), *lines]

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if len(self.lines) > MEASURED:
            self._layout.widen(self._in_sight())
        super().watch_scroll_y(old_value, new_value)
        if self.lines and self.content_size.width:
            self._note_drawn()

    def on_resize(self) -> None:
        self._draw()
        self.reveal()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if y == 0 and self._drawn:
            component = "row-table--header" if self.lines else "row-table--row"
            return self._strip("", self._drawn[0][0], component, width)
        if not self.lines and y < len(self._drawn):
            return self._strip(f"{y}", self._drawn[y][0], "row-table--heading", width)
        index = y - 1 + self.scroll_offset.y
        if y == 0 or index >= len(self.lines) or not self._layout.shown:
            return Strip([Segment(" " * width, self.get_visual_style("row-table--row").rich_style)], width)
        line = self.lines[index]
        if line.key == self._cursor:
            component = "row-table--cursor"
        elif line.heading is not None:
            component = "row-table--heading"
        else:
            component = "row-table--hover" if self.hovered == index else "row-table--row"
        return self._strip(line.key, self._layout.content(line), component, width)

    def _strip(self, key: str, content: Content, component: str, width: int) -> Strip:
        known = self._strips.get((key, component))
        if known is not None and known[0] is content and known[1].cell_length == width:
            return known[1]
        style = self.get_visual_style(component)
        if component == "row-table--cursor" and self.app.no_color:
            style += Style(reverse=True)  # the background alone may be gone
        shown = fitted(content, width)
        shown = in_ascii(shown) if self._layout.ascii_only else shown
        parts = shown.render(style, "", self.app.stylesheet.parse_style)
        strip = Strip([Segment(text, part.rich_style) for text, part in parts], width)
        if len(self._strips) >= STRIPS_KEPT:
            self._strips.clear()
        self._strips[key, component] = content, strip
        return strip

    def _refresh_number(self, number: int) -> None:
        """Draw one line again if it is in sight: 0 is the header, 1 the first line."""
        y = 0 if number == 0 else number - self.scroll_offset.y
        if number == 0 or 0 < y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def move_to(self, key: str | None) -> None:
        """Put the cursor on a row, if it is there. Nothing is posted: the user has not done it."""
        position = self._position(key)
        if position is None or key == self._cursor:
            return
        before = self._at
        self._at, self._cursor = position, key
        self._refresh_number(before + 1)
        self._refresh_number(position + 1)
        self.reveal()
        if self.lines and self._drawn:
            self._note_drawn()

    def reveal(self) -> None:
        """Scroll so that the cursor is in sight."""
        wanted = self._revealing(self.scroll_offset.y)
        if wanted != self.scroll_offset.y:
            self.scroll_to(y=wanted, animate=False)

    def _revealing(self, top: int) -> int:
        """The first line in sight, near `top`, where the cursor is in sight, and so is what the cursor passes
        over at the top and the end."""
        height, rows = self._height, self._rows
        if height < 1:
            return top
        last = max(0, len(self.lines) - height)
        if rows and self._at <= rows[0] < height:
            return 0
        if rows and self._at >= rows[-1] >= last:
            return last
        return min(max(min(top, last), self._at - height + 1), self._at)

    def _go_to(self, index: int) -> None:
        """The user's way to a row."""
        key = self.lines[index].key
        if key != self._cursor:
            self.move_to(key)
            self.post_message(self.Moved(self, key))

    def _move(self, by: int) -> None:
        rows = self._rows
        if rows:
            place = bisect_left(rows, self._at)
            self._go_to(rows[min(max(place + by, 0), len(rows) - 1)])
            # The wheel may have scrolled away from a cursor that cannot move any further.
            self.reveal()

    def action_cursor_up(self) -> None:
        """Move up a row."""
        self._move(-1)

    def action_cursor_down(self) -> None:
        """Move down a row."""
        self._move(1)

    def action_first(self) -> None:
        """Go to the first row."""
        self._move(-len(self.lines))

    def action_last(self) -> None:
        """Go to the last row."""
        self._move(len(self.lines))

    def action_page(self, direction: int) -> None:
        """Move up or down by what is in sight."""
        self._move(direction * max(1, self.size.height - 2))

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self._cursor is not None:
            self.post_message(self.Opened(self, self._cursor))

    def action_mark(self) -> None:
        """Toggle the mark of the row under the cursor."""
        if self._cursor is not None:
            self.post_message(self.Marked(self, self._cursor))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Rows that cannot be opened or marked offer no key for it."""
        return {"open": self._opens, "mark": self._marks}.get(action, True)

    def _line_at(self, y: int) -> int | None:
        number = y + self.scroll_offset.y - 1
        return number if y > 0 and 0 <= number < len(self.lines) else None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        offset = event.get_content_offset(self)
        self.hovered = self._line_at(offset.y) if offset else None

    def on_leave(self) -> None:
        self.hovered = None

    def watch_hovered(self, before: int | None, now: int | None) -> None:
        for index in (before, now):
            if index is not None:
                self._refresh_number(index + 1)

    def on_click(self, event: events.Click) -> None:
        """Select by click, open by double click, sort by a click on the header."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            column = self._layout.column_at(offset.x)
            if column is not None and column.sortable:
                self.post_message(self.HeaderClicked(self, column.sort_key))
            return
        index = self._line_at(offset.y)
        if index is None or not self.lines[index].is_row:
            return
        self._go_to(index)
        if event.chain >= 2 and self._opens:
            self.action_open()
