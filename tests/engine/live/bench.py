"""Small real trainings: documents that keep to a topic and drift, a trainer on them, a store it writes to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.control import Outcome, StopFlag
from engine.data.split import SplitView, split_documents
from engine.data.vectors import open_vectors
from engine.data.windows import Windows
from engine.evaluate import Judge
from engine.learner import Learner
from engine.losses import Objective, build_objective
from engine.models import ComposerStart, NextVectorModel, build_model
from engine.reporter import Reporter
from engine.train import Trainer
from lvmtui.checks.of_store import audit_events, audit_run
from lvmtui.findings import Finding, finding_of
from lvmtui.recipe import Recipe, build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import DeviceSample, Evaluation, NewRun, RunFacts
from lvmtui.store.writer import Writer

DIM = 16
CPU = torch.device("cpu")
VALUES: dict[str, Any] = {
    "name": "small",
    "data": {"context": 8},
    "model": {"name": "gru", "hidden": 16, "layers": 1, "dropout": 0.0, "start": "copy-last"},
    "loss": {"name": "nce", "bank": 64},
    "train": {
        "epochs": 8,
        "batch": 8,
        "accumulation": 1,
        "steps_per_epoch": 30,
        "lr": 3e-3,
        "weight_decay": 0.01,
        "threads": 1,
    },
    "stop": {"patience": 8},
}


def walks(folder: Path, *, documents: int = 80, length: int = 30, seed: int = 0) -> dict[str, SplitView]:
    """Unit vectors (documents * length, DIM): a topic for each document, an AR(1) walk around it, and so much
    noise that the last vector alone tells little."""
    random = np.random.default_rng(seed)
    vectors = np.empty((documents, length, DIM))
    for document in vectors:
        topic, walk = random.normal(size=DIM), random.normal(size=DIM)
        for position in range(length):
            walk = 0.9 * walk + 0.44 * random.normal(size=DIM)
            document[position] = 0.5 * topic + 0.7 * walk + 0.6 * random.normal(size=DIM)
    flat = vectors.reshape(-1, DIM)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    np.save(folder / "vectors.npy", flat.astype(np.float32))
    np.save(folder / "documents.npy", np.repeat(np.arange(documents), length))
    return split_documents(open_vectors(folder), 0)


class NoSensors:
    def sample(self) -> list[DeviceSample]:
        return []


Alter = Callable[[NextVectorModel, Objective], None]


@dataclass
class Training:
    """One trainer with its store."""

    trainer: Trainer
    database: Database

    def run(self) -> Outcome:
        return self.trainer.train()

    def findings(self) -> dict[str, Finding]:
        """What the store has, the last of each check."""
        self.trainer.reporter.flush()
        events = Reader(self.database).events(run_id=self.trainer.run.id)
        return {finding.check: finding for finding in map(finding_of, audit_events(events))}

    def said(self) -> list[str]:
        """The checks of all stored findings, in order."""
        self.trainer.reporter.flush()
        events = Reader(self.database).events(run_id=self.trainer.run.id)
        return [finding_of(event).check for event in audit_events(events)]

    def wrong(self) -> set[str]:
        """The checks that found something wrong."""
        return {check for check, finding in self.findings().items() if not finding.passed}

    def finish(self, outcome: Outcome) -> tuple[Finding, ...]:
        """End the run, and audit it from the store."""
        from lvmtui.store.records import Event

        event = Event(outcome.result.value, outcome.message, 0.0)
        self.trainer.reporter.finish(outcome.result, event)
        reader = Reader(self.database)
        return audit_run(reader, reader.run(self.trainer.run.id))


def a_learner(
    splits: dict[str, SplitView],
    recipe: Recipe,
    alter: Alter | None = None,
    start: ComposerStart | None = None,
) -> Learner:
    """The learner of a recipe at its first step, its model altered before the optimiser sees it."""
    train, section = splits["train"], recipe.train
    windows = Windows(
        train,
        context=recipe.data.context,
        stride=recipe.data.stride,
        per_epoch=section.steps_per_epoch * section.batch * section.accumulation or None,
        seed=section.seed,
        within_document=False,
    )
    torch.manual_seed(section.seed)
    start = start or ComposerStart.copy_last(torch.zeros(DIM))
    model = build_model(recipe.model, dim=DIM, context=recipe.data.context, start=start)
    objective = build_objective(recipe.loss, section.positions)
    if alter is not None:
        alter(model, objective)
    steps = -(-len(windows) // (section.batch * section.accumulation))
    return Learner(
        recipe,
        model,
        objective,
        windows=windows,
        train=train,
        device=CPU,
        total_steps=section.epochs * steps,
    )


def a_recipe(**changes: str) -> Recipe:
    """The small recipe with changes: `a_recipe(train__lr="0.1")`."""
    return build(VALUES, {name.replace("__", "."): text for name, text in changes.items()})


def a_training(
    splits: dict[str, SplitView],
    folder: Path,
    recipe: Recipe,
    *,
    alter: Alter | None = None,
    baselines: list[Evaluation] | None = None,
    start: ComposerStart | None = None,
) -> Training:
    """A trainer on a store of its own."""
    database = Database.open(folder / "runs.db")
    new = NewRun(
        recipe.name,
        recipe.to_json(),
        recipe.hash,
        recipe.train.seed,
        recipe.model.name,
        recipe.data.context,
        recipe.stop.metric,
        "x",
        recipe.train.epochs,
        recipe.stop.patience,
    )
    writer = Writer(database, Controller(database).create_run(new).id)
    run = writer.start(pid=1, process_started=1.0, host="here")
    judge = a_judge(splits)
    writer.save_protocol(judge.protocol)
    writer.running(RunFacts(1, "f", judge.protocol.id, "cpu", {}))
    for baseline in baselines or []:
        writer.save_baseline(baseline)
    flag = StopFlag()
    reporter = Reporter(writer, run, flag, NoSensors())
    reporter.start()
    learner = a_learner(splits, recipe, alter, start)
    trainer = Trainer(
        run,
        recipe,
        learner,
        learner.windows,
        judge,
        baselines=baselines or [],
        identity={},
        root=folder,
        reporter=reporter,
        flag=flag,
    )
    return Training(trainer, database)


def a_judge(splits: dict[str, SplitView]) -> Judge:
    """`doc-v1` on the validation split."""
    data = splits["train"].data
    return Judge.build(data, splits, "validation", split_seed=0, within_document=False, device=CPU)


def around_a_mean(
    folder: Path, *, keeps: float, documents: int = 80, length: int = 30
) -> dict[str, SplitView]:
    """Vectors that all lie around one mean, each keeping a share of the deviation before it."""
    random = np.random.default_rng(0)
    mean = random.normal(size=DIM)
    mean /= np.linalg.norm(mean)
    vectors = np.empty((documents, length, DIM))
    for document in vectors:
        deviation = random.normal(size=DIM)
        for position in range(length):
            deviation = keeps * deviation + np.sqrt(1 - keeps**2) * random.normal(size=DIM)
            document[position] = mean + deviation / 4
    flat = vectors.reshape(-1, DIM)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    np.save(folder / "vectors.npy", flat.astype(np.float32))
    np.save(folder / "documents.npy", np.repeat(np.arange(documents), length))
    return split_documents(open_vectors(folder), 0)
