"""Faults planted in real trainings are found while they train or at their end; the clean twin has none."""

import math
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.baselines import compute_baselines
from engine.data.split import SplitView
from engine.losses import Objective
from engine.models import NextVectorModel
from lvmtui.errors import TrainingError
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Severity
from tests.engine.live.bench import CPU, Training, a_judge, around_a_mean

Trainings = Callable[..., Training]

GOOD = {
    "train__ema": "0.95",
    "model__dropout": "0.3",
    "train__lr": "1e-3",
    "train__batch": "16",
    "train__epochs": "7",
}
"""What learns well on these vectors."""
MEMORY = GOOD | {"model__name": "memory_gru", "model__chunk": "4", "model__slots": "4"}
QUICK = GOOD | {"train__epochs": "4"}


@pytest.mark.parametrize("changes", [{}, {"loss__name": "published", "loss__alpha": "0.1"}])
def test_a_good_training_has_no_findings(training: Trainings, changes: dict[str, str]) -> None:
    good = training(GOOD | changes)
    outcome = good.run()
    assert good.findings() == {}
    assert good.finish(outcome) == ()


def test_a_good_memory_gru_has_no_findings(training: Trainings) -> None:
    good = training(MEMORY)
    good.run()
    assert good.wrong() == set()


def test_a_parameter_that_nothing_uses(training: Trainings) -> None:
    def plant(model: NextVectorModel, _objective: Objective) -> None:
        model.register_parameter("spare", nn.Parameter(torch.zeros(3, 5)))

    planted = training(QUICK | {"train__epochs": "1"}, alter=plant)
    planted.run()
    found = planted.findings()["dead-parameters"]
    assert found.evidence["parameters"] == ["spare"]
    assert found.evidence["numbers"] == 15
    assert planted.said().count("dead-parameters") == 1


def test_a_memory_that_a_window_is_too_short_to_read(training: Trainings) -> None:
    short = training(MEMORY | {"model__chunk": "20", "train__epochs": "1"})
    short.run()
    names = short.findings()["dead-parameters"].evidence["parameters"]
    assert len(names) == 12
    assert all(name.startswith("memory.write.") for name in names)


def test_a_module_that_changes_nothing(training: Trainings) -> None:
    def plant(model: NextVectorModel, _objective: Objective) -> None:
        def faint(_module: nn.Module, _inputs: Any, output: tuple[Tensor, Tensor]) -> Any:
            return output[0] * 1e-9, output[1]

        recurrent = model.get_submodule("recurrent")
        recurrent.register_forward_hook(faint)

    planted = training(QUICK, alter=plant)
    planted.run()
    found = planted.findings()["dead-module"]
    assert "taking out recurrent" in found.message
    assert found.evidence["changes"]["recurrent"] < 1e-4
    assert "dead-parameters" not in planted.findings(), "its parameters do get a gradient"


def test_a_memory_that_changes_nothing(training: Trainings) -> None:
    def plant(model: NextVectorModel, _objective: Objective) -> None:
        def unread(_module: nn.Module, inputs: Any, output: tuple[Tensor, Any]) -> Any:
            return inputs[0], output[1]

        model.get_submodule("memory").register_forward_hook(unread)

    planted = training(MEMORY | {"train__epochs": "4"}, alter=plant)
    planted.run()
    found = planted.findings()
    assert found["dead-module"].evidence["changes"]["memory"] == 0
    assert found["dead-module"].evidence["changes"]["recurrent"] > 1e-4
    assert all(name.startswith("memory.") for name in found["dead-parameters"].evidence["parameters"])


@pytest.fixture
def unpredictable(tmp_path: Path) -> dict[str, SplitView]:
    folder = tmp_path / "vectors"
    folder.mkdir()
    return around_a_mean(folder, keeps=0.0)


def test_predictions_that_collapse(training: Trainings, unpredictable: dict[str, SplitView]) -> None:
    """A cosine loss on vectors that cannot be predicted leaves nothing but their mean."""
    changes = {"loss__name": "published", "loss__alpha": "0", "train__lr": "0.01", "data__context": "16"}
    collapsed = training(QUICK | changes, data=unpredictable)
    collapsed.run()
    found = collapsed.findings()["collapse"]
    assert found.severity is Severity.ERROR
    assert found.evidence["cosine"] > 0.9 > found.evidence["targets_cosine"]
    assert collapsed.said().count("collapse") == 1, "said once, though it holds at every evaluation"


def test_a_rate_far_too_high(training: Trainings) -> None:
    wild = training(QUICK | {"train__lr": "10", "train__ema": "0"})
    outcome = wild.run()
    assert wild.findings()["divergence"].severity is Severity.ERROR
    assert "divergence" in [finding.check for finding in wild.finish(outcome)]


def spoilt(steps: Callable[[int], bool]) -> Callable[[NextVectorModel, Objective], None]:
    """Makes the gradients of some backward passes infinite."""
    calls: Iterator[int] = count()

    def plant(model: NextVectorModel, _objective: Objective) -> None:
        def spoil(gradient: Tensor) -> Tensor:
            return gradient * (math.inf if steps(next(calls)) else 1.0)

        next(model.parameters()).register_hook(spoil)

    return plant


def test_a_step_that_is_not_finite(training: Trainings) -> None:
    planted = training(QUICK | {"train__epochs": "1"}, alter=spoilt(lambda call: call == 7))
    planted.run()
    found = planted.findings()["not-finite"]
    assert (found.severity, found.evidence["steps"]) == (Severity.WARN, [8])


def test_steps_that_stay_infinite_end_the_run(training: Trainings) -> None:
    planted = training(QUICK, alter=spoilt(lambda call: call >= 20))
    with pytest.raises(TrainingError, match="diverged"):
        planted.run()
    assert planted.findings()["not-finite"].severity is Severity.ERROR


def test_a_rate_far_too_low(training: Trainings) -> None:
    still = training(
        GOOD
        | {"train__lr": "1e-9", "loss__name": "published", "loss__alpha": "0"}
        | {"train__batch": "64", "model__dropout": "0", "model__hidden": "8"}
    )
    still.run()
    assert {"stall", "dead-module", "copies-last"} <= still.wrong()


def test_a_handful_of_steps(training: Trainings) -> None:
    """The published way: many windows a step, few steps, hasty patience."""
    hasty = training(
        GOOD
        | {"train__ema": "0", "train__steps_per_epoch": "0", "train__batch": "50", "train__accumulation": "8"}
        | {"train__epochs": "50", "stop__patience": "2"}
    )
    outcome = hasty.run()
    assert outcome.result is Result.EARLY_STOPPED
    expected = {"few-steps", "never-annealed", "partial-accumulation", "early-stopping"}
    assert expected <= hasty.wrong()
    said = hasty.said()
    assert len(said) == len(set(said))
    assert said.index("partial-accumulation") < said.index("few-steps"), "what is known early is said early"
    again = {finding.check for finding in hasty.finish(outcome)}
    assert expected <= again, "the store remembers what cannot be recomputed"


def test_a_term_of_the_loss_that_carries_nothing(training: Trainings) -> None:
    planted = training(QUICK | {"loss__cosine": "0.001"})
    planted.run()
    found = planted.findings()["idle-loss-term"]
    assert set(found.evidence["shares"]) == {"nce", "cosine"}
    assert found.evidence["shares"]["cosine"] < 0.01


def test_cosine_without_rank(training: Trainings, tmp_path: Path) -> None:
    """Around a mean, copying ranks well; the cosine loss pulls towards the mean, which ranks no better."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    data = around_a_mean(folder, keeps=0.5)
    pulled = training(
        {"loss__name": "published", "loss__alpha": "0", "train__lr": "1e-3", "train__batch": "16"}
        | {"train__warmup": "0.4", "train__steps_per_epoch": "20", "data__context": "2"},
        data=data,
    )
    pulled.run()
    assert "cosine-without-rank" in pulled.wrong()


def test_a_model_below_its_baseline(training: Trainings, splits: dict[str, SplitView]) -> None:
    baselines = compute_baselines(splits, a_judge(splits), context=8, device=CPU)
    poor = training(QUICK | {"model__head": "delta"}, baselines=baselines)
    outcome = poor.run()
    assert poor.findings()["below-baseline"].severity is Severity.ERROR
    assert "below-baseline" in [finding.check for finding in poor.finish(outcome)]
