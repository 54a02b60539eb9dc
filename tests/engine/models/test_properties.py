"""Causality, streaming and independence of every architecture with every head, on inputs of any shape."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.models import MODELS, NextVectorModel, State, restore_state, state_tensors

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]

pytestmark = pytest.mark.parametrize(
    ("name", "head"), [(name, head) for name in MODELS for head in ("composer", "residual", "delta")]
)
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}
CONTEXTS = st.sampled_from([1, 2, 10, 64])
SEEDS = st.integers(0, 1000)
few = settings(max_examples=12, deadline=None, derandomize=True)


@cache
def model_of(name: str, head: str, context: int, disturbed: Make) -> NextVectorModel:
    return disturbed(name, head=head, context=context)


@few
@given(length=st.integers(2, 90), context=CONTEXTS, seed=SEEDS, data=st.data())
@torch.no_grad()
def test_the_future_never_changes_the_past(
    name: str,
    head: str,
    disturbed: Make,
    vectors: Vectors,
    length: int,
    context: int,
    seed: int,
    data: st.DataObject,
) -> None:
    model = model_of(name, head, context, disturbed)
    changed_from = data.draw(st.integers(1, length - 1))
    size = data.draw(st.sampled_from([0.0, 1.0, -3.0, 1e4]))
    x = vectors(1, length, seed=seed)
    y = x.clone()
    y[:, changed_from:] = size * vectors(1, length - changed_from, seed=seed + 1)
    before, after = model(x)[0], model(y)[0]
    assert torch.equal(before[:, :changed_from], after[:, :changed_from])
    assert not torch.allclose(before[:, changed_from], after[:, changed_from])


@few
@given(length=st.integers(1, 90), context=CONTEXTS, seed=SEEDS, cuts=st.sets(st.integers(1, 89), max_size=6))
@torch.no_grad()
def test_parts_that_hand_on_the_state_equal_the_whole(
    name: str,
    head: str,
    disturbed: Make,
    vectors: Vectors,
    length: int,
    context: int,
    seed: int,
    cuts: set[int],
) -> None:
    """Each part goes on from a state that was taken apart and put together again."""
    model = model_of(name, head, context, disturbed)
    x = vectors(2, length, seed=seed)
    whole, end = model(x)
    state: State | None = None
    parts = []
    for begin, stop in pairwise([0, *sorted(cut for cut in cuts if cut < length), length]):
        part, state = model(x[:, begin:stop], state)
        state = restore_state(model, state_tensors(state))
        parts.append(part)
    assert state is not None
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, **CLOSE)
    torch.testing.assert_close(state_tensors(state), state_tensors(end), **CLOSE)


@few
@given(before=st.integers(0, 80), steps=st.integers(1, 8), context=CONTEXTS, seed=SEEDS)
@torch.no_grad()
def test_a_step_says_what_forward_says(
    name: str,
    head: str,
    disturbed: Make,
    vectors: Vectors,
    before: int,
    steps: int,
    context: int,
    seed: int,
) -> None:
    model = model_of(name, head, context, disturbed)
    x = vectors(2, before + steps, seed=seed)
    whole, _ = model(x)
    state = model(x[:, :before])[1] if before else None
    for position in range(before, before + steps):
        prediction, state = model.step(x[:, position], state)
        torch.testing.assert_close(prediction, whole[:, position], **CLOSE)


@few
@given(batch=st.integers(2, 5), length=st.integers(1, 40), context=CONTEXTS, seed=SEEDS)
@torch.no_grad()
def test_streams_of_a_batch_do_not_touch_each_other(
    name: str,
    head: str,
    disturbed: Make,
    vectors: Vectors,
    batch: int,
    length: int,
    context: int,
    seed: int,
) -> None:
    model = model_of(name, head, context, disturbed)
    x = vectors(batch, length, seed=seed)
    together, _ = model(x)
    for stream in range(batch):
        alone, _ = model(x[stream : stream + 1])
        torch.testing.assert_close(together[stream : stream + 1], alone, **CLOSE)
