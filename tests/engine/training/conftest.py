"""A small vector set, and trainers on it that write to a real store."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.control import StopFlag
from engine.data.split import SplitView, split_documents
from engine.data.vectors import open_vectors
from engine.data.windows import Windows
from engine.evaluate import Judge
from engine.learner import Learner
from engine.losses import build_objective
from engine.models import ComposerStart, build_model
from engine.reporter import Reporter
from engine.train import Trainer
from lvmtui.recipe import Recipe, build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.records import DeviceSample, NewRun, RunFacts
from lvmtui.store.writer import Writer

VALUES: dict[str, Any] = {
    "name": "tiny",
    "data": {"context": 6},
    "model": {"name": "gru", "hidden": 8, "layers": 1, "dropout": 0.1},
    "loss": {"bank": 32},
    "train": {
        "epochs": 3,
        "batch": 4,
        "accumulation": 2,
        "steps_per_epoch": 3,
        "lr": 0.01,
        "precision": "fp32",
    },
}


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SplitView]:
    """40 documents of 12 drifting vectors of 8 numbers."""
    folder = tmp_path_factory.mktemp("vectors")
    random = np.random.default_rng(0)
    vectors = random.normal(size=(480, 8))
    for row in range(1, 480):
        vectors[row] = 0.8 * vectors[row - 1] + 0.6 * vectors[row]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(folder / "vectors.npy", vectors.astype(np.float32))
    np.save(folder / "documents.npy", np.repeat(np.arange(40), 12))
    return split_documents(open_vectors(folder), 0)


@pytest.fixture
def recipe() -> Callable[..., Recipe]:
    """The small recipe with changes: `recipe(train__lr="0.1")`."""

    def make(**changes: str) -> Recipe:
        return build(VALUES, {name.replace("__", "."): text for name, text in changes.items()})

    return make


@pytest.fixture
def learner(splits: dict[str, SplitView]) -> Callable[[Recipe], Learner]:
    """The learner of a recipe, at its first step."""

    def make(recipe: Recipe) -> Learner:
        train = splits["train"]
        section = recipe.train
        windows = Windows(
            train,
            context=recipe.data.context,
            stride=3,
            per_epoch=section.steps_per_epoch * section.batch * section.accumulation or None,
            seed=section.seed,
            within_document=False,
        )
        torch.manual_seed(section.seed)
        start = ComposerStart.copy_last(torch.zeros(8))
        model = build_model(recipe.model, dim=8, context=recipe.data.context, start=start)
        objective = build_objective(recipe.loss, section.positions)
        return Learner(
            recipe,
            model,
            objective,
            windows=windows,
            train=train,
            device=torch.device("cpu"),
            total_steps=section.epochs * 3,
        )

    return make


class NoSensors:
    def sample(self) -> list[DeviceSample]:
        return []


@pytest.fixture
def trainer(
    splits: dict[str, SplitView], learner: Callable[[Recipe], Learner], tmp_path: Path
) -> Iterator[Callable[[Recipe], Trainer]]:
    """The trainer of a recipe, its run running in a store of its own."""
    database = Database.open(tmp_path / "runs.db")
    reporters: list[Reporter] = []

    def make(recipe: Recipe) -> Trainer:
        new = NewRun("tiny", recipe.to_json(), "h", 0, "gru", 6, "hit5", "x", recipe.train.epochs, 3)
        run_id = Controller(database).create_run(new).id
        writer = Writer(database, run_id)
        run = writer.start(pid=1, process_started=1.0, host="here")
        writer.running(RunFacts(1, "f", "p", "cpu", {}))
        flag = StopFlag()
        reporter = Reporter(writer, run, flag, NoSensors())
        reporter.start()
        reporters.append(reporter)
        made = learner(recipe)
        judge = Judge.build(
            splits["train"].data,
            splits,
            "validation",
            split_seed=0,
            within_document=False,
            device=torch.device("cpu"),
        )
        return Trainer(
            run,
            recipe,
            made,
            made.windows,
            judge,
            baselines=[],
            identity={},
            root=tmp_path,
            reporter=reporter,
            flag=flag,
        )

    yield make
    for reporter in reporters:
        reporter.close()
    database.close()
