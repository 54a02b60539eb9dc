"""Rows of another machine's store, checked value by value before they are kept: whatever reads a mirror may
take for granted what it may of a store that lvmtui has written itself."""

from __future__ import annotations

import math
import re
import sqlite3
import zlib
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache, partial
from typing import Any

from lvmtui.remote.agent.wire import WireError
from lvmtui.remote.hosts import global_id
from lvmtui.store.foreign import clean_json, clean_text
from lvmtui.store.fresh import schema
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import SLOT_BITS, ControlKind, Severity

TABLES = (
    "run", "evaluation", "protocol", "promotion", "event", "device_sample", "latency", "control",
    "checkpoint",
)  # fmt: skip
"""Tables whose rows come in."""

MOST_RUNS = 100_000
"""In a mirror."""

LARGEST_ID = (1 << (SLOT_BITS - 1)) - 1
LARGEST_WHOLE = 1 << 53
LARGEST_TIME = 2.5e11
"""In the year 9892: later ones have no date."""

LARGEST = 1e15
"""Greatest size of a number that is no time."""

MOST_NUMBERS = 1 << 24
"""In a packed list of whole numbers."""

TEXT_LIMITS = {"recipe": 1 << 16, "error": 1 << 15, "message": 1 << 14, "note": 1 << 14}
SHORT_TEXT = 500
"""Characters that other texts are cut to."""

_TIMES = frozenset(
    [
        "created",
        "started",
        "ended",
        "heartbeat",
        "process_started",
        "trashed",
        "time",
        "requested",
        "acknowledged",
    ]
)
_IDS = frozenset({"id", "run_id", "checkpoint_id"})
"""Columns that say which row is meant: there is nothing that could stand in their place."""

_MEMBERS: Mapping[tuple[str, str], type[StrEnum]] = {
    ("run", "status"): Status,
    ("run", "result"): Result,
    ("event", "severity"): Severity,
    ("control", "kind"): ControlKind,
}
"""Columns that hold one of a few words."""

_SIGNED = frozenset({"seed", "priority"})
"""Whole numbers that may be below 0."""

_UNIT = re.compile(r"(hit\d+|mrr)(_low|_high)?|duplicate_share")
"""Columns of fractions."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)

Check = Callable[[Any], Any]
"""Gives the value to keep of one that is not null."""


class Refused(Exception):
    """A value that cannot be kept."""


class Table:
    """How the rows of one table are checked."""

    def __init__(self, name: str, slot: int) -> None:
        self.name = name
        self._columns: dict[str, tuple[Check, bool, Any]] = {}
        """Column -> its check, whether it may be null, what stands there where nothing was said."""
        for column, kind, required in _columns(name):
            check = _special(name, column, slot) or _check(column, kind)
            default = _default(name, column, kind) if required else None
            self._columns[column] = check, not required, default
        self._nothing = {column: default for column, (_, _, default) in self._columns.items()}
        self._required = [
            column
            for column, (_, nullable, default) in self._columns.items()
            if not nullable and default is None
        ]
        """Columns that nothing can stand in place of."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, in the order of `row`."""
        return tuple(self._columns)

    def row(self, names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
        """A row to keep, all columns in it; those that are not known here left out.

        Raises:
            Refused: a value is not what belongs there, and it may not be missing.
        """
        row = self._nothing.copy()
        for column, value in zip(names, values, strict=True):
            if column in row:
                row[column] = self.value(column, value)
        for column in self._required:
            if row[column] is None:
                raise Refused(f"{self.name}.{column} is missing")
        return _with_own_paths(self.name, row)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values to keep of some columns; those that are not known here, or are nothing, left out."""
        found = {}
        for column in self._columns.keys() & given.keys():
            try:
                found[column] = self.value(column, given[column])
            except Refused:
                continue
        return found

    def value(self, column: str, value: Any) -> Any:
        """One value to keep; null instead of one that cannot be, where that may be.

        Raises:
            Refused: it cannot be kept.
        """
        check, nullable, default = self._columns[column]
        if value is None:
            if nullable:
                return None
            if default is None:
                raise Refused(f"{self.name}.{column} is missing")
            return default
        try:
            return check(value)
        except Refused:
            if nullable and column != "run_id":
                return None
            raise


@cache
def tables(slot: int) -> Mapping[str, Table]:
    """Every table whose rows come in, by name."""
    return {name: Table(name, slot) for name in TABLES}


def whole(value: Any, least: int = 0, most: int = LARGEST_WHOLE) -> int:
    """A whole number.

    Raises:
        WireError: it is none, or out of range.
    """
    if type(value) is int and least <= value <= most:
        return value
    raise WireError(f"{str(value)[:40]!r} is no number from {least} to {most}")


def number_of(value: Any) -> int:
    """The id of a row in the store there.

    Raises:
        WireError: it is none.
    """
    return whole(value, 1, LARGEST_ID)


def a_list(value: Any, what: str) -> list[Any]:
    """
    Raises:
        WireError: it is no list.
    """
    if isinstance(value, list):
        return value
    raise WireError(f"{what} is no list")


def an_object(value: Any, what: str) -> dict[str, Any]:
    """
    Raises:
        WireError: it is no object.
    """
    if isinstance(value, dict):
        return value
    raise WireError(f"{what} is no object")


def a_text(value: Any, what: str, longest: int = SHORT_TEXT) -> str:
    """
    Raises:
        WireError: it is no text.
    """
    if isinstance(value, str):
        return clean_text(value, longest)
    raise WireError(f"{what} is no text")


def packed_numbers(data: Any) -> bytes:
    """Base64 of what `lvmtui.stats.pack_ranks` makes; what it unpacks to is bounded.

    Raises:
        WireError: it is something else.
    """
    try:
        blob = a2b_base64(data if isinstance(data, str) else "", strict_mode=True)
        if blob:
            limit = blob[0] * MOST_NUMBERS
            unpacking = zlib.decompressobj()
            length = len(unpacking.decompress(blob[1:], limit)) if blob[0] in (1, 2, 4) else -1
            if length < 0 or length % blob[0] or not unpacking.eof or unpacking.unused_data:
                raise WireError("a packed list of numbers is damaged, or too long")
    except (NotBase64, ValueError, zlib.error) as error:
        raise WireError(f"a packed list of numbers is damaged: {error}") from error
    return blob


@cache
def _schema_columns() -> Mapping[str, Sequence[tuple[str, str, bool]]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(schema())
        return {
            table: [
                (name, kind, bool(required))
                for _, name, kind, required, *_ in connection.execute(f'PRAGMA table_info("{table}")')
            ]
            for table in TABLES
        }
    finally:
        connection.close()


def _columns(table: str) -> Sequence[tuple[str, str, bool]]:
    """Name, type and whether it must not be null, of each column."""
    return _schema_columns()[table]


def _default(table: str, column: str, kind: str) -> Any:
    """What stands where nothing was said; None: something must be."""
    if column in _IDS or (table, column) in _MEMBERS:
        return Severity.INFO.value if column == "severity" else None
    if column == "recipe":
        return "{}"
    return {"JSON": "{}", "BLOB": b"", "VARCHAR": "", "TEXT": ""}.get(kind, 0)


def _special(table: str, column: str, slot: int) -> Check | None:
    """The check of a column that its type does not tell of."""
    if table == "protocol" and column == "id":
        return _key
    if column in _IDS or (table, column) == ("run", "after"):
        return partial(_id, slot)
    if (table, column) in _MEMBERS:
        return partial(_member, _MEMBERS[table, column])
    return {("run", "recipe"): _recipe, ("run", "source"): _source}.get((table, column))


def _check(column: str, kind: str) -> Check:
    if kind in {"INTEGER", "BIGINT"}:
        return partial(_whole, -LARGEST_WHOLE if column in _SIGNED else 0)
    if kind == "FLOAT":
        if column in _TIMES:
            return partial(_real, 0.0, LARGEST_TIME)
        return partial(_real, 0.0, 1.0) if _UNIT.fullmatch(column) else partial(_real, -LARGEST, LARGEST)
    if kind == "BOOLEAN":
        return _truth
    if kind == "JSON":
        return partial(clean_json, column=column)
    if kind == "BLOB":
        return _nothing
    return partial(_text, TEXT_LIMITS.get(column, SHORT_TEXT))


def _id(slot: int, value: Any) -> int:
    if type(value) is not int or not 0 < value <= LARGEST_ID:
        raise Refused(f"{str(value)[:40]!r} is no id")
    return global_id(slot, value)


def _key(value: Any) -> str:
    if isinstance(value, str) and 0 < len(value) <= SHORT_TEXT:
        return clean_text(value, SHORT_TEXT)
    raise Refused("a protocol has no id")


def _member(kinds: type[StrEnum], value: Any) -> str:
    if isinstance(value, str) and value in kinds._value2member_map_:
        return value
    raise Refused(f"{str(value)[:40]!r} is no {kinds.__name__.lower()}")


def _recipe(value: Any) -> str:
    return clean_json(value, "recipe")


def _source(value: Any) -> str:
    found = clean_json(value, "source")
    return "" if found == "{}" else found


def _whole(least: int, value: Any) -> int:
    if type(value) is int and least <= value <= LARGEST_WHOLE:
        return value
    raise Refused(f"{str(value)[:40]!r} is no whole number in range")


def _real(least: float, most: float, value: Any) -> float:
    if type(value) in (int, float) and least <= value <= most and math.isfinite(value):
        return float(value)
    raise Refused(f"{str(value)[:40]!r} is no number in range")


def _truth(value: Any) -> int:
    if value in (0, 1):
        return int(value)
    raise Refused(f"{str(value)[:40]!r} is neither true nor false")


def _text(longest: int, value: Any) -> str:
    if isinstance(value, str):
        return clean_text(value, longest)
    raise Refused(f"{str(value)[:40]!r} is no text")


def _nothing(_value: Any) -> bytes:
    """Large values come by themselves."""
    return b""


def _with_own_paths(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row with the paths that its files have in the mirror's folder."""
    if table == "run":
        row["folder"] = run_folder(row["id"])
    for place, column in (("checkpoint", "path"), ("latency", "checkpoint")):
        if table == place:
            name = row[column].rpartition("/")[2]
            kept = name if _PLAIN_NAME.fullmatch(name) else "checkpoint"
            row[column] = f"{run_folder(row['run_id'])}/{kept}"
    return row


def run_folder(run_id: int) -> str:
    """Where a run's files are in the mirror's folder."""
    return f"runs/{run_id & ((1 << SLOT_BITS) - 1)}"
