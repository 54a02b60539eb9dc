"""Predictions: one vector after the other as from the whole, in every precision; bad input is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.infer import Pool, load
from engine.infer import predictor as predicting
from engine.infer.precision import Int8Linear, RoundedLinear, prepare
from engine.models import MODELS, ComposerStart, build_model
from lvmtui.errors import CheckpointError, DataError, TrainingError
from lvmtui.recipe import ModelSection


@pytest.mark.parametrize("head", ["composer", "residual", "delta"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_pushing_gives_what_the_whole_context_gives(trained, stream, name, head):
    predictor = load(trained(name, head).path)
    whole = predictor.predictions(stream)
    session = predictor.session()
    for position, vector in enumerate(stream):
        pushed = session.push(vector)
        torch.testing.assert_close(pushed, whole[position], rtol=0, atol=1e-5)
        torch.testing.assert_close(predictor.predict(stream[: position + 1]), pushed, rtol=0, atol=1e-5)
    assert session.count == 60


def test_long_contexts_are_computed_in_pieces(trained, stream, monkeypatch):
    predictor = load(trained().path)
    whole = predictor.predict(stream)
    monkeypatch.setattr(predicting, "PIECE", 13)
    torch.testing.assert_close(predictor.predict(stream), whole, rtol=0, atol=1e-5)


def test_batches_and_arrays(trained, stream):
    predictor = load(trained().path)
    both = predictor.predict(torch.stack([stream[:9], stream[20:29]]))
    assert both.shape == (2, 24)
    torch.testing.assert_close(both[1], predictor.predict(stream[20:29].numpy()), rtol=0, atol=1e-5)
    torch.testing.assert_close(both.norm(dim=-1), torch.ones(2))
    half = predictor.predict(stream[:9].numpy().astype(np.float16))
    assert torch.cosine_similarity(half, both[0], dim=0) > 0.999


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (np.ones((3, 23), np.float32), "vectors of 23 numbers, the model's have 24"),
        (np.ones(24, np.float32), r"the shape \(24,\) where \(T, 24\) or \(B, T, 24\)"),
        (np.ones((0, 24), np.float32), "the context is empty"),
        (np.ones((3, 24), np.int64), "holds int64"),
        (torch.ones(3, 24, dtype=torch.int64), r"holds torch\.int64"),
        ([[1.0] * 24], "is a list"),
        (np.r_[np.ones((2, 24)), np.full((1, 24), np.nan)], "vector 2 of the context is zero or not finite"),
        (np.r_[np.zeros((1, 24)), np.ones((2, 24))], "vector 0 of the context is zero or not finite"),
    ],
)
def test_unusable_contexts_are_refused(trained, context, words):
    with pytest.raises(DataError, match=words):
        load(trained().path).predict(context)


def test_a_refused_push_leaves_the_stream_as_it_was(trained, stream):
    predictor = load(trained().path)
    session = predictor.session()
    session.push(stream[0])
    for wrong in (torch.zeros(24), torch.ones(23), torch.full((24,), torch.inf), stream[:2]):
        with pytest.raises(DataError):
            session.push(wrong)
    assert session.count == 1
    expected = predictor.predict(stream[:2])
    torch.testing.assert_close(session.push(stream[1]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_saved_session_goes_on(trained, stream, tmp_path, name):
    predictor = load(trained(name).path)
    pool = Pool(stream)
    session = predictor.session(pool, exclude_seen=True)
    for row in range(20):
        session.push(stream[row], row)
    save_file(session.save(), tmp_path / "session.safetensors")
    again = predictor.session(pool, exclude_seen=True)
    again.restore(load_file(tmp_path / "session.safetensors"))
    assert again.count == 20
    assert again.top(5).rows.tolist() == session.top(5).rows.tolist()
    assert torch.equal(again.push(stream[20], 20), session.push(stream[20], 20))
    fresh = predictor.session()
    fresh.restore(predictor.session().save())
    assert fresh.count == 0


def test_a_session_of_another_model_is_refused(trained, stream):
    session = load(trained("gru").path).session()
    session.push(stream[0])
    other = load(trained("lstm").path).session()
    other.push(stream[3])
    kept = other.save()
    for saved in (session.save(), {}, {"count": torch.tensor(2)}):
        with pytest.raises(CheckpointError, match="another model or pool"):
            other.restore(saved)
    assert all(torch.equal(value, kept[name]) for name, value in other.save().items())


def test_state_and_mask_do_not_grow(trained, stream):
    session = load(trained().path).session(Pool(stream), exclude_seen=True)
    sizes = []
    for vector in [*stream, *stream]:
        session.push(vector)
        sizes.append(sum(value.numel() for value in session.save().values()))
    assert len(set(sizes)) == 1


def test_what_was_pushed_is_no_candidate_until_the_next_document(trained, stream):
    session = load(trained("gru", "residual").path).session(Pool(stream), exclude_seen=True)
    for row in range(30):
        session.push(stream[row])  # looked up
        assert not set(session.top(60).rows.tolist()) & set(range(row + 1))
        assert len(session.top(60).rows) == 59 - row
    session.begin_document()
    assert len(session.top(60).rows) == 60
    with pytest.raises(DataError, match="no pool"):
        load(trained().path).session().top()
    with pytest.raises(DataError, match="nothing was pushed"):
        load(trained().path).session(Pool(stream)).top()
    with pytest.raises(DataError, match="the pool's vectors have 5 numbers"):
        load(trained().path).session(Pool(torch.ones(3, 5)))


@pytest.fixture(scope="module", params=sorted(MODELS))
def wide(request):
    """A model whose matrices are large enough to be rounded, away from its start."""
    section = ModelSection.model_validate(
        {"name": request.param, "hidden": 512, "layers": 1, "slots": 4, "chunk": 7, "experts": 16, "rank": 32}
    )

    def make():
        torch.manual_seed(0)
        start = ComposerStart.copy_last(torch.zeros(768))
        model = build_model(section, dim=768, context=16, start=start).eval().requires_grad_(False)
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape)
        return model

    return make


@torch.inference_mode()
@pytest.mark.parametrize(("precision", "alike"), [("fp32", 1 - 1e-6), ("bf16", 0.9999), ("int8", 0.999)])
def test_every_precision_predicts_alike(wide, precision, alike):
    model, rounded = wide(), prepare(wide(), precision)
    x = torch.randn(2, 20, 768, generator=torch.Generator().manual_seed(1))
    expected, found = model(x)[0], rounded(x)[0]
    assert torch.cosine_similarity(found, expected, dim=-1).min() > alike
    assert any(isinstance(part, RoundedLinear) for part in rounded.modules()) == (precision != "fp32")
    state = None
    for position in range(20):
        streamed, state = rounded.step(x[:, position], state)
        assert torch.cosine_similarity(streamed, found[:, position], dim=-1).min() > 1 - 1e-5


@torch.inference_mode()
def test_int8_gives_the_same_numbers_alone_and_in_a_batch():
    torch.manual_seed(0)
    layer = torch.nn.Linear(96, 64)
    rounded = Int8Linear(layer.weight, layer.bias)
    x = torch.randn(40, 96) * torch.logspace(-3, 3, 40)[:, None]
    together = rounded(x)
    assert all(torch.equal(rounded(row[None])[0], together[index]) for index, row in enumerate(x))
    error = (together - layer(x)).norm(dim=1) / layer(x).norm(dim=1)
    assert error.max() < 0.03
    assert rounded(torch.zeros(1, 96)).equal(layer.bias[None])


def test_fp16_is_refused_on_a_processor(wide):
    with pytest.raises(TrainingError, match="fp16 is for GPUs"):
        prepare(wide(), "fp16")
