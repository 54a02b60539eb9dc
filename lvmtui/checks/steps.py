"""Checks on the optimiser's steps: how many, how large, at what rate."""

from __future__ import annotations

from lvmtui.checks.records import ANNEALED, RunHistory
from lvmtui.findings import Finding
from lvmtui.format import counted, percent, thousands
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Severity

LEAST_STEPS = 200
"""Optimiser steps below which a run is said to have had too few. The published recipe took 25 to 93 and never
left its start; models started at the tuned baseline began to gain after 60 to 240. Adam's average of squared
gradients, with its memory of 1000 steps, is 18 % full by then."""
AVERAGING = 0.9
"""Decay of averaged weights from which on they stand in for annealing (Hägele et al., Scaling Laws and
Compute-Optimal Training Beyond Fixed Training Durations, 2024)."""
FEW_STEPS_AN_EPOCH = 10
"""Steps an epoch up to which one small step among them matters: it is a tenth of them or more."""


def few_steps(history: RunHistory) -> Finding | None:
    """Too few optimiser steps to have learnt anything, or a best evaluation from the warm-up. A run that is
    clearly above its best baseline has learnt, in however few steps: a composer starts at that baseline."""
    plan, best = history.plan, history.best
    if plan is None or best is None or not history.trained:
        return None
    at = history.evaluations[best].step
    warming = 0 < at <= plan.warmup
    learnt = history.versus is not None and history.versus.interval.low > 0
    if (learnt or history.step >= LEAST_STEPS) and not warming:
        return None
    total = counted(history.step, "optimiser step")
    words = f"{total} in all, the best evaluation after {thousands(at)}"
    if warming:
        words += f", before the warm-up of {thousands(plan.warmup)} was over"
    return Finding(
        "few-steps",
        f"{words}: {'the rate never reached its peak before it' if warming else 'too few to learn from'}",
        Severity.WARN,
        f"Take at least {LEAST_STEPS} steps, better 1 000: lower train.accumulation, set "
        "train.steps_per_epoch, raise stop.patience or stop.min_steps.",
        {"steps": history.step, "best_step": at, "warmup": plan.warmup},
    )


def partial_accumulation(history: RunHistory) -> Finding | None:
    """A last step of each epoch that averages far fewer windows than the others, yet counts as much."""
    plan = history.plan
    if plan is None or not plan.windows:
        return None
    rest = plan.windows % plan.per_step
    steps = -(-plan.windows // plan.per_step)
    if rest == 0 or 2 * rest >= plan.per_step or steps > FEW_STEPS_AN_EPOCH or plan.steps < 2:
        return None
    share = "every step" if steps == 1 else f"1 of {steps} steps"
    return Finding(
        "partial-accumulation",
        f"{share} averages {counted(rest, 'window')} instead of {plan.per_step}: an epoch has "
        f"{counted(plan.windows, 'window')}. Adam moves as far on that noisier gradient as on the others",
        Severity.WARN,
        "Choose train.batch x train.accumulation so that it divides the windows of an epoch, or set "
        "train.steps_per_epoch, which draws whole steps.",
        {"windows": plan.windows, "per_step": plan.per_step, "rest": rest, "steps_per_epoch": steps},
    )


def never_annealed(history: RunHistory) -> Finding | None:
    """A learning rate that was still high when training ended, with no averaged weights in its stead."""
    plan = history.plan
    if plan is None or not history.trained or not len(history.rate) or plan.ema >= AVERAGING:
        return None
    share = float(history.rate.value[-1]) / plan.peak
    if share <= ANNEALED:
        return None
    average = "or average the weights (train.ema = 0.99): the last gains come as the rate falls."
    if history.result is Result.EARLY_STOPPED and plan.schedule != "constant":
        epochs = max(1, round(history.step / max(1, plan.steps_per_epoch)))
        why = f"early stopping came after {thousands(history.step)} of {thousands(plan.steps)} planned steps"
        advice = f"Set train.epochs to about {epochs}, {average}"
    else:
        why, advice = f"the schedule is {plan.schedule}", f"Use train.schedule = cosine, {average}"
    return Finding(
        "never-annealed",
        f"the learning rate ended at {percent(share, 0)} % of its peak: {why}",
        Severity.WARN,
        advice,
        {"share": share, "steps": history.step, "planned": plan.steps},
    )


def early_stopping(history: RunHistory) -> Finding | None:
    """Patience that cannot end, or could end before the learning rate has reached its peak."""
    plan = history.plan
    if plan is None:
        return None
    waits = plan.patience * plan.every * plan.steps_per_epoch
    evidence = {"min_steps": plan.min_steps, "steps": plan.steps, "waits": waits, "warmup": plan.warmup}
    if plan.min_steps >= plan.steps:
        return Finding(
            "early-stopping",
            f"it can never stop early: patience counts from step {thousands(plan.min_steps)} on, and "
            f"training ends at {thousands(plan.steps)}",
            Severity.WARN,
            "Lower stop.min_steps.",
            evidence,
        )
    if waits < plan.warmup and plan.min_steps < plan.warmup:
        return Finding(
            "early-stopping",
            f"patience can run out in {counted(waits, 'step')}, before the warm-up of "
            f"{thousands(plan.warmup)} is over",
            Severity.WARN,
            f"Set stop.min_steps to {plan.warmup} or more.",
            evidence,
        )
    return None
