"""One optimiser step: accumulation is exact, bad gradients change nothing, judging leaves no trace."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from engine.data.split import SplitView
from engine.learner import Learner
from engine.negatives import Bank
from lvmtui.recipe import Recipe

Recipes = Callable[..., Recipe]
Learners = Callable[[Recipe], Learner]


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in learner.model.state_dict().items()}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


@pytest.mark.parametrize("windows", [8, 7, 5])
def test_accumulation_is_one_big_batch(recipe: Recipes, learner: Learners, windows: int) -> None:
    whole = learner(recipe(model__dropout="0", train__batch="8", train__accumulation="1"))
    parts = learner(recipe(model__dropout="0", train__batch="2", train__accumulation="4"))
    starts = whole.windows.order(0)[:windows]
    for number in range(3):
        one, other = whole.step(starts, number), parts.step(starts, number)
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
        assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-4)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(value, parts.model.state_dict()[name], rtol=1e-3, atol=1e-5)


def test_the_loss_falls(recipe: Recipes, learner: Learners) -> None:
    made = learner(recipe(train__schedule="constant", train__warmup="0", model__dropout="0"))
    starts = made.windows.order(0)[:8]
    losses = [made.step(starts, 0).loss for _ in range(30)]
    assert losses[-1] < losses[0] - 0.05


def test_clipping_bounds_the_gradient_and_reports_it_unclipped(recipe: Recipes, learner: Learners) -> None:
    free = learner(recipe(model__dropout="0", train__clip="0"))
    clipped = learner(recipe(model__dropout="0", train__clip="0.001"))
    starts = free.windows.order(0)[:8]
    assert free.step(starts, 0).grad_norm == clipped.step(starts, 0).grad_norm
    gradients = [p.grad for p in clipped.model.parameters() if p.grad is not None]
    assert torch.stack([gradient.norm() for gradient in gradients]).norm() == pytest.approx(0.001, rel=1e-2)


def test_decay_is_for_matrices_only(recipe: Recipes, learner: Learners) -> None:
    made = learner(recipe(train__weight_decay="0.1"))
    decayed, free = made._optimizer.param_groups
    assert decayed["weight_decay"] == 0.1
    assert all(parameter.ndim >= 2 for parameter in decayed["params"])
    assert free["weight_decay"] == 0.0
    assert any(parameter is made.objective.log_temperature for parameter in free["params"])


def test_a_gradient_that_is_not_finite_changes_nothing(recipe: Recipes, learner: Learners) -> None:
    made = learner(recipe(train__ema="0.9"))
    starts = made.windows.order(0)[:8]
    made.step(starts, 0)
    before = made.state_dict()
    name, parameter = next(iter(made.model.named_parameters()))
    hook = parameter.register_hook(lambda gradient: gradient * math.inf)
    result = made.step(starts, 1)
    assert not result.finite
    after = made.state_dict()
    for part in ("model", "objective", "optimizer", "ema"):
        assert same(after[part], before[part]), (part, name)
    hook.remove()
    assert made.step(starts, 2).finite


def test_judging_leaves_no_trace(recipe: Recipes, learner: Learners) -> None:
    made = learner(recipe(train__ema="0.5"))
    starts = made.windows.order(0)[:8]
    made.step(starts, 0)
    before = made.state_dict()
    own = weights(made)
    with made.evaluating():
        assert not made.model.training
        assert not same(weights(made), own), "the averaged weights are the ones that are judged"
        torch.rand(3)
    assert made.model.training
    assert same(made.state_dict(), before)


@pytest.mark.parametrize("changes", [{}, {"train__ema": "0.9"}, {"loss__name": "published"}])
def test_it_goes_on_from_a_saved_state(
    recipe: Recipes, learner: Learners, changes: dict[str, str], tmp_path: Any
) -> None:
    from engine import checkpoint

    made = learner(recipe(**changes))
    order = made.windows.order(0)
    for number in range(2):
        made.step(order[8 * number : 8 * number + 8], number)
    written = checkpoint.save(tmp_path / "step-00000002.safetensors", made.state_dict())
    expected = [made.step(order[:8], number) for number in range(2, 5)]
    final = made.state_dict()

    other = learner(recipe(**changes))
    other.load_state_dict(checkpoint.load(written.path, written.sha256))
    found = [other.step(order[:8], number) for number in range(2, 5)]
    assert list(map(repr, found)) == list(map(repr, expected))
    assert same(other.state_dict(), final)


def test_negatives_are_a_function_of_seed_and_step(splits: dict[str, SplitView]) -> None:
    train = splits["train"]
    bank = Bank(train, size=32, seed=1)
    assert np.array_equal(bank.draw(5).vectors, Bank(train, size=32, seed=1).draw(5).vectors)
    assert not np.array_equal(bank.draw(5).vectors, bank.draw(6).vectors)
    assert not np.array_equal(bank.draw(5).vectors, Bank(train, size=32, seed=2).draw(5).vectors)
    assert bank.draw(-1).vectors.shape == (32, 8)
    rows = {row.tobytes() for row in train.take(0, len(train))}
    assert all(row.tobytes() in rows for row in bank.draw(7).vectors)


def test_a_bank_is_no_larger_than_the_split(splits: dict[str, SplitView]) -> None:
    train = splits["train"]
    assert len(Bank(train, size=1_000_000, seed=0).draw(0).vectors) == len(train)
