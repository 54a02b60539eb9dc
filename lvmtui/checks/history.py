"""Every check that a run's history allows, while it trains or afterwards."""

from __future__ import annotations

from collections.abc import Callable

from lvmtui.checks.loss_curve import divergence, not_finite, stall
from lvmtui.checks.records import Curve, Plan, RunHistory, curve
from lvmtui.checks.scores import below_baseline, copies_last, cosine_without_rank, exact_metric
from lvmtui.checks.steps import early_stopping, few_steps, never_annealed, partial_accumulation
from lvmtui.checks.stopping import noisy_stop, outlier_best, overfitting, stopped_while_falling
from lvmtui.findings import Finding, worst_first

__all__ = ["CHECKS", "Curve", "Plan", "RunHistory", "check_history", "curve"]

Check = Callable[[RunHistory], Finding | None]

CHECKS: dict[str, Check] = {
    "not-finite": not_finite,
    "divergence": divergence,
    "stall": stall,
    "exact-metric": exact_metric,
    "below-baseline": below_baseline,
    "copies-last": copies_last,
    "cosine-without-rank": cosine_without_rank,
    "few-steps": few_steps,
    "early-stopping": early_stopping,
    "partial-accumulation": partial_accumulation,
    "stopped-while-falling": stopped_while_falling,
    "noisy-stop": noisy_stop,
    "outlier-best": outlier_best,
    "never-annealed": never_annealed,
    "overfitting": overfitting,
}
"""Name of each check -> the check. What is only known at the end of training says nothing before."""


def check_history(history: RunHistory) -> list[Finding]:
    """What is wrong with a run, as far as its history shows; worst first, empty where nothing is.

    Every check gives one finding at most.
    """
    found = (check(history) for check in CHECKS.values())
    return list(worst_first(finding for finding in found if finding is not None))
