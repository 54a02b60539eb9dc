"""Every architecture with every head trains, stops, and goes on bit by bit as if it had not stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import checkpoint
from engine.learner import Learner
from engine.models import MODELS
from engine.train import Trainer
from lvmtui.experts import expert_use
from lvmtui.recipe import Recipe
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader

Recipes = Callable[..., Recipe]
SMALL = {
    "model__layers": "2",
    "model__slots": "3",
    "model__chunk": "4",
    "model__heads": "2",
    "model__experts": "4",
    "model__rank": "2",
    "train__ema": "0.9",
}


def tensors(value: Any, path: str = "") -> dict[str, Tensor]:
    """Every tensor of a state by its place."""
    if isinstance(value, Tensor):
        return {path: value}
    if isinstance(value, dict):
        parts = (tensors(item, f"{path}/{key}") for key, item in value.items())
        return {name: tensor for part in parts for name, tensor in part.items()}
    return {}


def train(learner: Learner, begin: int, end: int) -> list[float]:
    """Optimiser steps `begin` to `end`: the losses."""
    order = np.concatenate([learner.windows.order(epoch) for epoch in range(2)])
    return [learner.step(order[8 * step : 8 * step + 8], step).loss for step in range(begin, end)]


@pytest.mark.parametrize("head", ["composer", "residual", "delta"])
@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_training_is_bit_identical(
    name: str, head: str, recipe: Recipes, learner: Callable[[Recipe], Learner], tmp_path: Path
) -> None:
    made = recipe(model__name=name, model__head=head, **SMALL)
    whole = learner(made)
    losses = train(whole, 0, 3)
    written = checkpoint.save(tmp_path / "step.safetensors", whole.state_dict())
    losses_after = train(whole, 3, 5)
    resumed = learner(made)
    train(resumed, 0, 1)
    resumed.load_state_dict(checkpoint.load(written.path, written.sha256))
    assert train(resumed, 3, 5) == losses_after
    expected, found = tensors(whole.state_dict()), tensors(resumed.state_dict())
    assert expected.keys() == found.keys()
    assert [key for key, value in expected.items() if not torch.equal(value, found[key])] == []
    assert len(set(losses + losses_after)) == 5


@pytest.mark.parametrize("name", ["lane_experts", "transformer"])
def test_a_stopped_run_goes_on_to_the_end(
    name: str, recipe: Recipes, trainer: Callable[[Recipe], Trainer]
) -> None:
    made = recipe(model__name=name, **SMALL)
    whole = trainer(made)
    assert whole.train().result is Result.COMPLETED
    stopped = trainer(made)
    stopped._train_epoch()
    stopped._end_epoch()
    stopped.flag.set("a test")
    assert stopped.train().result is Result.STOPPED
    state = stopped.state_dict()
    resumed = trainer(made)
    resumed.load_state_dict(state)
    assert resumed.train().result is Result.COMPLETED
    expected, found = tensors(whole.learner.state_dict()), tensors(resumed.learner.state_dict())
    assert [key for key, value in expected.items() if not torch.equal(value, found[key])] == []
    assert whole.best is not None


def test_an_evaluation_tells_which_experts_were_asked(
    recipe: Recipes, trainer: Callable[[Recipe], Trainer]
) -> None:
    made = trainer(recipe(model__name="lane_experts", train__epochs="1", **SMALL))
    made.train()
    made.reporter.flush()
    (evaluation,) = Reader(made.reporter._writer.database).evaluations(made.run.id)
    use = expert_use(evaluation.details)
    assert use is not None
    assert use.everywhere.n == evaluation.n == sum(lane.n for lane in use.lanes)
    for lane in (use.everywhere, *use.lanes):
        assert len(lane.share) == 4
        assert sum(lane.share) == pytest.approx(1.0, abs=1e-3)
    assert "clusters of the training vectors" in use.source


def test_models_without_experts_tell_nothing_of_them(
    recipe: Recipes, trainer: Callable[[Recipe], Trainer]
) -> None:
    made = trainer(recipe(train__epochs="1"))
    made.train()
    assert made.best is not None
    assert "experts" not in made.best.details
