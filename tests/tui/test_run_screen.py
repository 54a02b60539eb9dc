"""A run's screen: header, tabs, curves, and what happens when new data comes."""

from dataclasses import replace

import numpy as np
import pytest
from textual.widgets import ContentSwitcher, Static

from lvmtui.snapshot import RunDetail
from lvmtui.store.lifecycle import Result, Status
from lvmtui.widgets.chart_kinds import charts_of
from lvmtui.widgets.chart_page import ChartStatus, shape
from lvmtui.widgets.curve_grid import CurveGrid
from lvmtui.widgets.epochs_table import EpochsTable
from lvmtui.widgets.events_table import EventsTable
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.run_header import RunHeader
from tests.tui import snapshots
from tests.tui.bench import Bench, shown


def grid(bench: Bench) -> CurveGrid:
    return bench.screen.query_one(CurveGrid)


async def test_header_says_how_the_run_stands() -> None:
    async with Bench.run_screen() as bench:
        text = shown(bench.screen.query_one(RunHeader))
        for words in ("▶ running", "phase-3 #17", "ep 19/50", "2/3", "best Hit@5 17.9", "ewm-whitened"):
            assert words in text


@pytest.mark.parametrize(
    ("result", "lost", "words"),
    [
        (Result.FAILED, "", "failed: TrainingError: the loss is NaN at step 731"),
        (None, "process 4242 is gone", "lost: process 4242 is gone"),
    ],
)
async def test_header_says_what_went_wrong(result: Result | None, lost: str, words: str) -> None:
    status = Status.DONE if result else Status.RUNNING
    view = snapshots.view(snapshots.run(17, "phase-3", 0.1, status=status, result=result), lost=lost)
    base = replace(snapshots.snapshot(), runs=(view,))
    async with Bench.run_screen(base) as bench:
        assert words in shown(bench.screen.query_one(RunHeader))


async def test_header_says_why_a_queued_run_waits() -> None:
    whole = snapshots.snapshot()
    queued = replace(whole.runs[0].run, pid=None, held=True)
    held = replace(whole.runs[0], run=queued)
    async with Bench.run_screen(replace(whole, runs=(held, *whole.runs[1:])), run_id=18) as bench:
        text = shown(bench.screen.query_one(RunHeader))
        assert text.splitlines()[1].strip() == "held"


async def test_every_tab_opens_by_key_and_shows_the_run() -> None:
    async with Bench.run_screen() as bench:
        switcher = bench.screen.query_one(ContentSwitcher)
        seen = []
        for _ in range(10):
            seen.append(switcher.current)
            assert bench.screen.focused is not None
            await bench.pilot.press("right_square_bracket")
        assert seen == [
            "curves",
            "epochs",
            "checkpoints",
            "recipe",
            "evaluation",
            "slices",
            "latency",
            "audit",
            "log",
            "events",
        ]
        assert switcher.current == "curves"
        await bench.pilot.press("left_square_bracket")
        assert switcher.current == "events"
        text = shown(bench.screen.query_one(EventsTable))
        assert "[bold]not markup[/bold]" in text
        assert "epoch=9" in text


async def test_epochs_mark_the_best_and_show_nan() -> None:
    async with Bench.run_screen() as bench:
        await bench.pilot.press("right_square_bracket")
        table = bench.screen.query_one(EpochsTable)
        lines = shown(table).splitlines()
        assert next(line for line in lines if "★" in line).split()[1] == "16"
        assert "NaN" in next(line for line in lines if line.split()[:1] == ["9"])
        assert lines[1].split()[0] == "19"
        await bench.pilot.press("down", "down")
        assert table.cursor == "17"
        later = snapshots.changed(snapshots.snapshot(), 17, 0.19)
        detail = snapshots.detail(later.runs[1])
        await bench.give(replace(later, details={17: detail}))
        assert shown(table).splitlines()[1].split()[:2] == ["★", "20"]
        assert table.cursor == "17"


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (180, 50)])
async def test_charts_show_every_metric(size: tuple[int, int]) -> None:
    async with Bench.run_screen(size=size) as bench:
        await bench.pilot.pause()
        titles = [chart.title for chart in grid(bench).charts]
        assert titles[:3] == ["Hit@K on validation", "loss", "MRR"]
        assert len(titles) == 10
        assert [pane.heading() for pane in grid(bench).panes[:3]] == titles[:3]
        page, pages = grid(bench).page
        assert (page, pages) == (0, 3 if size[0] == 80 else 1)
        assert (f"page 1/{pages}" in shown(bench.screen.query_one(ChartStatus))) == (pages > 1)
        first = shown(grid(bench).panes[0])
        assert "@5" in first
        assert "★" in first
        assert "copy-last" in first or size != (180, 50)


def test_unknown_metrics_get_a_chart_of_their_own() -> None:
    titles = [chart.title for chart in charts_of(["val/loss", "my/reward", "train/extra"])]
    assert titles == ["loss", "my/reward", "train/extra"]
    assert shape(178, 44, 10) == (4, 3)
    assert shape(78, 18, 10) == (2, 2)
    assert shape(20, 5, 1) == (1, 1)


async def test_cursor_zoom_and_single_chart() -> None:
    async with Bench.run_screen() as bench:
        await bench.pilot.press("shift+left")
        assert grid(bench).at == 19
        await bench.pilot.press("shift+left", "shift+left")
        assert grid(bench).at == 17
        assert "cursor at epoch 17" in shown(bench.screen.query_one(ChartStatus))
        await bench.pilot.press("z")
        assert grid(bench).zoom is not None
        low, high = grid(bench).zoom or (0, 0)
        assert low > 1
        assert high <= 19
        await bench.pilot.press("j", "enter")
        assert grid(bench).alone
        assert len(grid(bench).panes) == 1
        await bench.pilot.press("escape")
        assert not grid(bench).alone
        await bench.pilot.press("escape")
        assert grid(bench).zoom is None
        await bench.pilot.press("escape")
        assert grid(bench).at is None
        assert bench.app.screen is bench.screen


async def test_axis_log_and_smoothing_reach_the_charts_and_stay() -> None:
    async with Bench.run_screen() as bench:
        await bench.pilot.press("X", "y", "plus")
        options = bench.app.options
        assert (options.axis, options.log_y, options.smoothing > 0) == ("step", True, True)
        assert "step" in shown(grid(bench).panes[0])
        await bench.pilot.press("X")
        assert bench.app.options.axis == "time"
        assert "time" in shown(grid(bench).panes[1])
        await bench.give(snapshots.changed(snapshots.snapshot(), 17, 0.19))
        assert bench.screen.options == bench.app.options


async def test_click_on_a_chart_selects_it_and_sets_the_cursor() -> None:
    async with Bench.run_screen() as bench:
        pane = grid(bench).panes[1]
        await bench.pilot.click(pane, offset=(pane.size.width // 2, 3))
        assert grid(bench).selected == 1
        assert grid(bench).at is not None
        assert 3 <= (grid(bench).at or 0) <= 19


async def test_same_data_paints_nothing() -> None:
    base = snapshots.snapshot()
    async with Bench.run_screen(base) as bench:
        await bench.pilot.pause()
        painted: list[Panel] = []
        for pane in grid(bench).panes:
            pane.refresh = lambda *_, pane=pane, **__: painted.append(pane) or pane  # type: ignore[assignment,method-assign]
        await bench.give(replace(base, taken=base.taken + 1))
        await bench.pilot.pause()
        assert painted == []


async def test_empty_states() -> None:
    queued = snapshots.snapshot(detailed=(17,))
    async with Bench.run_screen(queued, 18) as bench:
        assert bench.screen.query_one(ContentSwitcher).current == "empty"
        assert "reading" in str(bench.screen.query_one("#empty", Static).content)
        await bench.give(replace(queued, details={18: RunDetail()}))
        assert "queued" in str(bench.screen.query_one("#empty", Static).content)
        await bench.pilot.press("left_square_bracket")
        assert "Nothing has happened" in shown(bench.screen.query_one(EventsTable))
        await bench.give(replace(queued, runs=()))
        assert "not in the store" in str(bench.screen.query_one("#empty", Static).content)


async def test_only_nan_is_no_crash() -> None:
    base = snapshots.snapshot()
    nothing = {
        key: replace(s, value=np.full_like(s.value, np.nan)) for key, s in base.details[17].series.items()
    }
    detail = replace(base.details[17], series=nothing, evaluations=(), checkpoints=(), hit_curve=())
    async with Bench.run_screen(replace(base, details={17: detail}), size=(80, 24)) as bench:
        for _ in range(9):
            await bench.pilot.press("y", "z", "left", "enter", "right_square_bracket")
