"""A table of one-line rows that are known by key: the cursor stays on its row when rows come and go, and only
lines that changed are drawn again. Columns are left out, least important first, where they do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.segment import Segment
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from lvmtui import commands
from lvmtui.format import ascii_text
from lvmtui.widgets.look import ascii_only

GAP = 2
"""Cells between two columns."""

LEAST_SHRUNK = 16
"""Cells that a column which may be cut keeps."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    key: str
    label: str
    right: bool = False
    """Numbers stand at the right edge."""
    priority: int = 0
    """Where the width does not do, the columns with the highest number go first; 0 stays."""
    shrinks: bool = False
    """Its text may be cut where the width does not do."""
    sortable: bool = False
    wider_than: str = ""
    """Key of a column that this one replaces where there is room: the same with more detail."""

    @property
    def sort_key(self) -> str:
        """What the rows are sorted by in this column."""
        return self.wider_than or self.key


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a row with cells, or a heading that spans the columns."""

    key: str
    cells: Mapping[str, Content] = field(default_factory=dict)
    """Column key -> what stands there."""
    heading: Content | None = None
    """Spans the whole width; the cursor passes over it."""
    passed_over: bool = False
    """A row that the cursor passes over as well."""

    @property
    def is_row(self) -> bool:
        """Whether the cursor can stand on it."""
        return self.heading is None and not self.passed_over


def choose(columns: Sequence[Column], lines: Sequence[Line], width: int) -> list[tuple[Column, int]]:
    """The columns that fit into `width` cells, in their order, each with its width."""
    widths = {column.key: _width(column, lines) for column in columns}
    chosen = {column.key: column for column in columns if column.priority == 0}
    for column in sorted(columns, key=lambda column: column.priority):
        if column.priority == 0 or (column.wider_than and column.wider_than not in chosen):
            continue
        candidate = {key: value for key, value in chosen.items() if key != column.wider_than}
        candidate[column.key] = column
        if sum(_least(item, widths) + GAP for item in candidate.values()) - GAP <= width:
            chosen = candidate
    shown = [column for column in columns if column.key in chosen]
    excess = sum(widths[column.key] + GAP for column in shown) - GAP - width
    for column in reversed(shown):
        cut = max(0, min(excess, widths[column.key] - _least(column, widths)))
        widths[column.key] -= cut
        excess -= cut
    return [(column, widths[column.key]) for column in shown]


def _least(column: Column, widths: Mapping[str, int]) -> int:
    """The width that a column needs at least."""
    return min(widths[column.key], LEAST_SHRUNK) if column.shrinks else widths[column.key]


def _width(column: Column, lines: Sequence[Line]) -> int:
    cells = (line.cells[column.key].cell_length for line in lines if column.key in line.cells)
    return max([len(column.label) + (2 if column.sortable else 0), *cells])


def fitted(content: Content, width: int, *, right: bool = False) -> Content:
    """The content in exactly `width` cells, cut with an ellipsis or padded."""
    if content.cell_length > width:
        return content.truncate(width, ellipsis=True)
    padding = width - content.cell_length
    return content.pad_left(padding) if right else content.pad_right(padding)


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
        self._shown: list[tuple[Column, int]] = []
        self._drawn: list[Content] = []

    @property
    def cursor(self) -> str | None:
        """Key of the row that the cursor is on."""
        return self._cursor

    def show(
        self,
        lines: Sequence[Line],
        *,
        columns: Sequence[Column] | None = None,
        sort: tuple[str, bool] = ("", False),
    ) -> None:
        """Show these lines; the cursor stays on its row, or on the row in its place when that one is gone.

        Args:
            lines: from top to bottom, keys without repetition.
            columns: other columns than before.
            sort: column that the rows are sorted by, and whether downwards; marked in the header.
        """
        self.lines = tuple(lines)
        self._sort = sort
        if columns is not None:
            self.columns = tuple(columns)
        self._keep_cursor()
        self._draw()

    def _keep_cursor(self) -> None:
        position = self._position(self._cursor)
        if position is None:
            rows = [index for index, line in enumerate(self.lines) if line.is_row]
            place = min(rows, key=lambda index: abs(index - self._at), default=None)
            self._cursor = None if place is None else self.lines[place].key
            self._at = place or 0
        else:
            moved = position - self._at
            self._at = position
            if moved and self.scroll_offset.y > 0:
                self.call_after_refresh(self._reveal)

    def _position(self, key: str | None) -> int | None:
        return next((i for i, line in enumerate(self.lines) if line.key == key and line.is_row), None)

    def _draw(self) -> None:
        room = self.content_size
        if not room.width:
            # Hidden: what was drawn may have more lines than there are rows now.
            self._drawn = []
            return
        scrolls = len(self.lines) >= room.height
        width = room.width - (self.styles.scrollbar_size_vertical if scrolls else 0)
        shown = choose(self.columns, self.lines, width - 2)
        drawn = [self._header(shown), *(self._content(line, shown, width) for line in self.lines)]
        if not self.lines:
            drawn = [Content(""), Content(self.empty).pad_left(1)]
        before, self._drawn, self._shown = self._drawn, drawn, shown
        size = Size(width, len(drawn))
        if self.virtual_size != size or len(before) != len(drawn):
            self.virtual_size = size
            self.refresh()
            return
        for number, (new, old) in enumerate(zip(drawn, before, strict=True)):
            if not new.is_same(old):
                self._refresh_number(number)

    def _header(self, shown: Sequence[tuple[Column, int]]) -> Content:
        parts = []
        for column, width in shown:
            arrow = ("▾" if self._sort[1] else "▴") if column.sort_key == self._sort[0] else ""
            label = Content(f"{column.label} {arrow}" if arrow else column.label)
            parts.append(fitted(label, width, right=column.right))
        return Content(" " * GAP).join(parts).pad_left(1)

    def _content(self, line: Line, shown: Sequence[tuple[Column, int]], width: int) -> Content:
        if line.heading is not None:
            return fitted(line.heading.pad_left(1), width)
        blank = Content("")
        cells = (fitted(line.cells.get(c.key, blank), wide, right=c.right) for c, wide in shown)
        return Content(" " * GAP).join(cells).pad_left(1)

    def on_resize(self) -> None:
        self._draw()
        self._reveal()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        number = 0 if y == 0 else y + self.scroll_offset.y
        if number >= len(self._drawn):
            return Strip([Segment(" " * width, self.get_visual_style("row-table--row").rich_style)], width)
        if number == 0:
            return self._strip(self._drawn[0], "row-table--header", width)
        if not self.lines:
            return self._strip(self._drawn[number], "row-table--heading", width)
        line = self.lines[number - 1]
        if line.heading is not None:
            component = "row-table--heading"
        elif line.key == self._cursor:
            component = "row-table--cursor"
        else:
            component = "row-table--hover" if self.hovered == number - 1 else "row-table--row"
        return self._strip(self._drawn[number], component, width)

    def _strip(self, content: Content, component: str, width: int) -> Strip:
        style = self.get_visual_style(component)
        if ascii_only(self):
            content = Content(ascii_text(content.plain), list(content.spans))
        strip = Visual.to_strips(self, fitted(content, width), width, 1, style, apply_selection=False)[0]
        return strip.extend_cell_length(width, style.rich_style)

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
        self._reveal()

    def _reveal(self) -> None:
        """Scroll so that the cursor is in sight, and what the cursor passes over at the top and the end."""
        height = self.scrollable_content_region.height - 1
        if height < 1:
            return
        rows = [index for index, line in enumerate(self.lines) if line.is_row]
        last = len(self.lines) - height
        if rows and self._at <= rows[0] < height:
            wanted = 0
        elif rows and self._at >= rows[-1] >= last:
            wanted = max(0, last)
        else:
            wanted = min(max(self.scroll_offset.y, self._at - height + 1), self._at)
        if wanted != self.scroll_offset.y:
            self.scroll_to(y=wanted, animate=False)

    def _go_to(self, index: int) -> None:
        """The user's way to a row."""
        key = self.lines[index].key
        if key != self._cursor:
            self.move_to(key)
            self.post_message(self.Moved(self, key))

    def _move(self, by: int) -> None:
        rows = [index for index, line in enumerate(self.lines) if line.is_row]
        if rows:
            place = next((n for n, index in enumerate(rows) if index >= self._at), 0)
            self._go_to(rows[min(max(place + by, 0), len(rows) - 1)])

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
            column = self._column_at(offset.x)
            if column is not None and column.sortable:
                self.post_message(self.HeaderClicked(self, column.sort_key))
            return
        index = self._line_at(offset.y)
        if index is None or not self.lines[index].is_row:
            return
        self._go_to(index)
        if event.chain >= 2 and self._opens:
            self.action_open()

    def _column_at(self, x: int) -> Column | None:
        left = 1
        for column, width in self._shown:
            if left - GAP // 2 <= x < left + width + GAP // 2:
                return column
            left += width + GAP
        return None
