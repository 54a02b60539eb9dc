"""Trainers that write to a real store of their own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from engine.building import build_learner
from engine.control import StopFlag
from engine.device import DeviceSampler
from engine.evaluate import Judge
from engine.models import ComposerStart
from engine.reporter import Reporter
from engine.task import Task
from engine.train import Trainer
from lvmtui.recipe import Recipe
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.records import NewRun, RunFacts
from lvmtui.store.writer import Writer


@contextmanager
def trainer_of(recipe: Recipe, task: Task, judge: Judge, device: torch.device) -> Iterator[Trainer]:
    """A trainer at its first step, its run in a store of its own, devices sampled as in a real run."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(Path(folder) / "runs.db")
        new = NewRun(
            phase=recipe.name,
            recipe=recipe.to_json(),
            recipe_hash=recipe.hash,
            seed=recipe.train.seed,
            model=recipe.model.name,
            context=recipe.data.context,
            watch=recipe.stop.metric,
            data=recipe.data.path,
            epochs=recipe.train.epochs,
            patience=recipe.stop.patience,
        )
        writer = Writer(database, Controller(database).create_run(new).id)
        run = writer.start(pid=1, process_started=1.0, host="here")
        writer.running(RunFacts(1, "f", judge.protocol.id, "cpu", {}))
        flag = StopFlag()
        reporter = Reporter(writer, run, flag, DeviceSampler())
        reporter.start()
        mean = torch.zeros(judge.split.data.dim)
        learner = build_learner(recipe, task, ComposerStart.copy_last(mean), device)
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
