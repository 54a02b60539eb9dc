"""What tests of mirrors share: a host, messages, and looks into the file."""

import sqlite3
from contextlib import closing
from typing import Any

from lvmtui.remote.agent.packing import pack
from lvmtui.remote.hosts import Host
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.mirrors.reader import open_mirror
from lvmtui.store.records import Run

GPU1 = Host("gpu1", "me@gpu1")


def runs(mirror: Mirror) -> list[Run]:
    reader = open_mirror(mirror.path)
    try:
        return reader.runs()
    finally:
        reader.database.close()


def count(mirror: Mirror, table: str, where: str = "true") -> int:
    with closing(sqlite3.connect(mirror.path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0])


def apply(mirror: Mirror, *messages: dict[str, Any]) -> list[bool]:
    return [mirror.apply(message) for message in messages]


def run_row(number: int = 1, **values: Any) -> list[dict[str, Any]]:
    """Columns and one row of a run."""
    row = {
        "id": number, "revision": 5, "phase": "phase-1", "status": "running", "recipe": "{}", "model": "gru",
        "created": 100.0, "folder": "/etc", **values,
    }  # fmt: skip
    return [
        {"m": "columns", "table": "run", "names": list(row)},
        {"m": "rows", "table": "run", "rows": [list(row.values())]},
    ]


def curve(
    number: int, first: int, steps: range, key: str = "train/loss", level: str = "history", **more: Any
) -> dict[str, Any]:
    points = [
        (first + place, step, step / 10, 100.0 + step, 1.0 / (1 + step)) for place, step in enumerate(steps)
    ]
    keys = {key: pack(points)}
    return {"m": "curve", "run": number, "keys": keys, "level": level, "thinned": False, **more}
