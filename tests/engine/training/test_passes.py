"""How a micro-batch is computed changes nothing in what is learnt: segments, micro-batches, compilation."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.learner import Learner, StepResult
from engine.models import MODELS
from engine.passes import BALANCE, segment_length
from engine.precision import choose_precision
from engine.schedule import Contexts
from lvmtui.errors import TrainingError
from lvmtui.recipe import Recipe

Recipes = Callable[..., Recipe]
Learners = Callable[[Recipe], Learner]


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments that a context of 6 has several of."""
    monkeypatch.setattr("engine.passes._SHORTEST_SEGMENT", 2)
    monkeypatch.setattr("engine.passes._LONGEST_SEGMENT", 4)
    monkeypatch.setattr("engine.passes._SEGMENTS", 3)


def gradients(learner: Learner) -> dict[str, Tensor]:
    named = [*learner.model.named_parameters(), *learner.objective.named_parameters()]
    return {name: value.grad.clone() for name, value in named if value.grad is not None}


def step_of(learner: Learner, windows: int = 8) -> tuple[StepResult, dict[str, Tensor]]:
    """The first optimiser step, and its gradients before clipping."""
    # From weights that are not the zeros that most heads start from: those pass no gradient on.
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    result = learner.step(learner.windows.order(0)[:windows], 0)
    return result, gradients(learner)


def in_double(learner: Learner) -> Learner:
    """The learner with all its arithmetic in float64: what differs then is no rounding."""
    learner.model.double()
    learner.objective.double()
    read, negatives = learner.windows.read, learner.negatives
    learner.windows.read = lambda rows: read(rows).astype(np.float64)  # type: ignore[assignment]
    learner.negatives = lambda step: negatives(step).double()  # type: ignore[assignment,union-attr]
    if learner._hard is not None:
        of = learner._hard.of
        learner._hard.of = lambda rows: of(rows).astype(np.float64)  # type: ignore[assignment]
    return learner


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    """Equal gradients, by the size of all of them together: single entries may be sums that cancel."""
    assert first.keys() == second.keys()
    scale = torch.stack([value.norm() for value in first.values()]).norm()
    for name, value in first.items():
        assert (value - second[name]).norm() <= tolerance * scale, name


@pytest.mark.parametrize("windows", [8, 7, 5, 1])
@pytest.mark.parametrize(
    "loss",
    [
        {},
        {"loss__hard": "3"},
        {"loss__cosine": "0.1", "loss__window_negatives": "true"},
        {"loss__name": "rank"},
    ],
)
def test_accumulated_gradients_are_those_of_one_batch(
    recipe: Recipes,
    learner: Learners,
    monkeypatch: pytest.MonkeyPatch,
    windows: int,
    loss: dict[str, str],
) -> None:
    """Also at the end of an epoch, where a step has fewer windows and its last micro-batch fewer still."""
    # Ours computes in float32 whatever it is given.
    monkeypatch.setattr("engine.models.gru.run_gru", lambda layers, x, hidden: layers(x, hidden))
    base = {"model__dropout": "0", "train__clip": "0", **loss}
    whole, parts = (
        step_of(in_double(learner(recipe(train__batch=batch, train__accumulation="3", **base))), windows)
        for batch in ("8", "3")
    )
    assert parts[0].loss == pytest.approx(whole[0].loss, rel=1e-12)
    assert_same(whole[1], parts[1], 1e-12)


def test_published_gradients_depend_on_the_micro_batch(recipe: Recipes, learner: Learners) -> None:
    """Its negatives are the others of the micro-batch: that is what was published."""
    base = {"model__dropout": "0", "loss__name": "published", "loss__alpha": "1"}
    whole, _ = step_of(learner(recipe(train__batch="8", train__accumulation="1", **base)))
    parts, _ = step_of(learner(recipe(train__batch="4", train__accumulation="2", **base)))
    assert parts.loss < 0.8 * whole.loss, "fewer negatives are easier"


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize(
    "loss",
    [
        {},
        {"loss__name": "rank", "loss__hard": "1"},
        {"loss__name": "published", "train__positions": "last", "loss__hard": "2"},
    ],
)
@pytest.mark.usefixtures("short_segments")
def test_checkpointed_gradients_are_the_same(
    recipe: Recipes, learner: Learners, name: str, loss: dict[str, str]
) -> None:
    base = {
        "model__name": name,
        "model__dropout": "0",
        "model__chunk": "3",
        "model__heads": "2",
        # The balance of experts is that of a segment, as it is that of a micro-batch.
        "loss__balance": "0",
        "train__clip": "0",
        **loss,
    }
    plain = step_of(learner(recipe(**base)))
    segmented = step_of(learner(recipe(train__checkpointing="true", **base)))
    assert segmented[0].loss == pytest.approx(plain[0].loss, rel=1e-5)
    assert_same(plain[1], segmented[1], 1e-5)
    nce = "loss__name" not in loss
    assert segmented[0].temperature == (pytest.approx(0.07) if nce else None)


@pytest.mark.usefixtures("short_segments")
def test_checkpointing_draws_the_same_dropout_again(recipe: Recipes, learner: Learners) -> None:
    """A mask drawn anew in the backward pass would give the gradient of another loss."""
    made = learner(recipe(model__dropout="0.5", train__checkpointing="true", train__clip="0"))
    _, found = step_of(made)
    starts = made.windows.order(0)[:8]
    name, parameter = next((n, p) for n, p in made.model.named_parameters() if n == "head.output_shift")
    state, direction = copy.deepcopy(made.state_dict()), found[name] / found[name].norm()
    losses = []
    for sign in (1, -1):
        torch.manual_seed(3)
        with torch.no_grad():
            parameter += sign * 1e-2 * direction
        before = parameter.detach().clone()
        losses.append(made.step(starts, 0).loss)
        slope = (gradients(made)[name] * direction).sum()
        assert not torch.equal(before, parameter)
        made.load_state_dict(state)
    assert (losses[0] - losses[1]) / 2e-2 == pytest.approx(float(slope), rel=0.05)


def test_segments_are_an_eighth_within_bounds() -> None:
    assert [segment_length(length) for length in (1, 100, 1000, 2000, 10_000)] == [64, 64, 125, 250, 256]


def test_a_models_own_loss_is_added_and_reported(
    recipe: Recipes, learner: Learners, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, other = (learner(recipe(model__dropout="0", loss__balance=weight)) for weight in ("0.5", "0"))
    for each in (made, other):
        bias = each.model.head.correction.bias
        monkeypatch.setattr(each.model, "auxiliary", lambda bias=bias: (bias - 2.0).square().sum())
    with_it, without = step_of(made)[0], step_of(other)[0]
    assert without.balance is None
    assert with_it.balance == pytest.approx(with_it.loss - without.loss, rel=1e-4)
    assert gradients(made)["head.correction.bias"].sum() < gradients(other)["head.correction.bias"].sum()
    assert BALANCE == "balance"


def test_lengths_are_a_function_of_seed_and_step() -> None:
    contexts = Contexts(shortest=1, longest=1000, seed=3)
    drawn = [contexts.length(step) for step in range(2000)]
    assert drawn == [Contexts(1, 1000, 3).length(step) for step in range(2000)]
    assert drawn != [Contexts(1, 1000, 4).length(step) for step in range(2000)]
    assert min(drawn) == 1
    assert 900 < max(drawn) <= 1000
    decades = [np.mean([low <= length < 10 * low for length in drawn]) for low in (1, 10, 100)]
    assert decades == pytest.approx([1 / 3] * 3, abs=0.05)
    assert {Contexts(0, 48, 3).length(step) for step in range(50)} == {48}
    assert {Contexts(48, 48, 3).length(step) for step in range(50)} == {48}


def test_short_contexts_fill_the_windows(recipe: Recipes, learner: Learners) -> None:
    made = learner(recipe(train__min_context="1", loss__hard="2"))
    starts = made.windows.order(0)[:8]
    vectors = {made._contexts.length(n): made.step(starts, n).vectors for n in range(40)}
    assert vectors == {length: 8 * (6 // length) * length for length in range(1, 7)}


def test_pieces_hold_neighbours(recipe: Recipes, learner: Learners) -> None:
    made = learner(recipe(loss__hard="2"))
    starts = made.windows.order(0)[:3]
    window = torch.from_numpy(made.windows.batch(starts))
    for length in (1, 2, 4, 6):
        x, targets, hard = made._read(starts, length)
        pieces = 6 // length
        assert x.shape == targets.shape == (3 * pieces, length, 8)
        assert hard is not None
        assert hard(0, length).shape == (3 * pieces, length, 2, 8)
        for row in range(3 * pieces):
            begin = row % pieces * length
            assert torch.equal(x[row], window[row // pieces, begin : begin + length])
            assert torch.equal(targets[row], window[row // pieces, begin + 1 : begin + length + 1])


def test_random_contexts_go_on_bit_by_bit(recipe: Recipes, learner: Learners, tmp_path: Path) -> None:
    from engine import checkpoint

    wanted = recipe(train__min_context="1", loss__hard="2", train__checkpointing="true", train__ema="0.9")
    made, other = learner(wanted), learner(wanted)
    order = made.windows.order(0)
    for number in range(5):
        made.step(order[:8], number)
    written = checkpoint.save(tmp_path / "step-00000005.safetensors", made.state_dict())
    first = [made.step(order[:8], number) for number in range(5, 12)]
    other.load_state_dict(checkpoint.load(written.path, written.sha256))
    second = [other.step(order[:8], number) for number in range(5, 12)]
    assert list(map(repr, first)) == list(map(repr, second))


def test_bf16_is_for_the_model_only(recipe: Recipes, learner: Learners) -> None:
    made, full = (learner(recipe(train__precision=name, model__dropout="0")) for name in ("bf16", "fp32"))
    seen = []
    made.model.register_forward_hook(lambda *call: seen.append(call[2][0].dtype))
    result, found = step_of(made)
    reference, expected = step_of(full)
    assert seen == [torch.bfloat16] * 2
    assert (made.precision, full.precision) == ("bf16", "fp32")
    assert result.loss == pytest.approx(reference.loss, rel=0.02)
    assert_same(expected, found, 0.05)
    assert {value.dtype for value in found.values()} == {torch.float32}
    moments = [t for state in made.state_dict()["optimizer"].values() for t in state.values()]
    assert {moment.dtype for moment in moments} == {torch.float32}
    with made.evaluating():
        assert made.model(torch.zeros(1, 2, 8))[0].dtype == torch.float32


def test_precision_is_what_the_device_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda, mps = torch.device("cpu"), torch.device("cuda"), torch.device("mps")
    for able in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **_: able)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"amx_bf16": able})
        best = "bf16" if able else "fp32"
        assert choose_precision("auto", cuda) == choose_precision("auto", cpu) == best
        assert choose_precision("auto", mps) == "fp32"
        assert {choose_precision("fp32", device) for device in (cpu, cuda, mps)} == {"fp32"}
        assert choose_precision("bf16", cpu) == "bf16"
    for device in (cuda, mps):
        with pytest.raises(TrainingError, match="does not compute in bfloat16"):
            choose_precision("bf16", device)


def test_without_a_compiler_it_trains_uncompiled_and_says_so(
    recipe: Recipes, learner: Learners, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torch._inductor.config

    torch._dynamo.reset()
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("/nowhere/g++",))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    with caplog.at_level(logging.WARNING, "engine"):
        found = step_of(learner(recipe(train__compile="true", model__dropout="0.5")))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "training goes on uncompiled" in caplog.text
    expected = step_of(learner(recipe(model__dropout="0.5")))
    assert found[0] == expected[0], "the failed attempt shifted what is drawn"
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch.compile has many of its own.
def test_compiled_it_learns_the_same_under_the_same_names(recipe: Recipes, learner: Learners) -> None:
    torch._dynamo.reset()
    plain, made = (learner(recipe(train__compile=on, model__dropout="0")) for on in ("false", "true"))
    expected, found = step_of(plain), step_of(made)
    assert made._passes._forward._compiled is not None
    assert found[0].loss == pytest.approx(expected[0].loss, rel=1e-5)
    assert_same(expected[1], found[1], 1e-4)
    assert list(made.state_dict()["model"]) == list(plain.state_dict()["model"])
    torch._dynamo.reset()
