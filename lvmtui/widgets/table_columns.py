"""Columns and lines of a `RowTable`, and which columns fit into a width."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from textual.content import Content

from lvmtui.format import ascii_text

GAP = 2
"""Cells between two columns."""

LEAST_SHRUNK = 16
"""Cells that a column which may be cut keeps, unless it says otherwise."""

MEASURED = 128
"""Lines at most whose cells are measured for the widths of columns, beside those in sight."""

WRITTEN_KEPT = 1000
"""Lines at most that are kept as they were written."""


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
    least: int = LEAST_SHRUNK
    """Cells that it keeps when it is cut."""
    keeps_end: bool = False
    """What is cut of its text is cut out of the middle: names of machines differ at their ends."""
    beside: tuple[str, str] = ("", "")
    """Key of another column, and that of the cells that stand here while the other is shown: they leave out
    what it says."""

    @property
    def sort_key(self) -> str:
        """What the rows are sorted by in this column."""
        return self.wider_than or self.key


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a row with cells, or a heading that spans the columns."""

    key: str
    cells: Mapping[str, Content] = field(default_factory=dict)
    """Column key -> what stands there. Asked for lines in sight only, so it may be written when asked."""
    heading: Content | None = None
    """Spans the whole width; the cursor passes over it."""
    passed_over: bool = False
    """A row that the cursor passes over as well."""
    stops: bool = False
    """A heading that the cursor stops on."""

    @property
    def is_row(self) -> bool:
        """Whether the cursor can stand on it."""
        return (self.heading is None or self.stops) and not self.passed_over


def choose(
    columns: Sequence[Column], lines: Sequence[Line], width: int, *, gap: int = GAP
) -> list[tuple[Column, int]]:
    """The columns that fit into `width` cells, in their order, each with its width."""
    return fit_columns(columns, measure(columns, sample(lines)), width, gap=gap)


def fit_columns(
    columns: Sequence[Column], widths: Mapping[str, int], width: int, *, gap: int = GAP
) -> list[tuple[Column, int]]:
    """The columns that fit into `width` cells where each wants `widths` of them."""
    chosen = {column.key: column for column in columns if column.priority == 0}
    for column in sorted(columns, key=lambda column: column.priority):
        if column.priority == 0 or (column.wider_than and column.wider_than not in chosen):
            continue
        candidate = {key: value for key, value in chosen.items() if key != column.wider_than}
        candidate[column.key] = column
        if sum(_least(item, widths) + gap for item in _settled(candidate.values())) - gap <= width:
            chosen = candidate
    shown = _settled([column for column in columns if column.key in chosen])
    return cut_to(shown, widths, width, gap=gap)


def _settled(columns: Collection[Column]) -> list[Column]:
    """The columns, with other cells where another one says what they would."""
    keys = {column.sort_key for column in columns}
    return [
        replace(column, key=column.beside[1], wider_than=column.sort_key)
        if column.beside[0] in keys
        else column
        for column in columns
    ]


def cut_to(
    columns: Sequence[Column], widths: Mapping[str, int], width: int, *, gap: int = GAP
) -> list[tuple[Column, int]]:
    """All of these columns; those that may be cut are made narrower until `width` cells do, if they can."""
    own = dict(widths)
    excess = sum(own[column.key] + gap for column in columns) - gap - width
    for column in reversed(columns):
        cut = max(0, min(excess, own[column.key] - _least(column, own)))
        own[column.key] -= cut
        excess -= cut
    return [(column, own[column.key]) for column in columns]


def measure(columns: Sequence[Column], lines: Iterable[Line]) -> dict[str, int]:
    """Column key -> cells that its label and the widest of its cells in `lines` need."""
    keys = ((column, key) for column in columns for key in (column.key, column.beside[1]) if key)
    widths = {key: len(column.label) + (2 if column.sortable else 0) for column, key in keys}
    for line in lines:
        if line.heading is not None:
            continue
        for key, width in widths.items():
            cell = line.cells.get(key)
            if cell is not None and cell.cell_length > width:
                widths[key] = cell.cell_length
    return widths


def sample(lines: Sequence[Line]) -> Sequence[Line]:
    """All lines where there are few, else `MEASURED` of them, evenly spread."""
    return lines if len(lines) <= MEASURED else lines[:: -(-len(lines) // MEASURED)]


def _least(column: Column, widths: Mapping[str, int]) -> int:
    """The width that a column needs at least."""
    return min(widths[column.key], column.least) if column.shrinks else widths[column.key]


def fitted(content: Content, width: int, *, right: bool = False, keeps_end: bool = False) -> Content:
    """The content in exactly `width` cells, cut with an ellipsis or padded."""
    if content.cell_length > width:
        if keeps_end and content.cell_length == len(content.plain):  # each character is one cell
            head = (width - 1) // 2
            return content[:head] + "…" + content[len(content.plain) - (width - 1 - head) :]
        return content.truncate(width, ellipsis=True)
    padding = width - content.cell_length
    return content.pad_left(padding) if right else content.pad_right(padding)


def in_ascii(content: Content) -> Content:
    """The content in ASCII, character for character, its styles kept."""
    return content if content.plain.isascii() else Content(ascii_text(content.plain), list(content.spans))


class Layout:
    """How a table's lines are written: which columns fit, how wide they are, and what stands in each line."""

    def __init__(self, least_gap: int = GAP) -> None:
        """
        Args:
            least_gap: cells between two columns where there is not room for `GAP`.
        """
        self._least_gap = least_gap
        self._columns: tuple[Column, ...] = ()
        self._widths: dict[str, int] = {}
        self._gap = least_gap
        self._width = 0
        self._sort = ("", False)
        self._written: dict[str, tuple[Line, Content]] = {}
        self.shown: list[tuple[Column, int]] = []
        """The columns that fit, each with its width in cells."""
        self.header = Content("")
        self.ascii_only = False
        """Nothing but ASCII is written."""

    def fit(
        self,
        columns: tuple[Column, ...],
        lines: Sequence[Line],
        in_sight: Sequence[Line],
        width: int,
        sort: tuple[str, bool],
    ) -> None:
        """Choose the columns, as wide as the cells of all lines where there are few; else of some lines, of
        those that are in sight and of those that were.

        Args:
            columns: all that there are.
            lines: all that there are.
            in_sight: those that will be looked at.
            width: cells of a line.
            sort: column that the lines are sorted by, and whether downwards.
        """
        measured = measure(columns, lines if len(lines) <= MEASURED else (*sample(lines), *in_sight))
        if len(lines) > MEASURED and columns == self._columns:
            measured = {key: max(cells, self._widths.get(key, 0)) for key, cells in measured.items()}
        if width != self._width:
            self._written.clear()
        self._columns, self._widths, self._width, self._sort = columns, measured, width, sort
        shown = fit_columns(columns, measured, width - 2, gap=self._least_gap)
        spare = width - 2 - sum(cells for _, cells in shown) - GAP * (len(shown) - 1)
        self._set(shown, GAP if spare >= 0 else self._least_gap)

    def widen(self, in_sight: Sequence[Line]) -> None:
        """Give lines that came into sight the room that their cells need, as far as there is some."""
        shown = [column for column, _ in self.shown]
        needed = measure(shown, in_sight)
        if any(cells > self._widths.get(key, 0) for key, cells in needed.items()):
            self._widths |= {key: max(cells, self._widths.get(key, 0)) for key, cells in needed.items()}
            self._set(cut_to(shown, self._widths, self._width - 2, gap=self._gap), self._gap)

    def _set(self, shown: list[tuple[Column, int]], gap: int) -> None:
        if (shown, gap) != (self.shown, self._gap) or len(self._written) > WRITTEN_KEPT:
            self.shown, self._gap = shown, gap
            self._written.clear()
        key, downwards = self._sort
        labels = []
        for column, cells in shown:
            arrow = f" {'▾' if downwards else '▴'}" if column.sort_key == key else ""
            labels.append(fitted(Content(f"{column.label}{arrow}"), cells, right=column.right))
        self.header = Content(" " * gap).join(labels).pad_left(1)

    def content(self, line: Line) -> Content:
        """What stands in a line."""
        known = self._written.get(line.key)
        if known is not None and known[0] is line:
            return known[1]
        if line.heading is not None:
            heading = in_ascii(line.heading) if self.ascii_only else line.heading
            content = fitted(heading.pad_left(1), self._width)
        else:
            cells = (
                fitted(self._cell(line, c.key), wide, right=c.right, keeps_end=c.keeps_end)
                for c, wide in self.shown
            )
            content = Content(" " * self._gap).join(cells).pad_left(1)
            if content.cell_length > self._width:
                content = fitted(content, self._width)
        if known is not None and known[1].is_same(content):
            content = known[1]
        self._written[line.key] = line, content
        return content

    def _cell(self, line: Line, key: str) -> Content:
        cell = line.cells.get(key) or Content("")
        # Before it is fitted: stand-ins are one cell wide each, and what they stand for may not be.
        return in_ascii(cell) if self.ascii_only else cell

    def column_at(self, x: int) -> Column | None:
        """The column in a cell of the line, half of the gaps beside it included."""
        left = 1
        for column, width in self.shown:
            if left - self._gap // 2 <= x < left + width + (self._gap + 1) // 2:
                return column
            left += width + self._gap
        return None
