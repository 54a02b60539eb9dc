"""What watching a training costs: the share of its time that the live audit takes.

Run: `python benchmarks/live_checks.py [epochs]` (8). Trains the demo recipe, and one with a memory GRU, on
the demo data: once watched and once not, taking turns. The share is what the audit measures of itself; the
ratio is CPU time watched to unwatched, which also holds what the machine did meanwhile.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from engine.audit.live import LiveAudit
from engine.building import build_learner
from engine.control import StopFlag
from engine.data.locate import resolve_data
from engine.data.progress import silent
from engine.evaluate import Judge
from engine.models import ComposerStart
from engine.reporter import Reporter
from engine.task import Task, task_of
from engine.train import Trainer
from lvmtui.recipe import Recipe, load
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.records import NewRun, RunFacts
from lvmtui.store.writer import Writer

CPU = torch.device("cpu")
RECIPES = {
    "demo: gru 128, context 32": {},
    "memory_gru 256, context 100": {
        "model.name": "memory_gru",
        "model.hidden": "256",
        "model.layers": "2",
        "data.context": "100",
        "train.steps_per_epoch": "10",
    },
}


class Unwatched(LiveAudit):
    """Looks at nothing."""

    def step(self, *_: Any) -> list[Any]:
        return []

    def predictions(self, *_: Any) -> None: ...

    def evaluation(self, *_: Any) -> tuple[dict[str, float], list[Any]]:
        return {}, []

    def history(self, *_: Any) -> list[Any]:
        return []

    def finish(self, *_: Any) -> list[Any]:
        return []


class NoSensors:
    def sample(self) -> list[Any]:
        return []


@contextmanager
def trainer_of(recipe: Recipe, task: Task, judge: Judge) -> Iterator[Trainer]:
    """A trainer with a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(Path(folder) / "runs.db")
        new = NewRun(
            recipe.name, recipe.to_json(), recipe.hash, 0, "gru", 32, "hit5", "demo", recipe.train.epochs, 3
        )
        writer = Writer(database, Controller(database).create_run(new).id)
        run = writer.start(pid=1, process_started=1.0, host="here")
        writer.running(RunFacts(1, "f", judge.protocol.id, "cpu", {}))
        flag = StopFlag()
        reporter = Reporter(writer, run, flag, NoSensors())
        reporter.start()
        mean = torch.zeros(judge.split.data.vectors.shape[1])
        learner = build_learner(recipe, task, ComposerStart.copy_last(mean), CPU)
        yield Trainer(
            run,
            recipe,
            learner,
            learner.windows,
            judge,
            baselines=[],
            identity={},
            root=Path(folder),
            reporter=reporter,
            flag=flag,
        )
        reporter.close()
        database.close()


def measure(recipe: Recipe, task: Task, judge: Judge, *, watched: bool) -> tuple[float, float, float]:
    """Seconds and CPU seconds of a training, and the seconds of its audit."""
    with trainer_of(recipe, task, judge) as trainer:
        if not watched:
            trainer.audit = Unwatched(trainer.learner, judge, trainer.audit.plan)
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.train()
        return time.perf_counter() - wall, time.process_time() - cpu, trainer.audit.seconds


def main() -> None:
    epochs = sys.argv[1] if len(sys.argv) > 1 else "8"
    logging.getLogger("engine").setLevel(logging.CRITICAL)
    torch.set_num_threads(1)
    data = resolve_data("demo", silent)
    for name, changes in RECIPES.items():
        recipe = load("demo", {"train.epochs": epochs, "stop.patience": "1000", **changes})
        task = task_of(recipe, data)
        judge = task.judge("validation", CPU)
        alone = measure(recipe, task, judge, watched=False)
        watched = measure(recipe, task, judge, watched=True)
        again = measure(recipe, task, judge, watched=False)
        share, unwatched = watched[2] / watched[0], (alone[1] + again[1]) / 2
        print(
            f"{name}: audit {watched[2]:.3f} s of {watched[0]:.1f} s, {share:.2%} of the training; CPU time "
            f"watched to unwatched {watched[1]:.1f} to {unwatched:.1f} s, ratio {watched[1] / unwatched:.3f}"
        )


if __name__ == "__main__":
    main()
