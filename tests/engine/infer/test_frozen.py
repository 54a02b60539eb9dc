"""Computing constant parts once changes no prediction."""

import copy

import pytest
import torch
from torch.nn import functional

from engine.infer.frozen import FrozenComposer, FrozenSlotMemory, freeze
from engine.models import MODELS, ComposerStart, build_model
from lvmtui.recipe import ModelSection

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture
def model(request):
    """A model of which every parameter is away from its start."""
    name, head = request.param
    values = {"name": name, "head": head, "hidden": 16, "layers": 2, "slots": 4, "chunk": 7, "heads": 2}
    section = ModelSection.model_validate({**values, "experts": 4, "rank": 4})
    random = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    whitening = torch.randn(12, 12, generator=random)
    start = ComposerStart(torch.randn(12, generator=random) / 9, 0.8, 0.4, whitening @ whitening.T)
    made = build_model(section, dim=12, context=10, start=start).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter += 0.2 * torch.randn(parameter.shape, generator=random)
    return made


@torch.inference_mode()
@pytest.mark.parametrize(
    "model",
    [(name, head) for name in sorted(MODELS) for head in ("composer", "residual", "delta")],
    indirect=True,
    ids="-".join,
)
def test_a_frozen_model_predicts_what_it_did(model):
    x = functional.normalize(torch.randn(2, 40, 12, generator=torch.Generator().manual_seed(2)), dim=-1)
    frozen = freeze(copy.deepcopy(model))
    expected = functional.normalize(model(x)[0], dim=-1)
    torch.testing.assert_close(functional.normalize(frozen(x)[0], dim=-1), expected, **CLOSE)
    state = None
    for position in range(40):
        streamed, state = frozen.step(x[:, position], state)
        torch.testing.assert_close(functional.normalize(streamed, dim=-1), expected[:, position], **CLOSE)


@torch.inference_mode()
@pytest.mark.parametrize("model", [("memory_gru", "composer")], indirect=True)
def test_streams_that_take_turns_do_not_disturb_each_other(model):
    x = torch.randn(2, 20, 12, generator=torch.Generator().manual_seed(3))
    frozen = freeze(copy.deepcopy(model))
    assert any(isinstance(part, FrozenSlotMemory) for part in frozen.modules())
    assert any(isinstance(part, FrozenComposer) for part in frozen.modules())
    states = [None, None]
    expected = functional.normalize(model(x)[0], dim=-1)
    for position in range(20):
        for stream in (0, 1):
            streamed, states[stream] = frozen.step(x[stream : stream + 1, position], states[stream])
            unit = functional.normalize(streamed[0], dim=-1)
            torch.testing.assert_close(unit, expected[stream, position], **CLOSE)


@torch.inference_mode()
@pytest.mark.parametrize("model", [("amn", "composer"), ("memory_gru", "composer")], indirect=True)
def test_two_streams_may_go_on_from_the_same_state(model):
    x = torch.randn(3, 1, 12, generator=torch.Generator().manual_seed(4))
    frozen = freeze(copy.deepcopy(model))
    _, state = frozen.step(x[0])
    first, after = frozen.step(x[1], state)
    other, _ = frozen.step(x[2], state)
    assert frozen.step(x[1], state)[0].allclose(first)
    assert frozen.step(x[2], state)[0].allclose(other)
    again = frozen.step(x[1], frozen.step(x[0])[1])[1]
    assert frozen.step(x[2], after)[0].allclose(frozen.step(x[2], again)[0], atol=1e-5)
