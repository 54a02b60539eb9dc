"""A store's file, opened to read with the standard library alone."""

import os
import sqlite3
import threading
from collections.abc import Mapping
from typing import Any

from lvmtui.errors import StoreError, StoreMissing
from lvmtui.store.location import (
    SCHEMA,
    VERSIONS_TABLE,
    Location,
    Rows,
    Source,
    cannot_open,
    check_file,
    foreign,
    not_readable,
    too_new,
)

BUSY_SECONDS = 30.0
"""How long a reader waits for a lock on the whole file, unless told otherwise."""


class SqliteStore:
    """One open connection that cannot write, shared by the threads of this process one at a time."""

    is_sqlite = True

    def __init__(self, location: Location, connection: sqlite3.Connection) -> None:
        self._location = location
        self._connection = connection
        self._lock = threading.RLock()

    @property
    def location(self) -> Location:
        """Where the store is."""
        return self._location

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Everything that a query finds, of one moment; parameters stand in it as `:name`."""
        with self._lock:
            cursor = self._connection.execute(sql, parameters or {})
            values = cursor.fetchall()
            return Rows([column[0] for column in cursor.description], values)

    def data_version(self) -> int | None:
        """Moves whenever *another* connection has committed."""
        with self._lock:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with self._lock:
            self._connection.close()


def open_reader(target: str | os.PathLike[str], *, busy_seconds: float = BUSY_SECONDS) -> Source:
    """Open a store to read: a file without SQLAlchemy, any other URL with it.

    A file with an older schema is brought to the newest one first.

    Args:
        target: path or URL.
        busy_seconds: how long to wait for a lock on the whole file.

    Raises:
        StoreMissing: there is none, or the file is empty.
        StoreCorrupt: it is no run store.
        StoreTooNew: a later lvmtui wrote it.
        StoreError: it is locked, the folder cannot be written, …
    """
    location = Location.parse(target)
    if location.path is None:
        from lvmtui.store.database import Database

        return Database.open(target, create=False, read_only=True)
    check_file(location.path, create=False)
    store = _connect(location, busy_seconds)
    try:
        if _version(store) < SCHEMA:
            store.close()
            from lvmtui.store.database import Database

            Database.open(target, create=False).close()
            store = _connect(location, busy_seconds)
    except BaseException:
        store.close()
        raise
    return store


def _connect(location: Location, busy_seconds: float) -> SqliteStore:
    try:
        connection = sqlite3.connect(
            f"{location.path.as_uri()}?mode=rw" if location.path else "",
            uri=True,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.OperationalError as error:
        raise cannot_open(location, error) from error
    connection.execute("PRAGMA query_only=ON")
    return SqliteStore(location, connection)


def _version(store: SqliteStore) -> int:
    """The schema version, checked."""
    location = store.location
    try:
        tables = store.select("SELECT name FROM sqlite_master WHERE type = 'table'").values
        names = {name for (name,) in tables}
        if VERSIONS_TABLE not in names:
            if names - {"sqlite_sequence"}:
                raise foreign(location.where)
            raise StoreMissing(
                f"the run store at {location.where} is empty",
                "Launch a run to fill it (`lvmtui demo`), or restore it from a copy.",
            )
        newest = "SELECT version, program FROM schema_version ORDER BY version DESC LIMIT 1"
        found = store.select(newest).values
    except StoreError:
        raise
    except sqlite3.OperationalError as error:
        raise cannot_open(location, error) from error
    except sqlite3.DatabaseError as error:
        raise not_readable(location, error) from error
    version, program = found[0] if found else (0, "")
    if version > SCHEMA:
        raise too_new(location.where, program, version)
    return int(version)
