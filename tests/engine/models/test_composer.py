"""The composer starts as the baseline that it was tuned to."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.models import ComposerStart, NextVectorModel, recency_weights
from engine.models.composer import BLOCK, HORIZON, Composer

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]
Start = Callable[..., ComposerStart]


def baseline(x: NDArray[np.float64], start: ComposerStart, lags: int) -> NDArray[np.float64]:
    """The tuned baseline written out: whitening (weighted mean of what is there - centre * mean)."""
    result = np.empty_like(x)
    for position in range(len(x)):
        seen = x[max(0, position - lags + 1) : position + 1][::-1]
        weights = start.rate * (1 - start.rate) ** np.arange(len(seen))
        result[position] = weights @ seen / weights.sum() - start.centre * start.mean.numpy()
    return result if start.whitening is None else result @ start.whitening.numpy().T


@pytest.mark.parametrize("name", ["gru", "memory_gru"])
@pytest.mark.parametrize("rate", [0.1, 0.4, 0.8])
@pytest.mark.parametrize(("context", "length"), [(1, 5), (10, 40), (1000, 3 * BLOCK + 5), (1000, 300)])
def test_step_zero_is_the_tuned_baseline(
    make: Make, vectors: Vectors, start: Start, name: str, rate: float, context: int, length: int
) -> None:
    x = vectors(2, length)
    with torch.no_grad():
        prediction, _ = make(name, context=context, start=start(rate))(x)
    for stream in range(2):
        expected = baseline(x[stream].double().numpy(), start(rate), context)
        np.testing.assert_allclose(prediction[stream].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_copy_last_starts_at_the_last_vector_and_can_leave_it(make: Make, vectors: Vectors) -> None:
    model = make("gru", start=ComposerStart.copy_last(torch.full((12,), 0.1))).train()
    x = vectors(8, 41)
    prediction, _ = model(x[:, :-1])
    assert torch.cosine_similarity(prediction, x[:, :-1], dim=-1).min() > 0.9999
    before = model.diagnostics()["composer/newest_weight"]
    # What comes next is the vector before the last: weight has to move to the second lag.
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(80):
        prediction, _ = model(x[:, 1:])
        optimizer.zero_grad()
        (1 - torch.cosine_similarity(prediction, x[:, :-1], dim=-1)).mean().backward()
        optimizer.step()
    assert before > 0.99
    assert model.diagnostics()["composer/newest_weight"] < before
    prediction, _ = model(x[:, 1:])
    last, older = (torch.cosine_similarity(prediction, vector, dim=-1) for vector in (x[:, 1:], x[:, :-1]))
    assert older.mean() > last.mean()


def test_the_attention_equals_the_one_written_out(vectors: Vectors, start: Start) -> None:
    """Bands of blocks against a softmax over each position's own lags."""
    torch.manual_seed(0)
    head = Composer(hidden=6, dim=12, context=9, start=start())
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        hidden, x = torch.randn(2, 2 * BLOCK + 3, 6), vectors(2, 2 * BLOCK + 3)
        prediction, _ = head(hidden, x, head.initial_state(2))
        query = head.query(hidden)
        key = head.key(x * 12**0.5)
        output = head.output_start + head.output_scale * head.output_shift
        for position in (0, 1, 8, BLOCK - 1, BLOCK, BLOCK + 5, 2 * BLOCK + 2):
            lags = torch.arange(min(9, position + 1))
            content = (key[:, position - lags] @ query[:, position, :, None]).squeeze(-1) / head.rank**0.5
            content = content + (x[:, position - lags] @ head.match(x[:, position])[..., None]).squeeze(-1)
            weights = (head.recency()[lags] + content).softmax(dim=-1)
            mixed = (weights[..., None] * x[:, position - lags]).sum(dim=1)
            correction = head.correction_scale * head.correction(hidden[:, position])
            expected = (mixed - head.centre + correction) @ output.T
            torch.testing.assert_close(prediction[:, position], expected, rtol=1e-4, atol=1e-4)


def test_memory_does_not_grow_with_positions_times_lags(vectors: Vectors, start: Start) -> None:
    head = Composer(hidden=6, dim=12, context=HORIZON, start=start())
    largest = 0

    def watch(tensor: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    length = 16 * BLOCK
    with torch.autograd.graph.saved_tensors_hooks(watch, lambda tensor: tensor):
        head(torch.randn(1, length, 6), vectors(1, length), head.initial_state(1))
    assert 0 < largest <= length * (BLOCK + HORIZON) < length * HORIZON * 12


def test_weight_decay_pulls_to_the_baseline(make: Make, vectors: Vectors) -> None:
    model, start = make("gru"), make("gru")
    x = vectors(1, 20)
    with torch.no_grad():
        model.head.output_shift += 1.0
        assert not torch.allclose(model(x)[0], start(x)[0])
        model.head.output_shift *= 0.0
        assert torch.equal(model(x)[0], start(x)[0])


def test_recency_weights_sum_to_one_over_all_lags() -> None:
    np.testing.assert_allclose(recency_weights(0.5, 4).numpy(), [0.5, 0.25, 0.125, 0.0625])
    assert recency_weights(1.0, 3).tolist() == [1.0, 0.0, 0.0]
    assert recency_weights(0.3, 200).sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(("rate", "lags"), [(0.0, 3), (-0.1, 3), (1.1, 3), (float("nan"), 3), (0.5, 0)])
def test_wrong_recency_is_refused(rate: float, lags: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        recency_weights(rate, lags)
