"""The averaged weights go in and out, and are taken up again exactly."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from engine.ema import Ema
from lvmtui.errors import CheckpointError


def model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def move(layers: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter += torch.randn(parameter.shape, generator=generator)


def test_it_averages_with_a_decay_that_warms_up() -> None:
    layers = model()
    ema = Ema(layers, 0.5)
    expected = layers[0].weight.detach().clone()
    for number in range(20):
        move(layers, number)
        ema.update(layers)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * layers[0].weight.detach()
    with ema.applied(layers):
        torch.testing.assert_close(layers[0].weight.detach(), expected)


def test_the_models_own_weights_come_back_bit_for_bit() -> None:
    layers = model()
    ema = Ema(layers, 0.9)
    move(layers, 1)
    own = {name: value.clone() for name, value in layers.state_dict().items()}

    def evaluate() -> None:
        with ema.applied(layers):
            assert not torch.equal(layers[0].weight, own["0.weight"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate()
    assert all(torch.equal(value, own[name]) for name, value in layers.state_dict().items())


def test_a_saved_average_goes_on_exactly(tmp_path: Path) -> None:
    layers = model()
    ema = Ema(layers, 0.9)
    for number in range(3):
        move(layers, number)
        ema.update(layers)
    save_file(ema.state_dict(), tmp_path / "ema.safetensors")
    again = Ema(model(7), 0.9)
    again.load_state_dict(load_file(tmp_path / "ema.safetensors"))
    move(layers, 9)
    ema.update(layers)
    again.update(layers)
    first, second = ema.state_dict(), again.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_state_shares_no_memory_with_the_average() -> None:
    layers = model()
    ema = Ema(layers, 0.9)
    before = ema.state_dict()
    kept = {name: value.clone() for name, value in before.items()}
    move(layers, 1)
    ema.update(layers)
    assert all(torch.equal(before[name], kept[name]) for name in kept)


@pytest.mark.parametrize("broken", ["shape", "missing", "extra", "updates"])
def test_the_average_of_another_model_is_refused(broken: str) -> None:
    ema = Ema(model(), 0.9)
    state = ema.state_dict()
    if broken == "shape":
        state["weight.0.weight"] = torch.zeros(2, 2)
    elif broken == "missing":
        del state["weight.0.weight"]
    elif broken == "extra":
        state["weight.9.weight"] = torch.zeros(2, 2)
    else:
        del state["updates"]
    with pytest.raises(CheckpointError, match="another model") as caught:
        ema.load_state_dict(state)
    assert "weight" in caught.value.hint or "updates" in caught.value.hint
