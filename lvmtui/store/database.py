"""Opening the store: where it is, pragmas, versions, transactions.

SQLite's own things stay in this module and in `sqlite`, so that another database can stand in its place.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool

from lvmtui.store import migrations
from lvmtui.store.location import Location, Rows, cannot_open, check_file, damaged_json, not_readable

BUSY_TIMEOUT_MS = 30_000


class Database:
    """One open connection to a store, shared by the threads of this process one at a time."""

    def __init__(self, location: Location, engine: Engine) -> None:
        self.location = location
        self._engine = engine
        self._connection = engine.connect()
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls, target: str | os.PathLike[str], *, create: bool = True, read_only: bool = False
    ) -> "Database":
        """Open a store, making or migrating it where needed.

        Args:
            target: path or URL.
            create: make the store when there is none.
            read_only: refuse every write on this connection.

        Raises:
            StoreMissing: there is none and `create` is false.
            StoreCorrupt: it is no run store.
            StoreTooNew: a later lvmtui wrote it.
            StoreError: the folder cannot be written, the disk is full, …
        """
        location = Location.parse(target)
        if location.path is not None:
            check_file(location.path, create=create and not read_only)
        engine = _create_engine(location)
        try:
            database = cls(location, engine)
            database._prepare(read_only)
        except OperationalError as error:
            engine.dispose()
            raise cannot_open(location, error.orig) from error
        except DatabaseError as error:
            engine.dispose()
            raise not_readable(location, error.orig) from error
        except BaseException:
            engine.dispose()
            raise
        return database

    def _prepare(self, read_only: bool) -> None:
        with self.read() as connection:
            version = migrations.current_version(connection, self.location.where)
        if version < migrations.LATEST:
            with self.write() as connection:
                migrations.migrate(connection, self.location.where)
        if read_only and self.is_sqlite:
            self._connection.exec_driver_sql("PRAGMA query_only=ON")
            self._connection.rollback()

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the store; never blocks a writer."""
        with self._lock:
            try:
                yield self._connection
            except JSONDecodeError as error:
                raise damaged_json(self.location, error) from error
            finally:
                self._connection.rollback()

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Everything that a query finds, of one moment; parameters stand in it as `:name`."""
        with self.read() as connection:
            result = connection.execute(text(sql), dict(parameters or {}))
            return Rows(tuple(result.keys()), result.fetchall())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end; others wait only while it lasts."""
        with self._lock:
            self._connection.rollback()
            self._connection.info["write"] = True
            try:
                yield self._connection
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise
            finally:
                self._connection.info["write"] = False

    @contextmanager
    def beside(self, file: Path) -> Iterator[None]:
        """Have the tables of another SQLite file at hand, as `staged.NAME`; not within a transaction."""
        with self._lock:
            self._connection.rollback()
            driver: Any = self._connection.connection.driver_connection
            driver.execute("ATTACH DATABASE ? AS staged", (os.fspath(file),))
            try:
                yield
            finally:
                driver.execute("DETACH DATABASE staged")

    def data_version(self) -> int | None:
        """Moves whenever *another* connection has committed; None where the database cannot tell."""
        if not self.is_sqlite:
            return None
        with self._lock:
            # Past SQLAlchemy, because the question must not open a transaction.
            driver: Any = self._connection.connection.driver_connection
            return int(driver.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        with self._lock:
            self._connection.close()
            self._engine.dispose()


def _create_engine(location: Location) -> Engine:
    if location.path is None:
        return create_engine(location.url)
    engine = create_engine(
        location.url,
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def _configure(driver: Any, _record: Any) -> None:
        # Explicit BEGIN below; the driver's own would start read transactions that upgrade and deadlock.
        driver.isolation_level = None
        driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        _set_wal(driver)
        driver.execute("PRAGMA synchronous=NORMAL")
        driver.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get("write") else "BEGIN")

    return engine


def _set_wal(driver: Any, deadline_seconds: float = 10.0) -> None:
    """Switch to WAL. The switch ignores the busy timeout, so several first users would collide."""
    import sqlite3

    end = time.monotonic() + deadline_seconds
    while True:
        try:
            driver.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
