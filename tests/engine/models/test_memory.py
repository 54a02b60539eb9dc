"""The slot memory is alive: it is written, read, and missed when it is gone."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from engine.models import NextVectorModel
from engine.models.memory_gru import MemoryGru, SlotMemory

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]
CHUNK = 7


@pytest.fixture(scope="module")
def trained(make: Make, vectors: Vectors) -> MemoryGru:
    """A model after a few steps on sequences that repeat their first chunk much later."""
    model = make("memory_gru", context=4, head="residual")
    assert isinstance(model, MemoryGru)
    once = vectors(8, 30)
    x = torch.cat([once, once], dim=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        prediction, _ = model(x[:, :-1])
        optimizer.zero_grad()
        (1 - torch.cosine_similarity(prediction, x[:, 1:], dim=-1)).mean().backward()
        optimizer.step()
    return model


@torch.no_grad()
def test_without_its_memory_it_predicts_something_else(trained: MemoryGru, vectors: Vectors) -> None:
    x = vectors(4, 50)
    deaf, mute = deepcopy(trained), deepcopy(trained)
    for parameter in (deaf.memory.read.output.weight, deaf.memory.read.output.bias):
        parameter.zero_()
    mute.memory.write.gate.bias.fill_(-1e4)
    full, unread, unwritten = (model(x)[0] for model in (trained, deaf, mute))
    assert (full - unread).abs().max() > 1e-2
    assert torch.equal(full[:, :CHUNK], unwritten[:, :CHUNK])
    assert (full - unwritten)[:, CHUNK:].abs().max() > 1e-3


@torch.no_grad()
def test_what_is_written_depends_on_the_sequence(trained: MemoryGru, vectors: Vectors) -> None:
    _, state = trained(vectors(2, 2 * CHUNK))
    slots = state[1][0]
    assert (slots[0] - slots[1]).abs().max() > 1e-2


@torch.no_grad()
def test_a_chunk_reads_what_the_chunks_before_it_left(make: Make) -> None:
    memory = make("memory_gru").memory
    assert isinstance(memory, SlotMemory)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 3 * CHUNK, 16, generator=generator)
    other = hidden.clone()
    other[:, 0] = 5 * torch.randn(16, generator=generator)
    first, _ = memory(hidden, memory.initial_state(1))
    second, _ = memory(other, memory.initial_state(1))
    differs = (first - second).abs().amax(dim=-1).squeeze(0) > 0
    assert differs[0]
    assert not differs[1:CHUNK].any()
    assert differs[CHUNK:].all()


@torch.no_grad()
def test_addresses_are_neither_uniform_nor_collapsed(make: Make, vectors: Vectors) -> None:
    model = make("memory_gru", hidden=64, slots=16)
    assert model.diagnostics().get("memory/address_entropy") is None
    model(vectors(4, 10 * CHUNK))
    entropies = model.diagnostics()
    assert 0.2 < entropies["memory/address_entropy"] < 0.98
    assert entropies["memory/address_entropy"] < entropies["memory/slot_entropy"] <= 1.0


@torch.no_grad()
def test_a_stream_begins_with_nothing_remembered(trained: MemoryGru, vectors: Vectors) -> None:
    x = vectors(2, 5 * CHUNK)
    first, state = trained(x)
    assert torch.equal(trained(x)[0], first)
    assert not torch.allclose(trained(x, state)[0], first, atol=1e-4)


@torch.no_grad()
def test_nothing_written_has_no_entropy(make: Make, vectors: Vectors) -> None:
    model = make("memory_gru")
    model(vectors(1, CHUNK - 1))
    assert "memory/address_entropy" not in model.diagnostics()


@pytest.mark.parametrize(("slots", "hidden"), [(1, 16), (4, 9), (40, 8)])
def test_initial_slots_are_distinct(make: Make, vectors: Vectors, slots: int, hidden: int) -> None:
    model = make("memory_gru", slots=slots, hidden=hidden)
    assert isinstance(model, MemoryGru)
    distance = torch.cdist(model.memory.start, model.memory.start) + 10 * torch.eye(slots)
    assert distance.min() > 0.1
    assert model(vectors(1, 20))[0].isfinite().all()
