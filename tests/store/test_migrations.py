"""Stores of every released schema version open, and come out like a fresh one."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import inspect

from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader

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
