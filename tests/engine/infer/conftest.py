"""Checkpoints of models that a learner trained for a few steps, in files as a run writes them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import checkpoint
from engine.building import build_learner
from engine.data.vectors import VectorSet, open_vectors
from engine.learner import Learner
from engine.models import ComposerStart
from engine.probe import take_probe
from engine.task import task_of
from lvmtui.recipe import Recipe, build

DIM = 24
CONTEXT = 20


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> VectorSet:
    """30 documents of 20 drifting vectors of 24 numbers."""
    folder = tmp_path_factory.mktemp("vectors")
    random = np.random.default_rng(0)
    vectors = random.normal(size=(600, DIM)) + 0.3
    for row in range(1, 600):
        vectors[row] = 0.8 * vectors[row - 1] + 0.6 * vectors[row]
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    np.save(folder / "documents.npy", np.repeat(np.arange(30), 20))
    return open_vectors(folder)


@dataclass(frozen=True)
class Trained:
    """A checkpoint, and the learner that it was taken from."""

    path: Path
    sha256: str
    learner: Learner
    recipe: Recipe
    state: dict[str, Any]

    @torch.no_grad()
    def judged(self, x: Tensor) -> Tensor:
        """Unit predictions (B, T, D) of the model as it is judged."""
        with self.learner.evaluating():
            return torch.nn.functional.normalize(self.learner.model(x)[0], dim=-1)


@pytest.fixture(scope="session")
def trained(data: VectorSet, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trained]:
    """A model after three steps, with averaged weights and dropout, and its checkpoint."""

    @cache
    def make(name: str = "memory_gru", head: str = "composer") -> Trained:
        values: dict[str, Any] = {
            "name": "tiny",
            "data": {"context": CONTEXT, "path": str(data.path)},
            "model": {"name": name, "head": head, "hidden": 16, "layers": 2, "dropout": 0.2, "chunk": 7},
            "loss": {"bank": 32},
            "train": {"epochs": 1, "batch": 4, "accumulation": 1, "lr": 0.02, "ema": 0.5, "device": "cpu"},
        }
        values["model"] |= {"slots": 4, "heads": 2, "experts": 4, "rank": 4}
        recipe = build(values)
        task = task_of(recipe, data)
        random = torch.Generator().manual_seed(3)
        whitening = torch.randn(DIM, DIM, generator=random)
        mean = torch.from_numpy(data.vectors.astype(np.float32).mean(axis=0))
        start = ComposerStart(mean=mean, centre=0.8, rate=0.5, whitening=whitening @ whitening.T / DIM)
        learner = build_learner(recipe, task, start, torch.device("cpu"))
        for step in range(3):
            learner.step(learner.windows.order(0)[4 * step : 4 * step + 4], step)
        state = {
            "identity": {"recipe": recipe.model_dump(mode="json")},
            "learner": learner.state_dict(),
            "probe": take_probe(learner, learner.windows),
        }
        path = tmp_path_factory.mktemp(name) / "step-00000003.safetensors"
        written = checkpoint.save(path, state)
        return Trained(path, written.sha256, learner, recipe, state)

    return make


@pytest.fixture(scope="session")
def stream(data: VectorSet) -> Tensor:
    """(60, D) vectors in order."""
    return torch.from_numpy(data.vectors[100:160].astype(np.float32))
