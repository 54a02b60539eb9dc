"""A run as a file of rows for another store to take in: values as they were stored, texts made harmless.

A file has JSON lines. An object begins a table: its name and columns; lists are its rows; bytes are base64.
"""

import base64
import binascii
import hashlib
import json
import math
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    Select,
    Table,
    select,
    text,
)
from sqlmodel import SQLModel

from lvmtui.errors import StoreError
from lvmtui.escapes import harmless
from lvmtui.store import looks, runs, tables
from lvmtui.store.database import Database
from lvmtui.store.foreign import LARGEST, clean_object
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Run, Severity
from lvmtui.store.sources import TableCopied

FORMAT = 1

OF_DATA = ("audit", looks.KIND)
"""Kinds of events about data, which are no run's; the first is `lvmtui.findings.KIND`."""

LINE_LIMIT = 1 << 28
"""Bytes of one row, at most: ranks of a hundred million queries."""

LARGEST_WHOLE, LARGEST_REAL = 1 << 53, 1e15
LARGEST_TIME = 2.5e11
"""In the year 9892: later ones have no date."""

TIMES = frozenset({"created", "started", "ended", "time"})

LARGEST_UNPACKED = 1 << 28
"""Bytes that packed numbers may come to."""

BATCH = 2000

MODELS: dict[str, type[SQLModel]] = {
    "run": tables.RunRow,
    "protocol": tables.ProtocolRow,
    "query_fact": tables.QueryFactRow,
    "baseline": tables.EvaluationRow,
    "data_event": tables.EventRow,
    "evaluation": tables.EvaluationRow,
    "metric": tables.MetricRow,
    "checkpoint": tables.CheckpointRow,
    "latency": tables.LatencyRow,
    "event": tables.EventRow,
}
"""What a file holds, in this order. `baseline` and `data_event` belong to no run."""

APPENDED = ("evaluation", "metric", "latency", "event")
"""Tables of a run that only grow, but for a resumed run, which goes back behind its last checkpoint."""

STAGED = "metric"
"""Of which a run may have millions of rows."""

KEPT_HERE = frozenset(
    {
        *("id", "revision", "folder", "pid", "process_started", "heartbeat", "device_wanted", "host_wanted"),
        *("priority", "place", "held", "after", "pinned", "archived", "trashed", "source"),
    }
)
"""Columns of a run that mean something in its own store only, or that belong to whoever keeps the copy."""

_MEMBERS: dict[tuple[str, str], type] = {
    ("run", "status"): Status,
    ("run", "result"): Result,
    ("event", "severity"): Severity,
    ("data_event", "severity"): Severity,
}


def dump(database: Database, run_id: int, write: Callable[[bytes], object]) -> Run:
    """Write all rows of a run, as they are at one moment.

    Args:
        database: the store.
        run_id: the run.
        write: takes the file's bytes.

    Returns:
        The run at that moment.

    Raises:
        RunNotFound: there is no such run.
    """
    with database.read() as connection:
        run = runs.get(connection, run_id)
        write(_line({"format": FORMAT, "folder": run.folder}))
        for name, query in _queries(connection, run).items():
            columns = _columns(name)
            write(_line({"table": name, "columns": list(columns)}))
            rows = connection.execute(query.execution_options(yield_per=BATCH))
            for row in rows.mappings():
                if name != "data_event" or row["evidence"].get("data") == run.data_fingerprint:
                    write(_line([_plain(row[column]) for column in columns]))
    return run


def _queries(connection: Connection, run: Run) -> dict[str, Select[Any]]:
    evaluation, event = (table_of("evaluation"), table_of("event"))
    judged = select(evaluation.c.protocol_id).where(evaluation.c.run_id == run.id).distinct()
    ids = sorted({*connection.execute(judged).scalars(), *filter(None, [run.protocol_id])})
    of_run = {name: table_of(name) for name in ("evaluation", "metric", "checkpoint", "latency", "event")}
    protocol, fact = table_of("protocol"), table_of("query_fact")
    of_data = event.c.run_id.is_(None), event.c.kind.in_(OF_DATA)
    of_baselines = evaluation.c.run_id.is_(None), evaluation.c.protocol_id.in_(ids)
    return {
        "run": select(runs.RUN).where(runs.RUN.c.id == run.id),
        "protocol": select(protocol).where(protocol.c.id.in_(ids)).order_by(protocol.c.id),
        "query_fact": select(fact)
        .where(fact.c.protocol_id.in_(ids))
        .order_by(fact.c.protocol_id, fact.c.name),
        "baseline": select(evaluation).where(*of_baselines).order_by(evaluation.c.id),
        "data_event": select(event).where(*of_data).order_by(event.c.id),
        **{
            name: select(found).where(found.c.run_id == run.id).order_by(found.c.id)
            for name, found in of_run.items()
        },
    }


def table_of(name: str) -> Table:
    return runs.table(MODELS[name])


def _columns(name: str) -> dict[str, Column[Any]]:
    left_out = KEPT_HERE if name == "run" else {"run_id"} if name == "query_fact" else {"id", "run_id"}
    if name == "protocol":
        left_out = set()
    return {column.name: column for column in table_of(name).columns if column.name not in left_out}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"


@dataclass(slots=True)
class Survey:
    """What a file of rows holds, all of it checked."""

    path: Path
    folder: str = ""
    """The run's folder there."""
    run: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, TableCopied] = field(default_factory=dict)
    """Of `APPENDED`, without ids."""
    staged: Path | None = None
    """An SQLite file with the rows of `STAGED`."""
    unchanged: dict[str, int] = field(default_factory=dict)
    """Of each of them how many rows at the beginning are as they were copied before."""


def survey(path: Path, before: Mapping[str, TableCopied] | None = None, staged: Path | None = None) -> Survey:
    """Read a file of rows and check every value of it.

    Args:
        path: the file.
        before: what was copied of the run before, by table.
        staged: an SQLite file that is made of the rows of `STAGED`, for a store to take them in at one go.

    Raises:
        StoreError: it is no such file, or a value is not what belongs there.
    """
    found = Survey(path, staged=staged)
    staging = _Staging(staged) if staged is not None else None
    digests = {name: hashlib.sha256() for name in APPENDED}
    counts = dict.fromkeys(APPENDED, 0)
    known = before or {}
    found.unchanged = dict.fromkeys(APPENDED, 0)
    with path.open("rb") as file, closing(staging) if staging else nullcontext():
        for name, row, line in rows_of(file, found):
            if name == "run":
                found.run = row
            elif name == "checkpoint":
                found.checkpoints.append(row)
            elif name in counts:
                if staging is not None and name == STAGED:
                    staging.add(row)
                digests[name].update(line)
                counts[name] += 1
                earlier = known.get(name)
                if earlier and earlier.rows == counts[name] and earlier.sha256 == digests[name].hexdigest():
                    found.unchanged[name] = earlier.rows
        if staging is not None:
            staging.finish()
    if not found.run or not found.folder:
        raise _foreign("it has no run")
    if found.run["status"] == Status.DONE.value and found.run["result"] is None:
        raise _foreign("nobody knows how the run ended")
    try:
        if not isinstance(json.loads(found.run["recipe"]), dict):
            raise _foreign("its recipe is none")
    except (ValueError, RecursionError) as error:
        raise _foreign(f"its recipe is no JSON: {error}") from error
    found.tables = {name: TableCopied(counts[name], digests[name].hexdigest()) for name in APPENDED}
    return found


class _Staging:
    """Writes the rows of `STAGED` into a file of their own, numbered from 1 on."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._columns = tuple(_columns(STAGED))
        self._rows: list[tuple[Any, ...]] = []
        self._file = sqlite3.connect(path, isolation_level=None)
        for words in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "BEGIN"):
            self._file.execute(words)
        self._file.execute(f"CREATE TABLE {STAGED} (place INTEGER PRIMARY KEY, {_named(self._columns)})")

    def add(self, row: Mapping[str, Any]) -> None:
        """One more row."""
        self._rows.append(tuple(row[name] for name in self._columns))
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        marks = ", ".join("?" * len(self._columns))
        self._file.executemany(f"INSERT INTO {STAGED} ({_named(self._columns)}) VALUES ({marks})", self._rows)
        self._rows.clear()

    def finish(self) -> None:
        """All rows are there."""
        self._flush()
        self._file.execute("COMMIT")

    def close(self) -> None:
        """No more is written."""
        self._file.close()


def _named(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def insert_staged(connection: Connection, run_id: int, after: int) -> None:
    """Insert rows that stand in a file beside the store (`Database.beside`): many at one go, so that whoever
    else writes to the store waits for a few seconds at most.

    Args:
        connection: a transaction.
        run_id: the run that they are of.
        after: leave out so many of the first ones.
    """
    names = _named(tuple(_columns(STAGED)))
    words = f"INSERT INTO {STAGED} (run_id, {names}) SELECT :run, {names} FROM staged.{STAGED} "
    connection.execute(text(f"{words} WHERE place > :after ORDER BY place"), {"run": run_id, "after": after})


def rows_of(
    file: BinaryIO, into: Survey | None = None, *, but: str = ""
) -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """Table, values and line of each row, but for those of one table."""
    name, given = "", []
    while line := file.readline(LINE_LIMIT):
        if but and name == but and line.startswith(b"["):
            continue
        if not line.endswith(b"\n"):
            raise _foreign("a line is too long, or cut off")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _foreign(f"a line is no JSON: {error}") from error
        if isinstance(value, dict):
            if into is not None and isinstance(value.get("folder"), str):
                into.folder = value["folder"]
            if value.get("format", FORMAT) != FORMAT:
                raise _foreign(f"its format is {value['format']!r}, and this version reads {FORMAT}")
            name, given = str(value.get("table", "")), value.get("columns", [])
        elif name in MODELS:
            yield name, _checked(name, given, value), line


def _checked(name: str, given: Any, values: Any) -> dict[str, Any]:
    """A row as it is inserted; columns that are not known here are left out."""
    if not isinstance(given, list) or not isinstance(values, list) or len(given) != len(values):
        raise _foreign(f"a row of {name} does not fit its columns")
    there = dict(zip(map(str, given), values, strict=True))
    fields = MODELS[name].model_fields
    row = {}
    for column, kind in _columns(name).items():
        if column not in there:
            row[column] = fields[column].get_default(call_default_factory=True)
            continue
        value = there[column]
        if value is None and kind.nullable:
            row[column] = None
            continue
        row[column] = _value(name, kind, value)
        members = _MEMBERS.get((name, column))
        if members is not None and value not in list(members):  # type: ignore[call-overload]
            raise _foreign(f"{name}.{column} is {value!r}")
    return row


def _value(table: str, column: Column[Any], value: Any) -> Any:
    """A value as it is kept: everything that reads the store must be able to show it."""
    kind = column.type
    if isinstance(kind, JSON):
        good = isinstance(value, dict)
        value = clean_object(value, column.name) if good else value
    elif isinstance(kind, LargeBinary):
        try:
            value = base64.b64decode(value, validate=True)
            good = _is_packed(value)
        except (TypeError, ValueError, binascii.Error):
            good = False
    elif isinstance(kind, Boolean):
        good, value = value in (0, 1), bool(value)
    elif isinstance(kind, Integer):
        first = -LARGEST_WHOLE if column.name == "seed" else 0
        good = type(value) is int and first <= value <= LARGEST_WHOLE
    elif isinstance(kind, Float):
        least, most = _bounds(table, column.name)
        good = type(value) in (int, float) and least <= value <= most
    else:
        good = isinstance(value, str) and "\0" not in value
        # A recipe is JSON: an escape within is read as data.
        value = harmless(value) if good and column.name != "recipe" else value
    if not good:
        raise _foreign(f"{column.table.name}.{column.name} is {str(value)[:80]!r}")
    return value


def _bounds(table: str, column: str) -> tuple[float, float]:
    """Of a number that is no whole one."""
    if column in TIMES:
        return 0.0, LARGEST_TIME
    return (-LARGEST, LARGEST) if (table, column) == ("metric", "value") else (-LARGEST_REAL, LARGEST_REAL)


def _is_packed(blob: bytes) -> bool:
    """Whether bytes are what `lvmtui.stats.pack_ranks` makes, and no more numbers than anything judges."""
    if not blob:
        return True
    unpacking, size, left = zlib.decompressobj(), 0, blob[1:]
    try:
        while left and not unpacking.eof and size <= LARGEST_UNPACKED:
            size += len(unpacking.decompress(left, 1 << 20))
            left = unpacking.unconsumed_tail
    except zlib.error:
        return False
    return unpacking.eof and blob[0] in {1, 2, 4} and size % blob[0] == 0


def _foreign(why: str) -> StoreError:
    return StoreError(
        f"the rows of the run cannot be read: {why}", "Try again; or update lvmtui on both sides."
    )
