"""Runs so small that a real engine trains them in a second, in the current folder."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np

from lvmtui.liveness import process_alive
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Run
from lvmtui.store.slots import waits

TINY = {
    "data": "vectors",
    "context": "8",
    "min_context": "0",
    "model.name": "gru",
    "hidden": "8",
    "layers": "1",
    "batch": "16",
    "accumulation": "1",
    "steps_per_epoch": "2",
    "bank": "16",
    "min_steps": "0",
    "threads": "1",
    "device": "cpu",
    "epochs": "1",
}
ENDLESS = TINY | {"epochs": "100000", "patience": "10000"}


def write_vectors(folder: Path) -> None:
    """Make the small vector set that the runs above train on."""
    (folder / "vectors").mkdir()
    rng = np.random.default_rng(0)
    vectors = np.cumsum(rng.normal(size=(40, 12, 16)), axis=1) + 3 * rng.normal(size=(40, 1, 16))
    np.save(folder / "vectors" / "vectors.npy", vectors.reshape(-1, 16).astype(np.float32))
    np.save(folder / "vectors" / "documents.npy", np.repeat(np.arange(40), 12))


def runs(store: str = "runs.db") -> list[Run]:
    """All runs, oldest first."""
    database = Database.open(store, create=False, read_only=True)
    try:
        return sorted(Reader(database).runs(), key=lambda run: run.id)
    finally:
        database.close()


def states() -> list[str]:
    """What has become of each."""
    return [run.result.value if run.result else run.status.value for run in runs()]


def end_all(store: str = "runs.db") -> None:
    """Leave no process behind."""
    if not Path(store).exists():
        return
    database = Database.open(store, create=False)
    for run in filter(waits, runs(store)):
        Controller(database).request_stop(run.id)
    database.close()
    for run in runs(store):
        # A claim is the process that starts runs, which may be that of the tests.
        if run.heartbeat is not None and process_alive(run) and run.pid != os.getpid():
            with suppress(ProcessLookupError):
                os.killpg(run.pid or 0, signal.SIGKILL)
