"""The queue in the dashboard: its keys on a real store, and that it goes on while a dashboard is open."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvmtui.liveness import process_alive
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.queue import waiting
from lvmtui.store.reader import Reader
from lvmtui.store.records import Run
from tests.tiny import ENDLESS, end_all, runs, write_vectors
from tests.tui.driving import opened, text, until
from tests.tui.stores import new_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Path, Database]]:
    """One run at work, three that wait for its device."""
    path = tmp_path / "runs.db"
    database = Database.open(path)
    new_run(database, "first").start()
    for name in ("a", "b", "c"):
        new_run(database, name)
    yield path, database
    database.close()


def order(database: Database) -> list[int]:
    return [run.id for run in waiting(database)]


async def test_the_keys_of_the_queue(store: tuple[Path, Database]) -> None:
    path, database = store
    async with opened(path, focus=4) as (app, pilot):
        await until(pilot, lambda: app.focused_run == 4)
        await pilot.press("ctrl+up")
        await until(pilot, lambda: order(database) == [2, 4, 3], "one place earlier")
        await until(pilot, lambda: "c #4 is 2 of 3 in the queue: waits for cpu: first #1" in text(app))
        await pilot.press("ctrl+down")
        await until(pilot, lambda: order(database) == [2, 3, 4], "one place later")
        await pilot.press("H")
        await until(pilot, lambda: Reader(database).run(4).held, "the hold")
        await until(pilot, lambda: app.snapshot and app.snapshot.view(4).run.held)  # type: ignore[union-attr]
        await pilot.press("H")
        await until(pilot, lambda: not Reader(database).run(4).held, "the release")


async def test_what_does_not_wait_is_not_moved(store: tuple[Path, Database]) -> None:
    path, database = store
    async with opened(path, focus=1) as (app, pilot):
        await until(pilot, lambda: app.focused_run == 1)
        assert not app.screen.applicable("hold")  # type: ignore[attr-defined]
        await pilot.press("H")
        await until(pilot, lambda: "first #1 is running: only what waits can be held back" in text(app))
        await pilot.press("ctrl+up")
        await until(pilot, lambda: "only what waits can be moved" in text(app))
    assert order(database) == [2, 3, 4]


async def test_readonly_leaves_the_queue_alone(
    store: tuple[Path, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, database = store
    monkeypatch.setattr("lvmtui.parts.queueing.QUEUE_SECONDS", 0.01)
    filled: list[str] = []

    def fill(store: str) -> list[Run]:
        filled.append(store)
        return []

    monkeypatch.setattr("lvmtui.launcher.fill_slots", fill)
    Controller(database).request_stop(1)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET status = 'done', result = 'completed' WHERE id = 1")
    async with opened(path, focus=4, readonly=True) as (_, pilot):
        await pilot.press("H", "ctrl+up")
        for _ in range(20):
            await pilot.pause(0.01)
    assert not filled
    assert not Reader(database).run(4).held
    async with opened(path) as (_, pilot):
        await until(pilot, lambda: filled, "the look at the queue")


@pytest.mark.slow
async def test_an_open_dashboard_goes_on_with_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine at work was killed; nothing else is left that would start the next."""
    from lvmtui import launcher

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lvmtui.parts.queueing.QUEUE_SECONDS", 0.1)
    write_vectors(tmp_path)
    database = Database.open("runs.db")
    new_run(database, "killed").start(pid=os.getpid(), process_started=1.0)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET pid = 4194304")
    held = launcher.launch("runs.db", "phase-1", ENDLESS, start=launcher.Start(held=True))
    assert held.pid is None
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET held = 0")
    database.close()
    try:
        async with opened(Path("runs.db")) as (app, pilot):
            await until(pilot, lambda: "phase-1 #2 starts: it was next in the queue" in text(app))
            await until(pilot, lambda: runs()[1].status is Status.RUNNING, "the start", seconds=60)
        assert runs()[0].result is Result.LOST
        assert process_alive(runs()[1])
    finally:
        end_all()
