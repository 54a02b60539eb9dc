"""The leaderboard: runs at their best evaluation beside the baselines, in one group a protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from textual.content import Content
from textual.reactive import reactive

from lvmtui.checks.comparing import LEAST_SEEDS
from lvmtui.config import ViewOptions
from lvmtui.filters import FilterError, filtered
from lvmtui.format import ascii_text, metric_name, plain, wrap
from lvmtui.leaderboard.ranking import (
    Group,
    copies_words,
    judged_otherwise,
    latency_words,
    leaderboard_of,
)
from lvmtui.messages import RunFocused, RunMarked, RunOpened
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.leaderboard_rows import (
    BY_RUN,
    LATENCY,
    SORTS,
    Entry,
    against,
    cells_of,
    columns_of,
    entries_of,
    heading_of,
    sorted_entries,
)
from lvmtui.widgets.look import ascii_only
from lvmtui.widgets.row_table import Column, Line, RowTable, choose

DIFFERENCE_LINES = 4
"""Lines at most that say how a group's protocol differs, or what one flaw of it is."""

NOTE_LINES = 3
"""Lines at most of a note under a group."""

LATENCY_NOTE = "latency:"
"""Keys of the lines that say where latencies were measured begin with it."""


class LeaderboardTable(RowTable):
    """Every judged run and baseline, best first, in one group a protocol."""

    DEFAULT_CSS = """
    LeaderboardTable {
        border: round $border-blurred;
        border-title-color: $foreground;
        &:focus { border: round $border; }
        &.-ascii { border: ascii $border-blurred; }
        &.-ascii:focus { border: ascii $border; }
        & > .row-table--heading { color: $foreground; }
    }
    """

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None, repaint=False)
    marked: reactive[tuple[int, ...]] = reactive[tuple[int, ...]]((), repaint=False)
    focused_run: reactive[int | None] = reactive[int | None](None, repaint=False)
    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)

    def __init__(self) -> None:
        super().__init__(BY_RUN, opens=True, marks=True, id="leaderboard")
        self.groups: tuple[Group, ...] = ()
        self._row_of: dict[int, str] = {}
        """Run id -> key of the row that it is in."""
        self._due = False
        self._title = ""

    def on_mount(self) -> None:
        self.set_class(ascii_only(self), "-ascii")
        self.rebuild()

    def watch_snapshot(self) -> None:
        """Rank again and show what changed."""
        if self.snapshot is not None:
            self.groups = leaderboard_of(self.snapshot)
        self.rebuild()

    def watch_marked(self) -> None:
        self.rebuild()

    def watch_options(self) -> None:
        self.rebuild()

    def watch_focused_run(self) -> None:
        self.rebuild()

    @property
    def cursor_run(self) -> int | None:
        """Id of the run under the cursor."""
        key = self.cursor or ""
        return int(key.removeprefix("run:")) if key.startswith("run:") else None

    def shown_groups(self) -> tuple[Group, ...]:
        """The groups with the rows that the filter lets through, ranks as without a filter."""
        views: Sequence[RunView] = self.snapshot.runs if self.snapshot else ()
        with contextlib.suppress(FilterError):  # The line in which it is typed says what is wrong.
            views = filtered(views, self.options)
        fitting = {view.run.id for view in views}
        shown = (
            replace(group, rows=tuple(r for r in group.rows if r.is_baseline or r.run_id in fitting))
            for group in self.groups
        )
        return tuple(group for group in shown if not all(row.is_baseline for row in group.rows))

    def rebuild(self) -> None:
        """Show the present state soon, once for all changes of this moment."""
        if self.is_attached and not self._due:
            self._due = True
            self.call_next(self._rebuild)

    def _rebuild(self) -> None:
        self._due = False
        if not self.is_mounted:
            return
        sort = self.options.leaderboard_sort.lstrip("-")
        sort = sort if sort in SORTS else "rank"
        downwards = SORTS[sort][1] != self.options.leaderboard_sort.startswith("-")
        self._row_of = {}
        groups = self.shown_groups()
        lines = [
            line
            for number, group in enumerate(groups)
            for line in self._group_lines(group, number, sort, downwards)
        ]
        self.empty = self._why_empty()
        self._entitle(sort)
        columns = columns_of(groups, phases=self.options.leaderboard_by_phase)
        self.show(self._with_notes(lines, columns), columns=columns, sort=(sort, downwards))
        self._follow()

    def _with_notes(self, lines: list[Line], columns: Sequence[Column]) -> list[Line]:
        """The lines without the notes on latency where there is no room for its column."""
        if not any(line.key.startswith(LATENCY_NOTE) for line in lines):
            return lines
        shown = choose(columns, lines, self.scrollable_content_region.width - 2)
        if LATENCY in (column for column, _ in shown):
            return lines
        return [line for line in lines if not line.key.startswith(LATENCY_NOTE)]

    def _follow(self) -> None:
        """Put the cursor on the run that the App is on; where it is not here, say which one it is on."""
        row = self._row_of.get(self.focused_run) if self.focused_run is not None else None
        if row is not None:
            self.move_to(row)
        elif self.cursor_run is not None:
            self.post_message(RunFocused(self.cursor_run))

    def _why_empty(self) -> str:
        if self.snapshot is None:
            return "reading the store…"
        if self.groups:
            return "No run fits the filter: / changes it, esc clears it."
        if self.snapshot.runs:
            return "No run has been judged yet: the first evaluation comes at the end of a run's first epoch."
        return "No run yet. Judged runs are ranked here beside their baselines: n launches one."

    def _entitle(self, sort: str) -> None:
        options = self.options
        parts = [
            "Leaderboard",
            "by phase, seeds together (p)" if options.leaderboard_by_phase else "by run (p)",
        ]
        parts.append(f"sort (s): {metric_name(sort)}")
        if options.filter:
            parts.append(f"filter: {options.filter}")
        title = Content(" ─ ".join(parts))
        if ascii_only(self):
            title = Content(ascii_text(title.plain))
        if title.plain != self._title:
            self._title = title.plain
            self.border_title = title
            self.border_subtitle = "/ filter, d diff of marked, w export"

    def _group_lines(self, group: Group, number: int, sort: str, downwards: bool) -> Iterator[Line]:
        phases = self.options.leaderboard_by_phase
        entries = sorted_entries(entries_of(group, phases=phases), sort, downwards)
        if number:
            yield Line(f"gap:{group.protocol_id}", heading=Content(""))
        yield Line(f"heading:{group.protocol_id}", heading=heading_of(group))
        width = max(20, self.scrollable_content_region.width - 4)
        remarks = [*(f"! {plain(flaw)}" for flaw in group.flaws), group.difference]
        for number, remark in enumerate(remarks):
            for part, text in enumerate(wrap(remark, width, DIFFERENCE_LINES)):
                key = f"remark:{group.protocol_id}:{number}:{part}"
                yield Line(key, heading=Content.styled(f"  {text}", "$warning"))
        yield Line(f"against:{group.protocol_id}", heading=against(group))
        tie = _tie(entries, phases=phases) if sort == "rank" and not downwards else None
        for entry in entries:
            baseline = entry.row.is_baseline
            yield Line(entry.key, cells_of(entry, self.marked), passed_over=baseline)
            if tie and entry.key == tie[0]:
                yield Line(f"tie:{group.protocol_id}", heading=Content.styled(tie[1], "$warning"))
        notes = (
            ("copies:", copies_words(group.rows)),
            ("judged:", judged_otherwise(group.rows)),
            (LATENCY_NOTE, latency_words(group.rows)),
        )
        for kind, words in notes:
            for part, text in enumerate(wrap(plain(words), width, NOTE_LINES)):
                key = f"{kind}{group.protocol_id}:{part}"
                yield Line(key, heading=Content.styled(f"  {text}", MUTED))
        self._row_of |= {run_id: entry.key for entry in entries for run_id in _runs_in(entry, group)}

    def on_resize(self) -> None:
        super().on_resize()
        self.rebuild()

    def on_row_table_moved(self, message: RowTable.Moved) -> None:
        message.stop()
        if self.cursor_run is not None:
            self.post_message(RunFocused(self.cursor_run))

    def on_row_table_opened(self, message: RowTable.Opened) -> None:
        message.stop()
        if self.cursor_run is not None:
            self.post_message(RunOpened(self.cursor_run))

    def on_row_table_marked(self, message: RowTable.Marked) -> None:
        message.stop()
        if self.cursor_run is not None:
            self.post_message(RunMarked(self.cursor_run))


def _runs_in(entry: Entry, group: Group) -> list[int]:
    """Ids of the runs that a row stands for."""
    if entry.summary is None:
        return [] if entry.row.run_id is None else [entry.row.run_id]
    alike = (row for row in group.rows if row.recipe_hash == entry.summary.recipe_hash)
    return [row.run_id for row in alike if row.run_id is not None]


def _tie(entries: Sequence[Entry], *, phases: bool) -> tuple[str, str] | None:
    """After which row it is said which ones are tied with the first, and the words."""
    tied = [entry for entry in entries if entry.tied]
    if not tied:
        return None
    names = ", ".join(f"#{entry.rank}" for entry in tied[:6]) + (" …" if len(tied) > 6 else "")
    if not phases:
        return tied[-1].key, f"   ── {names} tied with #1: the 95 % intervals overlap ──"
    few = any(entry.summary and entry.summary.seeds < LEAST_SEEDS for entry in (entries[0], *tied))
    why = f", fewer than {LEAST_SEEDS} seeds" if few else ""
    return tied[-1].key, f"   ── {names} and #1: no verdict: intervals overlap{why} ──"
