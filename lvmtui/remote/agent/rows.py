"""Rows of tables as messages: columns named once, values that JSON can hold, no message too large."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from lvmtui.remote.agent.store import Row, Store
from lvmtui.remote.agent.wire import Message

BATCH_CHARACTERS = 24_000
"""About so much text goes into one message of rows."""

ROW_CHARACTERS = 140_000
"""A row with more text is cut: in JSON a character can take six bytes, and messages have a limit."""

_NUMBER_CHARACTERS = 8


class Rows:
    """Says rows of one store; remembers which columns were named."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._named: set[str] = set()

    def columns(self, table: str) -> list[Message]:
        """The message that names a table's columns, unless it was sent."""
        if table in self._named or not self._store.columns(table):
            return []
        self._named.add(table)
        return [{"m": "columns", "table": table, "names": list(self._store.columns(table))}]

    def replace(self, table: str, rows: Iterable[Row]) -> list[Message]:
        """Rows to insert, or to put in place of those with the same key."""
        messages: list[Message] = []
        batch: list[list[Any]] = []
        size = 0
        for row in rows:
            cells, length = plain(row)
            if batch and size + length > BATCH_CHARACTERS:
                messages.append({"m": "rows", "table": table, "rows": batch})
                batch, size = [], 0
            batch.append(cells)
            size += length
        if batch:
            messages.append({"m": "rows", "table": table, "rows": batch})
        return [*self.columns(table), *messages] if messages else []

    def all(self, table: str, rows: Iterable[Row], run: int | None = None) -> list[Message]:
        """All rows that a table has (of a run)."""
        message: Message = {"m": "all", "table": table, "rows": [plain(row)[0] for row in rows]}
        if run is not None:
            message["run"] = run
        return [*self.columns(table), message]


def plain(row: Sequence[Any]) -> tuple[list[Any], int]:
    """A row's values as JSON can hold them, and about how many characters they take."""
    cells = [_plain(value) for value in row]
    length = _length(cells)
    if length > ROW_CHARACTERS:
        cells = [_cut(cell, ROW_CHARACTERS // len(cells)) for cell in cells]
        length = _length(cells)
    return cells, length


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if isinstance(value, bytes) else value


def _length(cells: Sequence[Any]) -> int:
    return sum(len(cell) if isinstance(cell, str) else _NUMBER_CHARACTERS for cell in cells)


def _cut(cell: Any, most: int) -> Any:
    if not isinstance(cell, str) or len(cell) <= most:
        return cell
    # JSON that was cut would be none: without it the rest of the row can still be shown.
    return "{}" if cell.startswith("{") else "[]" if cell.startswith("[") else cell[:most]
