"""The file of a mirror: a store of the newest schema with a few tables of its own. It is only a cache: one of
another schema, or a damaged one, is thrown away and made anew."""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path

from lvmtui.errors import StoreError
from lvmtui.store.fresh import make_tables
from lvmtui.store.location import SCHEMA

FORMAT = 1
"""Version of the tables below."""

TABLES = """
CREATE TABLE mirror (
    format INTEGER NOT NULL,
    host VARCHAR NOT NULL,
    slot INTEGER NOT NULL,
    token VARCHAR NOT NULL,
    counter INTEGER NOT NULL,
    have JSON NOT NULL
);
CREATE TABLE mirror_run (
    run_id INTEGER NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    scores INTEGER NOT NULL DEFAULT 0,
    points INTEGER NOT NULL DEFAULT 0,
    log INTEGER NOT NULL DEFAULT 0,
    logged INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE mirror_curve (
    run_id INTEGER NOT NULL,
    key VARCHAR NOT NULL,
    upto INTEGER NOT NULL DEFAULT 0,
    thinned BOOLEAN NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, key)
) WITHOUT ROWID;
CREATE TABLE mirror_lost (run_id INTEGER NOT NULL PRIMARY KEY, reason VARCHAR NOT NULL);
CREATE TABLE mirror_change (
    what VARCHAR NOT NULL,
    run_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (what, run_id)
) WITHOUT ROWID;
CREATE INDEX ix_mirror_change_number ON mirror_change (number);
ALTER TABLE metric ADD COLUMN origin INTEGER;
CREATE UNIQUE INDEX ix_metric_origin ON metric (origin);
"""
"""`mirror`: whose it is; `token` changes with `reset`, `counter` grows with every change, `have` goes into
the next greeting. `mirror_run`: how much of a run is known; `generation` changes when that is forgotten.
`mirror_lost`: why unfinished runs count as lost. `mirror_change`: what was written elsewhere than behind what
a reader knows already. `metric.origin`: id of a value in the store there; `metric.id` is in order of
arrival."""

BUSY_SECONDS = 10.0

PAGE_BYTES = 4096
MOST_BYTES = 1 << 30
"""Of a mirror's file."""

CHECKED_BYTES = 16 << 20
"""A smaller one is looked through for damage when whoever had it open last was cut off."""


def open_file(path: Path, host: str, slot: int, *, may_replace: bool) -> sqlite3.Connection:
    """Open the mirror's file to write; make it where there is none that can be used.

    Args:
        path: of the file; its folder exists.
        host: what the user calls the host.
        slot: the number that its ids begin with.
        may_replace: nobody else has it open.

    Raises:
        StoreError: it cannot be used and others have it open, the disk is full, …
    """
    try:
        if path.exists():
            was_cut_off = may_replace and _log_of(path).exists()
            found = _usable(path, host, slot, check=was_cut_off)
            if found is not None:
                return found
            if not may_replace:
                raise StoreError(
                    f"the copy of {host}'s runs in {path.parent} cannot be used: another lvmtui has it open",
                    "End that one, or upgrade both to the same version.",
                )
            throw_away(path)
        _make(path, host, slot)
        found = _usable(path, host, slot, check=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"cannot use the copy of {host}'s runs in {path.parent}: {error}",
            "Check the free disk space and the permissions; it is only a cache and may be deleted.",
        ) from error
    if found is None:
        raise StoreError(f"{path} changes under lvmtui's hands", "Delete it; it is only a cache.")
    return found


def throw_away(path: Path) -> None:
    """Delete the file and what belongs to it."""
    for file in (path, _log_of(path), path.with_name(f"{path.name}-shm")):
        file.unlink(missing_ok=True)


def _log_of(path: Path) -> Path:
    """What SQLite has written beside a file and not into it yet; gone once nobody has it open."""
    return path.with_name(f"{path.name}-wal")


def _usable(path: Path, host: str, slot: int, *, check: bool) -> sqlite3.Connection | None:
    """The open file; None where something else is in it, or too much."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        version = connection.execute("SELECT max(version) FROM schema_version").fetchone()[0]
        wanted = [(FORMAT, host, slot)]
        ours = connection.execute("SELECT format, host, slot FROM mirror").fetchall() == wanted
        if version == SCHEMA and ours and (not check or _is_sound(connection, path)):
            connection.execute(f"PRAGMA max_page_count={MOST_BYTES // PAGE_BYTES}")
            connection.execute("PRAGMA synchronous=NORMAL")
            return connection
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            raise
        return None
    except sqlite3.DatabaseError:
        pass
    connection.close()
    return None


def _is_sound(connection: sqlite3.Connection, path: Path) -> bool:
    if path.stat().st_size > CHECKED_BYTES:
        return True
    return connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]


def _make(path: Path, host: str, slot: int) -> None:
    """Put an empty mirror in place at once: a reader finds none, or a whole one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA journal_mode=MEMORY")
            make_tables(connection, "a mirror")
            connection.executescript(TABLES)
            row = (FORMAT, host, slot, secrets.token_hex(8), 0, "{}")
            connection.execute("INSERT INTO mirror VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
        temporary.replace(path)
    except BaseException:
        for file in (temporary, *(Path(f"{temporary}{end}") for end in ("-journal", "-wal", "-shm"))):
            file.unlink(missing_ok=True)
        raise
