"""Our GRU layers on the CPU give the numbers and gradients of torch's."""

import pytest
import torch
from torch import nn

from engine.models.recurrence import BLOCK, run_gru


@pytest.mark.parametrize("length", [1, 2, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
@pytest.mark.parametrize("count", [1, 3])
def test_outputs_states_and_gradients_are_those_of_torch(length: int, count: int) -> None:
    torch.manual_seed(0)
    layers = nn.GRU(12, 16, count, batch_first=True)
    x = torch.randn(3, length, 12, requires_grad=True)
    hidden = torch.randn(count, 3, 16, requires_grad=True)
    theirs, ours = layers(x, hidden), run_gru(layers, x, hidden)
    torch.testing.assert_close(ours, theirs)
    weights = [torch.randn_like(part) for part in theirs]
    inputs = [x, hidden, *layers.parameters()]
    losses = [sum((part * w).sum() for part, w in zip(got, weights, strict=True)) for got in (theirs, ours)]
    expected, got = (torch.autograd.grad(loss, inputs) for loss in losses)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_dropout_between_layers_in_training_only() -> None:
    torch.manual_seed(0)
    layers = nn.GRU(12, 16, 2, batch_first=True, dropout=0.5)
    x, hidden = torch.randn(2, 20, 12), torch.zeros(2, 2, 16)
    assert not torch.equal(run_gru(layers, x, hidden)[0], run_gru(layers, x, hidden)[0])
    layers.eval()
    torch.testing.assert_close(run_gru(layers, x, hidden), layers(x, hidden))


def test_under_autocast_the_state_stays_in_float32_and_close() -> None:
    torch.manual_seed(0)
    layers = nn.GRU(64, 64, 2, batch_first=True)
    x, hidden = torch.randn(2, 300, 64), torch.zeros(2, 2, 64)
    with torch.autocast("cpu", torch.bfloat16):
        output, after = run_gru(layers, x, hidden)
        output.sum().backward()
    exact, _ = layers(x, hidden)
    assert output.dtype == after.dtype == torch.float32
    assert (output - exact).abs().max() < 0.05
    assert all(parameter.grad is not None for parameter in layers.parameters())
