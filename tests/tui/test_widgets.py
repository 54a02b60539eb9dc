"""The dashboard's widgets in a small App, given snapshots."""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.pilot import Pilot
from textual.reactive import reactive

from lvmtui.config import ViewOptions
from lvmtui.filters import needs_attention
from lvmtui.messages import OptionsChanged, RunFocused, RunMarked, RunOpened
from lvmtui.snapshot import DeviceView, Snapshot, State
from lvmtui.store.records import DeviceSample, Event, Interval, Versus
from lvmtui.themes import load_themes, to_textual_theme
from lvmtui.versus import KEY, as_details
from lvmtui.widgets.devices import Devices
from lvmtui.widgets.hit_chart import HitChart
from lvmtui.widgets.log_tail import LogTail
from lvmtui.widgets.loss_chart import LossChart
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.run_list import RunList
from lvmtui.widgets.run_summary import RunSummary
from lvmtui.widgets.status_bar import StatusBar
from tests.tui.bench import shown


def load_snapshots() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "widget_snapshots", Path(__file__).with_name("snapshots.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = load_snapshots()
GIB = 2**30


class Board(App[None]):
    """Holds the state as the real App does, and notes what the widgets ask for."""

    CSS = "#left { width: 50; } RunSummary { height: 12; } LogTail { height: 6; }"

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None)
    focused_run: reactive[int | None] = reactive[int | None](None)
    marked: reactive[tuple[int, ...]] = reactive[tuple[int, ...]](())
    options: reactive[ViewOptions] = reactive(ViewOptions())
    ascii_only = False

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[int] = []
        self.focused_runs: list[int | None] = []

    def compose(self) -> ComposeResult:
        state = {
            "snapshot": Board.snapshot,
            "focused": Board.focused_run,
            "marked": Board.marked,
            "options": Board.options,
        }
        yield StatusBar().data_bind(**state)
        with Horizontal():
            with Vertical(id="left"):
                yield RunList().data_bind(**state)
                yield RunSummary().data_bind(**state)
            with Vertical():
                yield HitChart().data_bind(**state)
                with Horizontal():
                    yield LossChart().data_bind(**state)
                    yield Devices().data_bind(**state)
                yield LogTail().data_bind(**state)

    def on_mount(self) -> None:
        for theme in load_themes()[0].values():
            self.register_theme(to_textual_theme(theme))
        self.theme = "lvm-dark"
        self.query_one("RunTable").focus()

    def on_run_focused(self, message: RunFocused) -> None:
        self.focused_runs.append(message.run_id)
        self.focused_run = message.run_id

    def on_run_marked(self, message: RunMarked) -> None:
        rest = tuple(i for i in self.marked if i != message.run_id)
        self.marked = rest if message.run_id in self.marked else (*rest, message.run_id)

    def on_run_opened(self, message: RunOpened) -> None:
        self.opened.append(message.run_id)

    def on_options_changed(self, message: OptionsChanged) -> None:
        self.options = message.options


class WideList(Board):
    """The list takes half of the width."""

    CSS = "#left { width: 1fr; }"


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(4):
        await pilot.pause()


@asynccontextmanager
async def board(
    snapshot: Snapshot | None, focused: int | None = None, size: tuple[int, int] = (120, 36), **state: object
) -> AsyncIterator[tuple[Board, Pilot[None]]]:
    app = Board()
    for name, value in state.items():
        setattr(app, name, value)
    async with app.run_test(size=size) as pilot:
        app.focused_run = focused
        app.snapshot = snapshot
        await settle(pilot)
        yield app, pilot


def words(panel: Panel) -> str:
    return "\n".join(line.plain for line in panel.lines)


def listed(app: Board) -> list[str]:
    table = app.query_one(RunList).table
    return [table._layout.content(line).plain for line in table.lines]


def watch_repaints(monkeypatch: pytest.MonkeyPatch, app: Board) -> list[object]:
    painted: list[object] = []
    for widget in app.query("Panel, RunTable, RunList"):
        refresh = widget.refresh

        def noted(
            *args: object, widget: object = widget, refresh: object = refresh, **kwargs: object
        ) -> object:
            painted.append(widget)
            return refresh(*args, **kwargs)  # type: ignore[operator]

        monkeypatch.setattr(widget, "refresh", noted)
    return painted


class TestRunList:
    async def test_shows_every_run_with_its_state(self) -> None:
        async with board(made.snapshot(), 17) as (app, _):
            rows = listed(app)
            assert len(rows) == len(made.snapshot().runs)
            for row, view in zip(rows, made.snapshot().runs, strict=True):
                assert view.run.phase[:10] in row
            assert any("●" in row for row in rows)
            assert app.query_one(RunList).table.run_at_cursor == 17

    async def test_the_cursor_moves_and_the_app_hears_of_it(self) -> None:
        async with board(made.snapshot(), 17) as (app, pilot):
            ids = app.query_one(RunList).shown_ids
            await pilot.press("j")
            await settle(pilot)
            assert app.focused_run == ids[ids.index(17) + 1]
            await pilot.press("g")
            await settle(pilot)
            assert app.focused_run == ids[0]
            await pilot.press("G")
            await settle(pilot)
            assert app.focused_run == ids[-1]

    async def test_only_what_needs_attention(self) -> None:
        async with board(made.snapshot(), 17) as (app, pilot):
            everything = app.query_one(RunList).shown_ids
            await pilot.press("exclamation_mark")
            await settle(pilot)
            shown = {view.run.id: view for view in app.snapshot.runs}
            wanted = [i for i in everything if needs_attention(shown[i])]
            assert list(app.query_one(RunList).shown_ids) == wanted
            assert State.FAILED in {shown[i].state for i in wanted}
            assert State.COMPLETED not in {shown[i].state for i in wanted if shown[i].best is None}
            assert State.RUNNING not in {shown[i].state for i in wanted}
            await pilot.press("exclamation_mark")
            await settle(pilot)
            assert app.query_one(RunList).shown_ids == everything

    async def test_enter_opens_and_space_marks(self) -> None:
        async with board(made.snapshot(), 17) as (app, pilot):
            await pilot.press("enter")
            await pilot.press("space")
            await settle(pilot)
            assert app.opened == [17]
            assert app.marked == (17,)
            row = next(row for row in listed(app) if "#17" in row)
            assert "●" in row[:3]

    async def test_the_cursor_stays_on_its_run_when_rows_come_go_and_move(self) -> None:
        first = made.snapshot()
        async with board(first, 17) as (app, pilot):
            table = app.query_one(RunList).table
            older = next(v for v in first.runs if v.run.id != 17)
            newer = replace(older, run=replace(older.run, id=99, created=made.NOW + 10))
            app.snapshot = replace(first, runs=(newer, *first.runs))
            await settle(pilot)
            assert listed(app)[0].find("#99") > 0
            assert table.run_at_cursor == 17
            app.options = replace(app.options, sort="name")
            await settle(pilot)
            assert table.run_at_cursor == 17
            app.snapshot = replace(first, runs=tuple(v for v in first.runs if v.run.id in {17, 12}))
            await settle(pilot)
            assert table.run_at_cursor == 17
            assert table.row_count == 2
            assert app.focused_runs == []

    async def test_when_the_focused_run_goes_another_is_asked_for(self) -> None:
        first = made.snapshot()
        async with board(first, 17) as (app, pilot):
            app.snapshot = replace(first, runs=tuple(v for v in first.runs if v.run.id != 17))
            await settle(pilot)
            assert app.focused_run in app.query_one(RunList).shown_ids

    async def test_without_a_focused_run_the_first_is_asked_for(self) -> None:
        async with board(made.snapshot()) as (app, _):
            assert app.focused_run == app.query_one(RunList).shown_ids[0]

    async def test_sorting_by_score(self) -> None:
        async with board(made.snapshot(), 17, options=ViewOptions(sort="Hit@5")) as (app, _):
            views = {view.run.id: view for view in made.snapshot().runs}
            scores = [views[i].best.hit5 if views[i].best else -1 for i in app.query_one(RunList).shown_ids]
            assert scores == sorted(scores, reverse=True)

    async def test_filter_by_keyboard(self) -> None:
        async with board(made.snapshot(), 17) as (app, pilot):
            everything = len(listed(app))
            await pilot.press("slash", *"phase-3")
            await settle(pilot)
            assert app.options.filter == "phase-3"
            assert all("phase-3" in row for row in listed(app))
            await pilot.press("tab")
            await settle(pilot)
            assert app.options.filter_is_regex
            await pilot.press("escape")
            await settle(pilot)
            assert app.options.filter == ""
            assert len(listed(app)) == everything

    async def test_a_filter_that_fits_nothing_says_so(self) -> None:
        async with board(made.snapshot(), 17, options=ViewOptions(filter="zzz")) as (app, _):
            assert "No run fits 'zzz'" in shown(app.query_one(RunList).table)

    async def test_a_broken_regex_hides_nothing_and_is_named(self) -> None:
        options = ViewOptions(filter="(", filter_is_regex=True)
        async with board(made.snapshot(), 17, options=options) as (app, _):
            assert len(listed(app)) == len(made.snapshot().runs)
            assert "nothing follows (" in str(app.query_one(RunList).border_subtitle)

    async def test_empty_states(self) -> None:
        async with board(None) as (app, pilot):
            assert "reading" in shown(app.query_one(RunList).table)
            app.snapshot = made.empty()
            await settle(pilot)
            assert "launch a phase" in shown(app.query_one(RunList).table)

    @pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 180, 240])
    async def test_columns_fit_every_width(self, width: int) -> None:
        app = WideList()
        async with app.run_test(size=(width, 24)) as pilot:
            app.focused_run, app.snapshot = 17, made.snapshot()
            await settle(pilot)
            table = app.query_one(RunList).table
            assert all(cell_len(row) <= table.size.width for row in listed(app))
            assert any("phase-3" in row for row in listed(app))

    async def test_a_new_score_rewrites_its_row(self) -> None:
        first = made.snapshot()
        async with board(first, 17) as (app, pilot):
            app.snapshot = made.changed(first, 17, 0.234)
            await settle(pilot)
            assert "23.4" in next(row for row in listed(app) if "#17" in row)

    async def test_names_from_outside_are_text(self) -> None:
        first = made.snapshot()
        evil = replace(first.runs[0], run=replace(first.runs[0].run, phase="[red]\x1b[31m"))
        async with board(replace(first, runs=(evil,)), evil.run.id, size=(160, 30)) as (app, _):
            assert "[red] #" in listed(app)[0]
            assert "\x1b" not in listed(app)[0]


class TestRepaints:
    async def test_nothing_is_painted_when_nothing_changed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with board(made.snapshot(), 17) as (app, pilot):
            painted = watch_repaints(monkeypatch, app)
            assert app.snapshot is not None
            app.snapshot = replace(app.snapshot)
            app.mutate_reactive(Board.snapshot)
            await settle(pilot)
            assert painted == []

    async def test_only_what_changed_is_painted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = made.snapshot()
        async with board(first, 17) as (app, pilot):
            painted = watch_repaints(monkeypatch, app)
            detail = replace(first.details[17], log=(*first.details[17].log, "14:02:09 one more line"))
            app.snapshot = replace(first, details={17: detail})
            await settle(pilot)
            assert {type(widget) for widget in painted} == {LogTail}
            assert "one more line" in words(app.query_one(LogTail))

    async def test_another_theme_repaints_in_its_colours(self) -> None:
        async with board(made.snapshot(), 17) as (app, pilot):
            before = app.query_one(HitChart).lines
            app.theme = "lvm-light"
            await settle(pilot)
            after = app.query_one(HitChart).lines
            assert [line.plain for line in before] == [line.plain for line in after]
            assert before != after


class TestRunSummary:
    async def test_a_running_run(self) -> None:
        async with board(made.snapshot(), 17, size=(160, 40)) as (app, _):
            text = words(app.query_one(RunSummary))
            view = made.snapshot().view(17)
            assert f"ctx {view.run.context}" in text
            assert "▶ running" in text
            assert "best Hit@5" in text
            assert "left ≤" in text
            assert "target Hit@5" in text
            assert "ewm-whitened (" in text

    @pytest.mark.parametrize(
        ("baseline", "said"),
        [
            (0.05, "✔ above ewm-whitened (+12.9) · skill +13.6 %"),
            (0.99, "✖ below"),
            (None, "≈ within noise of"),
        ],
    )
    async def test_the_verdict_is_plain(self, baseline: float | None, said: str) -> None:
        first = made.snapshot()
        view = first.view(17)
        against = replace(view.baseline, hit5=view.best.hit5 if baseline is None else baseline)
        runs = (replace(view, baseline=against),)
        async with board(replace(first, runs=runs), 17, size=(200, 50)) as (app, _):
            assert said in words(app.query_one(RunSummary))

    @pytest.mark.parametrize(
        ("difference", "p", "said"),
        [
            (0.012, 0.01, "✔ above ewm-whitened (+1.2, p=.01)"),
            (0.012, 0.20, "≈ within noise of ewm-whitened (+1.2, p=.20)"),
            (-0.004, 0.35, "▽ below ewm-whitened (−0.4, p=.35)"),
            (-0.021, 0.0001, "✖ below ewm-whitened (−2.1, p<.001)"),
        ],
    )
    async def test_a_paired_comparison_decides(self, difference: float, p: float, said: str) -> None:
        first = made.snapshot()
        view = first.view(17)
        around = abs(difference) * (0.8 if p < 0.05 else 1.2)
        bounds = Interval(difference - around, difference + around)
        versus = (
            Versus(view.baseline.baseline, difference, bounds, p, context=view.baseline.context),
            Versus("copy-last", 0.098, Interval(0.08, 0.11), 0.0001),
        )
        best = replace(view.best, hit5=view.baseline.hit5 + difference, details={KEY: as_details(versus)})
        runs = (replace(view, best=best, run=replace(view.run, targets={})),)
        async with board(replace(first, runs=runs), 17, size=(200, 50)) as (app, _):
            text = words(app.query_one(RunSummary))
            assert said in text
            assert "✔ beats copy-last (+9.8, p<.001)" in text

    async def test_failed_and_lost_say_why_and_what_helps(self) -> None:
        first = made.snapshot()
        view = first.view(17)
        failed = replace(view, state=State.FAILED, run=replace(view.run, error="disk full\x1b[2J\nTraceback"))
        async with board(replace(first, runs=(failed,)), 17) as (app, pilot):
            text = words(app.query_one(RunSummary))
            assert "✖ failed: disk full" in text
            assert "r resume" in text
            lost = replace(view, state=State.LOST, lost_reason="process 123 is gone")
            app.snapshot = replace(first, runs=(lost,))
            await settle(pilot)
            assert "✖ lost: process 123 is gone · r resume" in words(app.query_one(RunSummary))

    async def test_every_state_at_every_size(self) -> None:
        first = made.snapshot()
        view = first.view(17)
        for state in State:
            for size in ((80, 24), (120, 36), (200, 60)):
                changed = replace(first, runs=(replace(view, state=state),))
                async with board(changed, 17, size=size) as (app, _):
                    panel = app.query_one(RunSummary)
                    assert state.value in words(panel)
                    assert all(line.cell_len <= panel.content_size.width for line in panel.lines)


class TestCharts:
    async def test_hits_against_baselines_with_the_best_epoch(self) -> None:
        async with board(made.snapshot(), 17, size=(160, 50)) as (app, _):
            chart = app.query_one(HitChart)
            text = words(chart)
            for part in ("@1 ", "@5 ", "@10 ", "★", "@5 ewm-whitened 11.8", "@5 copy-last 8.1", "epoch"):
                assert part in text
            assert "n 4 109 · pool 4 802" in chart.heading()
            assert {line.cell_len for line in chart.lines} == {chart.content_size.width}

    async def test_marked_runs_are_overlaid(self) -> None:
        snapshot = made.snapshot(detailed=(17, 12))
        async with board(snapshot, 17, size=(160, 50), marked=(12, 17)) as (app, _):
            chart = app.query_one(HitChart)
            text = words(chart)
            assert "#12" in text
            assert "#17" in text
            assert "@10" not in text
            assert "marked" in chart.heading()

    async def test_options_are_followed(self) -> None:
        async with board(made.snapshot(), 17, size=(160, 50)) as (app, pilot):
            app.options = ViewOptions(axis="step", log_y=True, smoothing=0.6)
            await settle(pilot)
            chart = app.query_one(HitChart)
            assert "step" in chart.lines[-1].plain
            assert "log-y" in chart.heading()
            assert "smoothed 0.6" in chart.heading()
            assert "step" in app.query_one(LossChart).lines[-1].plain

    async def test_losses(self) -> None:
        async with board(made.snapshot(), 17, size=(180, 50)) as (app, _):
            text = words(app.query_one(LossChart))
            assert "train" in text
            assert "val" in text

    async def test_a_resume_is_ticked(self) -> None:
        first = made.snapshot()
        detail = first.details[17]
        when = float(detail.series["val/hit5"].time[4])
        events = (*detail.events, Event("started", "taken up again", when, evidence={"attempt": 2}))
        changed = replace(first, details={17: replace(detail, events=events)})
        async with board(changed, 17, size=(160, 50)) as (app, _):
            assert "↻" in words(app.query_one(HitChart))

    async def test_empty_states(self) -> None:
        first = made.snapshot(detailed=())
        async with board(first, 17) as (app, pilot):
            assert "reading" in words(app.query_one(HitChart))
            app.snapshot = made.empty()
            await settle(pilot)
            assert "n launches one" in words(app.query_one(HitChart))


class TestDevices:
    def views(self) -> tuple[DeviceView, ...]:
        cpu = DeviceSample(
            "box", "cpu", "x", made.NOW, utilisation=0.41, memory_used=12 * GIB, memory_total=64 * GIB
        )
        gpu = DeviceSample(
            "box",
            "gpu0",
            "NVIDIA H200",
            made.NOW,
            utilisation=0.87,
            memory_used=int(38.1 * GIB),
            memory_total=139 * GIB,
            temperature=61.0,
            power=412.4,
        )
        return DeviceView(cpu), DeviceView(gpu, history=(0.5, None, 0.9))

    async def test_gauges(self) -> None:
        async with board(replace(made.snapshot(), devices=self.views()), 17, size=(180, 50)) as (app, _):
            text = words(app.query_one(Devices))
            assert text.index("gpu0 H200") < text.index("cpu")
            for part in ("87%", "61°C", "412W", "38.1/139 GiB", "41%", "▇"):
                assert part in text

    async def test_absent_sensors_are_absent(self) -> None:
        bare = DeviceView(DeviceSample("box", "gpu0", "", made.NOW))
        async with board(replace(made.snapshot(), devices=(bare,)), 17, size=(180, 50)) as (app, _):
            text = words(app.query_one(Devices))
            assert "gpu0" in text
            for part in ("%", "°C", "W", "vram", "▇"):
                assert part not in text

    async def test_stale_readings_say_so(self) -> None:
        stale = tuple(replace(view, stale=True) for view in self.views())
        async with board(replace(made.snapshot(), devices=stale), 17) as (app, _):
            assert words(app.query_one(Devices)).count("stale") == 2

    async def test_empty_state(self) -> None:
        async with board(made.snapshot(), 17) as (app, _):
            assert "No readings yet" in words(app.query_one(Devices))


class TestLogAndStatus:
    async def test_the_newest_line_is_the_lowest(self) -> None:
        async with board(made.snapshot(), 17) as (app, _):
            log = app.query_one(LogTail)
            assert log.lines[-1].plain[:20] == made.snapshot().details[17].log[-1][:20]

    async def test_events_stand_in_for_a_missing_log(self) -> None:
        first = made.snapshot()
        bare = replace(first, details={17: replace(first.details[17], log=())})
        async with board(bare, 17) as (app, _):
            assert first.details[17].events[-1].message[:20] in words(app.query_one(LogTail))

    async def test_counts_and_problem(self) -> None:
        first = made.snapshot()
        async with board(first, 17, size=(160, 30)) as (app, pilot):
            bar = app.query_one(StatusBar)
            assert f"▶ {first.count(State.RUNNING, State.STARTING, State.STOPPING)} running" in words(bar)
            assert "runs.db" in words(bar)
            app.snapshot = replace(first, problem="database is locked")
            await settle(pilot)
            assert "⚠ database is locked" in words(bar)

    @pytest.mark.parametrize("width", [10, 30, 60, 100, 200])
    async def test_the_line_fits(self, width: int) -> None:
        async with board(made.snapshot(), 17, size=(width, 20)) as (app, _):
            bar = app.query_one(StatusBar)
            assert all(line.cell_len <= bar.content_size.width for line in bar.lines)


@pytest.mark.parametrize("size", [(10, 5), (40, 10), (80, 24), (180, 50), (400, 100)])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_every_size(size: tuple[int, int], ascii_only: bool) -> None:
    devices = TestDevices().views()
    async with board(replace(made.snapshot(), devices=devices), 17, size=size, ascii_only=ascii_only) as (
        app,
        _,
    ):
        for panel in app.query(Panel):
            assert all(line.cell_len <= max(panel.content_size.width, 0) for line in panel.lines)
            if ascii_only:
                assert words(panel).isascii()
        if ascii_only:
            assert shown(app.query_one(RunList).table).isascii()
