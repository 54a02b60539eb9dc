"""What charts consist of: curves, bands, levels, patience; ranges and page shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmtui.charts.figure import Look
from lvmtui.snapshot import RunDetail
from lvmtui.widgets import x_range
from lvmtui.widgets.chart_kinds import HITS
from lvmtui.widgets.chart_page import GRIDS, shape
from lvmtui.widgets.chart_sources import ManyRuns, OneRun
from lvmtui.widgets.curves import CurveCache
from tests.tui import snapshots


class TestShape:
    @pytest.mark.parametrize("wanted", GRIDS[1:])
    def test_what_is_wanted_is_given_where_it_fits(self, wanted: str) -> None:
        assert "x".join(map(str, shape(240, 60, 40, wanted))) == wanted

    def test_what_does_not_fit_is_made_to(self) -> None:
        assert shape(78, 18, 40, "6x6") == (3, 3)
        assert shape(10, 3, 40, "6x6") == (1, 1)
        assert shape(180, 44, 40, "99x99") == (6, 6)
        assert shape(178, 44, 10, "no grid") == shape(178, 44, 10)

    @given(st.integers(1, 400), st.integers(1, 100), st.integers(1, 60), st.sampled_from(GRIDS))
    def test_any_size_has_a_page(self, width: int, height: int, count: int, wanted: str) -> None:
        columns, rows = shape(width, height, count, wanted)
        assert 1 <= columns <= 6
        assert 1 <= rows <= 6
        assert columns == 1 or width // columns >= 20


class TestRange:
    def test_the_place_under_the_pointer_stays_there(self) -> None:
        found = x_range.magnified((0.0, 100.0), (0.0, 100.0), 0.5, 20.0)
        assert found == pytest.approx((10.0, 60.0))
        logs = x_range.magnified((1.0, 10000.0), (1.0, 10000.0), 0.5, 10.0, log=True)
        assert logs is not None
        assert np.log10(logs) == pytest.approx([0.5, 2.5])

    def test_the_whole_is_no_zoom(self) -> None:
        assert x_range.magnified((10.0, 60.0), (0.0, 100.0), 2.0, 20.0) is None
        assert x_range.between(100.0, 0.0, (0.0, 100.0)) is None
        assert x_range.moved((0.0, 0.0), (0.0, 0.0), 1.0) is None

    def test_moving_ends_at_the_ends(self) -> None:
        assert x_range.moved((10.0, 30.0), (0.0, 100.0), 0.5) == pytest.approx((20.0, 40.0))
        assert x_range.moved((10.0, 30.0), (0.0, 100.0), -5) == pytest.approx((0.0, 20.0))
        assert x_range.moved((10.0, 30.0), (0.0, 100.0), 50) == pytest.approx((80.0, 100.0))

    def test_zooms_are_remembered_by_charts_and_axis(self) -> None:
        memory = x_range.remembered((), "17", "epoch", (1.5, 7.25))
        memory = x_range.remembered(memory, "17", "step", (10.0, 20.0))
        memory = x_range.remembered(memory, "17", "epoch", (2.0, 3.0))
        assert x_range.recalled(memory, "17", "epoch") == (2.0, 3.0)
        assert x_range.recalled(memory, "17", "step") == (10.0, 20.0)
        assert x_range.recalled(memory, "16", "step") is None
        assert x_range.remembered(memory, "17", "step", None) == ("17 epoch 2.0 3.0",)
        for entry in ("17 epoch nan 3", "17 epoch 3 2", "17 epoch x y", "17 epoch 1", ""):
            assert x_range.recalled((entry,), "17", "epoch") is None

    def test_old_zooms_are_forgotten(self) -> None:
        memory: tuple[str, ...] = ()
        for number in range(50):
            memory = x_range.remembered(memory, str(number), "epoch", (1.0, 2.0))
        assert len(memory) == x_range.REMEMBERED
        assert x_range.recalled(memory, "49", "epoch")


class TestManyRuns:
    def test_only_what_two_runs_have_is_compared(self) -> None:
        snapshot = snapshots.snapshot(detailed=(12, 15))
        own = {**snapshot.details[15].series, "own/metric": snapshot.details[15].series["val/hit5"]}
        details = {**snapshot.details, 15: replace(snapshot.details[15], series=own)}
        snapshot = replace(snapshot, details=details)
        views = [view for view in snapshot.runs if view.run.id in {12, 15}]
        keys = {chart.keys[0] for chart in ManyRuns(views, snapshot, CurveCache()).charts}
        assert keys == set(snapshot.details[12].series)
        waiting = replace(snapshot, details={15: details[15], 12: RunDetail()})
        keys = {chart.keys[0] for chart in ManyRuns(views, waiting, CurveCache()).charts}
        assert keys == set(own)

    def test_sixty_four_runs_have_a_colour_and_sign_of_their_own(self) -> None:

        look = Look()
        assert len({(look.colour(place), look.marker(place)) for place in range(64)}) == 64

    def test_many_runs_are_named_by_what_tells_them_apart(self) -> None:
        snapshot = snapshots.snapshot(detailed=(17,))
        view, detail = snapshot.runs[1], snapshot.details[17]
        views = [replace(view, run=replace(view.run, id=number)) for number in range(30, 39)]
        snapshot = replace(snapshot, runs=tuple(views), details={item.run.id: detail for item in views})
        many = ManyRuns(views, snapshot, CurveCache(), on_top=38)
        labels = [curve.label for curve in many.drawing(many.charts[0], "epoch", Look()).curves]
        assert labels[:2] == ["#38 phase-3", "#30 phase-3"]
        few = ManyRuns(views[:8], snapshot, CurveCache())
        assert few.drawing(few.charts[0], "epoch", Look()).curves[0].label == "phase-3 #30"


class TestOneRun:
    def test_bands_target_baselines_and_patience(self) -> None:

        snapshot = snapshots.snapshot()
        view, detail = snapshot.runs[1], snapshot.details[17]
        drawing = OneRun(view, detail, snapshot, CurveCache()).drawing(HITS, "epoch", Look())
        first = drawing.curves[0]
        interval = detail.evaluations[4].hit5_interval
        assert interval is not None
        assert first.low is not None
        assert first.high is not None
        assert (first.low[4], first.high[4]) == (interval.low, interval.high)
        assert [level.target for level in drawing.levels] == [True, False, False]
        assert drawing.levels[0].label == "target @5"
        assert drawing.levels[0].value == 0.2
        assert drawing.window == (16.0, 19.0)
        steps = OneRun(view, detail, snapshot, CurveCache()).drawing(HITS, "step", Look())
        assert steps.window == (16.0 * 81, 19.0 * 81)

    def test_curves_are_the_same_objects_as_long_as_nothing_changed(self) -> None:
        snapshot = snapshots.snapshot()
        view, detail = snapshot.runs[1], snapshot.details[17]
        cache, quiet = CurveCache(), replace(detail, log=("a line",))
        for axis in ("epoch", "step", "time"):
            first = OneRun(view, detail, snapshot, cache).drawing(HITS, axis, Look())
            again = OneRun(view, quiet, snapshot, cache).drawing(HITS, axis, Look())
            assert first.same(again)
            assert all(one is other for one, other in zip(first.curves, again.curves, strict=True))
