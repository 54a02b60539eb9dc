"""Opening stores: fresh, shared, missing, corrupt, foreign, newer, unwritable."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from lvmtui.errors import StoreCorrupt, StoreError, StoreMissing, StoreTooNew
from lvmtui.store import migrations
from lvmtui.store.database import Database
from lvmtui.store.location import Location

VERSIONS = len(migrations.MIGRATIONS)


def test_first_use_makes_a_store_in_wal_mode_at_the_latest_version(store: Path) -> None:
    with sqlite_of(Database.open(store)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (
            migrations.LATEST,
        )


def sqlite_of(database: Database) -> sqlite3.Connection:
    database.close()
    assert database.location.path is not None
    return sqlite3.connect(database.location.path)


def test_a_store_opens_again_unchanged(store: Path) -> None:
    Database.open(store).close()
    with sqlite_of(Database.open(store)) as connection:
        assert connection.execute("SELECT count(*) FROM schema_version").fetchone() == (VERSIONS,)


def _open(path: str) -> int:
    database = Database.open(path)
    with database.read() as connection:
        count = connection.execute(text("SELECT count(*) FROM schema_version")).scalar()
    database.close()
    return int(count or 0)


def test_many_processes_may_be_the_first_user_at_once(store: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(_open, [str(store)] * 8) == [VERSIONS] * 8


def test_a_missing_store_is_named_with_what_to_do(store: Path) -> None:
    with pytest.raises(StoreMissing, match=r"runs\.db") as raised:
        Database.open(store, create=False)
    assert "lvmtui demo" in raised.value.hint
    assert not store.exists()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_corrupt_store_is_refused_and_left_alone(store: Path, content: bytes) -> None:
    store.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="not a readable run store"):
        Database.open(store)
    assert store.read_bytes() == content


def test_a_foreign_database_is_refused_and_left_alone(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE precious (id INTEGER)")
    connection.close()
    with pytest.raises(StoreCorrupt, match="not a run store"):
        Database.open(store)
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("precious",)]
    connection.close()


def test_a_newer_store_is_refused_with_the_version_that_wrote_it(store: Path) -> None:
    with sqlite_of(Database.open(store)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 'future', 0, '7.0.0')")
    connection.close()
    with pytest.raises(StoreTooNew, match=r"lvmtui 7\.0\.0 \(schema 99"):
        Database.open(store)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder") as raised:
        Database.open(tmp_path)
    assert "runs.db" in raised.value.hint


def test_a_read_only_connection_cannot_write(store: Path) -> None:
    Database.open(store).close()
    database = Database.open(store, create=False, read_only=True)
    with pytest.raises(OperationalError, match="readonly"), database.write() as connection:
        connection.execute(text("DELETE FROM run"))
    database.close()


def test_locations_name_the_folder_that_run_paths_are_relative_to(tmp_path: Path) -> None:
    location = Location.parse(tmp_path / "x.db")
    assert location.root == tmp_path
    assert Location.parse(location.url) == location
    assert Location.parse("postgresql://host/db").path is None


def test_data_version_moves_for_foreign_commits_only(store: Path) -> None:
    ours, theirs = Database.open(store), Database.open(store)
    before = ours.data_version()
    with ours.write() as connection:
        connection.execute(text("UPDATE schema_version SET name = 'ours'"))
    assert ours.data_version() == before
    with theirs.write() as connection:
        connection.execute(text("UPDATE schema_version SET name = 'theirs'"))
    assert ours.data_version() != before
    ours.close()
    theirs.close()


def test_a_failed_transaction_leaves_nothing(store: Path) -> None:
    database = Database.open(store)
    with pytest.raises(OperationalError, match="no such table"), database.write() as connection:  # noqa: PT012
        connection.execute(text("DELETE FROM schema_version"))
        connection.execute(text("DELETE FROM nowhere"))
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM schema_version")).scalar() == VERSIONS
    database.close()


def test_a_killed_writer_leaves_a_readable_store(store: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from sqlalchemy import text\n"
        "from lvmtui.store.database import Database\n"
        "database = Database.open(sys.argv[1])\n"
        "with database.write() as connection:\n"
        "    connection.execute(text('DELETE FROM schema_version'))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    Database.open(store).close()
    done = subprocess.run([sys.executable, "-c", script, os.fspath(store)], check=False)
    assert done.returncode < 0
    assert _open(str(store)) == VERSIONS
