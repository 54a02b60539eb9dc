"""Chunks: who sees whom, and what is kept of a finished one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.models import NextVectorModel
from engine.models.hierarchical_gru import HierarchicalGru, HierarchicalGruState

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]
CHUNK = 7


@torch.no_grad()
def one_by_one(model: HierarchicalGru, x: Tensor) -> Tensor:
    """What the definition says, written out with torch's own layers."""
    hidden = torch.zeros(1, x.shape[0], model.above.layer.hidden_size)
    predictions = []
    head = model.head.initial_state(x.shape[0])
    for chunk in x.split(model.chunk, dim=1):
        scaled = chunk / chunk.norm(dim=-1, keepdim=True) * chunk.shape[-1] ** 0.5
        output, _ = model.within.layers(scaled)
        seen = hidden[0].unsqueeze(1).expand_as(output)
        prediction, head = model.head(model.fusion(output, seen), chunk, head)
        predictions.append(prediction)
        _, hidden = model.above.layer(output.mean(dim=1, keepdim=True), hidden)
    return torch.cat(predictions, dim=1)


@torch.no_grad()
@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 2])
def test_it_is_its_definition(disturbed: Make, vectors: Vectors, length: int) -> None:
    model = disturbed("hierarchical_gru")
    assert isinstance(model, HierarchicalGru)
    x = vectors(2, length)
    torch.testing.assert_close(model(x)[0], one_by_one(model, x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("first", range(1, 2 * CHUNK + 1))
@pytest.mark.parametrize("length", [1, CHUNK, 2 * CHUNK + 3])
def test_it_goes_on_from_any_offset(disturbed: Make, vectors: Vectors, first: int, length: int) -> None:
    model = disturbed("hierarchical_gru")
    x = vectors(2, first + length)
    whole, end = model(x)
    _, state = model(x[:, :first])
    rest, after = model(x[:, first:], state)
    torch.testing.assert_close(rest, whole[:, first:], rtol=1e-5, atol=1e-5)
    for one, other in zip(after[:4], end[:4], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_position_sees_only_chunks_that_were_finished(disturbed: Make, vectors: Vectors) -> None:
    model = disturbed("hierarchical_gru", head="residual")
    x = vectors(1, 3 * CHUNK)
    other = x.clone()
    other[:, CHUNK - 1] = -x[:, CHUNK - 1]
    changed = (model(x)[0] - model(other)[0]).abs().amax(dim=-1).squeeze(0) > 1e-6
    assert changed.tolist() == [False] * (CHUNK - 1) + [True] * (2 * CHUNK + 1)


@torch.no_grad()
def test_a_finished_chunk_leaves_only_what_stands_above(disturbed: Make, vectors: Vectors) -> None:
    _, state = disturbed("hierarchical_gru")(vectors(2, 2 * CHUNK))
    assert isinstance(state, HierarchicalGruState)
    assert state.position == 0
    assert not state.within.any()
    assert not state.total.any()
    assert state.above.abs().max() > 0


def test_gradients_reach_the_first_chunk_from_the_last(disturbed: Make, vectors: Vectors) -> None:
    model = disturbed("hierarchical_gru", head="residual")
    x = vectors(1, 100 * CHUNK).requires_grad_()
    prediction, _ = model(x)
    (prediction[:, -1] - x.detach()[:, -1]).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad[:, -3 * CHUNK].abs().max() > 0
