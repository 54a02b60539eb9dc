"""The palette: commands, themes, phases, and runs by name, also when there are very many."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from textual.content import Content
from textual.widgets import Input

from lvmtui.palette import MOST_SCORED, Commands, fitting
from lvmtui.screens.run import RunScreen
from lvmtui.store.database import Database
from lvmtui.widgets.run_list import RunTable
from tests.tui import snapshots
from tests.tui.driving import opened, text, until
from tests.tui.stores import Trainee, fill


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def runs(store: Path) -> Iterator[dict[str, Trainee]]:
    database = Database.open(store)
    yield fill(database)
    database.close()


def many(number: int):
    view = snapshots.snapshot().runs[0]
    return tuple(
        replace(
            view, run=replace(view.run, id=i, phase=f"phase-{i % 7}", note="warm" if i % 100 == 0 else "")
        )
        for i in range(number, 0, -1)
    )


def test_the_letters_together_come_before_the_letters_apart() -> None:
    found = [name for name, _ in fitting(many(300), "#15")]
    assert found[0].endswith("#159")
    assert all("#15" in name for name in found[:11])
    assert found[11:]
    assert all("#15" not in name for name in found[11:])
    assert [view.run.id for _, view in fitting(many(300), "warm")] == [300, 200, 100]
    assert fitting(many(5), "  ") == []
    assert fitting(many(5), "(]") == []


def test_ten_thousand_runs_are_not_all_scored() -> None:
    assert len(fitting(many(10_000), "phase")) == MOST_SCORED
    assert fitting(many(10_000), "#1")[-1][1].run.id > 0


async def test_names_of_runs_are_no_markup() -> None:
    view = snapshots.snapshot().runs[0]
    named = replace(view, run=replace(view.run, phase="[link=file:///x]y[/] \x1b[5mz"))
    about = SimpleNamespace(runs=(named,))
    app = SimpleNamespace(
        snapshot=about, readonly=True, keymap={}, own_themes=("[b]",), choose_theme=print, post_message=print
    )
    found = [hit async for hit in Commands(SimpleNamespace(app=app, active_bindings={})).discover()]
    shown = [str(Content.from_markup(hit.prompt)) for hit in found]
    assert shown == ["theme [b]", f"[link=file:///x]y[/] z {view.run.label}"]


async def open_palette(pilot, app) -> None:
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(app.focused, Input), "the palette")


async def test_a_run_is_opened_by_name(store: Path, runs: dict[str, Trainee]) -> None:
    wanted = runs["champion"]
    name = wanted.writer.run().name
    async with opened(store, size=(120, 60)) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await open_palette(pilot, app)
        await pilot.press(*name.replace(" ", "").replace("#", ""))
        await until(pilot, lambda: f"{name}" in text(app) and "open the run" in text(app), "the run")
        deadline = time.monotonic() + 0.4
        await until(pilot, lambda: time.monotonic() > deadline)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run's screen")
        assert app.focused_run == wanted.run_id


async def test_themes_are_there_and_readonly_launches_nothing(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store, size=(120, 60), readonly=True) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await open_palette(pilot, app)
        await pilot.press(*"tol-light")
        await until(pilot, lambda: "theme tol-light" in text(app))
        deadline = time.monotonic() + 0.4
        await until(pilot, lambda: time.monotonic() > deadline)
        await pilot.press("enter")
        await until(pilot, lambda: app.theme == "tol-light")
        await open_palette(pilot, app)
        await pilot.press(*"launch")
        await pilot.pause(0.3)
        assert "open the launch form" not in text(app)
