"""A store with a finished run, a lost one and a queued one, written by the store's own writer."""

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.recipe import build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import (
    Checkpoint,
    EpochReport,
    Evaluation,
    Event,
    MetricPoint,
    NewRun,
    Progress,
    Protocol,
    Run,
    RunFacts,
)
from lvmtui.store.writer import Writer

QUERIES, DOCUMENTS, POOL = 600, 30, 640
GONE = 2**22 - 1
"""A process id that no process has."""


def ranks(hit5: float, seed: int) -> np.ndarray:
    """Ranks of QUERIES queries of which a share `hit5` is within the first 5."""
    rng = np.random.default_rng(seed)
    values = rng.integers(6, POOL, QUERIES)
    values[rng.permutation(QUERIES)[: round(hit5 * QUERIES)]] = 3
    return values.astype(np.uint32)


def evaluation(hit5: float, *, epoch: int = 1, name: str | None = None, seed: int = 1) -> Evaluation:
    found = ranks(hit5, seed)
    groups = np.repeat(np.arange(DOCUMENTS), QUERIES // DOCUMENTS)
    return Evaluation(
        protocol_id="p1",
        split="validation",
        epoch=epoch,
        step=epoch * 10,
        time=1000.0 + epoch,
        hit1=0.0,
        hit5=stats.hit_at(found, 5),
        hit10=stats.hit_at(found, 10),
        mrr=stats.mrr(found),
        n=QUERIES,
        pool=POOL,
        hit5_interval=stats.bootstrap_interval(stats.hits(found, 5), groups),
        interval_method="bootstrap over documents",
        loss=3.5,
        cosine=0.4,
        copyness=0.6,
        ranks=stats.pack_ranks(found),
        baseline=name,
        context=100,
    )


@dataclass
class Stored:
    """A store and what was put into it."""

    path: Path
    database: Database

    def new(self, phase: str = "phase-1", **values: object) -> Run:
        recipe = build({"name": phase, "data": {"context": 100}, "targets": {"hit5": 0.2}})
        new = NewRun(
            phase=phase,
            recipe=recipe.to_json(),
            recipe_hash=recipe.hash,
            seed=0,
            model="gru",
            context=100,
            watch="hit5",
            data="demo",
            epochs=3,
            patience=3,
            targets={"hit5": 0.2},
            overrides={"train.lr": "0.001"},
        )
        return Controller(self.database).create_run(replace(new, **values))  # type: ignore[arg-type]

    def started(self, pid: int = GONE, process_started: float = 1.0, **values: object) -> Writer:
        """A running run; its process does not exist unless told otherwise."""
        writer = Writer(self.database, self.new(**values).id)  # type: ignore[arg-type]
        writer.start(pid=pid, process_started=process_started, host=socket.gethostname())
        writer.running(RunFacts(1_200_000, "f" * 16, "p1", "cpu", {"torch": "2.13.0"}))
        return writer

    def finished(self, *scores: float, **values: object) -> Run:
        """A run that has completed with these Hit@5 at its epochs, with a best checkpoint in place."""
        writer = self.started(**values)
        self._judged(writer)
        for epoch, hit5 in enumerate(scores, start=1):
            self.epoch(writer, epoch, hit5, best=hit5 == max(scores))
        writer.finish(Result.COMPLETED, Event("completed", "all epochs done", time.time()))
        return writer.run()

    def epoch(self, writer: Writer, epoch: int, hit5: float, *, best: bool = True) -> None:
        judged = evaluation(hit5, epoch=epoch, seed=epoch)
        progress = Progress(epoch, 3, epoch * 10, 30, 900.0, 1.5, 0, 3, hit5, epoch if best else 1, hit5)
        points = [MetricPoint("val/hit5", epoch * 10, epoch, 1000.0 + epoch, judged.hit5)]
        points.append(MetricPoint("train/loss", epoch * 10, epoch, 1000.0 + epoch, float("nan")))
        writer.epoch(EpochReport(progress, tuple(points), judged, self.checkpoint(writer, epoch, best)))

    def checkpoint(self, writer: Writer, epoch: int, best: bool) -> Checkpoint:
        content = f"weights of epoch {epoch}".encode()
        relative = f"{writer.run().folder}/checkpoints/{epoch}.safetensors"
        file = self.path.parent / relative
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return Checkpoint(relative, epoch, epoch * 10, time.time(), digest, len(content), best, True)

    @staticmethod
    def _judged(writer: Writer) -> None:
        groups = stats.pack_ranks(np.repeat(np.arange(DOCUMENTS), QUERIES // DOCUMENTS))
        spec = {"split_seed": 0, "within_document": False}
        writer.save_protocol(
            Protocol("p1", "doc-v1", "f" * 16, spec, "validation", QUERIES, POOL, 0.01, DOCUMENTS, groups)
        )
        writer.save_baseline(evaluation(0.08, name="copy-last", seed=50, epoch=0))
        writer.save_baseline(evaluation(0.12, name="ewm", seed=51, epoch=0))


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    """An open store in an empty current folder, found by default."""
    monkeypatch.chdir(tmp_path)
    database = Database.open(tmp_path / "runs.db")
    yield Stored(tmp_path / "runs.db", database)
    database.close()


@dataclass(frozen=True)
class Done:
    """What a command line printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def lvmtui(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a command line in this process."""
    from lvmtui.cli import main

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(list(arguments))
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call


@pytest.fixture
def alive() -> tuple[int, float]:
    """Id and start time of a process that lives: this one."""
    import psutil

    return os.getpid(), psutil.Process().create_time()
