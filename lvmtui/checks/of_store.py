"""The audit of a run that the store knows: from its recorded history, whenever it was trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lvmtui.checks.history import CHECKS, check_history
from lvmtui.checks.records import Plan, RunHistory, curve, plan_of
from lvmtui.errors import RecipeError
from lvmtui.findings import KIND, Finding, finding_of, worst_first
from lvmtui.recipe import from_json
from lvmtui.store.reader import Reader
from lvmtui.store.records import Evaluation, Event, MetricPoint, Run, Versus
from lvmtui.versus import versus_of

LOSS, RATE, GRAD_NORM = "train/loss", "train/lr", "train/grad_norm"
NEEDS_WINDOWS = frozenset({"partial-accumulation"})
"""Checks that need to know how many windows an epoch has, which the store does not."""


def audit_run(reader: Reader, run: Run) -> tuple[Finding, ...]:
    """Everything that is wrong with a run, worst first: what its history shows now, and what was seen in its
    training and could only be seen then. Informative findings are among them."""
    history = history_of(reader, run)
    stored = {
        finding.check: finding
        for finding in map(finding_of, audit_events(reader.events(run_id=run.id)))
        if not _recomputed(finding.check, history)
    }
    return worst_first([*check_history(history), *stored.values()])


def audit_events(events: Iterable[Event]) -> list[Event]:
    """The findings among a run's events."""
    return [event for event in events if event.kind == KIND]


def _recomputed(check: str, history: RunHistory) -> bool:
    known = history.plan is not None and history.plan.windows is not None
    return check in CHECKS and (known or check not in NEEDS_WINDOWS)


def history_of(reader: Reader, run: Run) -> RunHistory:
    """What the store has of a run's training."""
    points = reader.metrics(run.id, keys=(LOSS, RATE, GRAD_NORM))
    evaluations = [item for item in reader.evaluations(run.id) if item.split == "validation"]
    best = next((item for item in evaluations if item.epoch == run.progress.best_epoch), None)
    return RunHistory(
        plan=_plan(run),
        step=run.progress.step,
        loss=curve(*_columns(points, LOSS)),
        rate=curve(*_columns(points, RATE)),
        grad_norm=curve(*_columns(points, GRAD_NORM)),
        skipped=skipped_steps(points),
        evaluations=tuple(evaluations),
        versus=_versus(reader, best),
        result=run.result,
    )


def skipped_steps(points: Iterable[MetricPoint]) -> tuple[int, ...]:
    """The steps whose loss or gradient was not finite: the store has no number for it."""
    lost = {point.step for point in points if point.key in {LOSS, GRAD_NORM} and point.value is None}
    return tuple(sorted(lost))


def _plan(run: Run) -> Plan | None:
    try:
        recipe = from_json(run.recipe)
    except RecipeError:
        return None
    steps = run.progress.steps
    if steps <= 0:
        return None
    section = recipe.train
    per_epoch = max(1, steps // max(1, run.progress.epochs))
    drawn = section.steps_per_epoch * section.batch * section.accumulation
    return plan_of(recipe, steps=steps, steps_per_epoch=per_epoch, windows=drawn or None)


def _columns(points: Sequence[MetricPoint], key: str) -> tuple[list[int], list[float]]:
    """Steps and values of a metric; not a number where the store has none."""
    mine = [point for point in points if point.key == key]
    return [point.step for point in mine], [
        float("nan") if point.value is None else point.value for point in mine
    ]


def _versus(reader: Reader, best: Evaluation | None) -> Versus | None:
    """The best evaluation against the strongest baseline: as it was stored, or made up for."""
    if best is None:
        return None
    kept = versus_of(best)
    if kept:
        return kept[0]
    baselines = [item for item in reader.baselines(best.protocol_id) if item.split == best.split]
    protocol = next((item for item in reader.protocols() if item.id == best.protocol_id), None)
    if not baselines:
        return None
    # Not at the top: it brings half the terminal program along, and the engine imports these checks.
    from lvmtui.compare.comparing import NotPaired, paired_hits

    strongest = max(baselines, key=lambda item: (item.hit5, item.mrr))
    try:
        paired = paired_hits(best, strongest, protocol)
    except NotPaired:
        return None
    return Versus(
        strongest.baseline or "",
        paired.difference,
        paired.interval,
        paired.p,
        context=strongest.context,
        detectable=getattr(paired, "detectable", None),
    )
