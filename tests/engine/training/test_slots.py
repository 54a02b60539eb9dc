"""Which device an engine takes: the one that the queue gave its run."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.device import choose_device
from engine.session import _wanted_device
from lvmtui.errors import TrainingError
from lvmtui.recipe import build
from tests.tui.snapshots import snapshot


@pytest.mark.parametrize(
    ("device", "asked", "recipe", "cuda", "taken"),
    [
        (None, "", "auto", False, "auto"),
        ("cpu", "", "auto", True, "auto"),  # the driver was not found, torch's own may be
        ("cuda:1", "", "auto", True, "cuda:1"),
        ("cuda:1", "", "auto", False, "auto"),
        ("cuda:1", "cuda", "auto", False, "cuda:1"),  # refused then, with what is here
        ("cuda:1 NVIDIA H200", "cuda", "cpu", True, "cuda:1"),
        ("cuda:0", "cuda:0", "auto", True, "cuda:0"),
        ("cpu", "cpu", "cuda", True, "cpu"),
        (None, "", "cpu", True, "cpu"),
    ],
)
def test_the_slot_of_the_queue_counts(
    monkeypatch: pytest.MonkeyPatch, device: str | None, asked: str, recipe: str, cuda: bool, taken: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    run = replace(snapshot().runs[0].run, device=device, device_wanted=asked)
    assert _wanted_device(run, build({"name": "x", "train": {"device": recipe}})) == taken


def test_a_certain_gpu_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: chosen[-1])
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(TrainingError, match="cuda:2, but this machine has none"):
        choose_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="cuda:0, but this machine has none"):
        choose_device("cuda:0")
