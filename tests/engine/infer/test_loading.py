"""A checkpoint file gives the model that was judged, or a refusal that says what is wrong with it."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine import checkpoint
from engine.infer import load
from engine.models import MODELS
from lvmtui.errors import CheckpointError, TrainingError


def changed(trained, path, change):
    """A checkpoint like the trained one but for what `change` does to its state."""
    state = copy.deepcopy(trained.state)
    change(state)
    checkpoint.save(path, state)
    return path


@pytest.mark.parametrize("head", ["composer", "residual", "delta"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_model_is_the_one_that_was_judged(trained, stream, name, head):
    made = trained(name, head)
    predictor = load(made.path, sha256=made.sha256)
    expected = made.judged(stream[None])[0]
    torch.testing.assert_close(predictor.predictions(stream), expected, rtol=0, atol=1e-5)
    assert (predictor.dim, predictor.context) == (24, 20)
    assert predictor.recipe == made.recipe
    assert predictor.notes == ()
    # The averaged weights are not those of the last step.
    own = torch.nn.functional.normalize(made.learner.model.eval()(stream[None])[0], dim=-1)
    assert (own[0] - expected).abs().max() > 1e-4


def test_nothing_random_is_drawn(trained):
    made = trained()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(made.path)
    assert torch.equal(torch.rand(3), expected)


def test_another_hash_is_refused(trained):
    with pytest.raises(CheckpointError, match="is damaged"):
        load(trained().path, sha256="0" * 64)


@pytest.mark.parametrize("kept", [0, 4, 100, 5000, -1])
def test_a_truncated_file_is_refused(trained, tmp_path, kept):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(trained().path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors") as caught:
        load(path)
    assert caught.value.hint


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        load(tmp_path / "none.safetensors")


def test_a_file_of_another_program_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="has the format None"):
        load(tmp_path / "other.safetensors")


def test_a_pickle_is_refused_unread(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save(Bomb(), tmp_path / "bomb.safetensors")
    with pytest.raises(CheckpointError):
        load(tmp_path / "bomb.safetensors")
    assert not (tmp_path / "ran").exists()


def rewritten(made, path, change):
    """The trained file with other metadata."""
    with safe_open(made.path, framework="pt") as opened:
        metadata = opened.metadata()
    save_file(load_file(made.path), path, metadata={**metadata, "state": change(metadata["state"])})
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-9],
        lambda text: "[]",
        lambda text: "7",
        lambda text: json.dumps({"learner": 3, "identity": []}),
        lambda text: text.replace('"learner/model/', '"elsewhere/'),
        lambda text: "[" * 5000,
    ],
)
def test_a_damaged_document_is_refused(trained, tmp_path, change):
    path = rewritten(trained(), tmp_path / "odd.safetensors", change)
    with pytest.raises(CheckpointError, match=r"odd\.safetensors") as caught:
        load(path)
    assert caught.value.hint


def test_another_recipe_is_refused_before_its_model_takes_memory(trained, tmp_path):
    def widen(state):
        state["identity"]["recipe"]["model"] |= {"hidden": 8192, "layers": 64}

    path = changed(trained(), tmp_path / "wide.safetensors", widen)
    with pytest.raises(CheckpointError, match="weights are not those of its recipe's model") as caught:
        load(path)
    assert "8192" in caught.value.message


def test_a_recipe_of_another_version_is_refused(trained, tmp_path):
    def rename(state):
        state["identity"]["recipe"]["model"]["name"] = "rwkv"

    path = changed(trained(), tmp_path / "later.safetensors", rename)
    with pytest.raises(CheckpointError, match=r"its recipe does not fit: model\.name"):
        load(path)


def test_weights_that_are_not_finite_are_refused(trained, tmp_path):
    def spoil(state):
        state["learner"]["ema"]["weight.memory.start"][0] = torch.nan

    path = changed(trained(), tmp_path / "nan.safetensors", spoil)
    with pytest.raises(CheckpointError, match=r"not finite: memory\.start"):
        load(path)


@pytest.mark.parametrize("head", ["composer", "residual", "delta"])
def test_an_older_checkpoint_without_a_probe_is_loaded_with_a_note(trained, tmp_path, stream, head):
    made = trained("gru", head)
    path = changed(made, tmp_path / "old.safetensors", lambda state: state.pop("probe"))
    predictor = load(path)
    assert predictor.notes == ("old.safetensors carries no probe: what it predicts was not checked",)
    torch.testing.assert_close(predictor.predictions(stream), made.judged(stream[None])[0], rtol=0, atol=1e-5)


def test_an_unknown_precision_or_device_is_refused(trained):
    with pytest.raises(TrainingError, match="no precision 'int4'"):
        load(trained().path, precision="int4")
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError):
            load(trained().path, device="cuda")


def test_threads_are_set(trained):
    before = torch.get_num_threads()
    try:
        load(trained().path, threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
