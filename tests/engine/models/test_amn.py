"""`amn`: an MLP over each vector, mixed by the composer's attention."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engine.models import ComposerStart, NextVectorModel, build_model, count_parameters
from engine.models.composer import BLOCK, MixingComposer
from lvmtui.recipe import ModelSection

Make = Callable[..., NextVectorModel]
Vectors = Callable[..., Tensor]
Start = Callable[..., ComposerStart]


def test_the_quick_default_has_under_a_million_parameters() -> None:
    section = ModelSection(name="amn", hidden=256, layers=1)
    model = build_model(section, dim=768, context=100, start=ComposerStart.copy_last(torch.zeros(768)))
    assert count_parameters(model) < 1_000_000


def test_the_prediction_equals_the_one_written_out(vectors: Vectors, start: Start) -> None:
    """Each vector and its hidden state, weighed by lag, salience, likeness to the newest, and content."""
    torch.manual_seed(0)
    head = MixingComposer(hidden=6, dim=12, context=9, start=start())
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
        hidden, x = torch.randn(2, BLOCK + 7, 6), vectors(2, BLOCK + 7)
        prediction, _ = head(hidden, x, head.initial_state(2))
        query, key = head.query(hidden), head.key(x * 12**0.5)
        for position in (0, 3, 8, BLOCK - 1, BLOCK, BLOCK + 6):
            lags = torch.arange(min(9, position + 1))
            seen, newest = x[:, position - lags], x[:, position]
            logits = head.recency()[lags] + (seen @ head.match(newest)[..., None]).squeeze(-1)
            logits += (key[:, position - lags] @ query[:, position, :, None]).squeeze(-1) / head.rank**0.5
            weights = logits.softmax(dim=-1)[..., None]
            states = (weights * hidden[:, position - lags]).sum(dim=1)
            composed = (weights * seen).sum(dim=1) - head.centre
            composed = composed + head.correction_scale * head.correction(states)
            expected = head.apply_output(composed)
            torch.testing.assert_close(prediction[:, position], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("context", [10, 1000])
@torch.no_grad()
def test_step_zero_is_the_tuned_baseline(make: Make, vectors: Vectors, start: Start, context: int) -> None:
    x = vectors(2, 40)
    prediction, _ = make("amn", context=context, start=start(0.4))(x)
    weights = 0.4 * 0.6 ** torch.arange(min(context, 40))
    seen = x[:, -len(weights) :].flip(1)
    mean = (weights[:, None] * seen).sum(dim=1) / weights.sum()
    expected = (mean - 0.8 * start().mean) @ start().whitening
    torch.testing.assert_close(prediction[:, -1], expected, rtol=1e-4, atol=1e-4)


def test_layers_count_the_hidden_layers(make: Make) -> None:
    one, three = (count_parameters(make("amn", layers=layers)) for layers in (1, 3))
    # Each further layer: a map of 16 x 16 with its shift, and the gains and shifts of its norm.
    assert three - one == 2 * (16 * 16 + 16 + 32)


def test_salience_is_learnt(make: Make, vectors: Vectors) -> None:
    """Where every other vector is noise of one kind, what comes next is told by the others alone."""
    model = make("amn", layers=1).train()
    x = vectors(64, 24)
    kind = torch.nn.functional.normalize(torch.ones(12), dim=0)
    x = torch.nn.functional.normalize(x - (x @ kind)[..., None] * kind, dim=-1)
    subject = x[:, :1]
    noise = (torch.rand(64, 24, 1, generator=torch.Generator().manual_seed(3)) < 0.5).float()
    x = torch.nn.functional.normalize(torch.where(noise > 0, 2 * kind + x, 2 * subject + x), dim=-1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        prediction, _ = model(x)
        optimizer.zero_grad()
        (1 - torch.cosine_similarity(prediction, subject.expand_as(x), dim=-1)).mean().backward()
        optimizer.step()
    assert (model.head.salience @ kind).item() < -0.01
