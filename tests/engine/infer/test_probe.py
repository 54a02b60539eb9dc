"""A checkpoint's probe: small, harmless to training, and wrong for every other model."""

import copy

import pytest
import torch

from engine import checkpoint
from engine.infer import load
from engine.probe import check_learner, check_probe, probe_windows, take_probe
from lvmtui.errors import CheckpointError


def test_a_probe_holds_windows_and_unit_predictions(trained):
    made = trained()
    probe = made.state["probe"]
    assert [part.shape for part in probe["windows"]] == [(1, 20, 24), (7, 16, 24)]
    assert {part.dtype for part in (*probe["windows"], probe["predictions"])} == {torch.float32}
    torch.testing.assert_close(probe["predictions"].norm(dim=-1), torch.ones(8))
    judged = [made.judged(part)[:, -1] for part in probe["windows"]]
    torch.testing.assert_close(probe["predictions"], torch.cat(judged))


def test_the_windows_are_the_same_at_every_call(trained):
    windows = trained().learner.windows
    pairs = zip(probe_windows(windows), probe_windows(windows), strict=True)
    assert all(torch.equal(first, again) for first, again in pairs)


def test_taking_a_probe_changes_nothing(trained):
    learner = trained("memory_gru").learner
    before = copy.deepcopy(learner.state_dict())
    first, again = take_probe(learner, learner.windows), take_probe(learner, learner.windows)
    after = learner.state_dict()
    assert torch.equal(first["predictions"], again["predictions"])
    assert torch.equal(before["rng"]["torch"], after["rng"]["torch"])
    assert all(torch.equal(before["model"][name], after["model"][name]) for name in before["model"])
    assert learner.model.training


def test_a_learner_is_checked_as_it_is_judged(trained):
    made = trained("gru")
    assert check_learner(made.learner, made.state["probe"], "the file") < 1e-5
    assert check_learner(made.learner, None, "the file") is None
    with pytest.raises(CheckpointError, match="does not make the model that was saved"):
        check_probe(made.learner.model.eval(), made.state["probe"], "the file")  # not the averaged weights


@pytest.mark.parametrize(("change", "allowed"), [(5e-5, True), (3e-4, False)])
def test_predictions_may_be_off_by_a_ten_thousandth(trained, tmp_path, change, allowed):
    state = copy.deepcopy(trained().state)
    state["probe"]["predictions"][4, 7] += change
    checkpoint.save(tmp_path / "t.safetensors", state)
    if allowed:
        load(tmp_path / "t.safetensors")
        return
    with pytest.raises(CheckpointError, match=r"on 1 of 8 probe windows .* \(window 5 is off by 0\.0003"):
        load(tmp_path / "t.safetensors")


def test_tampered_weights_are_refused(trained, tmp_path):
    state = copy.deepcopy(trained().state)
    state["learner"]["ema"]["weight.recurrent.layers.weight_hh_l1"] *= 1.1
    checkpoint.save(tmp_path / "t.safetensors", state)
    with pytest.raises(CheckpointError, match="does not make the model that was saved") as caught:
        load(tmp_path / "t.safetensors")
    assert "train again" in caught.value.hint


@pytest.mark.parametrize(
    "probe",
    [
        {},
        {"windows": [], "predictions": torch.zeros(0, 24)},
        {"windows": [torch.zeros(0, 4, 24)], "predictions": torch.zeros(0, 24)},
        {"windows": [torch.zeros(2, 4, 23)], "predictions": torch.zeros(2, 24)},
        {"windows": [torch.zeros(2, 4, 24), torch.zeros(1, 24)], "predictions": torch.zeros(3, 24)},
        {"windows": [torch.full((2, 4, 24), torch.nan)], "predictions": torch.zeros(2, 24)},
        {"windows": "x", "predictions": 3},
    ],
)
def test_a_damaged_probe_is_refused(trained, tmp_path, probe):
    state = {**trained().state, "probe": probe}
    checkpoint.save(tmp_path / "t.safetensors", state)
    with pytest.raises(CheckpointError, match=r"the probe in .* is damaged"):
        load(tmp_path / "t.safetensors")


def test_another_device_may_be_off_by_more(trained):
    made = trained()
    probe = {**made.state["probe"], "device": "cuda"}
    probe["predictions"] = probe["predictions"] + 1e-3
    assert check_learner(made.learner, probe, "the file") == pytest.approx(1e-3, rel=0.1)
    with pytest.raises(CheckpointError):
        check_learner(made.learner, {**probe, "device": "cpu"}, "the file")
