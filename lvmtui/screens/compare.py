"""The marked runs side by side: curves over each other, paired tests, recipes, what context length does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from lvmtui import commands
from lvmtui.compare.scaling import SMALLEST, Scaling
from lvmtui.compare.side_by_side import SideBySide, read_side_by_side
from lvmtui.errors import LvmtuiError
from lvmtui.format import percent, plain
from lvmtui.screens.base import LvmScreen
from lvmtui.screens.tabbed import ScreenTabs, TabbedScreen
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.widgets.compare_curves import OverlayGrid
from lvmtui.widgets.compare_recipe import RecipeDiff
from lvmtui.widgets.compare_scaling import Pools, ScalingView
from lvmtui.widgets.compare_tests import TestsTable, TestsView
from lvmtui.widgets.curve_grid import CurveGrid
from lvmtui.widgets.look import chart_look, ink
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.row_table import RowTable
from lvmtui.widgets.status_bar import StatusBar

TABS = {"curves": "Curves", "tests": "Tests", "recipes": "Recipe", "scaling": "Scaling"}
"""Id of a tab -> its name."""

Load = Callable[[Sequence[int]], SideBySide]
"""Reads and compares the runs with these ids; called in a thread."""

Scale = Callable[[Sequence[int], Pools], Scaling]
"""Reads what context length does to the runs with these ids; called in a thread."""

Key = tuple[tuple[int, int], ...]
"""What a comparison depends on: each run and its best evaluation."""


def chosen(snapshot: Snapshot | None, focused: int | None, marked: Sequence[int]) -> tuple[RunView, ...]:
    """The runs to compare: the marked ones; a single one with the run under the cursor."""
    if snapshot is None:
        return ()
    ids = list(marked)
    if len(ids) < 2 and focused is not None and focused not in ids:
        ids.append(focused)
    return tuple(view for run_id in ids if (view := snapshot.view(run_id)) is not None)


class Legend(Panel):
    """Which run has which colour and sign, with its best Hit@5, in one line."""

    DEFAULT_CSS = """
    Legend { border: none; height: 1; padding: 0 1; background: $background; }
    Legend.-ascii { border: none; }
    """

    def draw(self, width: int, height: int) -> Sequence[Text]:  # noqa: ARG002
        look, colours = chart_look(self), ink(self)
        line = Text()
        for place, view in enumerate(chosen(self.snapshot, self.focused, self.marked)):
            line.append("   " if line else "")
            line.append(f"{look.marker(place)} {plain(view.run.name)}", look.colour(place))
            line.append(f" {percent(view.best.hit5) if view.best else view.state.value}", colours.text)
        return [line]


class CompareScreen(TabbedScreen):
    """Only the tab in front is kept up to date."""

    DEFAULT_CSS = """
    CompareScreen {
        & > ContentSwitcher { height: 1fr; }
        & #empty { padding: 1 2; }
        & #curve-status, & #recipe-note { height: auto; max-height: 2; padding: 0 1; color: $text-muted; }
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
            load: reads and compares; None: from the App's store.
            scale: reads and groups by context; None: from the App's store.
        """
        super().__init__()
        self._load = load or self._from_store
        self._scale = scale or self._scaling_from_store
        self._scaled: CompareScreen.Scaled | None = None
        self._scaling_asked: tuple[Key, Pools] | None = None
        self._key: Key = ()
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
            with Vertical(id="curves"):
                yield OverlayGrid().data_bind(LvmScreen.options)
                yield Static("", id="curve-status", markup=False)
            with Vertical(id="recipes"):
                yield RecipeDiff(id="recipe-diff")
                yield Static("", id="recipe-note", markup=False)
            with Vertical(id="scaling"):
                yield ScalingView()
        yield from super().compose()

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
        if snapshot is not None and len(views) >= 2:
            self._read_if_new(views)
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
            return Content.styled(f"✖ {plain(self._problem)}", "$error")
        if self._compared is None:
            return Content("comparing…")
        if self.tab == "tests" and not self._compared.report.groups:
            reasons = [f"{plain(item.run.name)}: {item.reason}" for item in self._compared.left_out]
            return Content("\n".join(["Nothing can be compared yet.", "", *reasons]))
        return None

    def _show(self, views: Sequence[RunView], snapshot: Snapshot) -> None:
        tab, compared = self.tab, self._compared
        if tab == "curves":
            self.query_one(OverlayGrid).show_runs(views, snapshot)
            self._tell_how_drawn()
        elif tab == "scaling":
            self._show_scaling(views)
        elif compared is not None and tab == "tests":
            self.query_one(TestsView).show_comparison(compared)
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
            self.post_message(self.Scaled(wanted, self._scale([run_id for run_id, _ in key], pools)))
        except LvmtuiError as error:
            self.post_message(self.Scaled(wanted, None, str(error)))
        except Exception as error:
            # As in `_read`.
            self.post_message(self.Scaled(wanted, None, f"the runs cannot be read: {error}"))

    def _scaling_from_store(self, run_ids: Sequence[int], pools: Pools) -> Scaling:
        from lvmtui.compare import judged_scaling, published_scaling

        if pools is Pools.PUBLISHED:
            items = published_scaling.published_by_phases()
            return published_scaling.published_scaling(items, "published", SMALLEST)
        from lvmtui.store.database import Database
        from lvmtui.store.reader import Reader

        database = Database.open(str(getattr(self.app, "store", "")), create=False, read_only=True)
        try:
            reader = Reader(database)
            runs = [reader.run(run_id) for run_id in run_ids]
            pool = SMALLEST if pools is Pools.EQUAL else None
            return judged_scaling.read_scaling(reader, runs, pool=pool)
        finally:
            database.close()

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
        """Read ranks again when the runs or their best evaluations are others."""
        key = key_of(views)
        if key == self._key:
            return
        if [run_id for run_id, _ in key] != [run_id for run_id, _ in self._key]:
            self._compared = None
        self._key, self._problem = key, ""
        self._read(key)

    @work(thread=True, exclusive=True, group="comparing", description="comparing runs")
    def _read(self, key: Key) -> None:
        try:
            self.post_message(self.Compared(key, self._load([run_id for run_id, _ in key])))
        except LvmtuiError as error:
            self.post_message(self.Compared(key, None, str(error)))
        except Exception as error:
            # Whatever the driver makes of a file that is damaged or taken away under its hands.
            self.post_message(self.Compared(key, None, f"the runs cannot be compared: {error}"))

    def _from_store(self, run_ids: Sequence[int]) -> SideBySide:
        from lvmtui.store.database import Database
        from lvmtui.store.reader import Reader

        database = Database.open(str(getattr(self.app, "store", "")), create=False, read_only=True)
        try:
            reader = Reader(database)
            return read_side_by_side(reader, [reader.run(run_id) for run_id in run_ids])
        finally:
            database.close()

    def on_compare_screen_compared(self, message: Compared) -> None:
        """Show what was found, unless other runs are wanted by now."""
        if message.key == self._key:
            self._compared, self._problem = message.compared, message.problem
            self._update()

    @on(CurveGrid.Changed)
    def tell_how_drawn(self, message: CurveGrid.Changed) -> None:
        """Say where the cursor is and how the curves are drawn."""
        message.stop()
        self._tell_how_drawn()

    def _tell_how_drawn(self) -> None:
        words = self.query_one(OverlayGrid).status()
        if len({view.best.protocol_id for view in self.views if view.best}) > 1:
            warning = "Judged under different protocols: their scores are not comparable."
            words = Content("\n").join([words, Content.styled(warning, "$warning")])
        self._tell("#curve-status", words)

    @on(RecipeDiff.Fitted)
    def tell_about_recipes(self, message: RecipeDiff.Fitted) -> None:
        """Say how many runs there is room for."""
        message.stop()
        self._tell_about_recipes()

    def _tell_about_recipes(self) -> None:
        compared = self._compared
        if compared is None:
            return
        notes = [compared.problem] if compared.problem else []
        if not compared.differences and not compared.problem:
            notes.append("The recipes are the same.")
        left_out = self.query_one(RecipeDiff).left_out
        if left_out:
            notes.append(f"{left_out} more marked runs do not fit; widen the terminal.")
        self._tell("#recipe-note", Content("\n".join(map(plain, notes))))

    def _tell(self, name: str, words: Content) -> None:
        static = self.query_one(name, Static)
        if not (isinstance(static.content, Content) and words.is_same(static.content)):
            static.update(words)


def key_of(views: Sequence[RunView]) -> Key:
    """What a comparison of these runs depends on."""
    return tuple((view.run.id, view.best.id if view.best else 0) for view in views)


def how_to_mark(views: Sequence[RunView]) -> Content:
    """What this screen is for, and the keys that fill it."""
    only = f"Only {plain(views[0].run.name)} is chosen.\n\n" if views else ""
    return Content.assemble(
        ("Compare runs\n\n", "bold $primary"),
        "Curves over each other, paired tests between each two, what differs in their recipes, "
        "and what context length does.\n\n",
        only,
        "Two runs or more are needed:\n\n",
        ("1", "bold $text-accent"),
        " or ",
        ("2", "bold $text-accent"),
        "   show the dashboard or the leaderboard\n",
        ("space", "bold $text-accent"),
        "    mark the run under the cursor, once for each\n",
        ("3", "bold $text-accent"),
        "        come back here\n\n",
        "With one mark, it is compared with the run under the cursor.",
    )
