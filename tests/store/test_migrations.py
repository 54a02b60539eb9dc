"""Stores of every released schema version open, and come out like a fresh one."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import inspect

from lvmtui.store import queue
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.queue import Worker
from lvmtui.store.reader import Reader
from lvmtui.store.slots import Why

STORES = sorted((Path(__file__).parent / "stores").glob("v*.sql"))


def columns(database: Database) -> dict[str, set[str]]:
    with database.read() as connection:
        inspector = inspect(connection)
        return {
            table: {column["name"] for column in inspector.get_columns(table)}
            for table in inspector.get_table_names()
        }


@pytest.mark.parametrize("dump", STORES, ids=lambda path: path.stem)
def test_an_old_store_opens_with_everything_in_it(dump: Path, tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "runs.db")
    old.executescript(dump.read_text())
    old.close()
    database, fresh = Database.open(tmp_path / "runs.db"), Database.open(tmp_path / "fresh.db")
    assert columns(database) == columns(fresh)
    reader = Reader(database)
    run = reader.run(1)
    assert (run.name, run.result, run.progress.best_value) == ("phase-1 #1", Result.COMPLETED, 0.2)
    assert [point.value for point in reader.metrics(1)] == [None]
    best = reader.best_evaluation(run)
    assert best is not None
    assert best.ranks == b"ranks"
    assert [c.is_best for c in reader.checkpoints(1)] == [True]
    assert [p.alias for p in reader.promotions()] == ["champion"]
    assert [p.id for p in reader.protocols()] == ["p1"]
    database.close()
    fresh.close()


def test_the_queue_and_the_shelves_of_version_4_are_read(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "runs.db")
    old.executescript((STORES[0].parent / "v4.sql").read_text())
    old.close()
    database = Database.open(tmp_path / "runs.db")
    reader = Reader(database)
    (turn,) = queue.turns(database, Worker(1, 2.0, "here", ("cpu", "cuda:0")))
    waits = turn.run
    assert (waits.id, turn.why, waits.priority, waits.place, waits.after) == (2, Why.HELD, 3, 1.5, 1)
    assert (waits.device_wanted, waits.host_wanted) == ("cuda", "here")
    assert [(run.pinned, run.archived, run.tags) for run in (reader.run(1), reader.run(3))] == [
        (False, False, ""),
        (True, True, "warm,sweep"),
    ]
    assert reader.run(4).trashed == 200.0
    database.close()
