"""The loop in one process: what an epoch reports, what diverges, what a failed checkpoint costs, verdicts."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.reporter import OwnershipLost
from engine.train import Trainer
from engine.verdict import verdict
from lvmtui.errors import TrainingError
from lvmtui.recipe import Recipe
from lvmtui.store.control import Controller
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import Evaluation, Interval

Recipes = Callable[..., Recipe]
Trainers = Callable[[Recipe], Trainer]


def reader(trainer: Trainer) -> Reader:
    trainer.reporter.flush()
    return Reader(trainer.reporter._writer.database)


def test_it_trains_to_the_last_epoch(recipe: Recipes, trainer: Trainers) -> None:
    made = trainer(recipe())
    outcome = made.train()
    assert outcome.result is Result.COMPLETED
    assert outcome.message.startswith("completed 3 epochs; Hit@5")
    assert [e.epoch for e in reader(made).evaluations(made.run.id)] == [1, 2, 3]


def test_evaluations_come_every_so_many_epochs_and_at_the_end(recipe: Recipes, trainer: Trainers) -> None:
    made = trainer(recipe(train__epochs="5", evaluate__every="2"))
    made.train()
    assert [e.epoch for e in reader(made).evaluations(made.run.id)] == [2, 4, 5]
    assert next(c for c in reader(made).checkpoints(made.run.id) if c.is_last).epoch == 5


def test_one_pass_over_the_data_may_end_with_a_smaller_step(recipe: Recipes, trainer: Trainers) -> None:
    made = trainer(recipe(train__steps_per_epoch="0", train__epochs="1"))
    windows = len(made.windows)
    assert windows % 8
    assert made.steps_per_epoch == windows // 8 + 1
    made.train()
    assert reader(made).run(made.run.id).progress.step == made.steps_per_epoch


def test_one_bad_step_is_skipped_and_reported(recipe: Recipes, trainer: Trainers) -> None:
    made = trainer(recipe())
    calls = iter(range(100))

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (math.nan if next(calls) == 5 else 1.0)

    next(made.learner.model.parameters()).register_hook(spoil)
    assert made.train().result is Result.COMPLETED
    store = reader(made)
    norms = [p.value for p in store.metrics(made.run.id, keys=["train/grad_norm"])]
    assert norms.count(None) == 1
    assert [e.kind for e in store.events(run_id=made.run.id)].count("nan_loss") == 1


def test_a_loss_that_stays_nan_fails_with_advice(recipe: Recipes, trainer: Trainers) -> None:
    made = trainer(recipe())
    with torch.no_grad():
        next(made.learner.model.parameters()).fill_(math.nan)
    with pytest.raises(TrainingError, match="diverged: 3 steps in a row") as caught:
        made.train()
    assert "lower train.lr" in caught.value.hint
    store = reader(made)
    assert [p.value for p in store.metrics(made.run.id, keys=["train/loss"])] == [None] * 3
    assert [e.kind for e in store.events(run_id=made.run.id)].count("nan_loss") == 3


def test_the_least_gain_is_in_queries_and_the_value_to_beat_is_logged(
    recipe: Recipes, trainer: Trainers, caplog: pytest.LogCaptureFixture
) -> None:
    made = trainer(recipe(stop__min_delta="3", stop__metric="mrr"))
    n = len(made.judge.asked)
    assert made.stopping.min_delta == 3 / n
    with caplog.at_level(logging.INFO, "engine"):
        made.train()
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("ep ")]
    first = reader(made).evaluations(made.run.id)[0]
    assert told[0].endswith(
        f"new best · to beat {first.mrr + 3 / n:.4f} by 3 of {n} queries".replace(" 0.", " .")
    )
    assert len(told) == 3
    assert all(" · to beat " in line for line in told)
    assert reader(made).run(made.run.id).progress.value_to_beat == made.stopping.value_to_beat


def test_the_speed_counts_what_the_model_ran_over(recipe: Recipes, trainer: Trainers) -> None:
    made = trainer(recipe(train__min_context="4", train__seed="3"))
    lengths = {made.learner._contexts.length(step) for step in range(20)}
    assert lengths == {4, 5, 6}
    length = made.learner._contexts.length(0)
    assert made.learner.step(made.windows.order(0)[:8], 0).vectors == 8 * length


def test_a_checkpoint_that_cannot_be_written_is_reported_and_training_goes_on(
    recipe: Recipes, trainer: Trainers, tmp_path: Path
) -> None:
    made = trainer(recipe())
    folder = tmp_path / made.run.folder / "checkpoints"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder should be")
    assert made.train().result is Result.COMPLETED
    store = reader(made)
    assert store.checkpoints(made.run.id) == []
    assert [e.kind for e in store.events(run_id=made.run.id)].count("checkpoint_failed") == 3
    assert len(store.evaluations(made.run.id)) == 3


def test_a_stop_right_after_an_epoch_writes_no_second_checkpoint(recipe: Recipes, trainer: Trainers) -> None:
    made = trainer(recipe())
    made._train_epoch()
    made._end_epoch()
    made.flag.set("a test")
    outcome = made.train()
    assert outcome.result is Result.STOPPED
    assert outcome.message == "stopped by a test in epoch 2, step 3; it can be resumed"
    assert [c.step for c in reader(made).checkpoints(made.run.id)] == [3]


def test_a_run_that_was_taken_ends_at_the_next_step(recipe: Recipes, trainer: Trainers) -> None:
    made = trainer(recipe(train__epochs="100000", stop__patience="10000"))
    made._train_epoch()
    store = reader(made)
    Controller(store.database).mark_lost(reader(made).run(made.run.id), "a test")
    with pytest.raises(OwnershipLost):
        made.train()


def an_evaluation(score: float, name: str | None = None) -> Evaluation:
    interval = Interval(score - 0.01, score + 0.01)
    return Evaluation(
        protocol_id="p",
        split="validation",
        epoch=16,
        step=1,
        time=0.0,
        hit1=0.0,
        hit5=score,
        hit10=0.5,
        mrr=score,
        n=100,
        pool=100,
        hit5_interval=interval,
        baseline=name,
    )


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.179, "above its best baseline ewm-whitened (16.2 %)"),
        (0.165, "within noise of its best baseline ewm-whitened (16.2 %)"),
        (0.155, "below its best baseline ewm-whitened (16.2 %), within noise"),
        (0.158, "below its best baseline ewm-whitened (16.2 %), within noise"),
        (0.120, "below its best baseline ewm-whitened (16.2 %)"),
    ],
)
def test_the_verdict_names_the_strongest_baseline(score: float, words: str) -> None:
    baselines = [an_evaluation(0.08, "copy-last"), an_evaluation(0.162, "ewm-whitened")]
    expected = f"Hit@5 {100 * score:.1f} % at epoch 16: {words}"
    assert verdict(an_evaluation(score), baselines, "hit5") == expected


def test_the_verdict_without_intervals_or_evaluations() -> None:
    best = replace(an_evaluation(0.2), hit5_interval=None)
    assert verdict(best, [an_evaluation(0.199, "ewm")], "mrr").endswith("above its best baseline ewm (.199)")
    assert verdict(None, [], "hit5") == "never evaluated"
