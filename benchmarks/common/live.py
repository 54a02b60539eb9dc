"""Runs that log all the time, from another process than the dashboard's."""

import multiprocessing
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from common.stores import begin
from common.values import value

from lvmtui.store.database import Database

KEYS = ("train/loss", "val/hit5", "val/loss")


@contextmanager
def live_runs(
    store: Path, *, runs: int, logs_per_second: float, keys: Sequence[str] = KEYS
) -> Iterator[None]:
    """A new store in which that many runs log, each log a transaction of its own with a value of each key."""
    database = Database.open(store)
    ids = [begin(database, number)[0].id for number in range(runs)]
    database.close()
    writer = multiprocessing.get_context("spawn").Process(
        target=_write, args=(str(store), ids, 1 / logs_per_second, keys), daemon=True
    )
    writer.start()
    try:
        yield
    finally:
        writer.terminate()
        writer.join()


def _write(store: str, ids: list[int], seconds: float, keys: Sequence[str]) -> None:
    """As an engine does, but without SQLAlchemy: thirty of them share the processor with what is measured."""
    connection = sqlite3.connect(store, isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous=NORMAL")
    began = time.time()
    step = 0
    while True:
        step += 1
        for run_id in ids:
            now = time.time()
            rows = [
                (run_id, key, step, step / 100, now, value(run_id, place, step, 1000))
                for place, key in enumerate(keys)
            ]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO metric (run_id, key, step, epoch, time, value) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
            connection.execute(
                "UPDATE run SET heartbeat = ?, step = ?, revision = (SELECT max(revision) FROM run) + 1 "
                "WHERE id = ?",
                (now, step, run_id),
            )
            connection.execute("COMMIT")
        time.sleep(max(0.0, began + step * seconds - time.time()))
