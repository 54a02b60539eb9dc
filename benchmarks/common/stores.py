"""Stores full of runs, written through the real writer; the numbers are synthetic and say so."""

import math
import time
from pathlib import Path

from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import (
    EpochReport,
    Evaluation,
    Event,
    Interval,
    MetricPoint,
    NewRun,
    Progress,
    Run,
    RunFacts,
)
from lvmtui.store.writer import Writer


def new_run(number: int = 0) -> NewRun:
    return NewRun(
        phase="phase-1",
        recipe='{"name": "phase-1"}',
        recipe_hash="synthetic",
        seed=number,
        model="gru",
        context=100,
        watch="hit5",
        data="synthetic",
        epochs=20,
        patience=3,
    )


def begin(database: Database, number: int, *, pid: int = 1, host: str = "elsewhere") -> tuple[Run, Writer]:
    """A running run; the default host is another one, so that only its heartbeat counts."""
    run = Controller(database).create_run(new_run(number))
    writer = Writer(database, run.id)
    writer.start(pid=pid, process_started=1.0, host=host)
    writer.running(RunFacts(1000, "f" * 16, "synthetic", "cpu", {}))
    return writer.run(), writer


def report(epoch: int, hit5: float, steps: int = 10) -> EpochReport:
    """One epoch's rows: 10 step metrics, the scores, an evaluation."""
    now = time.time()
    step = epoch * steps
    metrics = [
        MetricPoint("train/loss", step - steps + i, epoch - 1 + i / steps, now, 5.0 / (step + i))
        for i in range(steps)
    ]
    metrics += [MetricPoint("val/hit5", step, float(epoch), now, hit5)]
    evaluation = Evaluation(
        "synthetic",
        "validation",
        epoch,
        step,
        now,
        hit5 / 3,
        hit5,
        hit5 * 1.4,
        hit5 / 1.5,
        4000,
        4800,
        hit5_interval=Interval(hit5 - 0.01, hit5 + 0.01),
    )
    progress = Progress(epoch=epoch, epochs=20, step=step, best_value=hit5, best_epoch=epoch, patience=3)
    return EpochReport(progress, tuple(metrics), evaluation)


def fill(store: Path, *, runs: int, epochs: int) -> None:
    """Write finished runs."""
    database = Database.open(store)
    for number in range(runs):
        _, writer = begin(database, number)
        for epoch in range(1, epochs + 1):
            writer.epoch(report(epoch, 0.2 * (1 - math.exp(-epoch / 5))))
        writer.finish(Result.COMPLETED, Event("completed", "synthetic", time.time()))
    database.close()
