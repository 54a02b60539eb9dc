"""The transformer: attention as written out, a window that bounds it, positions that keep their precision."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.models import NextVectorModel
from engine.models.transformer import BLOCK, Rotary, Transformer, _rotate
from lvmtui.errors import RecipeError

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]


def built(make: Make, **fields: object) -> Transformer:
    model = make("transformer", head="residual", **fields)
    assert isinstance(model, Transformer)
    return model


def written_out(model: Transformer, x: Tensor, window: int) -> Tensor:
    """Hidden states (T, H) of one stream (T, D) in float64, a softmax at a time."""
    model = model.double()
    length = len(x)
    hidden = model.input(x.double() / x.double().norm(dim=-1, keepdim=True) * math.sqrt(x.shape[1]))
    wavelengths = model.layers.rotary.wavelengths.double()
    angle = 2 * math.pi * torch.arange(length)[:, None] / wavelengths
    turn = torch.polar(torch.ones_like(angle), angle)
    for block in model.layers.blocks:
        heads = block.heads
        query, key, value = block.attention_in(block.attention_norm(hidden)).chunk(3, dim=-1)
        attended = torch.empty_like(hidden)
        width = hidden.shape[1] // heads
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            q, k = (torch.complex(*values[:, part].chunk(2, dim=-1)) * turn for values in (query, key))
            for position in range(length):
                seen = slice(max(0, position - window + 1), position + 1)
                weights = ((q[position] * k[seen].conj()).real.sum(dim=-1) / math.sqrt(width)).softmax(dim=0)
                attended[position, part] = weights @ value[seen, part]
        hidden = hidden + block.attention_out(attended)
        wide = torch.nn.functional.gelu(block.expand(block.perceptron_norm(hidden)))
        hidden = hidden + block.contract(wide)
    return model.layers.norm(hidden)


@pytest.mark.parametrize("window", [1, 7, 200])
@torch.no_grad()
def test_it_is_the_attention_written_out(disturbed: Make, vectors: Vectors, window: int) -> None:
    model = built(disturbed, context=window, layers=2)
    x = vectors(1, 40)
    found = (model(x)[0] - x)[0]
    expected = model.head.correction(written_out(model, x[0], window))
    torch.testing.assert_close(found.double(), expected.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("context", [1, 40, BLOCK, 2 * BLOCK + 7, 5 * BLOCK])
@torch.no_grad()
def test_long_sequences_in_blocks_equal_their_parts(disturbed: Make, vectors: Vectors, context: int) -> None:
    model = built(disturbed, context=context)
    x = vectors(2, 3 * BLOCK + 11)
    whole, _ = model(x)
    begin, state, parts = 0, None, []
    for end in (1, BLOCK + 2, BLOCK + 3, 3 * BLOCK, x.shape[1]):
        part, state = model(x[:, begin:end], state)
        begin = end
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_what_is_older_than_the_window_is_forgotten(disturbed: Make, vectors: Vectors) -> None:
    model = built(disturbed, context=10, layers=1)
    x = vectors(1, 50)
    y = x.clone()
    y[:, :30] = vectors(1, 30, seed=3)
    before, after = model(x)[0], model(y)[0]
    assert not torch.allclose(before[:, 38], after[:, 38])
    torch.testing.assert_close(before[:, 39:], after[:, 39:], rtol=1e-5, atol=1e-5)


def test_memory_does_not_grow_with_the_square_of_the_length(make: Make, vectors: Vectors) -> None:
    """Neither where causal attention does, nor where bands are masked."""
    largest = 0

    def watch(tensor: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    length = 2000
    with torch.autograd.graph.saved_tensors_hooks(watch, lambda tensor: tensor):
        built(make, context=length)(vectors(1, length))
        assert 0 < largest <= length * 16 * 4
        model = built(make, context=length // 2)
        model(vectors(1, length))
    assert largest <= BLOCK * (BLOCK + length // 2) < length * length // 4


def test_angles_depend_on_the_distance_alone_however_far_the_stream_has_come() -> None:
    rotary = Rotary(16)
    values = torch.randn(2, 1, 5, 1, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    at_start = rotary(torch.tensor(0), 5)
    far = rotary(torch.tensor(10**15), 5)
    for first in range(5):
        for second in range(5):
            near, away = (
                (_rotate(values[0], turn)[:, first] * _rotate(values[1], turn)[:, second]).sum()
                for turn in (at_start, far)
            )
            torch.testing.assert_close(near, away, rtol=1e-5, atol=1e-5)


def test_wavelengths_are_whole_numbers_around_those_of_the_paper() -> None:
    wavelengths = Rotary(64).wavelengths
    exact = 2 * math.pi * 10_000.0 ** (torch.arange(32, dtype=torch.float64) / 32)
    assert wavelengths.dtype == torch.int64
    assert ((wavelengths - exact).abs() <= 0.5).all()


@pytest.mark.parametrize(("hidden", "heads"), [(16, 3), (16, 16)])
def test_heads_that_do_not_fit_are_refused(make: Make, hidden: int, heads: int) -> None:
    with pytest.raises(RecipeError, match="cannot be shared out") as caught:
        make("transformer", hidden=hidden, heads=heads)
    assert "multiple of twice model.heads" in caught.value.hint


@pytest.mark.parametrize("head", ["composer", "delta"])
def test_layers_computed_again_give_the_same_gradients_and_keep_less(
    make: Make, vectors: Vectors, head: str
) -> None:
    """The same entries are dropped the second time, and a later part has the earlier one in its gradient."""
    x = vectors(2, 60)
    gradients, kept = [], []
    for recompute in (False, True):
        model = make("transformer", head=head, context=20, layers=3, dropout=0.3).train()
        assert not recompute or model.recompute_layers()
        count = 0

        def watch(tensor: Tensor) -> Tensor:
            nonlocal count
            count += tensor.numel()
            return tensor

        torch.manual_seed(5)
        with torch.autograd.graph.saved_tensors_hooks(watch, lambda tensor: tensor):
            first, state = model(x[:, :40])
            second, _ = model(x[:, 40:], state)
        (first.square().sum() + second.square().sum()).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        kept.append(count)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-5)
    assert kept[1] < kept[0] / 4


def test_other_models_have_no_layers_to_compute_again(make: Make) -> None:
    assert not make("gru").recompute_layers()
