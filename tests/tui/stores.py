"""Real stores for tests and for looking at screens: filled through the writer, as engines do it."""

import hashlib
import math
import os
import random
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from lvmtui.recipe import Recipe, build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import (
    Checkpoint,
    DeviceSample,
    EpochReport,
    Evaluation,
    Event,
    Interval,
    MetricPoint,
    NewRun,
    Progress,
    Protocol,
    RunFacts,
)
from lvmtui.store.writer import Writer

PROTOCOL = "4f1c9a7e02b85d36"
STEPS = 20
"""Optimiser steps an epoch."""
BASELINES = (("mean", 0.05), ("copy-last", 0.081), ("ewm-whitened", 0.118))


def recipe(phase: str, **targets: float) -> Recipe:
    values = {
        "name": phase,
        "description": f"{phase} of the tests",
        "data": {"path": "demo", "context": 500},
        "targets": {"hit1": 0.07, "hit5": 0.2, **targets},
    }
    return build(values)


def evaluation(epoch: int, hit5: float, baseline: str | None = None) -> Evaluation:
    def around(value: float) -> Interval:
        return Interval(max(0.0, value - 0.011), value + 0.012)

    hit1, hit10 = hit5 * 0.35, hit5 * 1.29
    return Evaluation(
        protocol_id=PROTOCOL,
        split="validation",
        epoch=epoch,
        step=epoch * STEPS,
        time=time.time(),
        hit1=hit1,
        hit5=hit5,
        hit10=hit10,
        mrr=hit5 * 0.68,
        n=4109,
        pool=4802,
        hit1_interval=around(hit1),
        hit5_interval=around(hit5),
        hit10_interval=around(hit10),
        interval_method="bootstrap",
        loss=5.1 - hit5 * 6,
        cosine=0.42,
        copyness=0.6,
        baseline=baseline,
    )


@dataclass
class Trainee:
    """A run that is written by hand, epoch by epoch."""

    writer: Writer
    root: Path
    final: float
    patience: int = 3
    epochs: int = 50
    epoch: int = 0
    best: float | None = None
    best_epoch: int | None = None
    used: int = 0

    @property
    def run_id(self) -> int:
        return self.writer.run_id

    def start(self, *, pid: int | None = None, process_started: float | None = None) -> "Trainee":
        """Take the run up, as the process with this id (default: this one)."""
        process = psutil.Process()
        self.writer.start(
            pid=pid or process.pid,
            process_started=process_started or process.create_time(),
            host=socket.gethostname(),
        )
        facts = RunFacts(11_285_672, "9d" * 8, PROTOCOL, "cpu", {"python": "3.11", "torch": "2.13.0"})
        self.writer.running(facts, Event("started", "training starts on cpu", time.time()))
        self.writer.save_protocol(
            Protocol(
                id=PROTOCOL,
                name="doc-v1",
                data_fingerprint="9d" * 8,
                spec={"name": "doc-v1", "split": "validation"},
                split="validation",
                n=4109,
                pool=4802,
                duplicate_share=0.013,
                documents=61,
            )
        )
        for name, hit5 in BASELINES:
            self.writer.save_baseline(evaluation(0, hit5, name))
        return self

    def progress(self, step: int) -> Progress:
        return Progress(
            epoch=self.epoch,
            epochs=self.epochs,
            step=step,
            steps=self.epochs * STEPS,
            vectors_per_second=9412.0,
            epoch_seconds=118.0,
            patience_used=self.used,
            patience=self.patience,
            best_value=self.best,
            best_epoch=self.best_epoch,
            value_to_beat=self.best,
        )

    def train(self, epochs: int = 1) -> "Trainee":
        """Write some epochs."""
        noise = random.Random(self.run_id)
        for _ in range(epochs):
            first = self.epoch * STEPS
            now = time.time()
            points = [
                MetricPoint(
                    "train/loss",
                    step,
                    step / STEPS,
                    now,
                    3.2 + 1.9 * math.exp(-step / 90) + noise.gauss(0, 0.05),
                )
                for step in range(first + 1, first + STEPS + 1)
            ]
            self.epoch += 1
            hit5 = self.final * (1 - math.exp(-self.epoch / 4)) + noise.gauss(0, 0.002)
            if self.best is None or hit5 > self.best:
                self.best, self.best_epoch, self.used = hit5, self.epoch, 0
            else:
                self.used += 1
            self.writer.metrics(points, self.progress(first + STEPS))
            self.writer.epoch(self.report(hit5))
            with self.log.open("a") as log:
                log.write(f"{time.strftime('%H:%M:%S')} ep {self.epoch} Hit@5 {100 * hit5:.2f}\n")
        return self

    def report(self, hit5: float) -> EpochReport:
        step, now = self.epoch * STEPS, time.time()
        shown = evaluation(self.epoch, hit5)
        values = {
            "val/hit1": shown.hit1,
            "val/hit5": shown.hit5,
            "val/hit10": shown.hit10,
            "val/loss": shown.loss,
            "epoch/train_loss": 3.2 + 1.9 * math.exp(-step / 90),
        }
        return EpochReport(
            progress=self.progress(step),
            metrics=tuple(MetricPoint(k, step, float(self.epoch), now, v) for k, v in values.items()),
            evaluation=shown,
            checkpoint=self.checkpoint(hit5) if self.best_epoch == self.epoch else None,
            events=(Event("epoch", f"epoch {self.epoch}: Hit@5 {100 * hit5:.2f}", now),),
        )

    def checkpoint(self, value: float) -> Checkpoint:
        path = self.root / "runs" / str(self.run_id) / f"epoch-{self.epoch}.safetensors"
        content = b"weights of epoch %d" % self.epoch
        path.write_bytes(content)
        return Checkpoint(
            path=str(path.relative_to(self.root)),
            epoch=self.epoch,
            step=self.epoch * STEPS,
            time=time.time(),
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            is_best=True,
            is_last=True,
            value=value,
        )

    @property
    def log(self) -> Path:
        return self.root / "runs" / str(self.run_id) / "run.log"

    def finish(self, result: Result) -> "Trainee":
        self.writer.finish(result, Event(result.value, f"ended: {result.value}", time.time()))
        return self

    def sample_devices(self, utilisation: float = 0.41) -> None:
        now, host = time.time(), socket.gethostname()
        self.writer.device_samples(
            [
                DeviceSample(host, "cpu", "CPU", now, utilisation, 21 << 30, 64 << 30, 2 << 30),
                DeviceSample(
                    host, "gpu0", "H200", now, 0.87, 38 << 30, 139 << 30, 36 << 30, temperature=61, power=412
                ),
            ]
        )


def new_run(database: Database, phase: str, final: float = 0.18) -> Trainee:
    """A queued run of a phase."""
    chosen = recipe(phase)
    run = Controller(database).create_run(
        NewRun(
            phase=phase,
            recipe=chosen.to_json(),
            recipe_hash=chosen.hash,
            seed=0,
            model="memory_gru",
            context=500,
            watch="hit5",
            data="demo",
            epochs=50,
            patience=3,
            targets=chosen.target_scores(),
        )
    )
    root = database.location.root
    (root / run.folder).mkdir(parents=True, exist_ok=True)
    return Trainee(Writer(database, run.id), root, final)


def fill(database: Database) -> dict[str, Trainee]:
    """Runs in every state: a champion, a lost, a failed and a stopped one, two that run, one that waits."""
    champion = new_run(database, "phase-2", 0.164).start().train(23).finish(Result.EARLY_STOPPED)
    Controller(database).promote(champion.run_id)
    lost = new_run(database, "phase-2", 0.15).start(pid=os.getpid(), process_started=1.0).train(9)
    failed = new_run(database, "phase-2b", 0.1).start().train(3)
    failed.writer.finish(
        Result.FAILED, Event("failed", "the loss is NaN", time.time()), error="TrainingError: the loss is NaN"
    )
    stopped = new_run(database, "phase-3", 0.17).start().train(7).finish(Result.STOPPED)
    first = new_run(database, "phase-1", 0.145).start().train(7)
    second = new_run(database, "phase-3", 0.182).start().train(19)
    waiting = new_run(database, "phase-2b")
    second.sample_devices()
    return {
        "champion": champion,
        "lost": lost,
        "failed": failed,
        "stopped": stopped,
        "first": first,
        "second": second,
        "waiting": waiting,
    }


def filled(path: Path, *, phase: str = "") -> Path:
    """A closed store with the runs of `fill`, and one of another phase where that is named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = Database.open(path)
    fill(database)
    if phase:
        new_run(database, phase)
    database.close()
    return path


def main() -> None:
    """Fill a store and keep its runs alive until interrupted: `python tests/tui/stores.py runs.db`."""
    import sys

    database = Database.open(sys.argv[1])
    filled = fill(database)
    while True:
        for name in ("first", "second"):
            filled[name].writer.heartbeat()
        filled["second"].sample_devices(random.random())
        time.sleep(1)


if __name__ == "__main__":
    main()
