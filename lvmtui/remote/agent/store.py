"""A store's file, read as it is: whatever its schema, and without a lock that an engine would wait for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

LOCKED_SECONDS = 0.25
"""How long one look waits for somebody who has locked the whole file."""

RUN_TABLE, VERSIONS_TABLE = "run", "schema_version"

_NEEDED = {
    RUN_TABLE: (
        "id",
        "revision",
        "status",
        "attempt",
        "started",
        "step",
        "best_epoch",
        "protocol_id",
        "folder",
    ),
    "evaluation": ("id", "run_id", "baseline", "protocol_id", "split", "epoch", "hit5", "mrr"),
    "metric": ("id", "run_id", "key", "step", "epoch", "time", "value"),
}
"""Columns without which nothing can be told of a store; every schema so far has them."""

Row = tuple[Any, ...]


class StoreProblem(Exception):
    """The store cannot be read now."""

    def __init__(self, text: str, hint: str = "", *, is_locked: bool = False) -> None:
        super().__init__(text)
        self.is_locked = is_locked
        """Whether somebody else holds the file: it is sound, and can be read as soon as it is free."""
        self.text = text
        self.hint = hint


class Store:
    """One open store. Nothing is ever written to it."""

    def __init__(self, path: str) -> None:
        """
        Args:
            path: the file.

        Raises:
            StoreProblem: there is none, or it is no run store.
        """
        self.path = path
        self.root = os.path.dirname(path)
        """The folder that the paths of runs are relative to."""
        self._identity = identity(path)
        if self._identity is None:
            raise StoreProblem(
                f"there is no run store at {path}",
                "Launch a run there, or name another place: HOST:PATH. It is looked for until it is there.",
            )
        self._connection = _connect(path)
        self._columns: dict[str, tuple[str, ...]] = {}
        try:
            with self.moment():
                tables = {
                    name for (name,) in self.select("SELECT name FROM sqlite_master WHERE type = 'table'")
                }
                if not {RUN_TABLE, VERSIONS_TABLE} <= tables:
                    raise StoreProblem(
                        f"{path} is no run store of lvmtui"
                        if tables
                        else f"the run store at {path} is empty",
                        "Name another place: HOST:PATH.",
                    )
                self._columns = {table: self._read_columns(table) for table in sorted(tables)}
                self._check_columns()
        except BaseException:
            self.close()
            raise

    def _read_columns(self, table: str) -> tuple[str, ...]:
        found = self.select(f"PRAGMA table_info({_quoted(table)})")
        return tuple(name for _, name, kind, *_ in found if "BLOB" not in str(kind).upper())

    def _check_columns(self) -> None:
        lacking = [
            f"{table}.{name}"
            for table, names in _NEEDED.items()
            for name in names
            if name not in self.columns(table)
        ]
        if lacking:
            program = self.one("SELECT program FROM schema_version ORDER BY version DESC LIMIT 1")
            raise StoreProblem(
                f"{self.path} was written by lvmtui {program}, and has no {lacking[0]}",
                "Install that version of lvmtui there, to read it with its own agent.",
            )

    def columns(self, table: str) -> tuple[str, ...]:
        """Names of a table's columns but for large binary ones; empty where there is no such table."""
        return self._columns.get(table, ())

    def rows(self, table: str, where: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Rows of a table, each with the values of `columns`; none where there is no such table."""
        names = self.columns(table)
        if not names:
            return []
        return self.select(f"SELECT {', '.join(map(_quoted, names))} FROM {table} {where}", parameters)

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Everything that a query finds; parameters stand in it as `:name`.

        Raises:
            StoreProblem: the file is locked, damaged or gone.
        """
        try:
            return self._connection.execute(sql, parameters or {}).fetchall()
        except sqlite3.Error as error:
            raise problem(self.path, error) from error

    def one(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The value of a query that has a single one; None where it has no row."""
        found = self.select(sql, parameters)
        return found[0][0] if found else None

    @contextmanager
    def moment(self) -> Iterator[None]:
        """All that is read inside is of one moment: that of the outermost of them."""
        if self._connection.in_transaction:
            yield
            return
        self.select("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()

    def data_version(self) -> int:
        """Moves whenever somebody has committed."""
        return int(self.one("PRAGMA data_version"))

    def mark(self) -> tuple[float, int]:
        """When the store was made, and the newest revision of its runs. Another moment, or an older revision
        than before, means that other contents stand in the file now."""
        made = self.one("SELECT min(applied) FROM schema_version")
        return float(made or 0.0), self.newest(RUN_TABLE, "revision")

    def newest(self, table: str, column: str = "id") -> int:
        """The greatest number in a column; 0 where there is none."""
        return int(self.one(f"SELECT max({column}) FROM {table}") or 0) if self.columns(table) else 0

    def is_in_place(self) -> bool:
        """Whether the open file is still the one at its path."""
        return identity(self.path) == self._identity

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._connection.close()


def identity(path: str) -> tuple[int, int] | None:
    """Which file is at a path; None: none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def problem(path: str, error: sqlite3.Error) -> StoreProblem:
    """What to tell of an error of SQLite."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return StoreProblem(
            f"{path} is locked: another program holds the whole file",
            "It is read as soon as it is free; look there for a program that has it open.",
            is_locked=True,
        )
    if isinstance(error, sqlite3.OperationalError):
        folder = os.path.dirname(path)
        writable = os.access(folder, os.W_OK)
        return StoreProblem(
            f"cannot read {path}: {text}",
            "Check the path, the free disk space and the permissions there."
            if writable
            else f"The folder {folder} is not writable; SQLite needs that even to read.",
        )
    return StoreProblem(f"{path} is not a readable run store: {text}", "Restore it from a copy there.")


def _connect(path: str) -> sqlite3.Connection:
    from pathlib import Path

    if os.path.isdir(path):
        raise StoreProblem(
            f"{path} is a folder, not a run store", f"Did you mean {os.path.join(path, 'runs.db')}?"
        )
    uri = Path(path).as_uri()
    for mode in ("ro", "rw"):
        # What an engine has left in the write-ahead log when it was killed can need writing to be read.
        try:
            connection = sqlite3.connect(
                f"{uri}?mode={mode}", uri=True, timeout=LOCKED_SECONDS, isolation_level=None
            )
        except sqlite3.Error as error:
            raise problem(path, error) from error
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            connection.close()
            if mode == "rw" or "locked" in str(error):
                raise problem(path, error) from error
            continue
        connection.text_factory = _text
        return connection
    raise AssertionError("unreachable")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
