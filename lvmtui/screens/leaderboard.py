"""The leaderboard: who leads, by how much, and whether that is more than chance and more than a baseline."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from lvmtui import commands
from lvmtui.screens.base import LvmScreen
from lvmtui.screens.export import Format, export
from lvmtui.widgets.filter_line import FilterLine
from lvmtui.widgets.leaderboard_rows import next_sort, toggled_sort
from lvmtui.widgets.leaderboard_table import LeaderboardTable
from lvmtui.widgets.row_table import RowTable
from lvmtui.widgets.status_bar import StatusBar


class LeaderboardScreen(LvmScreen):
    """Runs and baselines, ranked within one protocol."""

    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings("filter", "sort", "leaderboard")]

    def compose(self) -> ComposeResult:
        yield StatusBar().data_bind(LvmScreen.snapshot)
        yield LeaderboardTable().data_bind(
            LvmScreen.snapshot, LvmScreen.marked, LvmScreen.focused_run, LvmScreen.options
        )
        yield FilterLine(of_board=True).data_bind(LvmScreen.options)
        yield from super().compose()

    def on_mount(self) -> None:
        self.query_one(LeaderboardTable).focus()

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterLine).open()

    def action_sort(self) -> None:
        """Sort by the next column."""
        options = self.options
        following = next_sort(options.leaderboard_sort, phases=options.leaderboard_by_phase)
        self.change_options(leaderboard_sort=following)

    @on(RowTable.HeaderClicked)
    def sort_by_column(self, message: RowTable.HeaderClicked) -> None:
        """Sort by the clicked column; by the same once more: the other way round."""
        self.change_options(leaderboard_sort=toggled_sort(self.options.leaderboard_sort, message.column))

    def action_group(self) -> None:
        """One row a recipe, or one a run."""
        self.change_options(leaderboard_by_phase=not self.options.leaderboard_by_phase)

    def action_diff(self) -> None:
        """Show what differs between the marked recipes; one mark: between it and the run under the cursor."""
        from lvmtui.screens.diff import DiffScreen

        ids = list(self.marked)
        if len(ids) < 2 and self.focused_run is not None and self.focused_run not in ids:
            ids.append(self.focused_run)
        views = [view for run_id in ids if self.snapshot and (view := self.snapshot.view(run_id))]
        if len(views) < 2:
            self.notify("Mark two runs with space to see what differs.", severity="warning", markup=False)
            return
        self.app.push_screen(DiffScreen(views))

    def action_export(self) -> None:
        """Write the groups that are shown to a file."""
        snapshot = self.snapshot
        groups = self.query_one(LeaderboardTable).shown_groups()
        if snapshot is None or not groups:
            self.notify("There is nothing to export yet.", severity="warning", markup=False)
            return

        def text_of(kind: Format) -> str:
            from lvmtui.export.text import leaderboard_text

            return leaderboard_text(groups, snapshot.protocols, kind)

        export(self, "leaderboard", "leaderboard", text_of)
