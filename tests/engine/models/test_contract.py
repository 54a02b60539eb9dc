"""What every architecture with every head promises."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.models import NextVectorModel, State, restore_state, state_tensors

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]

pytestmark = pytest.mark.parametrize(
    ("name", "head"),
    [(name, head) for name in ("gru", "memory_gru") for head in ("composer", "residual", "delta")],
)
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def flat(state: State) -> dict[str, Tensor]:
    return state_tensors(state)


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


@torch.no_grad()
def test_the_state_does_not_grow(name: str, head: str, make: Make, vectors: Vectors) -> None:
    model = make(name, head=head)
    _, short = model(vectors(2, 3))
    _, long = model(vectors(2, 500))
    assert {key: value.shape for key, value in flat(short).items()} == {
        key: value.shape for key, value in flat(long).items()
    }


@cache
def _model(name: str, head: str, disturbed: Make) -> NextVectorModel:
    return disturbed(name, head=head, context=10)


@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(1, 39), max_size=6))
@torch.no_grad()
def test_parts_that_hand_on_the_state_equal_the_whole(
    name: str, head: str, disturbed: Make, vectors: Vectors, cuts: set[int]
) -> None:
    model = _model(name, head, disturbed)
    x = vectors(2, 40)
    whole, _ = model(x)
    state: State | None = None
    parts = []
    edges = [0, *sorted(cuts), 40]
    for begin, end in pairwise(edges):
        part, state = model(x[:, begin:end], state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, **CLOSE)


@settings(max_examples=15, deadline=None)
@given(length=st.integers(2, 80), data=st.data())
@torch.no_grad()
def test_the_future_never_changes_the_past(
    name: str, head: str, disturbed: Make, vectors: Vectors, length: int, data: st.DataObject
) -> None:
    model = _model(name, head, disturbed)
    changed_from = data.draw(st.integers(1, length - 1))
    x = vectors(1, length)
    y = x.clone()
    y[:, changed_from:] = -3 * vectors(1, length - changed_from, seed=5)
    before, _ = model(x)
    after, _ = model(y)
    torch.testing.assert_close(before[:, :changed_from], after[:, :changed_from], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(before[:, changed_from], after[:, changed_from])


@torch.no_grad()
def test_streams_of_a_batch_do_not_touch_each_other(
    name: str, head: str, disturbed: Make, vectors: Vectors
) -> None:
    model = disturbed(name, head=head)
    x = vectors(3, 30)
    together, _ = model(x)
    alone, _ = model(x[1:2])
    torch.testing.assert_close(together[1:2], alone, **CLOSE)


@torch.no_grad()
def test_a_saved_state_goes_on_exactly(
    name: str, head: str, disturbed: Make, vectors: Vectors, tmp_path: Path
) -> None:
    model = disturbed(name, head=head)
    x = vectors(2, 40)
    _, state = model(x[:, :23])
    save_file(state_tensors(state), tmp_path / "state.safetensors")
    restored = restore_state(model, load_file(tmp_path / "state.safetensors"))
    assert type(restored) is type(state)
    assert torch.equal(model(x[:, 23:], restored)[0], model(x[:, 23:], state)[0])


def test_a_state_of_another_model_is_refused(name: str, head: str, make: Make, vectors: Vectors) -> None:
    _, state = make(name, head=head, hidden=8)(vectors(2, 5))
    with pytest.raises(ValueError, match="state tensor"):
        restore_state(make(name, head=head), state_tensors(state))


def test_the_same_seed_gives_the_same_weights(name: str, head: str, make: Make) -> None:
    first, again, other = (make(name, head=head, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_every_parameter_learns(name: str, head: str, make: Make, vectors: Vectors) -> None:
    """Zero starts hide what is below them from the first gradient; from the second on nothing is dead."""
    model = make(name, head=head, context=10, chunk=7).train()
    x = vectors(4, 41)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        prediction, _ = model(x[:, :-1])
        (1 - torch.cosine_similarity(prediction, x[:, 1:], dim=-1)).mean().backward()
        optimizer.step()
    dead = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert dead == []


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
