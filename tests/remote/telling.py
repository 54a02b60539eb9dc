"""What an agent says of a store, all of it at once: written by docs/agent.md alone, so that mirrors are tried
against what the protocol says rather than against one agent."""

from __future__ import annotations

import json
import sqlite3
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from lvmtui.remote.agent.packing import pack
from lvmtui.remote.agent.wire import Message

LEFT_OUT = {"evaluation": "ranks", "protocol": "query_groups"}
"""Large values, which come by themselves."""


class Telling:
    """An open store, and what is said of it."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._connection = sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)

    def close(self) -> None:
        self._connection.close()

    def select(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def names(self, table: str) -> list[str]:
        found = [name for (name,) in self.select(f"SELECT name FROM pragma_table_info('{table}')")]
        return [name for name in found if name != LEFT_OUT.get(table)]

    def rows(self, table: str, where: str = "", kind: str = "rows", **more: Any) -> list[Message]:
        """The columns, then the rows in pieces."""
        names = self.names(table)
        chosen = ", ".join(f'"{name}"' for name in names)
        found = [list(row) for row in self.select(f"SELECT {chosen} FROM {table} {where}")]
        pieces = [found[place : place + 50] for place in range(0, len(found), 50)] or [[]]
        columns = {"m": "columns", "table": table, "names": names}
        return [columns, *({"m": kind, "table": table, "rows": piece, **more} for piece in pieces)]

    def list(self) -> Iterator[Message]:
        """What a list shows, the newest runs first."""
        newest = "SELECT max(id) FROM evaluation WHERE run_id = run.id AND split"
        chosen = f"{newest} = 'validation'", f"{newest} = 'validation' AND epoch = run.best_epoch"
        ids = " UNION ".join(f"SELECT ({query}) FROM run" for query in (*chosen, f"{newest} = 'test'"))
        yield from self.rows("run", "ORDER BY id DESC")
        yield from self.rows("protocol")
        yield from self.rows("evaluation", f"WHERE id IN ({ids}) OR run_id IS NULL ORDER BY id DESC")
        numbers = sorted(number for (number,) in self.select("SELECT id FROM run"))
        yield {"m": "runs", "ranges": [[number, number] for number in numbers]}
        yield from self.rows("promotion")
        yield from self.rows("control", "WHERE acknowledged IS NULL", "all")
        yield from self.rows("latency")
        yield from self.rows("event", "WHERE id > (SELECT max(id) - 20 FROM event)")
        yield from self.rows("device_sample")
        yield {"m": "listed", "have": {"made": 1.5, "revision": self._head("run", "revision")}}

    def _head(self, table: str, column: str = "id") -> int:
        return int(self.select(f"SELECT max({column}) FROM {table}")[0][0] or 0)

    def run(self, number: int) -> Iterator[Message]:
        """All that is wanted of one run."""
        yield from self.curves(number)
        yield from self.log(number)
        yield from self.rows("evaluation", f"WHERE run_id = {number} ORDER BY id")
        yield {"m": "scored", "run": number, "upto": self._head("evaluation")}
        yield from self.rows("checkpoint", f"WHERE run_id = {number}", "all", run=number)
        yield from self.rows("event", f"WHERE run_id = {number} OR run_id IS NULL")
        yield from self.ranks(number)
        yield {"m": "detailed", "run": number}

    def curves(self, number: int, level: str = "history", where: str = "") -> Iterator[Message]:
        upto = {}
        for (key,) in self.select("SELECT DISTINCT key FROM metric WHERE run_id = ?", number):
            query = f"SELECT id, step, epoch, time, value FROM metric WHERE run_id = ? AND key = ? {where}"
            points: Sequence[Any] = self.select(f"{query} ORDER BY id", number, key)
            upto[key] = points[-1][0] if points else 0
            said = {"run": number, "keys": {key: pack(points)}, "level": level, "thinned": False}
            yield {"m": "curve", **said}
        if level == "history":
            yield {"m": "curved", "run": number, "upto": upto}

    def log(self, number: int) -> Iterator[Message]:
        folder = self.select("SELECT folder FROM run WHERE id = ?", number)[0][0]
        file = self._store.parent / folder / "run.log"
        if file.exists():
            data = file.read_bytes()
            text = data.decode("utf-8", "replace")
            yield {"m": "log", "run": number, "at": 0, "size": len(data), "text": text, "fresh": True}

    def ranks(self, number: int) -> Iterator[Message]:
        wanted = "SELECT id, ranks FROM evaluation WHERE run_id = ? OR run_id IS NULL"
        for key, data in self.select(wanted, number):
            yield _large("evaluation", key, "ranks", data)
        for key, data in self.select("SELECT id, query_groups FROM protocol"):
            yield _large("protocol", key, "query_groups", data)
        for key, name, data, meta in self.select("SELECT protocol_id, name, packed, meta FROM query_fact"):
            yield {**_large("query_fact", key, "packed", data), "name": name, "meta": meta}


def _large(table: str, key: object, column: str, data: bytes) -> Message:
    text = b64encode(data).decode()
    return {"m": "ranks", "table": table, "id": key, "column": column, "data": text}


def told(store: Path) -> list[Message]:
    """All that can be said of a store, as it comes in."""
    with closing(Telling(store)) as telling:
        runs = [number for (number,) in telling.select("SELECT id FROM run ORDER BY id DESC")]
        messages = [*telling.list(), *(message for run in runs for message in telling.run(run))]
    found: list[Mapping[str, Any]] = json.loads(json.dumps(messages))
    return [dict(message) for message in found]
