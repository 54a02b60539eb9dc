"""The dashboard: what runs, whether it still gets better, how long it will go on."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType

from lvmtui import commands
from lvmtui.screens.base import LvmScreen
from lvmtui.snapshot import Snapshot
from lvmtui.widgets.devices import Devices
from lvmtui.widgets.hit_chart import HitChart
from lvmtui.widgets.log_tail import LogTail
from lvmtui.widgets.loss_chart import LossChart
from lvmtui.widgets.pane_tabs import PaneTabs
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.panes import Panes
from lvmtui.widgets.run_list import RunList, RunTable
from lvmtui.widgets.run_summary import RunSummary
from lvmtui.widgets.status_bar import StatusBar
from lvmtui.widgets.welcome import Welcome

PANES = {"hit": "Hit@K", "run": "run", "loss": "loss", "log": "log", "devices": "devices"}
"""Id and name of the panes that take turns where there is room for one beside the runs."""

WIDE = 100
"""Columns from which on the runs stand beside the charts."""

Bound = TypeVar("Bound", Panel, RunList)


class DashboardScreen(LvmScreen):
    """Opens first."""

    CSS_PATH = "dashboard.tcss"
    AUTO_FOCUS = "RunTable"
    FEW_CURVES = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *commands.bindings("filter", "sort", "attention", "runs", "charts", "tabs")
    ]

    def compose(self) -> ComposeResult:
        yield self._bind(StatusBar())
        yield Welcome().data_bind(LvmScreen.snapshot)
        with Panes(id="panes").data_bind(LvmScreen.options):
            yield self._bind(RunList(id="runs"))
            yield PaneTabs(list(PANES.values()), id="tabs")
            yield self._bind(HitChart(id="hit", classes="pane"))
            yield self._bind(LossChart(id="loss", classes="pane"))
            yield self._bind(Devices(id="devices", classes="pane"))
            yield self._bind(RunSummary(id="run", classes="pane"))
            yield self._bind(LogTail(id="log", classes="pane"))
        yield from super().compose()

    @staticmethod
    def _bind(widget: Bound) -> Bound:
        """The widget, following the screen's state."""
        widget.data_bind(
            snapshot=LvmScreen.snapshot,
            focused=LvmScreen.focused_run,
            marked=LvmScreen.marked,
            options=LvmScreen.options,
        )
        return widget

    def on_resize(self, event: events.Resize) -> None:
        """The list stands beside the charts where the terminal is wide enough."""
        super().on_resize(event)
        panes = self.query_one(Panes)
        panes.watches = self._watches
        beside = event.size.width >= WIDE
        if beside != panes.beside:
            panes.beside = beside
            panes.divide()

    @property
    def _watches(self) -> bool:
        """Whether hosts are watched: known before anything is read."""
        snapshot = self.snapshot
        return bool(snapshot.hosts if snapshot is not None else getattr(self.app, "hosts", ()))

    @on(Panes.Dragged)
    def keep_share(self, message: Panes.Dragged) -> None:
        """Remember where the border was dragged to."""
        self.change_options(list_share=message.share)

    def watch_snapshot(self, snapshot: Snapshot | None) -> None:
        """Explain oneself as long as there are no runs."""
        self.set_class(snapshot is not None and not snapshot.runs, "-no-runs")
        for panes in self.query(Panes):
            panes.watches = self._watches
        self._regain_focus()

    def watch_options(self) -> None:
        """A filter that lets nothing through has hidden the rows and taken their focus."""
        self._regain_focus()

    def _regain_focus(self) -> None:
        if self.focused is None and self.is_mounted:
            self.call_after_refresh(self._focus_rows)

    def _focus_rows(self) -> None:
        if self.focused is None:
            self.query_one(RunTable).focus()

    @property
    def cursor_run(self) -> int | None:
        """Id of the run under the cursor; None on a heading of a group and where no run is listed."""
        return self.query_one(RunTable).run_at_cursor

    @on(PaneTabs.Chosen)
    def show_pane(self, message: PaneTabs.Chosen) -> None:
        """Show the chosen pane where there is room for one only."""
        for index, name in enumerate(PANES):
            self.query_one(f"#{name}").set_class(index == message.index, "-chosen")

    def action_next_pane(self) -> None:
        """Show the next pane where they take turns, else go to it."""
        if self.has_class("-narrow"):
            self.action_next_tab()
        else:
            self.focus_next()

    def action_next_tab(self) -> None:
        """Show the next pane."""
        self.query_one(PaneTabs).move(1)

    def action_previous_tab(self) -> None:
        """Show the pane before."""
        self.query_one(PaneTabs).move(-1)

    def action_filter(self) -> None:
        """Open the line in which a filter is typed."""
        self.query_one(RunList).action_filter()

    def action_sort(self) -> None:
        """Sort the runs by the next column."""
        self.query_one(RunList).action_sort()

    def action_attention(self) -> None:
        """Show only runs that need attention, or all again."""
        self.query_one(RunList).action_attention()

    def action_reverse(self) -> None:
        """Sort the runs the other way round."""
        self.query_one(RunList).action_reverse()

    def action_columns(self) -> None:
        """Choose and order the columns of the runs."""
        self.query_one(RunList).action_columns()

    def action_group_runs(self) -> None:
        """Group the runs by the next quality, or not at all."""
        self.query_one(RunList).action_group_runs()

    def action_shelf(self) -> None:
        """List archived runs, the trash, the runs again."""
        self.query_one(RunList).action_shelf()

    @on(RunList.ColumnsWanted)
    async def choose_columns(self, message: RunList.ColumnsWanted) -> None:
        """Show the form for the columns of the runs."""
        from lvmtui.screens.columns import ColumnsScreen

        message.stop()
        await self.app.push_screen(ColumnsScreen(self.options, message.shown))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tabs are there only where panes take turns."""
        if action in {"next_tab", "previous_tab"}:
            return self.has_class("-narrow")
        return super().check_action(action, parameters)
