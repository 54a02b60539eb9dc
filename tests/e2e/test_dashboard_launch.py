"""From the keyboard to a trained model: the dashboard and a real engine process."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from lvmtui.app import LvmtuiApp
from lvmtui.liveness import process_alive
from lvmtui.recipe import recipe_files
from lvmtui.screens.confirm import ConfirmScreen
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.launch import Field, LaunchScreen
from lvmtui.snapshot import RunView, State
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Status
from lvmtui.store.reader import Reader
from tests.tui.driving import opened, text, until

SMALL = {
    "data.context": "16",
    "model.name": "gru",
    "model.hidden": "16",
    "model.layers": "1",
    "train.epochs": "400",
    "train.batch": "4",
    "train.accumulation": "1",
    "train.steps_per_epoch": "2",
    "stop.patience": "400",
}
"""Small enough for a test, long enough to be stopped."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store whose engines are gone at the end."""
    path = tmp_path / "runs.db"
    yield path
    if path.exists():
        database = Database.open(path)
        for run in Reader(database).runs():
            if run.pid and process_alive(run):
                os.killpg(run.pid, signal.SIGKILL)
        database.close()


async def launch(app: LvmtuiApp, pilot: Pilot[Any]) -> None:
    """`n`, pick demo, make it small, start."""
    await pilot.press("n")
    await until(pilot, lambda: isinstance(app.screen, LaunchScreen))
    screen = app.screen
    assert isinstance(screen, LaunchScreen)
    await until(pilot, lambda: screen.query(Field) and screen.phase is not None)
    for _ in range(len(recipe_files())):
        if screen.phase is not None and screen.phase.name == "demo":
            break
        assert isinstance(app.focused, OptionList)
        await pilot.press("down")
        await pilot.pause()
    await pilot.press("tab")
    for place in [field for field in screen.query(Field) if field.display]:
        assert app.focused is place.query_one(Input)
        if place.dotted in SMALL:
            length = len(place.query_one(Input).value)
            await pilot.press("end", *["backspace"] * length, *SMALL[place.dotted])
        await pilot.press("tab")
    assert "hidden = 16" in text(app)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, DashboardScreen))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_launch_watch_stop_resume_and_quit(store: Path, wait_until: Callable[..., None]) -> None:
    pytest.importorskip("torch")
    if "demo" not in recipe_files():
        pytest.skip("there is no demo phase yet")

    async with opened(store, size=(140, 40)) as (app, pilot):

        def run() -> RunView | None:
            return app.view_of(1)

        def state() -> State | None:
            view = run()
            return view.state if view else None

        await launch(app, pilot)
        await until(pilot, lambda: run() is not None, "the run in the list")
        await until(pilot, lambda: state() is State.RUNNING, "the engine to train", 240)
        await until(pilot, lambda: run().last is not None, "an evaluation", 120)  # type: ignore[union-attr]
        await until(pilot, lambda: "Hit@5" in text(app) and "★" in text(app), "the chart")
        assert app.focused_run == 1

        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "finishes its batch, saves a checkpoint and stops" in text(app)
        await pilot.press("y")
        await until(pilot, lambda: state() is State.STOPPED, "the run to stop", 120)
        stopped_at = run().run.progress.step  # type: ignore[union-attr]
        assert stopped_at > 0

        await pilot.press("r")
        await until(pilot, lambda: state() is State.RUNNING, "the run to go on", 240)
        await until(
            pilot,
            lambda: run().run.progress.step > stopped_at,  # type: ignore[union-attr]
            "more steps",
            120,
        )

    database = Database.open(store, create=False)
    reader = Reader(database)
    left = reader.run(1)
    assert left.status is Status.RUNNING, "quitting the dashboard does not touch the run"
    wait_until(lambda: reader.run(1).progress.step > left.progress.step, "the run to go on alone")
    assert process_alive(reader.run(1))
    database.close()
