"""Large stores, written with one statement for many rows; the numbers are those of `values`."""

import time
from collections.abc import Sequence
from pathlib import Path

from common.stores import begin
from common.values import value
from sqlalchemy import text

from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Event

_INSERT = text(
    "INSERT INTO metric (run_id, key, step, epoch, time, value) "
    "VALUES (:run_id, :key, :step, :epoch, :time, :value)"
)
_BLOCK = 50_000


def write_curves(store: Path, *, runs: int, metrics: Sequence[str], steps: int) -> None:
    """Finished runs with a value of every metric at every step."""
    database = Database.open(store)
    for number in range(runs):
        run, writer = begin(database, number)
        began = time.time() - steps
        rows = []
        for step in range(steps):
            rows += [
                {
                    "run_id": run.id,
                    "key": name,
                    "step": step,
                    "epoch": 20 * (step + 1) / steps,
                    "time": began + step,
                    "value": value(number, place, step, steps),
                }
                for place, name in enumerate(metrics)
            ]
            if len(rows) >= _BLOCK or step == steps - 1:
                with database.write() as connection:
                    connection.execute(_INSERT, rows)
                rows = []
        writer.finish(Result.COMPLETED, Event("completed", "synthetic", time.time()))
    database.close()
