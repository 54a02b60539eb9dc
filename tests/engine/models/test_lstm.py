"""What only the LSTM has."""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.models import NextVectorModel, state_tensors
from engine.models.lstm import Lstm

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]


@torch.no_grad()
def test_its_cells_are_part_of_the_state(disturbed: Make, vectors: Vectors) -> None:
    model = disturbed("lstm")
    x = vectors(2, 20)
    _, state = model(x[:, :10])
    cell = state[1]
    assert isinstance(cell, Tensor)
    assert cell.shape == (2, 2, 16)
    assert cell.abs().max() > 0
    forgetful = (state[0], torch.zeros_like(cell), state[2])
    kept, _ = model(x[:, 10:], state)
    lost, _ = model(x[:, 10:], type(state)(*forgetful))
    assert (kept - lost).abs().max() > 1e-4
    assert {"0", "1"} <= set(state_tensors(state))


def test_forget_gates_start_open(make: Make) -> None:
    model = make("lstm", layers=3)
    assert isinstance(model, Lstm)
    for layer in range(3):
        bias = getattr(model.layers, f"bias_ih_l{layer}") + getattr(model.layers, f"bias_hh_l{layer}")
        assert torch.equal(bias[16:32], torch.ones(16))


@torch.no_grad()
def test_two_thousand_vectors_stay_finite(disturbed: Make, vectors: Vectors) -> None:
    prediction, state = disturbed("lstm")(vectors(1, 2000))
    assert prediction.isfinite().all()
    assert all(part.isfinite().all() for part in state_tensors(state).values())
