"""Pinning, archiving, deleting and taking it back, in the App on a real store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lvmtui.screens.confirm import ConfirmScreen
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Run, Shelf
from lvmtui.widgets.run_list import RunList, RunTable
from tests.tui.driving import opened, text, until
from tests.tui.stores import Trainee, fill


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened_store = Database.open(tmp_path / "runs.db")
    yield opened_store
    opened_store.close()


@pytest.fixture
def runs(database: Database) -> dict[str, Trainee]:
    return fill(database)


@pytest.fixture
def store(tmp_path: Path, runs: dict[str, Trainee]) -> Path:
    return tmp_path / "runs.db"


def stored(database: Database, trainee: Trainee) -> Run:
    return Reader(database).run(trainee.run_id)


def listed(app) -> tuple[int, ...]:
    return app.screen.query_one(RunList).shown_ids


async def put_cursor(app, pilot, trainee: Trainee) -> None:
    await until(pilot, lambda: isinstance(app.focused, RunTable))
    await pilot.press("g")
    for _ in listed(app):
        if app.focused_run == trainee.run_id:
            return
        await pilot.press("j")
        await pilot.pause()
    assert app.focused_run == trainee.run_id


async def test_a_pinned_run_goes_to_the_top_and_back(
    store: Path, database: Database, runs: dict[str, Trainee]
) -> None:
    lost = runs["lost"]
    async with opened(store, focus=lost.run_id) as (app, pilot):
        await until(pilot, lambda: app.focused_run == lost.run_id)
        before = listed(app)
        await pilot.press("i")
        await until(pilot, lambda: listed(app)[0] == lost.run_id)
        assert app.focused_run == lost.run_id, "the cursor stays on its run"
        await pilot.press("u")
        await until(pilot, lambda: listed(app) == before)
        assert "Taken back: pinning" in text(app)
        await pilot.press("u")
        await until(pilot, lambda: "There is nothing to take back" in text(app))


async def test_archive_and_back(store: Path, database: Database, runs: dict[str, Trainee]) -> None:
    lost = runs["lost"]
    async with opened(store, focus=lost.run_id) as (app, pilot):
        await until(pilot, lambda: app.focused_run == lost.run_id)
        await pilot.press("space", "A")
        await until(pilot, lambda: lost.run_id not in listed(app))
        assert stored(database, lost).shelf is Shelf.ARCHIVED
        assert app.marked == ()
        await pilot.press("u")
        await until(pilot, lambda: lost.run_id in listed(app))


async def test_delete_asks_and_is_taken_back(
    store: Path, database: Database, runs: dict[str, Trainee]
) -> None:
    lost = runs["lost"]
    async with opened(store, focus=lost.run_id) as (app, pilot):
        await until(pilot, lambda: app.focused_run == lost.run_id)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        assert lost.run_id in listed(app)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: lost.run_id not in listed(app))
        assert stored(database, lost).shelf is Shelf.TRASH
        await pilot.press("u")
        await until(pilot, lambda: lost.run_id in listed(app))
        assert stored(database, lost).shelf is Shelf.RUNS


async def test_in_the_trash_delete_asks_twice_and_is_for_good(
    store: Path, database: Database, runs: dict[str, Trainee]
) -> None:
    lost = runs["lost"]
    async with opened(store, focus=lost.run_id) as (app, pilot):
        await until(pilot, lambda: app.focused_run == lost.run_id)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: lost.run_id not in listed(app))
        await pilot.press("a", "a")
        await until(pilot, lambda: listed(app) == (lost.run_id,))
        await until(pilot, lambda: app.focused_run == lost.run_id)
        await pilot.press("A")
        await until(pilot, lambda: not listed(app))
        assert stored(database, lost).shelf is Shelf.RUNS
        await pilot.press("u")
        await until(pilot, lambda: listed(app) == (lost.run_id,))
        await until(pilot, lambda: app.focused_run == lost.run_id)
        await pilot.press("D")
        await until(pilot, lambda: "for good?" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: "Really delete" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: "freed" in text(app))
        await until(pilot, lambda: not listed(app))
    assert lost.run_id not in {run.id for run in Reader(database).runs()}
    assert not (store.parent / f"runs/{lost.run_id}").exists()


async def test_what_runs_and_the_champion_stay(
    store: Path, database: Database, runs: dict[str, Trainee]
) -> None:
    for name, words in (("second", "Stop it first"), ("champion", "Promote another run first")):
        async with opened(store, focus=runs[name].run_id) as (app, pilot):
            await until(pilot, lambda: app.focused_run == runs[name].run_id)  # noqa: B023
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.press("y")
            await until(pilot, lambda: words in text(app))  # noqa: B023
        assert stored(database, runs[name]).shelf is Shelf.RUNS


async def test_a_note_is_taken_back(store: Path, database: Database, runs: dict[str, Trainee]) -> None:
    lost = runs["lost"]
    async with opened(store, focus=lost.run_id) as (app, pilot):
        await until(pilot, lambda: app.focused_run == lost.run_id)
        before = stored(database, lost).note
        await pilot.press("e")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press(*" again", "enter")
        await until(pilot, lambda: stored(database, lost).note != before)
        Controller(database).annotate(lost.run_id, tags="since")
        await pilot.press("i")
        await until(pilot, lambda: stored(database, lost).pinned)
        await pilot.press("u")
        await until(pilot, lambda: "u again: the note on" in text(app))
        await pilot.press("u")
        await until(pilot, lambda: stored(database, lost).note == before)
        assert not stored(database, lost).pinned


async def test_readonly_changes_nothing(store: Path, database: Database, runs: dict[str, Trainee]) -> None:
    lost = runs["lost"]
    async with opened(store, focus=lost.run_id, readonly=True) as (app, pilot):
        await until(pilot, lambda: app.focused_run == lost.run_id)
        await pilot.press("i", "A", "D", "u")
        await pilot.pause()
        assert len(app.screen_stack) == 1
    now = stored(database, lost)
    assert (now.pinned, now.shelf) == (False, Shelf.RUNS)
