"""The list of runs: sorted, filtered, grouped, marked; the cursor stays on its run whatever happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import is_
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive

from lvmtui import commands, filters, host_words
from lvmtui import format as fmt
from lvmtui.charts.figure import Look
from lvmtui.config import ViewOptions
from lvmtui.host_words import GLYPHS, Standing, is_doubtful
from lvmtui.messages import OptionsChanged, RunFocused, RunMarked, RunOpened
from lvmtui.run_fields import DEFAULT_SORT, FIELDS, RunField, field_of, sorted_by
from lvmtui.snapshot import RunView, Snapshot, State
from lvmtui.store.records import Shelf
from lvmtui.widgets.filter_line import FilterLine
from lvmtui.widgets.look import ascii_only, chart_look
from lvmtui.widgets.row_table import Line, RowTable
from lvmtui.widgets.run_groups import AMONG_HOSTS, GROUP_KEY, GROUPS, RunGroup, grouped, heading_of
from lvmtui.widgets.run_rows import RunCells, columns_for
from lvmtui.widgets.run_table import RunTable

__all__ = ["RunList", "RunTable"]

SHELF_NAMES = {Shelf.RUNS: "Runs", Shelf.ARCHIVED: "Archived runs", Shelf.TRASH: "Trash"}

NO_RUNS = """No runs yet.

n            launch a phase
lvmtui demo  train a small model"""

NOTHING_ON = {
    Shelf.RUNS: "All runs are archived or in the trash: a lists them.",
    Shelf.ARCHIVED: "Nothing is archived. A takes a run out of lists and leaderboards; a lists the trash.",
    Shelf.TRASH: "The trash is empty. D puts a run into it, u takes it out again; a lists the runs.",
}


Shown = tuple[str, tuple[str, str] | None, str]
"""What a line shows beside its run: the first column, mark and colour, and why it waits or since when it is
silent."""


class RunList(Vertical):
    """Posts RunFocused, RunMarked and RunOpened; sort, filter, groups and shelf go up as OptionsChanged.

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
    """

    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings("filter", "sort", "attention", "runs")]

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None, repaint=False)
    focused: reactive[int | None] = reactive[int | None](None, repaint=False)
    marked: reactive[tuple[int, ...]] = reactive[tuple[int, ...]]((), repaint=False)
    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)

    @dataclass
    class ColumnsWanted(Message):
        """The user wants to choose columns."""

        shown: tuple[str, ...]
        """Fields that the columns show now."""

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._due = False
        self._title: tuple[str, str] = ("", "")
        self._shows: tuple[object, ...] | None = None
        """What the rows were written from."""
        self._runs: tuple[RunView, ...] | None = None
        """What `_chosen` was chosen from, by `_asked`."""
        self._asked: tuple[object, ...] = ()
        self._chosen: list[RunView] = []
        self._order: tuple[object, ...] = ()
        self._group = ""
        self._views: list[RunView] = []
        """`_chosen` in the order that is wanted."""
        self._on_shelf = 0
        self._problem = ""
        self._reasons: dict[int, str] = {}
        self._lines: dict[int, tuple[RunView, Shown, Line]] = {}
        self._usual: Shown = ("", None, "")
        self._headings: dict[str, tuple[tuple[object, ...], Line]] = {}
        self._folded: set[str] = set()
        self._told: list[int] = []
        """Runs that the App was told of and has not echoed yet."""
        self._follows = True
        """The cursor goes to the focused run."""

    def compose(self) -> ComposeResult:
        yield FilterLine().data_bind(RunList.options)
        yield RunTable(opens=True, marks=True)

    @property
    def table(self) -> RunTable:
        """The rows."""
        return self.query_one(RunTable)

    @property
    def shown_ids(self) -> tuple[int, ...]:
        """Ids of the runs that are listed now, from the top."""
        return tuple(int(line.key) for line in self.table.lines if line.heading is None)

    def on_mount(self) -> None:
        self.set_class(ascii_only(self), "-ascii")
        self.app.theme_changed_signal.subscribe(self, lambda _: self.sync())
        self.sync()

    def watch_snapshot(self) -> None:
        self.sync()

    def watch_focused(self, focused: int | None) -> None:
        """Go where the App says, unless it only repeats where the cursor was put."""
        if focused in self._told:
            del self._told[: self._told.index(focused) + 1]
            return
        self._told.clear()
        self._follows = True
        self.sync()

    def watch_marked(self) -> None:
        self.sync()

    def watch_options(self) -> None:
        self.sync()

    def _change(self, **changes: object) -> None:
        self.post_message(OptionsChanged(replace(self.options, **changes)))  # type: ignore[arg-type]

    def action_filter(self) -> None:
        """Open the line in which a filter is typed."""
        self.query_one(FilterLine).open()

    def action_sort(self) -> None:
        """Sort by the next column."""
        keys = list(dict.fromkeys([DEFAULT_SORT, *(c.sort_key for c in self.table.columns if c.sortable)]))
        now = self._field.key
        following = keys[(keys.index(now) + 1) % len(keys)] if now in keys else keys[0]
        self._change(sort=following, reverse=False)

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._change(reverse=not self.options.reverse)

    def action_attention(self) -> None:
        """Show only runs that need attention, or all again."""
        self._change(attention=not self.options.attention)

    def action_group_runs(self) -> None:
        """Group by the next quality, or not at all."""
        known = [by for by in GROUPS if by != AMONG_HOSTS or self._watches]
        self._change(group=_after(self.options.group, known))

    def action_shelf(self) -> None:
        """List archived runs, the trash, the runs again."""
        self._change(shelf=_after(self.options.shelf, list(Shelf)))

    def action_columns(self) -> None:
        """Ask for the form in which columns are chosen and ordered."""
        shown = (column.sort_key for column, _ in self.table.shown_columns)
        self.post_message(self.ColumnsWanted(tuple(key for key in shown if key in FIELDS)))

    @property
    def _field(self) -> RunField:
        """What the runs are sorted by."""
        return field_of(self.options.sort) or FIELDS[DEFAULT_SORT]

    @property
    def _downwards(self) -> bool:
        return self._field.best_first != self.options.reverse

    @on(RowTable.HeaderClicked)
    def sort_by_column(self, message: RowTable.HeaderClicked) -> None:
        """Sort by the column; the other way round where it is sorted by it already."""
        message.stop()
        again = message.column == self._field.key
        self._change(sort=message.column, reverse=again and not self.options.reverse)

    @on(RowTable.Moved)
    def tell_focus(self, message: RowTable.Moved) -> None:
        """The user put the cursor on another run, or on a heading."""
        message.stop()
        if message.key.isdecimal():
            self._tell(int(message.key))

    def _tell(self, run_id: int) -> None:
        self._follows = False
        if run_id != (self._told[-1] if self._told else self.focused):
            self._told.append(run_id)
            self.post_message(RunFocused(run_id))

    @on(RowTable.Opened)
    def open_row(self, message: RowTable.Opened) -> None:
        """Open a run; fold or unfold a group."""
        message.stop()
        if message.key.isdecimal():
            self.post_message(RunOpened(int(message.key)))
        else:
            self._fold(message.key, message.key not in self._folded)

    @on(RowTable.Marked)
    def mark_row(self, message: RowTable.Marked) -> None:
        """Mark the run, or take its mark away."""
        message.stop()
        if message.key.isdecimal():
            self.post_message(RunMarked(int(message.key)))

    @on(RunTable.Folded)
    def fold(self, message: RunTable.Folded) -> None:
        """Fold the group and put the cursor on its heading."""
        message.stop()
        lines = self.table.lines
        at = next((i for i, line in enumerate(lines) if line.key == message.key), -1)
        heading = next((lines[i].key for i in range(at, -1, -1) if lines[i].heading is not None), None)
        if heading is not None:
            self.table.move_to(heading)
            self._fold(heading, True)

    @on(RunTable.Unfolded)
    def unfold(self, message: RunTable.Unfolded) -> None:
        """Show the runs of a group."""
        message.stop()
        self._fold(message.key, False)

    def _fold(self, key: str, folded: bool) -> None:
        if key.startswith(GROUP_KEY) and folded != (key in self._folded):
            self._folded ^= {key}
            self.sync()

    def sync(self) -> None:
        """Show the present state soon, once for all changes of this moment."""
        if self.is_attached and not self._due:
            self._due = True
            self.call_next(self._sync)

    def _sync(self) -> None:
        self._due = False
        if not self.is_mounted:
            return
        table, look = self.table, chart_look(self)
        moved = self._choose()
        chosen = (self._views, self._asked, self._order, self._group, self.options.columns)
        folded = frozenset(self._folded)
        hosts = self.snapshot.hosts if self.snapshot and self.options.group == AMONG_HOSTS else self._watches
        shows = (*chosen, self.marked, folded, look.palette, look.ascii_only, self._empty_store, hosts)
        if self._shows is None or not all(map(_same, shows, self._shows)):
            self._shows = shows
            self._say()
            columns = columns_for(self.options, self._views, watches=self._watches)
            table.empty = self._why_empty()
            lines = list(self._written(columns[0].key, look))
            table.show(lines, columns=columns, sort=(self._field.key, self._downwards))
        if moved:
            table.reveal()
        self._place_cursor()

    @property
    def _empty_store(self) -> bool | None:
        """Whether there are no runs at all; None: not known yet."""
        return None if self.snapshot is None else not self.snapshot.runs

    @property
    def _watches(self) -> bool:
        """Whether hosts are watched."""
        return self.snapshot is not None and bool(self.snapshot.hosts)

    def _choose(self) -> bool:
        """Choose and sort the runs, where others are there or wanted than before.

        Returns:
            whether others are wanted, or in another order.
        """
        options, snapshot = self.options, self.snapshot
        runs = snapshot.runs if snapshot else ()
        asked = (options.filter, options.filter_is_regex, options.attention, options.shelf)
        order = (options.sort, options.reverse)
        others, moved = asked != self._asked, order != self._order
        regrouped, self._group = options.group != self._group, options.group
        if self._runs is not None and len(runs) == len(self._runs) and all(map(is_, runs, self._runs)):
            runs = self._runs
        if runs is not self._runs:
            self._reasons = _reasons(runs, snapshot.taken if snapshot else 0.0)
            if len(self._lines) > len(runs):
                known = {view.run.id for view in runs}
                self._lines = {run_id: kept for run_id, kept in self._lines.items() if run_id in known}
        if others or runs is not self._runs:
            self._chosen, self._problem = filters.chosen(runs, options)
            self._on_shelf = len(filters.on_shelf(runs, self._shelf))
        if others or moved or runs is not self._runs:
            self._views = sorted_by(self._chosen, options.sort, options.reverse)
        self._runs, self._asked, self._order = runs, asked, order
        return others or moved or regrouped

    @property
    def _shelf(self) -> Shelf:
        return Shelf(self.options.shelf) if self.options.shelf in list(Shelf) else Shelf.RUNS

    def _say(self) -> None:
        """Title and filter problem; only what differs is painted."""
        options = self.options
        limits = ["! attention"] if options.attention else []
        if options.filter:
            limits.append(f"{'regex' if options.filter_is_regex else 'filter'}: {fmt.plain(options.filter)}")
        name = SHELF_NAMES[self._shelf]
        count = f"{name} {len(self._views)}/{self._on_shelf}" if limits else name
        arrow = "▾" if self._downwards else "▴"
        by = GROUPS.get(options.group, "")
        hint = ["/ filter"] if self._shelf is Shelf.RUNS and not by else []
        parts = [*(limits or hint), f"s sort: {self._field.title} {arrow}"]
        parts += [by] * bool(by)
        title = f"{count}  ({' · '.join(parts)})", fmt.plain(self._problem)
        if title != self._title:
            self._title = title
            self.border_title, self.border_subtitle = map(Content, title)

    def _why_empty(self) -> str:
        snapshot, options = self.snapshot, self.options
        if snapshot is None:
            return "reading the store…"
        if not snapshot.runs:
            return NO_RUNS
        if not self._on_shelf:
            return NOTHING_ON[self._shelf]
        if options.attention:
            return "Nothing needs attention. ! shows all runs again."
        return f"No run fits {fmt.plain(options.filter)!r}: / changes the filter, esc in it clears it."

    def _written(self, first: str, look: Look) -> Iterator[Line]:
        """The lines; those of runs that are as they were are the same objects as before."""
        palette = [colour if colour[:1] == "#" else f"ansi_{colour}" for colour in look.palette]
        marks = {
            run_id: (look.marker(place), palette[place % len(palette)])
            for place, run_id in enumerate(self.marked)
        }
        if not GROUPS.get(self.options.group):
            yield from self._run_lines(self._views, first, marks)
            return
        for group in grouped(self._views, self.options.group):
            yield self._heading(group)
            if group.key not in self._folded:
                yield from self._run_lines(group.views, first, marks)

    def _run_lines(
        self, views: Sequence[RunView], first: str, marks: dict[int, tuple[str, str]]
    ) -> Iterator[Line]:
        lines, reasons = self._lines, self._reasons
        if self._usual[0] != first:
            self._usual = (first, None, "")
        usual = self._usual
        for view in views:
            run_id = view.run.id
            kept = lines.get(run_id)
            shown = usual
            if run_id in marks or run_id in reasons:
                shown = (first, marks.get(run_id), reasons.get(run_id, ""))
            if kept is None or kept[0] is not view or (kept[1] is not shown and kept[1] != shown):
                mark = Content.styled(*shown[1]) if shown[1] else None
                line = Line(str(run_id), RunCells(view, first, mark, shown[2]))
                kept = lines[run_id] = view, shown, line
            yield kept[2]

    def _heading(self, group: RunGroup) -> Line:
        shown = (group.views, group.key in self._folded, self._note(group))
        kept = self._headings.get(group.key)
        if kept is None or kept[0] != shown:
            heading = heading_of(group, folded=shown[1], note=shown[2])
            kept = self._headings[group.key] = shown, Line(group.key, heading=heading, stops=True)
        return kept[1]

    def _note(self, group: RunGroup) -> str:
        """How the host is whose runs a group has."""
        origin = group.views[0].run.origin
        host = self.snapshot.host(origin) if self.snapshot and self.options.group == AMONG_HOSTS else None
        how = host_words.standing(host) if host else None
        if host is None or how is None or self.snapshot is None or how is Standing.LIVE:
            return ""
        return f"{GLYPHS[how]} {host_words.said(host, self.snapshot.taken)[-1]}"

    def _place_cursor(self) -> None:
        """Put the cursor on the focused run when it is another; where that one is not shown, ask for the one
        in its place."""
        table = self.table
        if self._follows and self.focused is not None and table.has_row(str(self.focused)):
            table.move_to(str(self.focused))
            self._follows = False
        elif table.run_at_cursor is not None:
            self._tell(table.run_at_cursor)


def _reasons(runs: Sequence[RunView], now: float) -> dict[int, str]:
    """Run id -> why it waits; of a run whose host is silent, when it was last heard of."""
    silent = {
        view.run.id: host_words.moment(view.silent, now)
        for view in runs
        if view.silent is not None and is_doubtful(view)
    }
    if not any(view.state is State.QUEUED for view in runs):
        return silent
    from lvmtui.waiting import waiting_reasons

    return waiting_reasons([view.run for view in runs], now) | silent


def _same(one: object, other: object) -> bool:
    # Lists of runs are built anew where anything may differ; comparing them would look at every run.
    return one is other if isinstance(one, list) else one == other


def _after(now: str, known: Sequence[str]) -> str:
    return known[(known.index(now) + 1) % len(known)] if now in known else known[0]
