"""Each fault of a run's history is found, and by nothing but its own check; its clean twin passes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.checks.history import CHECKS, RunHistory, check_history, curve
from lvmtui.findings import Finding
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Interval, Severity, Versus
from tests.checks import histories as base
from tests.checks.histories import history

STEPS = np.arange(1, base.STEPS + 1)


def only(history: RunHistory) -> Finding:
    """The single finding."""
    found = check_history(history)
    assert len(found) == 1, [(finding.check, finding.message) for finding in found]
    return found[0]


def early_stopped(best: int = 10, drop: float = 0.03, **columns: Any) -> dict[str, Any]:
    """A run that was stopped for good reason 5 epochs after its best: the score fell, the loss rose."""
    values = base.rising(best) + [base.rising(best)[-1] - drop] * 5
    losses = [4 - value for value in values]
    steps = len(values) * base.PLAN.steps_per_epoch
    return {
        "evaluations": base.evaluations(values, **({"loss": losses} | columns)),
        "step": steps,
        "loss": curve(STEPS[:steps], base.falling_loss()[:steps]),
        "rate": curve(STEPS[:steps], base.cosine_rate(steps, steps)),
        "result": Result.EARLY_STOPPED,
    }


@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_went_well_has_no_findings(seed: int) -> None:
    good = history(loss=curve(STEPS, base.falling_loss(seed=seed)))
    assert check_history(good) == []
    assert check_history(replace(good, result=None)) == []


def test_a_run_that_was_stopped_for_good_reason_has_no_findings() -> None:
    found = check_history(history(**early_stopped()))
    assert [finding.check for finding in found if not finding.passed] == []


def test_a_run_of_which_nothing_is_known_has_no_findings() -> None:
    assert check_history(RunHistory(plan=None)) == []


def test_every_finding_has_its_checks_name() -> None:
    assert set(CHECKS) == {
        *("not-finite", "divergence", "stall", "exact-metric", "below-baseline", "copies-last"),
        *("cosine-without-rank", "few-steps", "early-stopping", "partial-accumulation"),
        *("stopped-while-falling", "noisy-stop", "outlier-best", "never-annealed", "overfitting"),
    }


def test_skipped_steps() -> None:
    found = only(history(skipped=(7, 8)))
    assert (found.check, found.severity) == ("not-finite", Severity.WARN)
    assert "2 of 1 000 steps" in found.message
    failed = only(history(skipped=(7, 8, 9), result=Result.FAILED))
    assert failed.severity is Severity.ERROR


def test_divergence_after_learning() -> None:
    losses = base.falling_loss()
    losses[600:] += np.linspace(0, 6, 400)
    found = only(history(loss=curve(STEPS, losses)))
    assert (found.check, found.severity) == ("divergence", Severity.ERROR)
    assert found.evidence["to"] > 7
    assert found.evidence["from"] < 3.5


def test_divergence_from_the_second_step() -> None:
    random = np.random.default_rng(1)
    losses = np.concatenate([[4.0], 9 + random.normal(size=base.STEPS - 1)])
    assert only(history(loss=curve(STEPS, losses))).check == "divergence"


def test_a_spike_that_came_back_is_a_warning() -> None:
    losses = base.falling_loss()
    losses[500:640] += 4
    found = only(history(loss=curve(STEPS, losses)))
    assert (found.check, found.severity) == ("divergence", Severity.WARN)
    assert "came back" in found.message


@pytest.mark.parametrize("seed", range(5))
def test_single_bad_batches_are_no_divergence(seed: int) -> None:
    losses = base.falling_loss(noise=0.2, seed=seed)
    losses[np.random.default_rng(seed).integers(0, base.STEPS, 30)] += 3
    assert check_history(history(loss=curve(STEPS, losses))) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_loss_that_never_falls(seed: int) -> None:
    losses = 5 + 0.1 * np.random.default_rng(seed).normal(size=base.STEPS)
    found = only(history(loss=curve(STEPS, losses)))
    assert (found.check, found.severity) == ("stall", Severity.WARN)


def test_too_noisy_or_too_short_to_call_a_stall() -> None:
    noisy = 5 + np.random.default_rng(0).normal(size=base.STEPS)
    assert check_history(history(loss=curve(STEPS, noisy), result=None)) == []
    flat = curve(STEPS[:60], 5 + 0.01 * np.random.default_rng(0).normal(size=60))
    assert check_history(history(loss=flat, step=60, result=None)) == []


def test_a_plateau_at_a_high_rate_is_worth_a_line() -> None:
    steps = np.arange(1, 3001)
    losses = 3 + 2 * np.exp(-steps / 100) + 0.02 * np.random.default_rng(0).normal(size=3000)
    plateau = history(
        plan={"steps": 10_000}, step=3000, loss=curve(steps, losses), rate=curve(steps, np.full(3000, 1e-3))
    )
    found = only(replace(plateau, result=None))
    assert (found.check, found.severity) == ("stall", Severity.INFO)
    assert "stood still" in found.message


def test_a_perfect_score() -> None:
    found = only(history(evaluations=base.evaluations(base.rising(), hit1=[0.2] * 10 + [1.0] * 10)))
    assert (found.check, found.severity) == ("exact-metric", Severity.ERROR)
    assert "Hit@1 is exactly 100 % at epoch 11" in found.message


def test_a_perfect_cosine_and_a_loss_of_zero() -> None:
    cosines = [0.5] * 19 + [1.0]
    assert "cosine" in only(history(evaluations=base.evaluations(base.rising(), cosine=cosines))).message
    losses = [1.0] * 19 + [0.0]
    perfect = history(evaluations=base.evaluations(base.rising(), loss=losses))
    assert "loss is exactly 0" in only(perfect).message


def test_no_hit_where_chance_would_have_some() -> None:
    none = base.evaluations([0.0] * 20, pool=[3000] * 20)
    found = only(history(evaluations=none, result=None))
    assert "Hit@10 is exactly 0" in found.message
    rare = base.evaluations([0.0] * 20, pool=[100_000] * 20)
    assert check_history(history(evaluations=rare, result=None)) == []


def test_a_pool_too_small_to_tell_models_apart() -> None:
    saturated = base.evaluations([1.0] * 20, hit1=[0.4] * 20, mrr=[0.7] * 20)
    found = only(history(evaluations=saturated, result=None))
    assert (found.check, found.severity) == ("exact-metric", Severity.WARN)
    assert "cannot tell" in found.message


def test_cosine_rises_while_ranks_fall() -> None:
    values = [0.40 - 0.005 * epoch for epoch in range(20)]
    cosines = [0.418 + 0.003 * epoch for epoch in range(20)]
    losses = [0.58 - 0.003 * epoch for epoch in range(20)]
    apart = history(plan={"warmup": 10}, evaluations=base.evaluations(values, cosine=cosines, loss=losses))
    found = only(apart)
    assert found.check == "cosine-without-rank"
    assert "regression to the mean" in found.advice
    assert only(replace(apart, result=None)).check == "cosine-without-rank"


def test_cosine_rises_while_ranks_stand_still() -> None:
    cosines = [0.418 + 0.003 * epoch for epoch in range(20)]
    flat = base.evaluations([0.40] * 20, cosine=cosines)
    assert only(history(plan={"warmup": 10}, evaluations=flat)).check == "cosine-without-rank"
    together = base.evaluations(base.rising(), cosine=cosines)
    assert check_history(history(evaluations=together)) == []


def test_copying_the_last_vector() -> None:
    found = only(history(evaluations=base.evaluations(base.rising(), copyness=[0.995] * 20)))
    assert found.check == "copies-last"


def test_below_its_baseline() -> None:
    found = only(history(versus=Versus("ewm-whitened", -0.013, Interval(-0.02, -0.005), 0.001)))
    assert (found.check, found.severity) == ("below-baseline", Severity.ERROR)
    assert "below its best baseline ewm-whitened: Hit@5 −1.3 points [−2.0, −0.5]" in found.message


@pytest.mark.parametrize("difference", [-0.002, 0.002])
def test_no_better_than_its_baseline(difference: float) -> None:
    around = Interval(difference - 0.01, difference + 0.01)
    found = only(history(versus=Versus("ewm", difference, around, 0.7, detectable=0.014)))
    assert (found.check, found.severity) == ("below-baseline", Severity.WARN)
    assert "no better than" in found.message
    assert "below 1.4 points" in found.message


def test_too_few_steps() -> None:
    short = {
        "plan": {"steps": 93, "steps_per_epoch": 31, "warmup": 5},
        "step": 93,
        "evaluations": tuple(
            replace(e, step=31 * e.epoch) for e in base.evaluations(base.rising(3), loss=[4, 3.9, 3.8])
        ),
        "loss": curve(STEPS[:93], base.falling_loss()[:93]),
        "rate": curve(STEPS[:93], base.cosine_rate(93, 93, 5)),
    }
    found = only(history(**short, versus=None))
    assert found.check == "few-steps"
    assert "93 optimiser steps" in found.message
    assert check_history(history(**short, versus=None, result=None)) == []
    assert check_history(history(**short)) == [], "clearly above its baseline: it has learnt"


def test_best_during_the_warm_up() -> None:
    found = check_history(history(plan={"warmup": 400}, evaluations=base.evaluations(base.rising()[::-1])))
    assert "few-steps" in [item.check for item in found]
    assert "warm-up" in next(item for item in found if item.check == "few-steps").message


@pytest.mark.parametrize(
    ("windows", "per_step", "caught"),
    [(270, 256, True), (100, 256, True), (512, 256, False), (510, 256, False), (25_610, 256, False)],
)
def test_a_partial_last_accumulation_step(windows: int, per_step: int, caught: bool) -> None:
    found = check_history(history(plan={"windows": windows, "per_step": per_step}))
    assert [item.check for item in found] == (["partial-accumulation"] if caught else [])
    if windows == 270:
        assert "1 of 2 steps averages 14 windows instead of 256" in found[0].message


def test_a_rate_that_never_annealed() -> None:
    stopped = early_stopped()
    steps = stopped["step"]
    high = curve(STEPS[:steps], base.cosine_rate(steps, 5 * steps))
    found = [f for f in check_history(history(**(stopped | {"rate": high}))) if not f.passed]
    assert [f.check for f in found] == ["never-annealed"]
    assert "early stopping came after" in found[0].message
    averaged = history(plan={"ema": 0.98}, **(stopped | {"rate": high}))
    assert [f.check for f in check_history(averaged) if not f.passed] == []


def test_a_constant_rate() -> None:
    constant = history(plan={"schedule": "constant"}, rate=curve(STEPS, np.full(base.STEPS, 1e-3)))
    assert only(constant).check == "never-annealed"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"min_steps": 1000}, "can never stop early"),
        ({"warmup": 300, "patience": 3}, "before the warm-up of 300"),
    ],
)
def test_patience_that_cannot_do_its_work(plan: dict[str, int], words: str) -> None:
    found = only(history(plan=plan))
    assert found.check == "early-stopping"
    assert words in found.message
    assert only(history(plan=plan, result=None)).check == "early-stopping"


def test_stopped_while_the_loss_still_fell() -> None:
    losses = [4 - 0.02 * epoch for epoch in range(15)]
    found = [f for f in check_history(history(**early_stopped(loss=losses))) if not f.passed]
    assert [f.check for f in found] == ["stopped-while-falling"]
    assert "over the last 5 evaluations" in found[0].message


def test_a_stop_decided_by_a_handful_of_items() -> None:
    hits = [70, 75, 80, 82, 84, 85, 86, 86, 86, 87, 84, 84, 83, 84, 83]
    few = early_stopped()
    few["evaluations"] = base.evaluations(
        [hit / 115 for hit in hits], n=[115] * 15, pool=[115] * 15, loss=[e.loss for e in few["evaluations"]]
    )
    found = [f for f in check_history(history(**few)) if not f.passed]
    assert [f.check for f in found] == ["noisy-stop"]
    assert "a difference of 3 of 115 items" in found[0].message
    assert "stop.metric = mrr" in found[0].advice


def test_ranks_tell_a_small_clear_difference_from_chance() -> None:
    """20 of 4 000 queries are less than a score's own noise, but the queries are the same."""
    random = np.random.default_rng(0)
    best = random.integers(1, 20, base.QUERIES).astype(np.uint32)
    worse = best.copy()
    worse[np.flatnonzero(best <= 5)[:20]] = 6
    ranks = [stats.pack_ranks(worse)] * 9 + [stats.pack_ranks(best)] + [stats.pack_ranks(worse)] * 5
    hits = [stats.hit_at(stats.unpack_ranks(blob), 5) for blob in ranks]
    clear = early_stopped()
    losses = [e.loss for e in clear["evaluations"]]
    clear["evaluations"] = base.evaluations(hits, ranks=ranks, loss=losses)
    assert "noisy-stop" not in [f.check for f in check_history(history(**clear))]
    clear["evaluations"] = base.evaluations(hits, loss=losses)
    assert "noisy-stop" in [f.check for f in check_history(history(**clear))]


def test_a_lucky_epoch() -> None:
    random = np.random.default_rng(0)
    values = [0.30 + 0.003 * random.normal() for _ in range(20)]
    values[12] = 0.36
    found = only(history(evaluations=base.evaluations(values, loss=[4 - 0.01 * e for e in range(20)])))
    assert found.check == "outlier-best"
    assert "best epoch 13" in found.message


@pytest.mark.parametrize("seed", range(40))
def test_the_best_of_many_alike_is_no_lucky_epoch(seed: int) -> None:
    values = 0.30 + 0.003 * np.random.default_rng(seed).normal(size=20)
    alike = base.evaluations(values.tolist(), cosine=[0.4] * 20)
    assert check_history(history(plan={"warmup": 10}, evaluations=alike)) == []


def test_overfitting() -> None:
    losses = [4 - 0.1 * min(e, 5) + 0.05 * max(0, e - 5) for e in range(20)]
    found = only(history(evaluations=base.evaluations(base.rising(), loss=losses)))
    assert (found.check, found.severity) == ("overfitting", Severity.WARN)
    assert "since epoch 6" in found.message
