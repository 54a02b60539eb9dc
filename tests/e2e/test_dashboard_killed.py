"""Nothing that happens to the dashboard reaches the training."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lvmtui import launcher
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from tests.e2e.terminal import terminal

pytest.importorskip("torch")

SMALL = {
    "data.context": "8",
    "model.hidden": "16",
    "loss.bank": "32",
    "train.epochs": "100000",
    "train.steps_per_epoch": "5",
    "train.batch": "4",
    "stop.patience": "10000",
}


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A small vector set of slowly drifting vectors."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(600, 16)).astype(np.float32)
    drift = np.cumsum(steps, axis=0) * 0.3 + rng.normal(size=(600, 16))
    folder = tmp_path / "set"
    folder.mkdir()
    unit = drift / np.linalg.norm(drift, axis=1, keepdims=True)
    np.save(folder / "vectors.npy", unit.astype(np.float32))
    np.save(folder / "documents.npy", np.repeat(np.arange(30), 20).astype(np.int64))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGHUP])
def test_killing_the_dashboard_or_its_terminal_loses_nothing(
    tmp_path: Path, vectors: Path, wait_until: Callable[..., None], end: signal.Signals
) -> None:
    store = str(tmp_path / "runs.db")
    run = launcher.launch(store, "demo", {**SMALL, "data.path": str(vectors)})
    database = Database.open(store)
    reader = Reader(database)

    def epoch() -> int:
        return reader.run(run.id).progress.epoch

    try:
        wait_until(lambda: epoch() >= 1, "the first epoch")
        with terminal(["-m", "lvmtui", "--store", store]) as screen:
            screen.wait_for("demo #1")
            screen.wait_for("Hit@K on validation")
            os.killpg(screen.process.pid, end)
            screen.process.wait(timeout=30)
            before = epoch()
        # The terminal is closed by now as well.
        wait_until(lambda: epoch() >= before + 2, "two more epochs")
        assert reader.run(run.id).status is Status.RUNNING
        launcher.stop(store, run.id)
        wait_until(lambda: reader.run(run.id).status is Status.DONE, "the stop")
        assert reader.run(run.id).result is Result.STOPPED
        steps = [point.step for point in reader.metrics(run.id, keys=["train/loss"])]
        assert steps == list(range(1, steps[-1] + 1))
        assert [e.epoch for e in reader.evaluations(run.id)] == list(range(1, epoch() + 1))
    finally:
        if reader.run(run.id).status is not Status.DONE:
            launcher.kill(store, run.id)
        database.close()
