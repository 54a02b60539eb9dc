"""Checks on how the best epoch was found: chance, luck, stopping too early or too late."""

from __future__ import annotations

import math

import numpy as np

from lvmtui.checks.chance import difference_noise, noise
from lvmtui.checks.records import RunHistory
from lvmtui.findings import Finding
from lvmtui.format import counted, metric_name, metric_value, number, small
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Severity

COARSE = 0.01
"""A gain of one point: what training is worth. Early stopping that cannot see it is decided by chance."""
LUCKY = 4.0
"""Times what epochs differ by that a best epoch must stand out to be luck: the best of 20 alike stands out by
2 to 3."""
_SIGNIFICANT = 1.96
"""Standard errors of a paired difference that are no chance (two-sided, 5 %)."""


def stopped_while_falling(history: RunHistory) -> Finding | None:
    """Early stopping by a rank score while the validation loss still fell."""
    if history.result is not Result.EARLY_STOPPED or history.best is None:
        return None
    known = [(item.epoch, item.loss) for item in history.evaluations if item.loss is not None]
    losses = np.array([loss for _, loss in known], np.float64)
    waited = len(history.evaluations) - 1 - history.best
    if waited < 2 or len(losses) <= waited:
        return None
    since = losses[-1 - waited :]
    fall = float(since[0] - since[-1])
    falling = np.count_nonzero(np.diff(since) < 0) >= 2 / 3 * waited
    if not falling or losses[-1] > losses.min() or fall < abs(since[0]) / 1000:
        return None
    return Finding(
        "stopped-while-falling",
        f"stopped at epoch {known[-1][0]} because {metric_name(history.metric)} no longer gained, while the "
        f"validation loss still fell: {number(float(since[0]))} to {number(float(since[-1]))} over the last "
        f"{counted(waited, 'evaluation')}",
        Severity.WARN,
        "Raise stop.patience or stop.min_steps, or watch stop.metric = mrr, which follows small gains. If "
        "the cosine rises and the ranks do not, longer training does not help: change the loss.",
        {"epochs": [known[-1 - waited][0], known[-1][0]], "loss": [float(since[0]), float(since[-1])]},
    )


def noisy_stop(history: RunHistory) -> Finding | None:
    """Early stopping that was decided by fewer queries than chance moves."""
    best = history.best
    if history.result is not Result.EARLY_STOPPED or best is None or best + 1 >= len(history.evaluations):
        return None
    metric, values = history.metric, history.watched()
    rival = best + 1 + int(np.argmax(values[best + 1 :]))
    first, second = history.evaluations[best], history.evaluations[rival]
    margin = float(values[best] - values[rival])
    error = difference_noise(first, second, metric)
    chance = error * (_SIGNIFICANT if first.ranks and second.ranks else 1.0)
    if not math.isfinite(chance) or margin >= chance:
        return None
    n = first.n
    if metric == "mrr":
        words = f"a difference of {small(margin, 4)} in MRR; chance alone makes ±{small(chance, 4)}"
    else:
        words = (
            f"a difference of {round(margin * n)} of {counted(n, 'item')}; chance alone makes "
            f"±{max(1, round(chance * n))}"
        )
    smoother = "" if metric == "mrr" else "watch stop.metric = mrr, "
    return Finding(
        "noisy-stop",
        f"early stopping chose epoch {first.epoch} over epoch {second.epoch} ({metric_name(metric)} "
        f"{metric_value(metric, values[best])} and {metric_value(metric, values[rival])}) by {words}",
        Severity.WARN if chance > COARSE else Severity.INFO,
        f"Take the best epoch for one of several alike: {smoother}average the weights (train.ema), raise "
        "stop.patience, or validate on more documents.",
        {"epochs": [first.epoch, second.epoch], "margin": margin, "chance": chance, "n": n},
    )


def outlier_best(history: RunHistory) -> Finding | None:
    """A best epoch that stands out of its neighbours on both sides: luck, not learning."""
    best, values = history.best, history.watched()
    if best is None or not history.trained or len(values) < 6 or not 1 <= best < len(values) - 1:
        return None
    index = [at for at in range(max(0, best - 2), best + 3) if at != best and at < len(values)]
    rival = max(index, key=lambda at: values[at])
    gap = float(values[best] - values[rival])
    others = np.delete(values, best)
    scatter = noise(others)
    metric, around = history.metric, float(values[index].mean())
    error = difference_noise(history.evaluations[best], history.evaluations[rival], metric)
    if not gap > max(LUCKY * scatter, _SIGNIFICANT * error if math.isfinite(error) else 0.0, 1e-12):
        return None
    shown = metric_name(metric)
    return Finding(
        "outlier-best",
        f"the best epoch {history.evaluations[best].epoch} stands out: {shown} "
        f"{metric_value(metric, values[best])} against {metric_value(metric, around)} around it, and epochs "
        f"differ by {metric_value(metric, scatter)} otherwise: luck",
        Severity.WARN,
        f"Do not report its {shown}: that of the epochs around it is what another try would give. Average "
        "the weights (train.ema) and judge on the test split once.",
        {"epoch": history.evaluations[best].epoch, "gap": gap, "around": around, "scatter": scatter},
    )


def overfitting(history: RunHistory) -> Finding | None:
    """A training loss that falls on while the validation loss has long been rising."""
    known = [(item.epoch, item.step, item.loss) for item in history.evaluations if item.loss is not None]
    if not history.trained or len(known) < 5 or len(history.loss) < 10:
        return None
    losses = np.array([loss for _, _, loss in known], np.float64)
    lowest = int(np.argmin(losses))
    after, rise = len(losses) - 1 - lowest, float(losses[-1] - losses[lowest])
    if after < 3 or rise < max(abs(losses[lowest]) / 100, 3 * noise(losses)):
        return None
    middle = (known[lowest][1] + history.step) / 2
    late = history.loss.step > middle
    before = ~late & (history.loss.step > known[max(0, lowest - 1)][1])
    if not late.any() or not before.any():
        return None
    train = [float(np.median(history.loss.value[part])) for part in (before, late)]
    if train[1] >= train[0]:
        return None
    long = after >= len(losses) / 2 and rise > abs(losses[lowest]) / 20
    return Finding(
        "overfitting",
        f"since epoch {known[lowest][0]} the validation loss rose from {number(float(losses[lowest]))} to "
        f"{number(float(losses[-1]))} while the training loss fell from {number(train[0])} to "
        f"{number(train[1])}",
        Severity.WARN if long else Severity.INFO,
        "More data or more model.dropout helps, more epochs do not. The best checkpoint is from before; "
        "lower train.epochs, so that the rate anneals by then.",
        {"epoch": known[lowest][0], "loss": [float(losses[lowest]), float(losses[-1])], "train": train},
    )
