"""What no user does on purpose: storms of keys, sizes and text, hostile names, a vanishing store."""

import asyncio
import os
import random
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual import events
from textual.pilot import Pilot

from lvmtui import commands
from lvmtui.app import LvmtuiApp
from tests.tui import stores
from tests.tui.driving import opened, text, until

KEYS = sorted(
    {key for command in commands.COMMANDS if command.id not in {"quit"} for key in command.keys}
    | {"pageup", "pagedown", "shift+tab", "backspace", "delete", "f1", "a", "Z", "ctrl+a", "space"}
)
"""Every key of the registry but the one that ends the program, and some that mean nothing."""

HOSTILE = (
    "[bold red]markup[/] [@click=app.quit]x[/]",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "e\u0301\u0302\u0303\u0304" * 20,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea 幅の広い文字",
    "tab\there\nand\r\nlines\0nul\x7f",
    "x" * 10_000,
    "",
    "   ",
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A few runs, one of them training."""
    return stores.filled(tmp_path / "runs.db")


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([(80, 24), (120, 36), (180, 50)]))
@pytest.mark.slow
def test_a_thousand_random_keys(tmp_path: Path, seed: int, size: tuple[int, int]) -> None:
    """--readonly, so that no key launches or deletes anything; the App must go on and still answer."""

    async def storm() -> None:
        path = stores.filled(tmp_path / f"{seed}-{size[0]}-{time.monotonic_ns()}" / "runs.db")
        keys = random.Random(seed)
        async with opened(path, size=size, readonly=True) as (app, pilot):
            for number in range(250):
                await pilot.press(keys.choice(KEYS))
                if number % 50 == 49:
                    await pilot.resize_terminal(keys.randrange(1, 200), keys.randrange(1, 60))
                    await pilot.resize_terminal(*size)
            await back_to_the_dashboard(app, pilot)
            assert "runs.db" in text(app)

    asyncio.run(storm())


async def back_to_the_dashboard(app: LvmtuiApp, pilot: Pilot[int]) -> None:
    for _ in range(8):
        await pilot.press("escape")
    await pilot.press("1")
    await until(
        pilot, lambda: app.current_mode == "dashboard" and len(app.screen_stack) == 1, "the dashboard"
    )


async def test_a_storm_of_sizes(store: Path) -> None:
    sizes = random.Random(1)
    async with opened(store) as (app, pilot):
        for screen in ("1", "2", "3", "4", "5"):
            await pilot.press(screen)
            for _ in range(12):
                await pilot.resize_terminal(sizes.randrange(1, 260), sizes.randrange(1, 80))
        await pilot.resize_terminal(120, 36)
        await pilot.press("1")
        await pilot.pause()
        assert "Runs" in text(app)


async def test_a_tiny_terminal_says_so(store: Path) -> None:
    async with opened(store, size=(40, 10)) as (app, pilot):
        await pilot.pause()
        assert "terminal too small: 40x10" in text(app)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "too small" not in text(app)


async def test_a_flood_of_pasted_text(store: Path) -> None:
    """Into the list, where it means nothing, and into the filter, where it is text."""
    flood = "q\x1b[31mS\ny" * 2000
    async with opened(store) as (app, pilot):
        app.post_message(events.Paste(flood))
        await pilot.pause()
        assert app.is_running
        await pilot.press("slash")
        await pilot.pause()
        app.screen.focused.post_message(events.Paste(flood)) if app.screen.focused else None
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert "Runs" in text(app)


async def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Phases, notes and tags of a store that somebody else wrote: nothing is run, no cell is shifted."""
    path = stores.filled(tmp_path / "runs.db")
    connection = sqlite3.connect(path)
    ids = [row[0] for row in connection.execute("SELECT id FROM run ORDER BY id")]
    for place, run_id in enumerate(ids):
        for column in ("phase", "note", "tags", "model", "host", "data"):
            connection.execute(
                f"UPDATE run SET {column} = ? WHERE id = ?",
                (HOSTILE[(place + len(column)) % len(HOSTILE)], run_id),
            )
    for place, name in enumerate(HOSTILE):
        connection.execute(
            "INSERT INTO event (run_id, kind, severity, message, time, evidence) "
            "VALUES (?, ?, ?, ?, ?, '{}')",
            (ids[place % len(ids)], name[:50] or "note", "info", name, 1.0 + place),
        )
    connection.commit()
    connection.close()
    for size in ((80, 24), (180, 50)):
        async with opened(path, size=size) as (app, pilot):
            for key in ("1", "enter", "escape", "2", "3", "4", "5", "1", "question_mark", "escape"):
                await pilot.press(key)
                await pilot.pause()
                drawn = text(app)
                assert "\x1b" not in drawn
                assert "\x07" not in drawn
                assert {cell_len(line) for line in drawn.split("\n")} == {size[0]}, (key, drawn)
            assert app.is_running


async def test_a_store_that_vanishes_and_comes_back(store: Path) -> None:
    kept = store.with_name("kept.db")
    async with opened(store) as (app, pilot):
        connection = sqlite3.connect(store)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copy(store, kept)
        for file in (store, store.with_name("runs.db-wal"), store.with_name("runs.db-shm")):
            file.unlink(missing_ok=True)
        await until(pilot, lambda: "was removed" in text(app), "the banner")
        os.replace(kept, store)
        await until(pilot, lambda: "was removed" not in text(app), "recovery by itself")
        assert app.snapshot is not None
        assert app.snapshot.runs


async def test_a_store_that_is_replaced_by_another(store: Path, tmp_path: Path) -> None:
    other = stores.filled(tmp_path / "other" / "runs.db", phase="another")
    connection = sqlite3.connect(other)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    async with opened(store) as (app, pilot):
        os.replace(other, store)
        for file in (store.with_name("runs.db-wal"), store.with_name("runs.db-shm")):
            file.unlink(missing_ok=True)
        await until(pilot, lambda: "another" in text(app), "the other store's runs")


async def test_a_store_of_garbage(store: Path) -> None:
    async with opened(store) as (app, pilot):
        good = store.with_name("good.db")
        connection = sqlite3.connect(store)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copy(store, good)
        garbage = store.with_name("garbage")
        garbage.write_bytes(b"no database " * 1000)
        os.replace(garbage, store)
        await until(pilot, lambda: app.snapshot is not None and bool(app.snapshot.problem), "the banner")
        assert app.snapshot is not None
        assert app.snapshot.runs, "the last good reading stays"
        os.replace(good, store)
        await until(pilot, lambda: app.snapshot is not None and not app.snapshot.problem, "recovery")


async def test_a_store_that_is_locked(store: Path) -> None:
    """A writer that holds the lock for long keeps nobody from reading."""
    async with opened(store) as (app, pilot):
        writer = sqlite3.connect(store, isolation_level=None)
        writer.execute("BEGIN EXCLUSIVE")
        await pilot.press("down", "up", "2", "1")
        await pilot.pause()
        assert "Runs" in text(app)
        writer.execute("ROLLBACK")
        writer.execute(
            "UPDATE run SET note = 'written later', revision = 1 + (SELECT max(revision) FROM run)"
        )
        writer.close()
        await until(
            pilot,
            lambda: (
                app.snapshot is not None and any(v.run.note == "written later" for v in app.snapshot.runs)
            ),
            "the change",
        )
