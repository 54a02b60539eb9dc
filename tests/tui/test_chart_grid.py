"""The grid of charts: pages, selection, cursor, zoom, mouse, and that only what is seen is drawn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from textual import events
from textual.widget import Widget

from lvmtui.charts import drawing as charts
from lvmtui.config import ViewOptions, load_state
from lvmtui.screens.compare import CompareScreen
from lvmtui.screens.run import RunScreen
from lvmtui.snapshot import Series, Snapshot
from lvmtui.store.database import Database
from lvmtui.widgets.chart_grid import ChartGrid
from lvmtui.widgets.chart_page import GRIDS, ChartStatus
from lvmtui.widgets.compare_curves import OverlayGrid
from lvmtui.widgets.curve_grid import CurveGrid
from lvmtui.widgets.curve_pane import ZoomPane
from tests.tui import snapshots, stores
from tests.tui.bench import Bench, BenchApp, bench, shown, until
from tests.tui.driving import opened
from tests.tui.test_compare_screen import in_memory


def grid(found: Bench) -> ChartGrid:
    return found.screen.query_one(ChartGrid)


def status(found: Bench) -> str:
    return shown(found.screen.query_one(ChartStatus))


def many_metrics(count: int = 20, steps: int = 400) -> Snapshot:
    """A run with so many metrics by step."""
    base = snapshots.snapshot()
    step = np.arange(1.0, steps + 1)
    made = {
        f"m/{number:02d}": Series(step, step / 100, snapshots.NOW + step, np.sin(step / (10 + number)))
        for number in range(count)
    }
    return replace(base, details={17: replace(base.details[17], series=made)})


@asynccontextmanager
async def overlay(
    marked: tuple[int, ...] = (12, 15, 16), focused: int = 15, size: tuple[int, int] = (160, 45)
) -> AsyncIterator[Bench]:
    snapshot = snapshots.snapshot(detailed=(*marked, focused))
    screen = CompareScreen(in_memory(snapshot))
    async with bench(screen, snapshot, focused, size) as found:
        found.app.marked = marked
        found.app.share()
        await until(lambda: bool(grid(found).panes) and grid(found).panes[0].plot is not None)
        yield found


def wheel_event(
    widget: Widget,
    *,
    up: bool = True,
    shift: bool = False,
    ctrl: bool = False,
    at: tuple[int, int] = (30, 4),
) -> events.MouseEvent:
    """A notch of the wheel over a place of a widget."""
    kind = events.MouseScrollUp if up else events.MouseScrollDown
    x, y = widget.region.offset + at
    return kind(widget, at[0], at[1], 0, 0, 0, shift, False, ctrl, screen_x=x, screen_y=y)


async def wheel(found: Bench, widget: Widget, **how: Any) -> None:
    """Turn the wheel, and wait until that has been answered."""
    widget.post_message(wheel_event(widget, **how))
    await found.pilot.pause()


class TestPages:
    async def test_pages_turn_by_key_and_keep_the_place(self) -> None:
        async with Bench.run_screen(many_metrics(), size=(80, 24)) as found:
            assert grid(found).page == (0, 5)
            assert "page 1/5" in status(found)
            await found.pilot.press("right", "pagedown")
            assert grid(found).page == (1, 5)
            assert [pane.heading() for pane in grid(found).panes] == ["m/04", "m/05", "m/06", "m/07"]
            assert grid(found).selected == 5
            await found.pilot.press("pageup", "pageup")
            assert grid(found).selected == 1
            await found.pilot.press("G")
            assert grid(found).page == (4, 5)
            await found.pilot.press("pagedown", "g")
            assert grid(found).page == (0, 5)

    async def test_the_wheel_on_the_line_below_turns_pages(self) -> None:
        async with Bench.run_screen(many_metrics(), size=(80, 24)) as found:
            line = found.screen.query_one(ChartStatus)
            await wheel(found, line, up=False, at=(3, 0))
            assert grid(found).page[0] == 1
            await wheel(found, line, at=(3, 0))
            assert grid(found).page[0] == 0

    async def test_a_key_goes_through_the_grids(self) -> None:
        async with Bench.run_screen(many_metrics(40), size=(180, 50)) as found:
            seen = []
            for _ in GRIDS:
                await found.pilot.press("f")
                await found.pilot.pause()
                seen.append((found.app.options.grid, len(grid(found).panes)))
            expected = [("1x1", 1), ("2x2", 4), ("3x2", 6), ("3x3", 9), ("4x4", 16), ("6x6", 36), ("", 24)]
            assert seen == expected
            assert len({pane.region for pane in grid(found).panes}) == 24

    async def test_selection_by_arrows_and_letters(self) -> None:
        async with Bench.run_screen(size=(120, 36)) as found:
            columns = grid(found)._shape[0]
            assert columns == 3
            await found.pilot.press("right", "l", "down")
            assert grid(found).selected == 5
            await found.pilot.press("h", "k")
            assert grid(found).selected == 1
            await found.pilot.press("up", "left", "left")
            assert grid(found).selected == 0
            await found.pilot.press("G", "down", "right")
            assert grid(found).selected == 9
            await found.pilot.press("k", "right", "j")
            assert grid(found).selected == 9, "the last row is not full"
            assert [pane.has_class("-selected") for pane in grid(found).panes].count(True) == 1

    async def test_the_selection_stays_with_its_chart(self) -> None:
        base = many_metrics(6)
        async with Bench.run_screen(base, size=(80, 24)) as found:
            await found.pilot.press("G")
            assert grid(found).pane is not None
            assert grid(found).pane.heading() == "m/05"  # type: ignore[union-attr]
            detail = base.details[17]
            more = {"a/first": next(iter(detail.series.values())), **detail.series}
            await found.give(replace(base, details={17: replace(detail, series=more)}))
            assert grid(found).charts[grid(found).selected].title == "m/05"

    async def test_one_chart_alone_and_back(self) -> None:
        async with Bench.run_screen(size=(120, 36)) as found:
            whole = grid(found).size
            await found.pilot.press("down", "enter")
            await found.pilot.pause()
            pane = grid(found).pane
            assert pane is not None
            assert pane.region.width == whole.width
            assert pane.chart.title == "cosine"
            await found.pilot.press("left", "left")
            assert grid(found).at == 18, "with one chart in front the arrows move its cursor"
            await found.pilot.press("j")
            assert grid(found).pane.chart.title == "train loss by step"  # type: ignore[union-attr]
            await found.pilot.press("escape")
            assert len(grid(found).panes) == 10


class TestLazy:
    async def test_only_the_page_in_front_is_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn: set[str] = set()
        plot = charts.plot_chart

        def counted(curves, **rest):  # type: ignore[no-untyped-def]
            drawn.update(str(id(curve)) for curve in curves)
            return plot(curves, **rest)

        monkeypatch.setattr(charts, "plot_chart", counted)
        async with Bench.run_screen(many_metrics(20), size=(80, 24)) as found:
            assert len(drawn) == 4
            assert len(grid(found).query(ZoomPane)) == 4
            await found.pilot.press("pagedown")
            assert len(drawn) == 8

    async def test_a_chart_is_painted_only_for_its_own_series(self) -> None:
        base = many_metrics(4)
        async with Bench.run_screen(base, size=(120, 36)) as found:
            panes = grid(found).panes
            plots = [pane.plot for pane in panes]
            detail = base.details[17]
            old = detail.series["m/02"]
            grown = replace(old, value=old.value + 1)
            later = replace(detail, series={**detail.series, "m/02": grown})
            await found.give(replace(base, taken=base.taken + 1, details={17: later}))
            await until(lambda: panes[2].plot is not plots[2])
            assert [pane.plot is plot for pane, plot in zip(panes, plots, strict=True)] == [
                True,
                True,
                False,
                True,
            ]

    async def test_data_is_drawn_at_most_ten_times_a_second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lvmtui.widgets.chart_grid.FRAME_SECONDS", 3600.0)
        base = many_metrics(2)
        async with Bench.run_screen(base) as found:
            drawn = [pane.plot for pane in grid(found).panes]
            for number in range(5):
                detail = base.details[17]
                series = {k: replace(s, value=s.value + number) for k, s in detail.series.items()}
                later = {17: replace(detail, series=series)}
                await found.give(replace(base, taken=base.taken + number + 1, details=later))
            assert [pane.plot for pane in grid(found).panes] == drawn
            await found.pilot.press("shift+left")
            assert grid(found).at is not None, "keys do not wait"
            assert [pane.plot for pane in grid(found).panes] != drawn


class TestCursor:
    async def test_every_chart_shows_its_values_at_the_cursor(self) -> None:
        base = snapshots.snapshot()
        async with Bench.run_screen(base, size=(180, 50)) as found:
            await found.pilot.press("shift+left", "shift+left", "shift+left", "shift+left")
            assert grid(found).at == 16
            series = base.details[17].series
            hits, losses, mrr = grid(found).panes[:3]
            for key in ("val/hit5", "val/hit1", "val/hit10"):
                assert f"{100 * series[key].value[15]:.1f}" in shown(hits)
            assert f"{series['val/loss'].value[15]:.3f}" in shown(losses)
            assert f"{series['epoch/train_loss'].value[15]:.3f}" in shown(losses)
            assert shown(mrr).count("┊") > 3
            assert all(pane.plot is not None for pane in grid(found).panes)
            await found.pilot.press("shift+right")
            assert grid(found).at == 17

    async def test_many_points_have_a_stop_for_each_column(self) -> None:
        async with Bench.run_screen(many_metrics(1, steps=5000), size=(80, 24)) as found:
            await found.pilot.press("shift+left")
            plot = grid(found).panes[0].plot
            assert plot is not None
            places = grid(found).panes[0].stops()
            assert len(places) == plot.columns
            assert grid(found).at == places[-1]

    async def test_a_click_selects_and_puts_the_cursor_on_a_value(self) -> None:
        async with Bench.run_screen() as found:
            pane = grid(found).panes[1]
            await found.pilot.click(pane, offset=(20, 3))
            assert grid(found).selected == 1
            assert grid(found).at == round(grid(found).at or 0)
            assert "cursor at epoch" in status(found)
            await found.pilot.double_click(pane, offset=(20, 3))
            assert grid(found).alone
            await found.pilot.press("escape", "escape")
            assert grid(found).at is None


class TestZoom:
    async def test_keys_zoom_at_the_cursor_and_pan(self) -> None:
        async with Bench.run_screen(size=(180, 50)) as found:
            await found.pilot.press("z")
            low, high = grid(found).zoom or (0, 0)
            assert high == pytest.approx(19)
            assert "─ zoomed" in grid(found).panes[0].heading()
            assert "zoom epoch" in status(found)
            await found.pilot.press("less_than_sign")
            moved = grid(found).zoom or (0, 0)
            assert moved[1] < high
            assert moved[1] - moved[0] == pytest.approx(high - low)
            await found.pilot.press("greater_than_sign", "greater_than_sign")
            assert grid(found).zoom == pytest.approx((low, high))
            await found.pilot.press("Z")
            assert grid(found).zoom is None
            await found.pilot.press("z", "z", "escape")
            assert grid(found).zoom is None
            await found.pilot.press("Z", "less_than_sign")
            assert grid(found).zoom is None

    async def test_the_wheel_zooms_at_the_pointer_and_pans_with_shift(self) -> None:
        async with Bench.run_screen(size=(180, 50)) as found:
            pane = grid(found).panes[0]
            x = pane.x_at(30 - 1)
            await wheel(found, pane, at=(30, 4))
            assert grid(found).zoom is not None
            assert pane.x_at(30 - 1) == pytest.approx(x, abs=0.3)
            await wheel(found, pane, ctrl=True)
            before = grid(found).zoom or (0, 0)
            await wheel(found, pane, shift=True)
            assert (grid(found).zoom or (0, 0))[0] <= before[0]
            await wheel(found, pane, shift=True, up=False)
            for _ in range(8):
                await wheel(found, pane, up=False)
            assert grid(found).zoom is None

    async def test_dragging_chooses_a_range(self) -> None:
        async with Bench.run_screen(size=(180, 50)) as found:
            pane = grid(found).panes[1]
            low, high = pane.x_at(15), pane.x_at(25)
            await found.pilot.mouse_down(pane, offset=(16, 3))
            await found.pilot.hover(pane, offset=(26, 3))
            assert pane.drawn_axes().window == pytest.approx((low, high))
            await found.pilot.mouse_up(pane, offset=(26, 3))
            await found.pilot.pause()
            assert grid(found).zoom == pytest.approx((low, high))
            assert grid(found).at is None, "a drag is no click"
            assert pane.drawn_axes().window != pytest.approx((low, high))

    async def test_zoom_on_a_logarithmic_axis(self) -> None:
        async with Bench.run_screen(many_metrics(2), size=(120, 36)) as found:
            await found.pilot.press("X", "Y")
            assert found.app.options.log_x
            assert "log-x" in grid(found).panes[0].heading()
            await found.pilot.press("z", "z")
            low, high = grid(found).zoom or (0, 0)
            assert (np.log10(low), np.log10(high)) == pytest.approx((np.log10(400) * 3 / 4, np.log10(400)))

    async def test_options_are_said_in_the_titles(self) -> None:
        async with Bench.run_screen(size=(180, 50)) as found:
            await found.pilot.press("y", "plus", "plus", "m", "B")
            options = found.app.options
            assert (options.log_y, options.clip, options.bands) == (True, True, False)
            heading = grid(found).panes[4].heading()
            assert "─ log-y ─ smoothed 0.6" in heading
            await found.pilot.press("0", "y", "m", "B")
            assert grid(found).panes[4].heading() == "train loss by step"

    async def test_clipped_values_are_counted(self) -> None:
        base = many_metrics(1)
        detail = base.details[17]
        old = detail.series["m/00"]
        value = old.value.copy()
        value[[50, 150, 250]] = 1e6
        spiked = replace(base, details={17: replace(detail, series={"m/00": replace(old, value=value)})})
        async with Bench.run_screen(spiked, size=(120, 36)) as found:
            await found.pilot.press("m")
            assert grid(found).panes[0].heading() == "m/00 ─ clipped 3"


class TestStaying:
    async def test_refresh_and_tabs_leave_everything_as_it_is(self) -> None:
        base = snapshots.snapshot()
        async with Bench.run_screen(base) as found:
            await found.pilot.press("right", "shift+left", "z", "f")
            held = grid(found)
            before = held.selected, held.at, held.zoom, held.options.grid
            await found.give(snapshots.changed(base, 17, 0.19))
            await found.pilot.press("right_square_bracket", "left_square_bracket")
            assert (held.selected, held.at, held.zoom, held.options.grid) == before
            assert found.screen.focused is held

    async def test_another_run_has_its_own_zoom(self) -> None:
        snapshot = snapshots.snapshot(detailed=(17, 12))
        async with Bench.run_screen(snapshot) as found:
            await found.pilot.press("z")
            zoom = grid(found).zoom
            await until(lambda: bool(found.app.options.zooms))
            found.app.focused_run = 12
            found.app.share()
            await found.pilot.pause()
            assert grid(found).zoom is None
            found.app.focused_run = 17
            found.app.share()
            await found.pilot.pause()
            assert grid(found).zoom == zoom

    async def test_grid_and_zoom_survive_a_restart(self) -> None:
        remembered = ViewOptions(grid="2x2", zooms=("17 epoch 4.0 9.0", "17 step 500.0 900.0"))
        snapshot = snapshots.snapshot()

        app = BenchApp(RunScreen(), snapshot, 17)
        app.options = remembered
        async with app.run_test(size=(120, 36)) as pilot:
            await pilot.pause()
            held = app.first.query_one(ChartGrid)
            assert len(held.panes) == 4
            assert held.zoom == (4.0, 9.0)
            await pilot.press("X")
            assert held.zoom == (500.0, 900.0)


class TestOverlay:
    async def test_the_same_keys_and_a_legend_of_values(self) -> None:
        async with overlay() as found:
            held = grid(found)
            assert isinstance(held, OverlayGrid)
            assert held.charts[0].title == "Hit@5 on validation"
            labels = [curve.label for curve in held.panes[0].curves]
            assert labels == ["phase-2 #15", "phase-2 #12", "phase-1 #16"], "the focused one is on top"
            assert held.panes[0].curves[0].colour != held.panes[0].curves[1].colour
            assert held.panes[0].curves[0].marker == "■", "its place among the marks"
            await found.pilot.press("shift+left", "z", "enter")
            assert (held.alone, held.at is not None, held.zoom is not None) == (True, True, True)
            await found.pilot.press("escape", "escape", "escape", "f")
            assert found.app.options.grid == "1x1"
            assert len(held.panes) == 1


async def test_the_app_remembers(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Through the real App: grid and zoom are written when it ends."""

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "runs.db"
    with_run = Database.open(path)
    stores.new_run(with_run, "phase-1").start().train(6)
    with_run.close()
    async with opened(path, focus=1) as (app, pilot):
        await pilot.press("enter")
        await until(lambda: bool(app.screen.query(CurveGrid)) and bool(app.screen.query(ZoomPane)))
        held = app.screen.query_one(CurveGrid)
        await until(lambda: bool(held.panes) and held.panes[0].plot is not None)
        await pilot.press("f", "z")
        await until(lambda: bool(app.options.zooms))
    options = load_state(str(path)).options
    assert options.grid == "1x1"
    assert options.zooms[0].startswith("1 epoch ")
