"""The dashboard's charts: what the mouse does on them, overlays, and what they are drawn for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from lvmtui.config import ViewOptions
from lvmtui.widgets.hit_chart import HitChart
from lvmtui.widgets.lone_chart import LoneChart
from lvmtui.widgets.loss_chart import LossChart
from tests.tui import snapshots
from tests.tui.test_chart_grid import wheel_event
from tests.tui.test_widgets import Board, board, settle, words

SIZE = (160, 50)


async def wheel(pilot: Pilot[None], pane: LoneChart, *, up: bool = True, shift: bool = False) -> None:
    pane.post_message(wheel_event(pane, up=up, shift=shift))
    await settle(pilot)


def charts(app: Board) -> tuple[HitChart, LossChart]:
    return app.query_one(HitChart), app.query_one(LossChart)


async def test_a_click_puts_the_cursor_and_a_second_one_takes_it_away() -> None:
    async with board(snapshots.snapshot(), 17, size=SIZE) as (app, pilot):
        hits, _ = charts(app)
        await pilot.click(hits, offset=(40, 3))
        await settle(pilot)
        assert hits.at in range(1, 20), "on an epoch"
        assert words(hits).count("┊") > 3
        await pilot.double_click(hits, offset=(40, 3))
        await settle(pilot)
        assert hits.at is None
        assert "┊" not in words(hits)


async def test_the_wheel_and_dragging_zoom_and_shift_pans() -> None:
    async with board(snapshots.snapshot(), 17, size=SIZE) as (app, pilot):
        hits, loss = charts(app)
        await wheel(pilot, hits)
        await wheel(pilot, hits)
        first = hits.zoom
        assert first is not None
        assert "─ zoomed" in hits.heading()
        assert loss.zoom is None
        await wheel(pilot, hits, shift=True)
        assert hits.zoom is not None
        assert hits.zoom[0] < first[0]
        for _ in range(4):
            await wheel(pilot, hits, up=False)
        assert hits.zoom is None
        low, high = hits.x_at(20), hits.x_at(40)
        await pilot.mouse_down(hits, offset=(22, 3))
        await pilot.hover(hits, offset=(42, 3))
        await pilot.mouse_up(hits, offset=(42, 3))
        await settle(pilot)
        assert hits.zoom == pytest.approx((low, high))
        app.options = ViewOptions(axis="step")
        await settle(pilot)
        assert hits.zoom is None, "steps are no epochs"


async def test_another_run_is_shown_whole() -> None:
    async with board(snapshots.snapshot(detailed=(17, 12)), 17, size=SIZE) as (app, pilot):
        hits, _ = charts(app)
        await wheel(pilot, hits)
        app.focused_run = 12
        await settle(pilot)
        assert hits.zoom is None


async def test_options_are_said_in_the_title() -> None:
    async with board(snapshots.snapshot(), 17, size=SIZE) as (app, pilot):
        app.options = ViewOptions(log_y=True, log_x=True, smoothing=0.6, bands=False)
        await settle(pilot)
        for chart in charts(app):
            assert "─ log-y ─ log-x ─ smoothed 0.6" in chart.heading()


async def test_the_focused_run_is_on_top_in_the_colour_of_its_mark() -> None:
    snapshot = snapshots.snapshot(detailed=(17, 12, 15))
    async with board(snapshot, 15, size=SIZE, marked=(12, 15, 17)) as (app, _):
        hits, loss = charts(app)
        assert [curve.label for curve in hits.curves] == ["phase-2 #15", "phase-2 #12", "phase-3 #17"]
        assert [curve.marker for curve in hits.curves] == ["■", "●", "▲"]
        assert [curve.colour for curve in hits.curves] == [curve.colour for curve in loss.curves]


async def test_target_patience_and_every_baseline() -> None:
    async with board(snapshots.snapshot(), 17, size=SIZE) as (app, pilot):
        hits, _ = charts(app)
        text = words(hits)
        assert "target @5 20.0" in text
        assert "@5 mean 5.0" in text
        assert hits.drawn_axes().window == (16.0, 19.0)
        app.marked = (12, 17)
        await settle(pilot)
        assert hits.drawn_axes().window is None
        assert "mean 5.0" not in words(hits)


async def test_new_data_is_drawn_without_waiting_for_more() -> None:
    base = snapshots.snapshot()
    async with board(base, 17, size=SIZE) as (app, pilot):
        hits, _ = charts(app)
        before = hits.curves
        detail = base.details[17]
        old = detail.series["val/hit5"]
        series = {**detail.series, "val/hit5": replace(old, value=old.value + 0.01)}
        app.snapshot = replace(base, taken=base.taken + 1, details={17: replace(detail, series=series)})
        for _ in range(40):
            await settle(pilot)
            if hits.curves[0] is not before[0]:
                break
        assert hits.curves[0] is not before[0]
        assert hits.curves[1] is before[1]
