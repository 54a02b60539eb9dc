"""The marked runs side by side: curves over each other, paired tests, recipes, what context length does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from lvmtui import commands
from lvmtui.compare.scaling import Scaling
from lvmtui.compare.side_by_side import SideBySide
from lvmtui.errors import LvmtuiError
from lvmtui.format import plain, plain_lines
from lvmtui.screens.base import LvmScreen
from lvmtui.screens.compare_reading import Key, Load, Scale, comparison_from, key_of, scaling_from
from lvmtui.screens.tabbed import ScreenTabs, TabbedScreen
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.widgets.compare_curves import OverlayGrid
from lvmtui.widgets.compare_legend import Legend, chosen, how_to_mark, protocol_warning
from lvmtui.widgets.compare_recipe import RecipeDiff
from lvmtui.widgets.compare_scaling import Pools, ScalingView
from lvmtui.widgets.compare_tests import TestsTable, TestsView
from lvmtui.widgets.row_table import RowTable
from lvmtui.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from lvmtui.remote.fleet import Fleet

TABS = {"curves": "Curves", "tests": "Tests", "recipes": "Recipe", "scaling": "Scaling"}
"""Id of a tab -> its name."""

MOST_COMPARED = 12
"""Runs that are tested pair by pair and whose recipes stand side by side; there are n (n - 1) / 2 pairs."""

COMPARED = ("tests", "recipes")
"""Tabs that need the runs' ranks and recipes compared; that is done once one of them is looked at."""


class CompareScreen(TabbedScreen):
    """Only the tab in front is kept up to date."""

    DEFAULT_CSS = """
    CompareScreen {
        & > ContentSwitcher { height: 1fr; }
        & #empty { padding: 1 2; }
        & #recipe-note, & #tests-note { height: auto; max-height: 2; padding: 0 1; color: $text-muted; }
    }
    """
    TAB_IDS = tuple(TABS)
    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings("charts", "tabs")]

    @dataclass
    class Compared(Message):
        """Runs were read and compared."""

        key: Key
        compared: SideBySide | None
        problem: str = ""

    @dataclass
    class Scaled(Message):
        """Runs were read and grouped by context."""

        key: tuple[Key, Pools]
        scaling: Scaling | None
        problem: str = ""

    def __init__(self, load: Load | None = None, scale: Scale | None = None) -> None:
        """
        Args:
            load: reads and compares; None: from the App's stores.
            scale: reads and groups by context; None: from the App's stores.
        """
        super().__init__()
        self._load, self._scale = load, scale
        self._scaled: CompareScreen.Scaled | None = None
        self._scaling_asked: tuple[Key, Pools] | None = None
        self._key: Key = ()
        self._silent: frozenset[str] = frozenset()
        """Hosts of the runs that did not answer when these were read."""
        self._compared: SideBySide | None = None
        self._problem = ""

    def compose(self) -> ComposeResult:
        yield StatusBar().data_bind(LvmScreen.snapshot)
        yield Legend().data_bind(LvmScreen.snapshot, LvmScreen.marked, focused=LvmScreen.focused_run)
        yield ScreenTabs(list(TABS.values()))
        with ContentSwitcher(initial="empty"):
            yield Static("", id="empty", markup=False)
            with Vertical(id="tests"):
                yield TestsView()
                yield Static("", id="tests-note", markup=False)
            with Vertical(id="curves"):
                yield OverlayGrid().data_bind(LvmScreen.options)
            with Vertical(id="recipes"):
                yield RecipeDiff(id="recipe-diff")
                yield Static("", id="recipe-note", markup=False)
            with Vertical(id="scaling"):
                yield ScalingView()
        yield from super().compose()

    @property
    def _fleet(self) -> Fleet:
        found: Fleet = getattr(self.app, "fleet")  # noqa: B009
        return found

    @property
    def views(self) -> tuple[RunView, ...]:
        """The runs that are compared."""
        return chosen(self.snapshot, self.focused_run, self.marked)

    def watch_marked(self) -> None:
        """Compare other runs."""
        self._update()

    def watch_focused_run(self) -> None:
        """Compare another run with the marked one."""
        self._update()

    def _update(self) -> None:
        if not self.is_mounted:
            return
        views, snapshot = self.views, self.snapshot
        if snapshot is not None and len(views) >= 2 and self.tab in COMPARED:
            self._read_if_new(views[:MOST_COMPARED])
        words = self._why_empty(views)
        switcher = self.query_one(ContentSwitcher)
        if words is not None or snapshot is None:
            empty = self.query_one("#empty", Static)
            if words is not None and not (
                isinstance(empty.content, Content) and words.is_same(empty.content)
            ):
                empty.update(words)
            switcher.current = "empty"
            return
        came = switcher.current != self.tab
        switcher.current = self.tab
        self._show(views, snapshot)
        if came:
            self._focus_tab()

    def _why_empty(self, views: Sequence[RunView]) -> Content | None:
        """Why there is nothing to show, and what helps; None where there is."""
        if self.snapshot is None:
            return Content("reading the store…")
        if len(views) < 2:
            return how_to_mark(views)
        if self.tab == "curves":
            read = self.snapshot.details
            if any(view.run.id in read and read[view.run.id].series for view in views):
                return None
            return Content("waiting for a first value")
        if self.tab == "scaling":
            return None
        if self._problem:
            return Content.styled("✖ " + "\n  ".join(plain_lines(self._problem)), "$error")
        if self._compared is None:
            return Content("comparing…")
        if self.tab == "tests" and not self._compared.report.groups:
            reasons = [f"{plain(item.run.name)}: {item.reason}" for item in self._compared.left_out]
            return Content("\n".join(["Nothing can be compared yet.", "", *reasons]))
        return None

    def _show(self, views: Sequence[RunView], snapshot: Snapshot) -> None:
        tab, compared = self.tab, self._compared
        if tab == "curves":
            grid = self.query_one(OverlayGrid)
            grid.note = protocol_warning(views)
            grid.show_runs(views, snapshot, on_top=self.focused_run)
        elif tab == "scaling":
            self._show_scaling(views)
        elif compared is not None and tab == "tests":
            self.query_one(TestsView).show_comparison(compared)
            self._tell("#tests-note", Content("\n".join(self._too_many())))
        elif compared is not None:
            by_id = {view.run.id: view for view in views}
            if all(run.id in by_id for run in compared.runs):
                shown = [by_id[run.id] for run in compared.runs]
                self.query_one(RecipeDiff).show_runs(shown, compared.differences)
                self._tell_about_recipes()

    def _show_scaling(self, views: Sequence[RunView]) -> None:
        """Show what was read of these runs, and read it where that has not been asked for."""
        shown = self.query_one(ScalingView)
        wanted = key_of(views), shown.pools
        if self._scaling_asked != wanted:
            self._scaling_asked = wanted
            self._read_scaling(*wanted)
        found = self._scaled
        if found is not None and found.key[1] is shown.pools:
            shown.show_scaling(found.scaling, found.problem)
        elif shown.scaling is None:
            shown.show_scaling(None)

    @work(thread=True, exclusive=True, group="scaling", description="grouping runs by context")
    def _read_scaling(self, key: Key, pools: Pools) -> None:
        wanted = key, pools
        try:
            scale = self._scale or scaling_from(self._fleet)
            self.post_message(self.Scaled(wanted, scale([run_id for run_id, _ in key], pools)))
        except LvmtuiError as error:
            self.post_message(self.Scaled(wanted, None, str(error)))
        except Exception as error:
            # As in `_read`.
            self.post_message(self.Scaled(wanted, None, f"the runs cannot be read: {error}"))

    def on_compare_screen_scaled(self, message: Scaled) -> None:
        """Show what was found, unless something else is wanted by now."""
        if message.key == self._scaling_asked:
            self._scaled = message
            self._update()

    @on(ScalingView.PoolsChosen)
    def show_pools(self, message: ScalingView.PoolsChosen) -> None:
        """Read scores on the pools that were chosen."""
        message.stop()
        self._update()

    def _focus_tab(self) -> None:
        """Give the keys to what is in front."""
        current = self.query_one(ContentSwitcher).current
        places: dict[str, Widget] = {
            "tests": self.query_one(TestsTable),
            "curves": self.query_one(OverlayGrid),
            "recipes": self.query_one(RecipeDiff),
            "scaling": self.query_one("#scaling-table", RowTable),
        }
        if current in places:
            self.set_focus(places[current])

    def _read_if_new(self, views: Sequence[RunView]) -> None:
        """Read ranks again when the runs or their best evaluations are others, or a host is back that may
        have some."""
        key, silent = key_of(views), frozenset(view.run.origin for view in views if view.silent is not None)
        came_back, self._silent = self._silent - silent, silent
        if key == self._key and not came_back:
            return
        if [run_id for run_id, _ in key] != [run_id for run_id, _ in self._key]:
            self._compared = None
        self._key, self._problem = key, ""
        self._read(key)

    @work(thread=True, exclusive=True, group="comparing", description="comparing runs")
    def _read(self, key: Key) -> None:
        try:
            load = self._load or comparison_from(self._fleet)
            self.post_message(self.Compared(key, load([run_id for run_id, _ in key])))
        except LvmtuiError as error:
            self.post_message(self.Compared(key, None, str(error)))
        except Exception as error:
            # Whatever the driver makes of a file that is damaged or taken away under its hands.
            self.post_message(self.Compared(key, None, f"the runs cannot be compared: {error}"))

    def on_compare_screen_compared(self, message: Compared) -> None:
        """Show what was found, unless other runs are wanted by now."""
        if message.key == self._key:
            self._compared, self._problem = message.compared, message.problem
            self._update()

    @on(RecipeDiff.Fitted)
    def tell_about_recipes(self, message: RecipeDiff.Fitted) -> None:
        """Say how many runs there is room for."""
        message.stop()
        self._tell_about_recipes()

    def _tell_about_recipes(self) -> None:
        compared = self._compared
        if compared is None:
            return
        notes = [*([compared.problem] if compared.problem else []), *self._too_many()]
        if not compared.differences and not compared.problem:
            notes.append("The recipes are the same.")
        left_out = self.query_one(RecipeDiff).left_out
        if left_out:
            notes.append(f"{left_out} more marked runs do not fit; widen the terminal.")
        self._tell("#recipe-note", Content("\n".join(map(plain, notes))))

    def _too_many(self) -> list[str]:
        """What is to be said where not all marked runs are compared."""
        marked = len(self.views)
        if marked <= MOST_COMPARED:
            return []
        return [f"Compared are the first {MOST_COMPARED} of {marked} marked runs."]

    def _tell(self, name: str, words: Content) -> None:
        static = self.query_one(name, Static)
        static.display = bool(words.plain)
        if not (isinstance(static.content, Content) and words.is_same(static.content)):
            static.update(words)
