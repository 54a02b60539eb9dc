"""Opening a store's file to read, without SQLAlchemy: the same answers as from `Database.open`."""

import sqlite3
from pathlib import Path

import pytest

from lvmtui.errors import StoreCorrupt, StoreError, StoreMissing, StoreTooNew
from lvmtui.store import migrations
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.location import SCHEMA
from lvmtui.store.reader import Reader
from lvmtui.store.records import NewRun
from lvmtui.store.sqlite import open_reader

OLDEST = Path(__file__).parent / "stores" / "v1.sql"


def test_the_schema_that_readers_know_is_the_newest() -> None:
    assert migrations.MIGRATIONS[-1].version == SCHEMA


def test_what_is_written_is_read(store: Path, database: Database, new_run: NewRun) -> None:
    run = Controller(database).create_run(new_run)
    source = open_reader(f"sqlite:///{store}")
    reader = Reader(source)
    assert reader.run(run.id) == run == Reader(database).run(run.id)
    assert reader.resolve("last") == run
    source.close()
    source.close()


def test_a_reader_cannot_write_and_sees_what_others_commit(store: Path, database: Database) -> None:
    source = open_reader(store)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        source.select("DELETE FROM run")
    before = source.data_version()
    assert source.data_version() == before
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET name = 'other'")
    assert source.data_version() != before
    source.close()


def test_an_older_store_is_brought_up_to_date(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "runs.db")
    old.executescript(OLDEST.read_text())
    old.close()
    source = open_reader(tmp_path / "runs.db")
    assert [run.name for run in Reader(source).runs()] == ["phase-1 #1"]
    source.close()


def test_a_missing_or_an_empty_store_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="there is no run store") as raised:
        open_reader(tmp_path / "runs.db")
    assert "lvmtui demo" in raised.value.hint
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(StoreMissing, match="is empty"):
        open_reader(empty)
    assert empty.read_bytes() == b""
    assert not (tmp_path / "runs.db").exists()
    with pytest.raises(StoreError, match="is a folder"):
        open_reader(tmp_path)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_corrupt_store_is_refused_and_left_alone(store: Path, content: bytes) -> None:
    store.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="not a readable run store"):
        open_reader(store)
    assert store.read_bytes() == content


def test_a_foreign_and_a_newer_store_are_refused(store: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE precious (id INTEGER)")
    connection.close()
    with pytest.raises(StoreCorrupt, match="not a run store"):
        open_reader(foreign)
    Database.open(store).close()
    connection = sqlite3.connect(store, isolation_level=None)
    connection.execute("INSERT INTO schema_version VALUES (99, 'future', 0, '7.0.0')")
    connection.close()
    with pytest.raises(StoreTooNew, match=r"lvmtui 7\.0\.0 \(schema 99"):
        open_reader(store)


def test_a_locked_store_is_refused_after_the_time_given(store: Path) -> None:
    Database.open(store).close()
    locker = sqlite3.connect(store, isolation_level=None)
    locker.execute("PRAGMA journal_mode=DELETE")
    locker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        open_reader(store, busy_seconds=0.05)
    locker.close()
