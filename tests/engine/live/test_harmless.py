"""The audit changes nothing of a training, costs bounded memory, and goes on after a resume."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from engine.audit.live import LiveAudit
from engine.audit.model import changes_without, shares_of_terms, spread_of
from engine.audit.recorder import Recorder
from engine.learner import StepResult
from engine.losses import build_objective
from engine.models import build_model
from engine.models.composer import ComposerStart
from lvmtui.checks.of_store import history_of
from lvmtui.checks.records import POINTS, Plan
from lvmtui.recipe import LossSection
from lvmtui.store.reader import Reader
from tests.engine.live.bench import DIM, Training, a_recipe

Trainings = Callable[..., Training]

SMALL = {"train__epochs": "3", "train__steps_per_epoch": "50", "train__ema": "0.9", "model__dropout": "0.3"}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return bool(first == second)


class NoAudit(LiveAudit):
    """Looks at nothing."""

    def restore(self, *_: Any) -> None: ...

    def step(self, *_: Any) -> list[Any]:
        return []

    def predictions(self, *_: Any) -> None: ...

    def evaluation(self, *_: Any) -> tuple[dict[str, float], list[Any]]:
        return {}, []

    def history(self, *_: Any) -> list[Any]:
        return []

    def finish(self, *_: Any) -> list[Any]:
        return []


@pytest.mark.parametrize("model", [{}, {"model__name": "memory_gru", "model__chunk": "4"}])
def test_a_watched_run_ends_with_the_same_bits(training: Trainings, model: dict[str, str]) -> None:
    watched = training(SMALL | model)
    watched.run()
    watched_state = watched.trainer.learner.state_dict()
    alone = training(SMALL | model)
    alone.trainer.audit = NoAudit(alone.trainer.learner, alone.trainer.judge, alone.trainer.audit.plan)
    alone.run()
    for one in (watched, alone):
        one.trainer.reporter.flush()
    assert watched.trainer.audit.seconds > 0
    assert watched.trainer.audit._took_apart, "it ran the model for itself"
    assert same(watched_state, alone.trainer.learner.state_dict())
    losses = [
        [point.value for point in Reader(one.database).metrics(1, keys=["train/loss"])]
        for one in (watched, alone)
    ]
    assert losses[0] == losses[1]
    ranks = [[e.ranks for e in Reader(one.database).evaluations(1)] for one in (watched, alone)]
    assert ranks[0] == ranks[1]


def test_spread_is_charted(training: Trainings) -> None:
    one = training(SMALL)
    one.run()
    one.trainer.reporter.flush()
    points = Reader(one.database).metrics(1, keys=["val/effective_rank", "val/prediction_cosine"])
    assert len(points) == 6
    assert all(point.value is not None for point in points)


def test_a_resumed_audit_knows_what_was_said(training: Trainings) -> None:
    one = training(SMALL | {"train__lr": "1e-9"})
    one.run()
    said = one.said()
    assert "dead-module" in said
    reader, trainer = Reader(one.database), one.trainer
    again = LiveAudit(trainer.learner, trainer.judge, trainer.audit.plan)
    again.restore(reader, replace(trainer.run, attempt=2))
    taken, kept = again._recorder.history(None), trainer.audit._recorder.history(None)
    for name in ("loss", "rate", "grad_norm"):
        assert np.array_equal(getattr(taken, name).value, getattr(kept, name).value)
    assert [e.epoch for e in taken.evaluations] == [e.epoch for e in kept.evaluations]
    assert again.history() == []
    last = reader.evaluations(1)[-1]
    assert again.evaluation(last)[1] == [], "the idle module was named before"


def test_a_first_attempt_reads_nothing_back(training: Trainings) -> None:
    one = training(SMALL)
    one.trainer.audit.restore(Reader(one.database), one.trainer.run)
    assert one.trainer.audit._recorder.history(None).step == 0


PLAN = Plan(
    steps=10**6,
    steps_per_epoch=100,
    warmup=0,
    windows=800,
    per_step=8,
    peak=1e-3,
    schedule="cosine",
    ema=0.0,
    every=1,
    metric="hit5",
    patience=3,
    min_steps=0,
)


def test_a_long_history_is_kept_short() -> None:
    recorder = Recorder(PLAN)
    for step in range(1, 30_001):
        recorder.step(step, 5.0 - step / 10_000, 1e-3, 1.0)
    recorder.step(30_001, float("nan"), 1e-3, 1.0)
    history = recorder.history(None)
    assert len(history.loss) <= POINTS
    assert (history.step, history.skipped) == (30_001, (30_001,))
    assert history.loss.value == pytest.approx(5.0 - history.loss.step / 10_000)
    assert history.loss.step[-1] > 29_900


def test_old_evaluations_lose_their_ranks_unless_they_matter(training: Trainings) -> None:
    one = training({"train__epochs": "1", "train__steps_per_epoch": "2"})
    one.run()
    one.trainer.reporter.flush()
    evaluation = Reader(one.database).evaluations(1)[0]
    recorder = Recorder(PLAN)
    for epoch in range(1, 61):
        best = epoch == 20
        recorder.evaluation(replace(evaluation, epoch=epoch, hit5=0.9 if best else 0.5, mrr=0.3))
    kept = {item.epoch for item in recorder.history(None).evaluations if item.ranks}
    assert {1, 20, *range(45, 61)} <= kept
    assert len(kept) <= 20


def test_effective_rank_and_cosine_are_what_they_say() -> None:
    spread = spread_of(torch.eye(8))
    assert spread.effective_rank == pytest.approx(8)
    assert spread.cosine == pytest.approx(0, abs=1e-9)
    alike = spread_of(torch.ones(20, 4) * torch.arange(1, 21)[:, None])
    assert alike.effective_rank == pytest.approx(1, abs=1e-3)
    assert alike.cosine == pytest.approx(1)
    two = torch.cat([torch.eye(2)] * 10)
    assert spread_of(two).effective_rank == pytest.approx(2, abs=1e-3)


def test_taking_a_part_out_leaves_the_model_as_it_was() -> None:
    section = a_recipe(model__name="memory_gru", model__chunk="4").model
    torch.manual_seed(0)
    model = build_model(section, dim=DIM, context=8, start=ComposerStart.copy_last(torch.zeros(DIM))).eval()
    torch.nn.init.normal_(model.head.get_submodule("correction").weight)  # type: ignore[arg-type]
    x = torch.randn(2, 8, DIM)
    with torch.no_grad():
        before = model(x)[0]
        changes = changes_without(model, x)
        after = model(x)[0]
    assert set(changes) == {"recurrent", "memory"}
    assert all(change > 1e-3 for change in changes.values())
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("section", "names"),
    [
        (LossSection(cosine=0.1), {"nce", "cosine"}),
        (LossSection(), {"nce"}),
        (LossSection(name="published"), {"cosine", "info_nce"}),
        (LossSection(name="published", alpha=0.0), {"cosine"}),
    ],
)
def test_shares_of_terms_add_up(section: LossSection, names: set[str]) -> None:
    objective = build_objective(section, "all")
    random = torch.Generator().manual_seed(0)
    predictions, targets = (torch.randn(4, 3, 8, generator=random) for _ in range(2))
    bank = torch.randn(9, 8, generator=random)
    with torch.no_grad():
        shares = shares_of_terms(objective, predictions, targets, bank)
    assert set(shares) == names
    assert sum(shares.values()) == pytest.approx(1)
    assert not predictions.requires_grad
    assert all(parameter.grad is None for parameter in objective.parameters())


def test_a_step_that_was_skipped_is_not_looked_at(training: Trainings) -> None:
    one = training(SMALL)
    audit = one.trainer.audit
    for step in range(1, 30):
        assert audit.step(step, StepResult(float("nan"), 1e-3, 1.0, None)) == []
    assert audit._watched == 0


def test_the_stored_history_is_the_live_one(training: Trainings) -> None:
    one = training(SMALL)
    one.run()
    one.trainer.reporter.flush()
    reader = Reader(one.database)
    stored, live = history_of(reader, reader.run(1)), one.trainer.audit._recorder.history(None)
    assert np.array_equal(stored.loss.value, live.loss.value)
    assert replace(live.plan or PLAN, windows=None) == replace(stored.plan or PLAN, windows=None)
    assert stored.step == live.step
