"""Checks on the training loss: NaN, divergence, stall."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lvmtui.checks.chance import noise
from lvmtui.checks.records import ANNEALED, RunHistory
from lvmtui.findings import Finding
from lvmtui.format import counted, number, percent, thousands
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Severity

STALL_STEPS = 100
"""Steps before a loss that has not fallen counts as stalled."""
NO_FALL = 0.01
"""Share of the loss: while training goes on, a fall must surely be smaller than that for a stall. Where noise
could hide more, it is too early to say."""
NO_FALL_AT_ALL = 0.05
"""The same at the end, when no more is to come."""
PLATEAU_STEPS = 500
"""Steps without a fall, at a high rate, that are worth a line when the loss did fall before."""


def not_finite(history: RunHistory) -> Finding | None:
    """Steps that were skipped because their loss or gradient was NaN or infinite."""
    skipped = history.skipped
    if not skipped:
        return None
    failed = history.result is Result.FAILED
    where = f"step {skipped[0]}" if len(skipped) == 1 else f"steps {skipped[0]} to {skipped[-1]}"
    return Finding(
        "not-finite",
        f"{thousands(len(skipped))} of {counted(history.step, 'step')} had a loss or gradient of NaN or "
        f"infinity ({where}) and changed nothing{'; training failed of it' if failed else ''}",
        Severity.ERROR if failed else Severity.WARN,
        "Lower train.lr, lengthen train.warmup, or set train.clip lower (1 is usual). Look for extreme "
        "vectors with `lvmtui audit DATA`.",
        {"skipped": len(skipped), "steps": list(skipped[:20])},
    )


def divergence(history: RunHistory) -> Finding | None:
    """A training loss that rose far above what it had been."""
    values = history.loss.value
    if len(values) < 10:
        return None
    levels, width = _levels(values)
    risen = _risen(values, levels, width)
    if risen is None:
        return None
    low, high, at = risen
    back = levels[-1] < low + (high - low) / 4
    step = int(history.loss.step[min(at * width, len(values) - 1)])
    return Finding(
        "divergence",
        f"the training loss rose from {number(low)} to {number(high)} by step {step}"
        + (", and came back" if back else ""),
        Severity.WARN if back else Severity.ERROR,
        "Lower train.lr (try a third), lengthen train.warmup, keep train.clip at 1."
        + ("" if back else " What the model learnt before is lost: do not go on from here."),
        {"from": low, "to": high, "step": step},
    )


def _levels(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Medians of stretches of the curve, and how many points a stretch has."""
    width = min(max(len(values) // 10, 5), 200)
    whole = len(values) // width * width
    return np.median(values[:whole].reshape(-1, width), axis=1), width


def _risen(
    values: NDArray[np.float64], levels: NDArray[np.float64], width: int
) -> tuple[float, float, int] | None:
    """Level before, highest level after, and the stretch where that is; None where nothing rose far."""
    error = 1.25 * noise(values) / math.sqrt(width)
    before = np.minimum.accumulate(levels)[:-1]
    rise = levels[1:] - before
    limit = np.maximum.reduce([np.full_like(before, 6 * error), 0.05 * abs(before), (levels[0] - before) / 4])
    if (rise > limit).any():
        at = int(np.argmax(rise - limit))
        return float(before[at]), float(levels[at + 1]), at + 1
    # The first step can be the last good one: its loss is that of the untouched model.
    first, rest = float(values[0]), values[1:]
    margin = max(abs(first) / 4, 2 * _spread(rest))
    if np.quantile(rest, 0.1) > first + margin:
        return first, float(levels.max()), int(np.argmax(levels))
    return None


def _spread(values: NDArray[np.float64]) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def stall(history: RunHistory) -> Finding | None:
    """A training loss that does not fall beyond its noise, over all steps or over the last half of many."""
    values = history.loss.value
    if history.step < STALL_STEPS or len(values) < 20 or divergence(history) is not None:
        return None
    if _fell(values):
        return _plateau(history)
    quarter = len(values) // 4
    first, last = float(values[:quarter].mean()), float(values[-quarter:].mean())
    at_most = first - last + 2 * noise(values) * math.sqrt(2 / quarter)
    if not abs(at_most) < (NO_FALL_AT_ALL if history.trained else NO_FALL) * abs(first):
        return None  # Too noisy to say.
    return Finding(
        "stall",
        f"the training loss has not fallen in {counted(history.step, 'step')}: {number(first)} in the first "
        f"quarter of them, {number(last)} in the last, noise of a step {number(noise(values), 2)}",
        Severity.WARN,
        "Raise train.lr (try ten times as much) and see the audit for parameters without a gradient. A model "
        "started at the tuned baseline may have nothing left to learn from so little data.",
        {"first": first, "last": last, "noise": noise(values), "steps": history.step},
    )


def _fell(values: NDArray[np.float64]) -> bool:
    """Whether the last quarter lies below the first or below the start, beyond noise and by a thousandth."""
    quarter = len(values) // 4
    last, scatter = float(values[-quarter:].mean()), noise(values)
    start, first = float(values[:5].mean()), float(values[:quarter].mean())
    least = abs(first) / 1000
    return first - last > max(3 * scatter * math.sqrt(2 / quarter), least) or start - last > max(
        3 * scatter / math.sqrt(5), least
    )


def _plateau(history: RunHistory) -> Finding | None:
    plan, loss = history.plan, history.loss
    late = loss.step > history.step / 2
    if plan is None or history.step < 2 * PLATEAU_STEPS or not len(history.rate):
        return None
    values = loss.value[late]
    if history.rate.value[-1] < ANNEALED * plan.peak or len(values) < 20 or _fell(values):
        return None
    return Finding(
        "stall",
        f"the training loss has stood still at {number(float(values.mean()))} since step "
        f"{int(loss.step[late][0])}, at {percent(history.rate.value[-1] / plan.peak, 0)} % of the peak rate",
        Severity.INFO,
        "Let the rate anneal: with fewer train.epochs the cosine comes down sooner.",
        {"level": float(values.mean()), "since": int(loss.step[late][0])},
    )
