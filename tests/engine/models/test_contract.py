"""What every architecture with every head promises."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.audit.model import changes_without
from engine.models import MODELS, ComposerStart, NextVectorModel, State, restore_state, state_tensors

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]

EVERY = pytest.mark.parametrize(
    ("name", "head"), [(name, head) for name in MODELS for head in ("composer", "residual", "delta")]
)
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def flat(state: State) -> dict[str, Tensor]:
    return state_tensors(state)


@EVERY
@torch.no_grad()
def test_streaming_gives_the_numbers_of_the_batch(
    name: str, head: str, disturbed: Make, vectors: Vectors
) -> None:
    model = disturbed(name, head=head, context=10)
    x = vectors(3, 60)
    batch, end = model(x)
    state: State | None = None
    for position in range(60):
        streamed, state = model.step(x[:, position], state)
        torch.testing.assert_close(streamed, batch[:, position], **CLOSE)
    assert state is not None
    torch.testing.assert_close(flat(state), flat(end), **CLOSE)


@EVERY
@torch.no_grad()
def test_the_state_does_not_grow(name: str, head: str, make: Make, vectors: Vectors) -> None:
    model = make(name, head=head)
    _, short = model(vectors(2, 3))
    _, long = model(vectors(2, 500))
    assert {key: value.shape for key, value in flat(short).items()} == {
        key: value.shape for key, value in flat(long).items()
    }


@EVERY
@torch.no_grad()
def test_a_saved_state_goes_on_exactly_in_another_model(
    name: str, head: str, disturbed: Make, vectors: Vectors, tmp_path: Path
) -> None:
    model, other = disturbed(name, head=head), disturbed(name, head=head, seed=7)
    other.load_state_dict(model.state_dict())
    x = vectors(2, 40)
    _, state = model(x[:, :23])
    save_file(state_tensors(state), tmp_path / "state.safetensors")
    restored = restore_state(other, load_file(tmp_path / "state.safetensors"))
    assert type(restored) is type(state)
    assert torch.equal(other(x[:, 23:], restored)[0], model(x[:, 23:], state)[0])


@EVERY
def test_a_state_of_another_model_is_refused(name: str, head: str, make: Make, vectors: Vectors) -> None:
    _, state = make(name, head=head, hidden=8)(vectors(2, 5))
    if name == "amn" and head != "composer":
        # It remembers nothing, so that nothing can be wrong with it.
        assert set(state_tensors(state)) == {"0"}
        return
    with pytest.raises(ValueError, match="state tensor"):
        restore_state(make(name, head=head), state_tensors(state))


@EVERY
def test_the_same_seed_gives_the_same_weights(name: str, head: str, make: Make) -> None:
    first, again, other = (make(name, head=head, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@EVERY
def test_every_parameter_learns(name: str, head: str, make: Make, vectors: Vectors) -> None:
    """Zero starts hide what is below them from the first gradient; from the second on nothing is dead. An
    expert is asked in one of several batches."""
    model = make(name, head=head, context=10, chunk=7).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    dead: set[str] = set()
    for batch in range(5 if name == "lane_experts" else 2):
        x = vectors(4, 41, seed=batch)
        optimizer.zero_grad()
        prediction, _ = model(x[:, :-1])
        (1 - torch.cosine_similarity(prediction, x[:, 1:], dim=-1)).mean().backward()
        optimizer.step()
        still = {key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()}
        dead = still if batch < 2 else dead & still
    assert dead == set()


@EVERY
@torch.no_grad()
def test_dropout_only_in_training(name: str, head: str, disturbed: Make, vectors: Vectors) -> None:
    model = disturbed(name, head=head, layers=1, dropout=0.5)
    x = vectors(2, 20)
    assert torch.equal(model(x)[0], model(x)[0])
    model.train()
    torch.manual_seed(0)
    first = model(x)[0]
    assert not torch.equal(model(x)[0], first)
    torch.manual_seed(0)
    assert torch.equal(model(x)[0], first)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_audit_finds_every_part_and_none_of_them_idle(
    name: str, disturbed: Make, vectors: Vectors
) -> None:
    changes = changes_without(disturbed(name, context=10), vectors(2, 30))
    assert changes
    assert all(change > 1e-4 for change in changes.values()), changes


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_step_zero_is_the_same_baseline_whatever_the_architecture(
    name: str, make: Make, vectors: Vectors, start: Callable[..., ComposerStart]
) -> None:
    """The weighted mean of the last vectors, minus the mean, whitened."""
    tuned, x = start(0.4), vectors(2, 50)
    weights = 0.4 * 0.6 ** torch.arange(9, dtype=torch.float64)
    expected = torch.empty(2, 50, 12, dtype=torch.float64)
    for position in range(50):
        seen = x[:, max(0, position - 8) : position + 1].flip(1).double()
        share = weights[: seen.shape[1]] / weights[: seen.shape[1]].sum()
        expected[:, position] = torch.einsum("l,bld->bd", share, seen) - tuned.centre * tuned.mean
    assert tuned.whitening is not None
    prediction, _ = make(name, context=9, start=tuned)(x)
    torch.testing.assert_close(
        prediction.double(), expected @ tuned.whitening.double().T, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("head", "far"), [("residual", 0.0), ("delta", 1.0)])
@torch.no_grad()
def test_the_other_heads_start_at_the_last_vector_and_at_a_step_of_one_from_it(
    name: str, head: str, far: float, make: Make, vectors: Vectors
) -> None:
    x = vectors(2, 30)
    distance = torch.linalg.vector_norm(make(name, head=head)(x)[0] - x, dim=-1)
    torch.testing.assert_close(distance, torch.full_like(distance, far), rtol=1e-5, atol=1e-5)
