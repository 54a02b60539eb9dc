"""A store with very many finished runs, one statement for each table; the numbers are synthetic."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

from common.stores import begin, report
from sqlalchemy import Connection, text

from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Event

RECIPE = json.dumps({"name": "phase-1", "about": "synthetic " * 200})
"""About as long as the recipe of a real run."""

SHARE = "(0.5 + (n.i * 7919 % 1000) / 1000.0)"
"""What a copy's scores are multiplied by: no two neighbours are alike."""


def write_list(store: Path, *, runs: int, epochs: int) -> None:
    """Finished runs with an evaluation each epoch: the first by the real writer, the others as its copies
    with other scores."""
    database = Database.open(store)
    run, writer = begin(database, 0)
    for epoch in range(1, epochs + 1):
        writer.epoch(report(epoch, 0.2 * (1 - math.exp(-epoch / 5))))
    writer.finish(Result.COMPLETED, Event("completed", "synthetic", time.time()))
    with database.write() as connection:
        connection.execute(text("UPDATE run SET recipe = :recipe"), {"recipe": RECIPE})
        changes = {
            "revision": "t.revision + n.i",
            "seed": "n.i",
            "created": "t.created + n.i",
            "phase": "'phase-' || (1 + n.i % 7)",
            "best_value": f"t.best_value * {SHARE}",
            "folder": "'runs/' || (1 + n.i)",
        }
        _copy(connection, "run", f"t.id = {run.id}", runs - 1, changes)
        changes = {"run_id": f"{run.id} + n.i", "hit5": f"t.hit5 * {SHARE}"}
        _copy(connection, "evaluation", f"t.run_id = {run.id}", runs - 1, changes)
    database.close()


def _copy(connection: Connection, table: str, which: str, times: int, changes: Mapping[str, str]) -> None:
    """Add some rows of a table so many times again. Our own names and expressions only: they become SQL."""
    columns = connection.execute(text(f"SELECT name FROM pragma_table_info('{table}')")).scalars()
    values = {name: changes.get(name, f't."{name}"') for name in columns if name != "id"}
    names = ", ".join(f'"{name}"' for name in values)
    connection.execute(
        text(
            f"INSERT INTO {table} ({names}) "
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :times) "
            f"SELECT {', '.join(values.values())} FROM n CROSS JOIN {table} AS t WHERE {which}"
        ),
        {"times": times},
    )
