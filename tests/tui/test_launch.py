"""The launch form, by keyboard."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList

from lvmtui.app import LvmtuiApp
from lvmtui.launcher import Start
from lvmtui.phases import all_phases, as_text, last_run, what_it_takes
from lvmtui.recipe import field_names
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.launch import Field, LaunchChoice, LaunchScreen
from lvmtui.snapshot import Snapshot
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.widgets.start_line import StartLine, Switch
from tests.tui import snapshots
from tests.tui.bench import BenchApp
from tests.tui.driving import opened, text, until
from tests.tui.stores import new_run

PHASE = """
description = "a phase of the tests"
[data]
context = 10
[train]
lr = 0.002
[targets]
hit5 = 0.2
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a phase of its own and a broken one."""
    phases = tmp_path / "phases"
    phases.mkdir()
    (phases / "mine.toml").write_text(PHASE)
    (phases / "broken.toml").write_text("[train]\nlr = -1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[LaunchChoice]:
    """What would have been launched."""
    calls: list[LaunchChoice] = []

    def record(_: LvmtuiApp, choice: LaunchChoice) -> None:
        calls.append(choice)

    monkeypatch.setattr(LvmtuiApp, "start_run", record)
    return calls


async def on_form(app: LvmtuiApp, pilot: Pilot[Any], phase: str = "mine") -> LaunchScreen:
    app.launch_phase(phase)
    await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.query(Field))
    screen = app.screen
    assert isinstance(screen, LaunchScreen)
    await until(pilot, lambda: screen.phase is not None and screen.phase.name == phase)
    assert len(screen.query(Field)) == len(field_names())
    await pilot.pause()
    return screen


def field(screen: LaunchScreen, dotted: str) -> Field:
    return next(place for place in screen.query(Field) if place.dotted == dotted)


async def type_into(pilot: Pilot[Any], place: Field, value: str) -> None:
    line = place.query_one(Input)
    line.focus()
    await pilot.pause()
    await pilot.press("end", *["backspace"] * len(line.value), *value)
    await pilot.pause()


async def says(app: LvmtuiApp, pilot: Pilot[Any], words: str) -> None:
    await until(pilot, lambda: words in text(app), words)


async def test_only_what_was_changed_is_overridden(project: Path, launched: list[Any]) -> None:
    async with opened(project / "runs.db", size=(80, 24)) as (app, pilot):
        screen = await on_form(app, pilot)
        assert "a phase of the tests" in text(app)
        assert field(screen, "train.lr").value == "0.002"
        await type_into(pilot, field(screen, "train.lr"), "5e-4")
        await type_into(pilot, field(screen, "data.context"), "20")
        await type_into(pilot, field(screen, "data.context"), "10")
        await type_into(pilot, field(screen, "targets.hit5"), "")
        assert "changed: train.lr = 5e-4, targets.hit5 = none" in text(app)
        await pilot.press("enter")
        await until(pilot, lambda: launched)
    assert launched == [LaunchChoice("mine", {"train.lr": "5e-4", "targets.hit5": ""})]


async def test_a_wrong_value_is_said_under_its_field_and_not_launched(
    project: Path, launched: list[Any]
) -> None:
    async with opened(project / "runs.db") as (app, pilot):
        screen = await on_form(app, pilot)
        await type_into(pilot, field(screen, "train.lr"), "11")
        assert field(screen, "train.lr").has_class("-wrong")
        assert "train.lr is: 0.0 < number <= 10.0" in text(app)
        await type_into(pilot, field(screen, "model.name"), "grv")
        assert "Did you mean gru?" in text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen is screen
        await type_into(pilot, field(screen, "train.lr"), "0.002")
        assert not field(screen, "train.lr").has_class("-wrong")
        await type_into(pilot, field(screen, "model.name"), "gru")
        assert not screen.query_one("#start", Button).disabled
    assert not launched


async def test_values_that_do_not_go_together_are_refused(project: Path, launched: list[Any]) -> None:
    async with opened(project / "runs.db") as (app, pilot):
        screen = await on_form(app, pilot)
        await type_into(pilot, field(screen, "loss.name"), "published")
        await type_into(pilot, field(screen, "train.batch"), "1")
        assert "needs train.batch of at least 2" in text(app)
        assert screen.query_one("#start", Button).disabled


async def test_missing_data_is_said_before_launching(project: Path, launched: list[Any]) -> None:
    async with opened(project / "runs.db") as (app, pilot):
        screen = await on_form(app, pilot)
        await type_into(pilot, field(screen, "data.path"), "nowhere")
        assert "the vector set nowhere does not exist" in text(app)
        assert screen.query_one("#start", Button).disabled


async def test_keyboard_alone(project: Path, launched: list[Any]) -> None:
    async with opened(project / "runs.db", size=(80, 24)) as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.query(Field))
        await pilot.press("end")
        names = [phase.name for phase in all_phases()]
        screen = app.screen
        assert isinstance(screen, LaunchScreen)
        await until(pilot, lambda: screen.phase and screen.phase.name == names[-1])
        await pilot.pause()
        await pilot.press("tab")
        assert isinstance(app.focused, Input)
        assert app.focused is field(screen, "data.path").query_one(Input)
        await pilot.press("down", "down")
        assert app.focused is field(screen, "data.stride").query_one(Input)
        await pilot.press("up")
        assert app.focused is field(screen, "data.context").query_one(Input)
        assert "data.context: 1 to 100000 · vectors before the predicted one" in text(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
    assert not launched


async def test_a_broken_recipe_is_shown_as_such(project: Path, launched: list[Any]) -> None:
    async with opened(project / "runs.db") as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen))
        screen = app.screen
        assert isinstance(screen, LaunchScreen)
        names = [phase.name for phase in all_phases()]
        screen.query_one(OptionList).highlighted = names.index("broken")
        await until(pilot, lambda: "train.lr = -1 is not allowed" in text(app))
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen is screen
    assert not launched


async def test_fields_that_the_model_does_not_heed_are_left_out(project: Path, launched: list[Any]) -> None:
    async with opened(project / "runs.db", size=(120, 36)) as (app, pilot):
        screen = await on_form(app, pilot)
        assert field(screen, "model.slots").display
        assert not field(screen, "model.heads").display
        assert "memory_gru, 11.3M parameters" in text(app)
        await type_into(pilot, field(screen, "model.slots"), "8")
        await type_into(pilot, field(screen, "model.name"), "transformer")
        assert field(screen, "model.heads").display
        assert field(screen, "model.slots").display  # something was typed there
        assert not field(screen, "model.chunk").display
        await type_into(pilot, field(screen, "data.context"), "100000")
        assert screen.query_one("#start", Button).disabled == ("needs 100001 vectors" in text(app))
        await type_into(pilot, field(screen, "model.heads"), "7")
        assert "multiple of twice model.heads" in text(app)
        assert screen.query_one("#start", Button).disabled


async def test_the_last_run_of_the_phase_tells_what_it_takes(project: Path) -> None:
    database = Database.open(project / "runs.db")
    new_run(database, "mine").start().train(4)
    async with opened(project / "runs.db") as (app, pilot):
        await on_form(app, pilot)
        assert "last: mine #1, running, Hit@5 11." in text(app)
        assert "11.3M parameters" in text(app)
        phase = next(phase for phase in all_phases() if phase.name == "mine")
        assert phase.recipe is not None
        assert last_run(app.snapshot, "other") is None
        assert "not known" in what_it_takes(phase.recipe, None)[-1]
    database.close()


def test_every_shipped_recipe_survives_its_own_texts(tmp_path: Path) -> None:
    for phase in all_phases():
        assert phase.recipe is not None, phase.trouble
        texts = {dotted: phase.value(dotted) for dotted in field_names()}
        assert phase.changed(texts) == {}
        assert phase.build(texts) == phase.recipe
    assert as_text(None) == ""
    assert as_text(True) == "true"


async def test_the_start_line_by_keyboard(project: Path, launched: list[Any]) -> None:
    database = Database.open(project / "runs.db")
    running = new_run(database, "mine").start()
    async with opened(project / "runs.db", size=(80, 24)) as (app, pilot):
        screen = await on_form(app, pilot)
        await says(app, pilot, "starts at once, although mine #1 uses cpu")
        assert "priority" not in text(app)
        await pilot.press("ctrl+o")
        await says(app, pilot, "waits for cpu: mine #1 uses it")
        await pilot.press("shift+tab")  # one run is no group: no jobs
        assert app.focused is screen.query_one("#seeds", Input)
        await says(app, pilot, "seeds: 1 to 200")
        await pilot.press("3")
        await says(app, pilot, "3 runs, one after another; the first waits for cpu")
        await pilot.press("tab", "2")
        await says(app, pilot, "3 runs, 2 at once; the first")
        await pilot.press("shift+tab", "shift+tab", *"mine #9")
        await says(app, pilot, "after: there is no run mine #9")
        assert screen.query_one("#start", Button).disabled
        await pilot.press("backspace", "1", "shift+tab")
        await says(app, pilot, "the first starts after mine #1")
        assert isinstance(app.focused, Switch)
        await pilot.press("space")
        await says(app, pilot, "the first is held")
        await pilot.press("shift+tab", "-", "4")
        await pilot.press("enter")
        await until(pilot, lambda: launched)
    start = Start(queue=True, priority=-4, held=True, after=1)
    assert launched == [LaunchChoice("mine", {}, start=start, seeds=3, jobs=2)]
    assert running.run_id == 1
    database.close()


async def test_what_the_start_line_does_not_show_does_not_count(project: Path, launched: list[Any]) -> None:
    async with opened(project / "runs.db", size=(80, 24)) as (app, pilot):
        screen = await on_form(app, pilot)
        await pilot.press("ctrl+o")
        assert "starts at once, in its turn" in text(app)
        for name, value, error in [
            ("seeds", "0", "seeds is a whole number from 1 to 200"),
            ("seeds", "x", "seeds is a whole number from 1 to 200"),
            ("priority", "1.5", "priority is a whole number"),
            ("after", "last", "after: there is no run last"),
        ]:
            line = screen.query_one(StartLine).query_one(f"#{name}", Input)
            before, line.value = line.value, value
            await until(pilot, lambda error=error: error in text(app), error)  # type: ignore[misc]
            line.value = before
            await until(pilot, lambda error=error: error not in text(app))  # type: ignore[misc]
        screen.query_one("#priority", Input).value = "nonsense"
        await pilot.click("#when")
        assert "starts at once" in text(app)
        screen.query_one("#when").focus()
        await pilot.press("enter")
        await until(pilot, lambda: launched)
    assert launched == [LaunchChoice("mine")]


def test_last_is_the_newest_run(project: Path) -> None:
    from lvmtui.widgets.start_line import _run_of

    database = Database.open(project / "runs.db")
    made = [new_run(database, phase) for phase in ("a", "b")]
    from lvmtui.store.reader import Reader

    runs = Reader(database).runs()
    found = [_run_of(text, runs) for text in ("last", "1", "#2", "b #2", "a #2", "", "#", "-1", "x")]
    assert found == [2, 1, 2, 2, None, None, None, None, None]
    assert Controller(database).request_stop(made[0].run_id).id == 1
    database.close()


@pytest.fixture
def fixed_surroundings(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pictures are of the same phases everywhere, in UTC, with all colours."""
    for name in ("mine", "broken"):
        (project / "phases" / f"{name}.toml").unlink()
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLORTERM", "truecolor")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


async def show_form(pilot: Pilot[None], form: LaunchScreen, keys: Sequence[str], words: str) -> None:
    """Open the form, press some keys, and wait for what they bring about; its cursors do not blink."""
    await pilot.app.push_screen(form)
    await until(pilot, lambda: "Launch" in text(pilot.app) and form.query(Field) and form.phase)
    for line in form.query(Input):
        line.cursor_blink = False
    await pilot.press(*keys)
    await until(pilot, lambda: words in text(pilot.app), words)
    await pilot.pause(0.3)  # nothing to wait for: focus colours and scroll bars settle


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (180, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.usefixtures("fixed_surroundings")
def test_pictures_of_the_form(snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
    async def fill_in(pilot: Pilot[None]) -> None:
        form = LaunchScreen(snapshots.snapshot(), "phase-3")
        await show_form(pilot, form, ["ctrl+o", "shift+tab", "3"], "3 runs, one after another")

    app = BenchApp(DashboardScreen(), snapshots.snapshot(), 17)
    assert snap_compare(app, terminal_size=size, run_before=fill_in)


@pytest.mark.usefixtures("fixed_surroundings")
def test_a_picture_of_the_form_with_a_mistake(snap_compare: Callable[..., bool]) -> None:
    async def mistake(pilot: Pilot[None]) -> None:
        form = LaunchScreen(None, "phase-1")
        await show_form(pilot, form, ["ctrl+o", "shift+tab", "shift+tab", *"99"], "there is no run 99")

    app = BenchApp(DashboardScreen(), Snapshot(store="/project/runs.db", taken=snapshots.NOW), None)
    assert snap_compare(app, terminal_size=(80, 24), run_before=mistake)
