"""The Compare screen: on real stores through the App, and its pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher, Static

from lvmtui import stats
from lvmtui.app import LvmtuiApp
from lvmtui.compare.comparing import compare
from lvmtui.compare.contest import Contender
from lvmtui.compare.judged_scaling import Known, scaling_of
from lvmtui.compare.published_scaling import published_by_phases, published_scaling
from lvmtui.compare.scaling import SMALLEST, Scaling
from lvmtui.compare.side_by_side import SideBySide, recipe_differences
from lvmtui.errors import StoreCorrupt
from lvmtui.leaderboard.equating import Judged
from lvmtui.recipe import build
from lvmtui.screens.compare import CompareScreen
from lvmtui.snapshot import Snapshot
from lvmtui.store.database import Database
from lvmtui.store.records import EpochReport, Evaluation, Progress, Protocol, QueryFact, Run
from lvmtui.store.writer import Writer
from lvmtui.widgets.chart_kinds import overlays_of
from lvmtui.widgets.compare_curves import OverlayGrid
from lvmtui.widgets.compare_recipe import RecipeDiff
from lvmtui.widgets.compare_scaling import Pools, ScalingChart, ScalingView
from lvmtui.widgets.compare_tests import TestsTable, TestsView
from tests.cli.conftest import DOCUMENTS, POOL, QUERIES, Stored, evaluation
from tests.tui import snapshots
from tests.tui.bench import BenchApp, bench
from tests.tui.driving import opened, text, until

TAB = {"curves": 0, "tests": 1, "recipes": 2, "scaling": 3}


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    """Three runs: two recipes, two contexts, one protocol."""
    database = Database.open(tmp_path / "runs.db")
    made = Stored(tmp_path / "runs.db", database)
    for context, scores in ((100, (0.05, 0.10)), (100, (0.05, 0.30)), (400, (0.05, 0.11))):
        recipe = build({"name": "phase-1", "data": {"context": context}})
        made.finished(*scores, recipe=recipe.to_json(), recipe_hash=recipe.hash, context=context)
    yield made
    database.close()


async def compared(app: LvmtuiApp, pilot: Pilot[int], tab: str, *marked: int) -> CompareScreen:
    """The screen at one of its tabs, with these runs marked and compared."""
    app.marked = marked
    app._changed()
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, CompareScreen), "the screen")
    screen = app.screen
    assert isinstance(screen, CompareScreen)
    for _ in range(TAB[tab]):
        await pilot.press("right_square_bracket")
    await until(pilot, lambda: screen.query_one(ContentSwitcher).current == tab, f"the tab {tab}")
    await pilot.pause()
    return screen


async def test_without_marks_it_says_how_to_mark_and_marking_fills_it(stored: Stored) -> None:
    async with opened(stored.path) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "mark the run under the cursor" in text(app), "the explanation")
        assert "Only phase-1 #" in text(app)
        await pilot.press("1")
        await until(pilot, lambda: "phase-1 #1" in text(app) and app.focused is not None, "the list")
        await pilot.press("g", "space", "j", "space")
        await until(pilot, lambda: len(app.marked) == 2, "two marks")
        await pilot.press("3")
        await until(pilot, lambda: "Hit@5 on validation" in text(app), "curves")
        assert text(app).count("phase-1 #3") > 1
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "better" in text(app), "tests")
        await pilot.press("x")
        await until(pilot, lambda: "mark the run under the cursor" in text(app), "the explanation again")


async def test_one_mark_is_compared_with_the_run_under_the_cursor(stored: Stored) -> None:
    async with opened(stored.path, focus=2) as (app, pilot):
        await until(pilot, lambda: app.focused_run == 2)
        await compared(app, pilot, "tests", 1)
        await until(pilot, lambda: "▲ phase-1 #2 beats phase-1 #1 in Hit@5: +20.0" in text(app))


async def test_every_pair_is_tested_and_told_about(stored: Stored) -> None:
    async with opened(stored.path, size=(160, 50)) as (app, pilot):
        screen = await compared(app, pilot, "tests", 1, 2, 3)
        table = screen.query_one(TestsTable)
        await until(pilot, lambda: len(table.lines) > 3, "the tests")
        rows = [line.key for line in table.lines if line.is_row]
        assert sum(key.startswith("pair:phase-1 #") for key in rows) == 3
        assert sum("ewm" in key for key in rows) == 3
        assert sum(key.startswith("recipes:") for key in rows) == 1
        shown = text(app)
        assert "With these 600 queries in 30 documents a true difference below ±" in shown
        assert "corrected over the 3 pairs" in shown
        assert "first ahead" in shown
        assert "↑ above ewm" in shown
        assert "▽ below ewm, within noise" in shown or "▼ below ewm" in shown
        assert app.focused is table
        await pilot.press("right")
        await until(pilot, lambda: "Hit@10: runs, the better one first" in text(app), "the next measure")
        await pilot.press("left", "left")
        await until(pilot, lambda: "Hit@1: runs, the better one first" in text(app), "the first measure")
        await pilot.press("G")
        await until(pilot, lambda: "against phase-1" in text(app), "the last row's sentence")


async def test_the_cursor_stays_on_its_pair_when_the_measure_changes(stored: Stored) -> None:
    async with opened(stored.path) as (app, pilot):
        screen = await compared(app, pilot, "tests", 1, 2, 3)
        table = screen.query_one(TestsTable)
        await until(pilot, lambda: table.cursor is not None)
        await pilot.press("j")
        before = table.cursor
        await pilot.press("right")
        await pilot.pause()
        assert screen.query_one(TestsView).measure.key == "hit10"
        assert table.cursor == before


async def test_a_new_best_is_compared_at_once(stored: Stored) -> None:
    writer = stored.started()
    stored.epoch(writer, 1, 0.10)
    async with opened(stored.path) as (app, pilot):
        await compared(app, pilot, "tests", 1, 4)
        await until(pilot, lambda: "≈ not told apart" in text(app), "no difference")
        stored.epoch(writer, 2, 0.5)
        await until(pilot, lambda: "phase-1 #4 beats phase-1 #1" in text(app), "the new best")


async def test_curves_lie_over_each_other(stored: Stored) -> None:
    async with opened(stored.path, size=(180, 50)) as (app, pilot):
        screen = await compared(app, pilot, "curves", 1, 2, 3)
        grid = screen.query_one(OverlayGrid)
        await until(pilot, lambda: bool(grid.panes) and len(grid.panes[0].curves) == 3, "three curves")
        first = grid.panes[0]
        assert first.chart.title == "Hit@5 on validation"
        assert sorted(curve.label for curve in first.curves) == ["phase-1 #1", "phase-1 #2", "phase-1 #3"]
        assert first.curves[0].label == f"phase-1 #{app.focused_run}", "the focused run is on top"
        assert len({curve.colour for curve in first.curves}) == 3
        assert "copy-last 8.0" in text(app)
        assert app.focused is grid
        await pilot.press("enter")
        await until(pilot, lambda: grid.alone)
        await pilot.press("escape")
        await until(pilot, lambda: not grid.alone)
        app.marked = (1, 2)
        app._changed()
        await until(pilot, lambda: len(grid.panes[0].curves) == 2, "two curves")


async def test_of_many_marked_runs_the_first_are_tested_and_all_are_drawn(stored: Stored) -> None:
    for _ in range(11):
        stored.finished(0.05, 0.2)
    async with opened(stored.path, size=(180, 50)) as (app, pilot):
        screen = await compared(app, pilot, "curves", *range(1, 15))
        grid = screen.query_one(OverlayGrid)
        await until(pilot, lambda: bool(grid.panes) and len(grid.panes[0].curves) == 14, "all curves")
        assert " more" in text(app), "the legend counts those it has no room for"
        assert screen._key == (), "ranks are not read for curves"
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "Compared are the first 12 of 14 marked runs." in text(app), "the note")


def test_each_metric_has_a_chart_of_its_own() -> None:
    charts = overlays_of(["val/hit10", "own/metric", "val/hit5", "train/loss", "val/loss"])
    assert [chart.keys for chart in charts] == [
        ("val/hit5",),
        ("val/hit10",),
        ("val/loss",),
        ("train/loss",),
        ("own/metric",),
    ]
    assert [chart.levels for chart in charts] == ["hit5", "hit10", "", "", ""]


async def test_only_what_differs_in_the_recipes(stored: Stored) -> None:
    async with opened(stored.path) as (app, pilot):
        screen = await compared(app, pilot, "recipes", 1, 3)
        assert screen.query_one(RecipeDiff).lines[1].key == "data.context"
        shown = text(app)
        assert "400" in shown
        assert "best Hit@5" in shown
        assert "learning" not in shown
        app.marked = (1, 2)
        app._changed()
        await until(pilot, lambda: "The recipes are the same." in text(app), "no difference")


async def test_columns_that_do_not_fit_are_counted(stored: Stored) -> None:
    for _ in range(5):
        stored.finished(0.2)
    async with opened(stored.path, size=(80, 24)) as (app, pilot):
        await compared(app, pilot, "recipes", *range(1, 9))
        await until(pilot, lambda: "more marked runs do not fit" in text(app), "the note")


async def test_scaling_shows_contexts_with_their_baselines(stored: Stored) -> None:
    async with opened(stored.path, size=(160, 40)) as (app, pilot):
        screen = await compared(app, pilot, "scaling", 1, 2, 3)
        view = screen.query_one(ScalingView)
        await until(pilot, lambda: "Hit@5 at 400 against 100 is " in text(app), "the verdict")
        shown = text(app)
        assert "Hit@5 by context, as judged: doc-v1 on demo" in shown
        assert "12.0 ewm" in shown
        assert "One seed each: what another seed would score is not known." in shown
        assert view.scaling is not None
        first, second = view.scaling.points
        assert (first.context, second.context) == (100, 400)
        assert (first.run_ids, first.repeated) == ((2,), (1,)), "of equal seeds the newest"
        assert second.baseline is not None
        assert second.baseline.context == 100
        await pilot.press("right")
        await until(pilot, lambda: "Hit@10 by context, as judged" in text(app), "the next measure")
        await pilot.press("left", "left")
        await until(pilot, lambda: "Hit@1 by context, as judged" in text(app), "the measure before")


async def test_a_key_puts_scaling_on_one_pool_and_shows_what_was_published(stored: Stored) -> None:
    candidates = QueryFact("candidates", stats.pack_ranks(np.full(QUERIES, POOL)))
    Writer(stored.database, 1).save_query_facts("p1", [candidates])
    async with opened(stored.path, size=(160, 40)) as (app, pilot):
        screen = await compared(app, pilot, "scaling", 1, 2, 3)
        view = screen.query_one(ScalingView)
        await until(pilot, lambda: "as judged: doc-v1 on demo" in text(app), "scores as judged")
        await pilot.press("c")
        await until(pilot, lambda: "Hit@5 by context, on a pool of 115: doc-v1" in text(app), "one pool")
        assert "Estimates in closed form from the stored ranks." in text(app)
        assert "paired over the same 600 queries" in text(app)
        await pilot.press("c")
        await until(pilot, lambda: "published" in text(app) and "phase-3" in text(app), "the published")
        assert "Estimates from Hit@1/5/10 alone" in text(app)
        await pilot.press("c")
        await until(pilot, lambda: "as judged: doc-v1 on demo" in text(app), "scores as judged again")
        assert view.pools is Pools.JUDGED
        before = [curve.colour for curve in view.query_one(ScalingChart).curves]
        await pilot.press("t")
        await until(
            pilot,
            lambda: [curve.colour for curve in view.query_one(ScalingChart).curves] != before,
            "colours of the next theme",
        )


async def test_scaling_takes_up_a_new_best(stored: Stored) -> None:
    writer = stored.started(context=800)
    async with opened(stored.path) as (app, pilot):
        await compared(app, pilot, "scaling", 1, 4)
        await until(pilot, lambda: "phase-1 #4 has no evaluation yet." in text(app), "the note")
        stored.epoch(writer, 1, 0.5)
        await until(pilot, lambda: "Hit@5 at 800 against 100" in text(app), "the new point")


async def test_scaling_that_cannot_be_read_is_said() -> None:
    def fail(run_ids: Sequence[int], pools: Pools) -> Scaling:
        raise StoreCorrupt("stored ranks are damaged", "Check the disk, or evaluate again.")

    snapshot = snapshots.snapshot()
    async with bench(CompareScreen(in_memory(snapshot), fail), snapshot, 17, (120, 36)) as found:
        found.app.marked = (17, 12)
        found.app.share()
        await found.pilot.press("left_square_bracket")
        static = found.screen.query_one("#scaling-words", Static)
        await until(found.pilot, lambda: "✖ stored ranks are damaged" in str(static.content), "the reason")


async def test_different_protocols_are_kept_apart(stored: Stored) -> None:
    writer = stored.started()
    groups = stats.pack_ranks(np.repeat(np.arange(DOCUMENTS), QUERIES // DOCUMENTS))
    writer.save_protocol(Protocol("p2", "doc-v1", "e" * 16, {}, "validation", QUERIES, 700, 0.01, 30, groups))
    found = replace(evaluation(0.4), protocol_id="p2")
    writer.epoch(EpochReport(Progress(1, 3, 10, 30, 900.0, 1.5, 0, 3, 0.4, 1, 0.4), (), found))
    async with opened(stored.path) as (app, pilot):
        await compared(app, pilot, "tests", 1, 2, 4)
        await until(pilot, lambda: "Not comparable with the first group" in text(app), "the sentence")
        assert "beats phase-1 #4" not in text(app)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "their scores are not comparable" in text(app), "the warning on curves")


async def test_runs_without_an_evaluation_are_left_out_in_words(stored: Stored) -> None:
    stored.new()
    async with opened(stored.path) as (app, pilot):
        await compared(app, pilot, "tests", 1, 2, 4)
        await until(pilot, lambda: "beats" in text(app), "the others")
        assert "phase-1 #4 is left out: it has no evaluation yet." in text(app)


async def test_what_cannot_be_read_is_said() -> None:
    def fail(run_ids: Sequence[int]) -> SideBySide:
        raise StoreCorrupt("stored ranks are damaged", "Check the disk, or evaluate again.")

    async with bench(CompareScreen(fail), snapshots.snapshot(), 17, (120, 36)) as found:
        found.app.marked = (17, 12)
        found.app.share()
        await found.pilot.press("right_square_bracket")
        static = found.screen.query_one("#empty", Static)
        await until(found.pilot, lambda: "stored ranks are damaged" in str(static.content), "the reason")


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (200, 60)])
async def test_every_tab_at_any_size_and_in_ascii(stored: Stored, size: tuple[int, int]) -> None:
    async with opened(stored.path, size=size, ascii_only=True) as (app, pilot):
        await compared(app, pilot, "curves", 1, 2, 3)
        for tab in TAB:
            await until(pilot, lambda tab=tab: app.screen.query_one(ContentSwitcher).current == tab, tab)
            await pilot.pause()
            assert text(app).isascii()
            await pilot.press("right_square_bracket")


def ranks_of(view_id: int, hit5: float, n: int) -> bytes:
    rng = np.random.default_rng(view_id)
    hard = np.random.default_rng(0).permutation(n) / n
    found = hard + rng.normal(0, 0.02, n) < hit5
    return stats.pack_ranks(np.where(found, rng.integers(1, 6, n), rng.integers(6, n, n)).astype(np.uint32))


def in_memory(snapshot: Snapshot) -> Callable[[Sequence[int]], SideBySide]:
    """Compares a snapshot's runs, with ranks made up for their scores."""

    def with_ranks(item: Evaluation, number: int) -> Evaluation:
        return replace(item, ranks=ranks_of(number, item.hit5, item.n))

    def load(run_ids: Sequence[int]) -> SideBySide:
        runs: list[Run] = []
        contenders: list[Contender] = []
        for run_id in run_ids:
            view = snapshot.view(run_id)
            assert view is not None
            assert view.best is not None
            runs.append(view.run)
            contenders.append(Contender(view.run, with_ranks(view.best, run_id)))
        protocols = {
            key: replace(item, query_groups=stats.pack_ranks(np.arange(item.n) % item.documents))
            for key, item in snapshot.protocols.items()
        }
        baselines = {
            key: [with_ranks(item, 100 + place) for place, item in enumerate(items)]
            for key, items in snapshot.baselines.items()
        }
        report = compare(contenders, baselines, protocols)
        return SideBySide(tuple(runs), report, differences=recipe_differences([run.recipe for run in runs]))

    return load


def scaled_in_memory(snapshot: Snapshot) -> Callable[[Sequence[int], Pools], Scaling]:
    """Groups a snapshot's runs by context, with ranks made up for their scores."""

    def with_ranks(item: Evaluation, number: int) -> Evaluation:
        return replace(item, ranks=ranks_of(number, item.hit5, item.n))

    def scale(run_ids: Sequence[int], pools: Pools) -> Scaling:
        if pools is Pools.PUBLISHED:
            return published_scaling(published_by_phases(), "published", SMALLEST)
        views = [view for run_id in run_ids if (view := snapshot.view(run_id))]
        contenders = [Contender(v.run, with_ranks(v.best, v.run.id)) for v in views if v.best]
        known = {
            key: Known(
                item,
                [with_ranks(found, 100 + place) for place, found in enumerate(snapshot.baselines[key])],
                Judged(np.full(item.n, item.pool), np.arange(item.n) % item.documents, True),
            )
            for key, item in snapshot.protocols.items()
        }
        pool = SMALLEST if pools is Pools.EQUAL else None
        return scaling_of([view.run for view in views], contenders, known, snapshot.audits, pool=pool)

    return scale


MARKED = (17, 12, 15, 16)


def pictured() -> tuple[BenchApp, Snapshot]:
    snapshot = snapshots.snapshot(detailed=MARKED)
    app = BenchApp(CompareScreen(in_memory(snapshot), scaled_in_memory(snapshot)), snapshot, 17)
    app.marked = MARKED
    return app, snapshot


@pytest.mark.usefixtures("fixed_surroundings")
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (180, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("tab", list(TAB))
def test_pictures(snap_compare: Callable[..., bool], tab: str, size: tuple[int, int]) -> None:
    app, _ = pictured()

    async def show(pilot: Pilot[None]) -> None:
        for _ in range(TAB[tab]):
            await pilot.press("right_square_bracket")
        switcher = app.first.query_one(ContentSwitcher)
        await until(pilot, lambda: switcher.current == tab, f"the tab {tab}")
        for _ in range(5):
            await pilot.pause()

        if tab == "scaling":
            view = app.first.query_one(ScalingView)
            await until(pilot, lambda: view.scaling is not None, "scores by context")
            await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=show)


@pytest.mark.usefixtures("fixed_surroundings")
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (180, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("pools", [Pools.EQUAL, Pools.PUBLISHED], ids=["equal", "published"])
def test_pictures_of_pools(snap_compare: Callable[..., bool], pools: Pools, size: tuple[int, int]) -> None:
    app, _ = pictured()

    async def show(pilot: Pilot[None]) -> None:
        await pilot.press("left_square_bracket")
        view = app.first.query_one(ScalingView)
        view.pools = pools
        await until(pilot, lambda: view.scaling is not None and view.scaling.pool is not None, "one pool")
        for _ in range(5):
            await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=show)


@pytest.mark.usefixtures("fixed_surroundings")
def test_picture_without_marks(snap_compare: Callable[..., bool]) -> None:
    app, _ = pictured()
    app.marked = ()

    async def settle(pilot: Pilot[None]) -> None:
        for _ in range(5):
            await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)
