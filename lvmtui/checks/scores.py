"""Checks on the validation scores themselves: too good, too bad, or of the wrong kind."""

from __future__ import annotations

import math

from lvmtui.checks.chance import difference_noise
from lvmtui.checks.records import RunHistory
from lvmtui.findings import Finding
from lvmtui.format import metric_name, number, p_value, percent, plain, signed, small
from lvmtui.store.records import Evaluation, Severity

SAME = 1e-6
"""Distance from 1 within which a cosine is exactly 1."""
COPY = 0.98
"""Mean cosine to the last vector from which on a model copies: the protocol takes vectors nearer than that
for the same."""
EXPECTED_HITS = 10.0
"""Hits by chance alone from which on none at all is no chance."""
COSINE_RISE = 0.01
"""Rise of the mean cosine that counts as one."""
LEAST_EVALUATIONS = 4
"""Evaluations before cosine and rank are said to move apart."""


def exact_metric(history: RunHistory) -> Finding | None:
    """A score of exactly 0 or 1: a leak, a bug, or a pool too small to tell models apart."""
    for evaluation in history.evaluations:
        found = _exact(evaluation)
        if found is not None:
            return found
    return None


def _exact(evaluation: Evaluation) -> Finding | None:
    where = f"at epoch {evaluation.epoch}"
    evidence = {"epoch": evaluation.epoch, "n": evaluation.n, "pool": evaluation.pool}
    if evaluation.hit1 == 1 or evaluation.mrr == 1:
        return _too_exact(f"Hit@1 is exactly 100 % {where}", evidence)
    if evaluation.cosine is not None and evaluation.cosine > 1 - SAME:
        return _too_exact(f"the mean cosine of prediction and target is exactly 1 {where}", evidence)
    if evaluation.loss == 0:
        return _too_exact(f"the validation loss is exactly 0 {where}", evidence)
    for k, score in ((10, evaluation.hit10), (5, evaluation.hit5)):
        chance = evaluation.n * k / max(1, evaluation.pool)
        if score == 0 and chance >= EXPECTED_HITS:
            return Finding(
                "exact-metric",
                f"Hit@{k} is exactly 0 {where}: {evaluation.n} guesses would hit about {chance:.0f} times",
                Severity.ERROR,
                "Worse than guessing is a bug: predictions and targets may be shifted against each other.",
                evidence,
            )
    for k, score in ((5, evaluation.hit5), (10, evaluation.hit10)):
        if score == 1:
            return Finding(
                "exact-metric",
                f"Hit@{k} is exactly 100 % {where}, in a pool of {evaluation.pool}: it cannot tell better "
                "models apart",
                Severity.WARN,
                "Judge in a larger pool, or by Hit@1 and MRR. Look for leaks with `lvmtui audit DATA`.",
                evidence,
            )
    return None


def _too_exact(words: str, evidence: dict[str, int]) -> Finding:
    return Finding(
        "exact-metric",
        f"{words}: no model predicts that well",
        Severity.ERROR,
        "The target has leaked into the input, or the score is computed wrongly. Look for duplicates across "
        "splits with `lvmtui audit DATA`, and check that the model is causal.",
        evidence,
    )


def cosine_without_rank(history: RunHistory) -> Finding | None:
    """A mean cosine that rises while the ranks do not: predictions go to the mean."""
    known = [item for item in history.evaluations if item.cosine is not None]
    if len(known) < LEAST_EVALUATIONS:
        return None
    last = known[-1]
    for first in (known[0], max(known, key=lambda item: item.mrr)):
        rise = (last.cosine or 0.0) - (first.cosine or 0.0)
        change, error = last.mrr - first.mrr, difference_noise(first, last, "mrr")
        chance = 2 * error if math.isfinite(error) else 0.005
        fell = change < -chance
        flat = change <= chance and rise >= 2 * COSINE_RISE
        if rise < COSINE_RISE or not (fell or flat):
            continue
        return Finding(
            "cosine-without-rank",
            f"from epoch {first.epoch} to {last.epoch} the mean cosine rose from {number(first.cosine)} to "
            f"{number(last.cosine)}, but MRR {'fell' if fell else 'went'} from {small(first.mrr)} to "
            f"{small(last.mrr)} and Hit@5 from {percent(first.hit5)} to {percent(last.hit5)} %",
            Severity.WARN,
            "Predictions move towards the mean of what may come (regression to the mean). Train to tell the "
            "target from others: loss.name = rank with a large loss.bank, loss.cosine at most 0.1.",
            {
                "epochs": [first.epoch, last.epoch],
                "cosine": [first.cosine, last.cosine],
                "mrr": [first.mrr, last.mrr],
                "hit5": [first.hit5, last.hit5],
            },
        )
    return None


def copies_last(history: RunHistory) -> Finding | None:
    """A best model that predicts the last vector it saw."""
    best = history.best
    if best is None or not history.trained:
        return None
    copyness = history.evaluations[best].copyness
    if copyness is None or copyness < COPY:
        return None
    return Finding(
        "copies-last",
        f"the best model copies: its predictions have a mean cosine of {number(copyness)} with the last "
        "vector they saw",
        Severity.WARN,
        "Start at the tuned baseline (model.head = composer, model.start = tuned), raise train.lr, train "
        "longer.",
        {"copyness": copyness, "epoch": history.evaluations[best].epoch},
    )


def below_baseline(history: RunHistory) -> Finding | None:
    """A best score that is not above what can be had without training."""
    versus = history.versus
    if versus is None or not history.trained or versus.interval.low > 0:
        return None
    name = plain(versus.baseline)
    below = versus.interval.high < 0
    words = f"below its best baseline {name}" if below else f"no better than its best baseline {name}"
    bounds = f"[{signed(versus.interval.low)}, {signed(versus.interval.high)}]"
    smallest = (
        ""
        if not versus.detectable
        else f"; a true difference below {percent(versus.detectable)} points would mostly go unseen"
    )
    return Finding(
        "below-baseline",
        f"{words}: {metric_name(versus.metric)} {signed(versus.difference)} points {bounds}, "
        f"{p_value(versus.p)}, over the same queries{'' if below else smallest}",
        Severity.ERROR if below else Severity.WARN,
        f"Report {name} instead: it needs no training. Start the model there (model.head = composer, "
        "model.start = tuned), train on more data with loss.name = rank, or judge on more documents.",
        {
            "baseline": versus.baseline,
            "difference": versus.difference,
            "low": versus.interval.low,
            "high": versus.interval.high,
            "p": versus.p,
            "metric": versus.metric,
        },
    )
