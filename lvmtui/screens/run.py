"""Everything about one run: its curves, epochs, checkpoints, recipe, evaluation, log and events."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Protocol, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from lvmtui import commands
from lvmtui.format import plain
from lvmtui.host_words import awaited, root_of
from lvmtui.screens.base import LvmScreen
from lvmtui.screens.export import Format, export
from lvmtui.screens.tabbed import ScreenTabs, TabbedScreen
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.store.records import MetricPoint
from lvmtui.widgets.audit_view import AuditView
from lvmtui.widgets.checkpoints_table import CheckpointsTable
from lvmtui.widgets.curve_grid import CurveGrid
from lvmtui.widgets.epochs_table import EpochsTable
from lvmtui.widgets.evaluation_view import EvaluationView
from lvmtui.widgets.events_table import EventsTable
from lvmtui.widgets.latency_table import LatencyTable
from lvmtui.widgets.log_view import LogLines, LogView
from lvmtui.widgets.lone_chart import why_empty
from lvmtui.widgets.recipe_view import RecipeView
from lvmtui.widgets.run_header import RunHeader
from lvmtui.widgets.slices_table import SlicesTable
from lvmtui.widgets.status_bar import StatusBar


class Tab(Protocol):
    """What every tab's widget can do."""

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:
        """Show this run."""


TABS: dict[str, tuple[str, type[Widget]]] = {
    "curves": ("Curves", CurveGrid),
    "epochs": ("Epochs", EpochsTable),
    "checkpoints": ("Checkpoints", CheckpointsTable),
    "recipe": ("Recipe", RecipeView),
    "evaluation": ("Evaluation", EvaluationView),
    "slices": ("Slices", SlicesTable),
    "latency": ("Latency", LatencyTable),
    "audit": ("Audit", AuditView),
    "log": ("Log", LogView),
    "events": ("Events", EventsTable),
}
"""Id of a tab -> its name and the widget that shows the run there."""


HINTS = {
    "epochs": "★ best epoch · newest first",
    "checkpoints": "enter: compare the file's sha256 · P: promote the best",
    "recipe": "◆ overridden at launch",
    "slices": "best evaluation · gain: points of Hit@5 over the best baseline",
    "events": "newest first · 5: events of all runs, each in full",
    "latency": "measured by `lvmtui bench` · compare only what one place has measured",
}
"""What is said under some tabs."""

KNOWN = frozenset({"recipe", "audit", "events"})
"""Tabs that show what comes with the list of runs; the others wait for what is asked of a watched host."""


class RunScreen(TabbedScreen):
    """The run that was opened. Only the tab in front is kept up to date."""

    DEFAULT_CSS = """
    RunScreen {
        & > ContentSwitcher { height: 1fr; }
        & #empty { padding: 1 2; color: $text-muted; }
        & .hint { height: 1; padding: 0 1; color: $text-muted; }
    }
    """
    TAB_IDS = tuple(TABS)
    BINDINGS: ClassVar[list[BindingType]] = [
        *commands.bindings("charts", "tabs"),
        *(binding for binding in commands.bindings("leaderboard") if binding.id == "export"),
    ]

    def compose(self) -> ComposeResult:
        yield StatusBar().data_bind(LvmScreen.snapshot)
        yield RunHeader().data_bind(LvmScreen.snapshot, focused=LvmScreen.focused_run)
        yield ScreenTabs([name for name, _ in TABS.values()])
        with ContentSwitcher(initial="empty"):
            yield Static("", id="empty", markup=False)
            with Vertical(id="curves"):
                yield CurveGrid().data_bind(LvmScreen.options)
            for name in list(TABS)[1:]:
                with Vertical(id=name):
                    yield TABS[name][1]()
                    if name in HINTS:
                        yield Static(Content(HINTS[name]), classes="hint")
        yield from super().compose()

    @property
    def detail(self) -> RunDetail | None:
        """What was read of the run, if it is read already."""
        return self.snapshot.details.get(self.focused_run or 0) if self.snapshot else None

    def watch_focused_run(self) -> None:
        """Show another run."""
        self._update()

    def _update(self) -> None:
        if not self.is_mounted:
            return
        view, detail, snapshot, tab = self.view, self.detail, self.snapshot, self.tab
        switcher = self.query_one(ContentSwitcher)
        waiting = view is None or detail is None or snapshot is None
        if tab not in KNOWN and view is not None and detail is not None and snapshot is not None:
            waiting = bool(awaited(view, detail, snapshot))
        if waiting or (tab == "curves" and detail is not None and not detail.series):
            words = why_empty(snapshot, view, "a first value")
            if view is None and snapshot:
                words = "This run is not in the store any more; esc goes back."
            empty = self.query_one("#empty", Static)
            if str(empty.content) != words:
                empty.update(Content(words))
            switcher.current = "empty"
            return
        came = switcher.current != tab
        switcher.current = tab
        shown = cast("Tab", self.query_one(TABS[tab][1]))
        if view is not None and detail is not None and snapshot is not None:
            shown.show_run(view, detail, snapshot)
            self._hint(tab, view, snapshot)
        if came:
            self._focus_tab()

    def _hint(self, tab: str, view: RunView, snapshot: Snapshot) -> None:
        """Say under checkpoints where they are, and that files of another machine are not read from here."""
        if tab != "checkpoints":
            return
        words = HINTS[tab]
        if view.run.origin:
            root = plain(str(root_of(view, snapshot)))
            words = f"files are on {view.run.origin} in {root} · enter: the whole path · P: promote the best"
        hint = self.query_one(f"#{tab} > .hint", Static)
        if str(hint.content) != words:
            hint.update(Content(words))

    def _focus_tab(self) -> None:
        """Give the keys to what is in front, unless something is being typed."""
        if self.query_one(ContentSwitcher).current == "empty":
            return
        self.set_focus(self.query_one(LogLines if self.tab == "log" else TABS[self.tab][1]))

    def action_export(self) -> None:
        """Write the run to a file."""
        view, detail, snapshot = self.view, self.detail, self.snapshot
        if view is None or detail is None or snapshot is None:
            return

        def text_of(kind: Format) -> str:
            from lvmtui.export.text import run_text

            return run_text(
                view,
                snapshot.protocols,
                kind,
                evaluations=detail.evaluations,
                metrics=tuple(points_of(detail)),
                events=detail.events,
                checkpoints=detail.checkpoints,
                latencies=detail.latencies,
                looks=snapshot.test_looks.get(view.run.data_fingerprint or "", 0),
            )

        export(self, view.run.name, view.run.name.replace(" #", "-"), text_of)


def points_of(detail: RunDetail) -> Iterator[MetricPoint]:
    """The curves as single values, in the order of their keys."""
    for key, series in sorted(detail.series.items()):
        columns = (series.step, series.epoch, series.time, series.value)
        for step, epoch, time, value in zip(*(column.tolist() for column in columns), strict=True):
            yield MetricPoint(key, int(step), epoch, time, value if math.isfinite(value) else None)
