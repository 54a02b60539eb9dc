"""The parallel scan of minGRU against the recurrence written out, and how far it reaches."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.models import NextVectorModel
from engine.models.mingru import MinGru
from engine.models.scan import _in_one_piece, _in_pieces, gated_scan

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]
Scan = Callable[..., Tensor]


def one_by_one(decay: Tensor, inflow: Tensor, start: Tensor, *, reverse: bool = False) -> Tensor:
    states: list[Tensor] = []
    order = range(inflow.shape[1])
    for t in reversed(order) if reverse else order:
        start = decay[:, t] * start + inflow[:, t]
        states.append(start)
    return torch.stack(states[::-1] if reverse else states, dim=1)


def problem(length: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Decays, inflows and a start; float64, the batch is 2, the width 3."""
    generator = torch.Generator().manual_seed(seed)
    decay = torch.rand(2, length, 3, generator=generator, dtype=torch.float64)
    inflow = torch.randn(2, length, 3, generator=generator, dtype=torch.float64)
    return decay, inflow, torch.randn(2, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("scan", [_in_one_piece, _in_pieces])
@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 120), seed=st.integers(0, 1000), reverse=st.booleans())
def test_a_scan_is_the_recurrence(scan: Scan, length: int, seed: int, reverse: bool) -> None:
    given_ = problem(length, seed)
    torch.testing.assert_close(scan(*given_, reverse=reverse), one_by_one(*given_, reverse=reverse))


@pytest.mark.parametrize("length", [1, 2, 17])
def test_its_gradient_is_right(length: int) -> None:
    gate, candidate, start = problem(length)
    both = torch.cat([gate, candidate], dim=-1).requires_grad_()
    assert torch.autograd.gradcheck(gated_scan, (both, start.requires_grad_()))


@pytest.mark.parametrize("scan", [_in_one_piece, _in_pieces])
@pytest.mark.parametrize("kept", [0.0, 1e-30, 1.0 - 1e-7, 1.0])
def test_extreme_decays_neither_overflow_nor_drift(scan: Scan, kept: float) -> None:
    length = 2000
    _, inflow, start = problem(length)
    decay = torch.full((2, length, 3), kept)
    states = scan(decay, inflow.float(), start.float(), reverse=False)
    assert states.isfinite().all()
    torch.testing.assert_close(
        states.double(), one_by_one(decay.double(), inflow, start), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("gate", [-200.0, 200.0])
def test_saturated_gates_keep_finite_gradients(gate: float) -> None:
    gates = torch.full((1, 2000, 2), gate, requires_grad=True)
    candidates = torch.randn(1, 2000, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    states = gated_scan(torch.cat([gates, candidates], dim=-1), torch.ones(1, 2))
    states.square().sum().backward()
    torch.testing.assert_close(states, candidates if gate > 0 else torch.ones_like(states))
    assert gates.grad is not None
    assert gates.grad.isfinite().all()


def test_under_autocast_the_recurrence_stays_in_float32(make: Make, vectors: Vectors) -> None:
    model = make("mingru", hidden=64, head="residual")
    x = vectors(1, 500)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        _, state = model(x)
    assert isinstance(state[0], Tensor)
    assert state[0].dtype == torch.float32
    with torch.no_grad():
        _, exact = model(x)
    assert isinstance(exact[0], Tensor)
    assert (state[0] - exact[0]).abs().max() < 0.05 * exact[0].abs().max()


def test_deep_layers_learn_a_long_sequence(make: Make, vectors: Vectors) -> None:
    model = make("mingru", layers=12, head="residual", context=2000)
    x = vectors(1, 2000)
    prediction, _ = model(x)
    (prediction - x.roll(-1, 1)).square().mean().backward()
    assert prediction.isfinite().all()
    torch.nn.init.normal_(model.head.correction.weight)  # type: ignore[union-attr,arg-type]
    model(x)[0].square().mean().backward()
    sizes = [layer.gate_and_candidate.weight.grad.norm() for layer in model.layers]  # type: ignore[union-attr]
    assert all(size.isfinite() and size > 1e-3 * max(sizes) for size in sizes)


@torch.no_grad()
def test_units_remember_over_one_to_many_vectors_at_the_start(make: Make) -> None:
    model = make("mingru", hidden=32)
    assert isinstance(model, MinGru)
    bias = model.layers[0].gate_and_candidate.bias[:32]  # type: ignore[union-attr,index]
    reach = 1 / bias.sigmoid()
    assert reach.min() < 2.1
    assert reach.max() > 60
