"""The list of runs: sorted, filtered, marked; the cursor stays on its run whatever happens around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import DataTable, Static
from textual.widgets.data_table import RowKey

from lvmtui import commands
from lvmtui import format as fmt
from lvmtui.config import RUN_SORTS, ViewOptions
from lvmtui.figure import same_text
from lvmtui.messages import OptionsChanged, RunFocused, RunMarked, RunOpened
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.widgets import run_rows
from lvmtui.widgets.filter_line import FilterLine
from lvmtui.widgets.look import Ink, ascii_only, chart_look, ink
from lvmtui.widgets.run_rows import LAYOUTS

SIGNS = 3
"""Cells for a run's state and mark."""

NO_RUNS = """No runs yet.

n            launch a phase
lvmtui demo  train a small model"""


class RunTable(DataTable[Text]):
    """The rows; one key a run."""

    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings("list")]

    def action_open(self) -> None:
        """Open the run under the cursor."""
        self.action_select_cursor()

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away."""
        run_id = self.run_at_cursor
        if run_id is not None:
            self.post_message(RunMarked(run_id))

    def action_first(self) -> None:
        """Go to the first row."""
        self.move_cursor(row=0)

    def action_last(self) -> None:
        """Go to the last row."""
        self.move_cursor(row=self.row_count - 1)

    @property
    def run_at_cursor(self) -> int | None:
        """The id of the run under the cursor."""
        if not 0 <= self.cursor_row < self.row_count:
            return None
        return int(str(self.ordered_rows[self.cursor_row].key.value))


class RunList(Vertical):
    """Posts RunFocused, RunMarked and RunOpened; sort and filter changes go up as OptionsChanged.

    The App owns `focused`, `marked` and `options`: the list shows what it is given.
    """

    DEFAULT_CSS = """
    RunList {
        border: round $border-blurred;
        border-title-color: $foreground;
        border-subtitle-color: $error;
        background: $background;
    }
    RunList:focus-within { border: round $border; }
    RunList.-ascii { border: ascii $border-blurred; }
    RunList.-ascii:focus-within { border: ascii $border; }
    RunList RunTable {
        height: 1fr;
        padding: 0 0 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
    }
    RunList RunTable:focus { background-tint: $foreground 0%; }
    RunList RunTable > .datatable--header { background: $background; color: $text-muted; text-style: none; }
    RunList #no-runs { display: none; height: 1fr; padding: 0 1; color: $text-muted; }
    RunList.-empty RunTable { display: none; }
    RunList.-empty #no-runs { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings("filter", "sort", "attention")]

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None, repaint=False)
    focused: reactive[int | None] = reactive[int | None](None, repaint=False)
    marked: reactive[tuple[int, ...]] = reactive[tuple[int, ...]]((), repaint=False)
    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._columns: tuple[tuple[str, int], ...] = ()
        self._rows: dict[int, tuple[Text, ...]] = {}
        self._due = False
        self._title = ""
        self._empty = ""

    def compose(self) -> ComposeResult:
        yield FilterLine().data_bind(RunList.options)
        yield RunTable(cursor_type="row", cell_padding=0, cursor_foreground_priority="renderable")
        yield Static(id="no-runs", markup=False)

    @property
    def table(self) -> RunTable:
        """The rows."""
        return self.query_one(RunTable)

    @property
    def shown_ids(self) -> tuple[int, ...]:
        """Ids of the runs that are listed now, from the top."""
        return tuple(int(str(row.key.value)) for row in self.table.ordered_rows)

    def on_mount(self) -> None:
        self.set_class(ascii_only(self), "-ascii")
        self.app.theme_changed_signal.subscribe(self, lambda _: self.sync())
        self.sync()

    def on_resize(self) -> None:
        self.sync()

    def watch_snapshot(self) -> None:
        self.sync()

    def watch_focused(self) -> None:
        self.sync()

    def watch_marked(self) -> None:
        self.sync()

    def watch_options(self) -> None:
        self.sync()

    def action_filter(self) -> None:
        """Open the line in which a filter is typed."""
        self.query_one(FilterLine).open()

    def action_sort(self) -> None:
        """Sort by the next column."""
        now = RUN_SORTS.index(self.options.sort) if self.options.sort in RUN_SORTS else -1
        following = RUN_SORTS[(now + 1) % len(RUN_SORTS)]
        self.post_message(OptionsChanged(replace(self.options, sort=following)))

    def action_attention(self) -> None:
        """Show only runs that need attention, or all again."""
        self.post_message(OptionsChanged(replace(self.options, attention=not self.options.attention)))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        run_id = self.table.run_at_cursor
        # Rows that come and go make events of their own; only where the cursor is now counts.
        if run_id is not None and event.row_key.value == str(run_id) and run_id != self.focused:
            self.post_message(RunFocused(run_id))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if event.row_key.value is not None:
            self.post_message(RunOpened(int(event.row_key.value)))

    def sync(self) -> None:
        """Show the present state soon, once for all changes of this moment."""
        if self.is_attached and not self._due:
            self._due = True
            self.call_next(self._sync)

    def _sync(self) -> None:
        self._due = False
        if not self.is_mounted or self.content_size.width <= 0:
            return
        views, problem = run_rows.chosen(self.snapshot.runs if self.snapshot else (), self.options)
        self._say(len(views), problem)
        colours = ink(self)
        with self.prevent(DataTable.RowHighlighted):
            self._show(views, colours)
            self._place_cursor()

    def _say(self, shown: int, problem: str) -> None:
        """Title, filter problem and empty state; only what differs is painted."""
        options, snapshot = self.options, self.snapshot
        total = len(snapshot.runs) if snapshot else 0
        limits = ["! attention"] if options.attention else []
        if options.filter:
            limits.append(f"{'regex' if options.filter_is_regex else 'glob'}: {fmt.plain(options.filter)}")
        count = f"Runs {shown}/{total}" if limits else "Runs"
        title = f"{count}  ({' · '.join(limits or ['/ filter'])} · s sort: {options.sort})"
        if (title, problem) != (self._title, self.border_subtitle or ""):
            self._title = title
            self.border_title = Content(title)
            self.border_subtitle = Content(fmt.plain(problem))
        if snapshot is None:
            empty = "reading the store…"
        elif not total:
            empty = NO_RUNS
        elif shown:
            empty = ""
        elif options.attention:
            empty = "Nothing needs attention. ! shows all runs again."
        else:
            empty = f"No run fits {fmt.plain(options.filter)!r}: / changes the filter, esc in it clears it."
        if empty != self._empty:
            self._empty = empty
            self.query_one("#no-runs", Static).update(Content(empty))
        self.set_class(bool(empty), "-empty")

    def _show(self, views: Sequence[RunView], colours: Ink) -> None:
        """Bring the table's rows to `views`: only cells that differ are written."""
        table = self.table
        scrollbar = 1 if len(views) > max(0, self.content_size.height - 1) else 0
        columns, rows = self._written(views, colours, self.content_size.width - 1 - scrollbar)
        layout = tuple((key, width) for key, width, _ in columns)
        if layout != self._columns:
            self._columns, self._rows = layout, {}
            table.clear(columns=True)
            for key, width, title in columns:
                table.add_column(title, width=width, key=key)
        for run_id in self._rows.keys() - rows.keys():
            table.remove_row(str(run_id))
        for run_id, cells in rows.items():
            old = self._rows.get(run_id)
            if old is None:
                table.add_row(*cells, key=str(run_id))
                continue
            kept = []
            for (key, _), before, now in zip(layout, old, cells, strict=True):
                kept.append(before if same_text(before, now) else now)
                if kept[-1] is now:
                    table.update_cell(str(run_id), key, now)
            rows[run_id] = tuple(kept)
        self._rows = rows
        self._order(rows)

    def _order(self, wanted: Iterable[int]) -> None:
        """Sort the rows where they are not in order."""
        order = {str(run_id): place for place, run_id in enumerate(wanted)}
        table = self.table
        if [row.key.value for row in table.ordered_rows] != list(order):
            places = {id(self._rows[int(key)][0]): place for key, place in order.items()}
            table.sort(self._columns[0][0], key=lambda cell: places[id(cell)])

    def _written(
        self, views: Sequence[RunView], colours: Ink, width: int
    ) -> tuple[list[tuple[str, int, Text]], dict[int, tuple[Text, ...]]]:
        """The widest layout that fits, as key, width and title of each column, and each run's cells."""
        palette = chart_look(self).palette
        position = {run_id: place for place, run_id in enumerate(self.marked)}
        marks = {
            view.run.id: run_rows.mark_sign(position.get(view.run.id), palette, colours.ascii_only)
            for view in views
        }
        badges = any(run_rows.FINDINGS.write(view, colours) for view in views)
        for layout in LAYOUTS:
            layout = tuple(column for column in layout if badges or column is not run_rows.FINDINGS)
            cells = {v.run.id: [column.write(v, colours) for column in layout] for v in views}
            widths = [
                max([len(column.title), *(row[i].cell_len for row in cells.values())])
                for i, column in enumerate(layout)
            ]
            spare = width - SIGNS - sum(widths) - (len(layout) - 1)
            if spare >= 0 or widths[0] + spare >= run_rows.LEAST_NAME:
                break
        widths[0] = max(1, widths[0] + min(spare, 0))
        gap = 2 if spare >= len(layout) - 1 else 1
        titles = [_aligned(Text(c.title), w, c.right) for c, w in zip(layout, widths, strict=True)]
        columns = [("signs", SIGNS, Text(""))]
        columns += [(c.key, w + gap, title) for c, w, title in zip(layout, widths, titles, strict=True)]
        columns[-1] = (layout[-1].key, widths[-1], titles[-1])
        rows = {}
        for view in views:
            lead = run_rows.glyph(view, colours).append_text(marks[view.run.id])
            own = [
                _aligned(cell, w, column.right)
                for column, w, cell in zip(layout, widths, cells[view.run.id], strict=True)
            ]
            rows[view.run.id] = tuple(
                _in_ascii(cell) if colours.ascii_only else cell for cell in (lead, *own)
            )
        return columns, rows

    def _place_cursor(self) -> None:
        """Put the cursor on the focused run; where that is not shown, ask for the one in its place."""
        table = self.table
        if not self._rows:
            return
        if self.focused in self._rows:
            row = table.get_row_index(RowKey(str(self.focused)))
            if row != table.cursor_row:
                table.move_cursor(row=row, animate=False)
            return
        table.move_cursor(row=min(max(table.cursor_row, 0), table.row_count - 1), animate=False)
        run_id = table.run_at_cursor
        if run_id is not None:
            self.post_message(RunFocused(run_id))


def _aligned(cell: Text, width: int, right: bool) -> Text:
    """The cell in exactly `width` cells."""
    cell = cell.copy()
    cell.truncate(width, overflow="ellipsis")
    if right:
        cell.pad_left(width - cell.cell_len)
    return cell


def _in_ascii(cell: Text) -> Text:
    cell.plain = fmt.ascii_text(cell.plain)
    return cell
