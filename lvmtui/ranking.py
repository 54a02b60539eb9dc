"""Ranks runs and baselines within each protocol, and says in words what a score is worth. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lvmtui.format import thousands
from lvmtui.snapshot import RunView, State
from lvmtui.store.lifecycle import ACTIVE
from lvmtui.store.records import Evaluation, Interval, Protocol


class Verdict(StrEnum):
    """What a run's best score is worth. The baseline is judged before the target: a target that the baseline
    reaches as well proves nothing."""

    EXCEEDS = "exceeds target"
    MEETS = "meets target"
    ABOVE = "above its baseline"
    NOISE = "within noise of its baseline"
    UNDER = "below its baseline, within noise"
    BELOW = "below its baseline"
    NONE = "no baseline to compare with"


GLYPHS: Mapping[Verdict, str] = {
    Verdict.EXCEEDS: "▲",
    Verdict.MEETS: "✔",
    Verdict.ABOVE: "↑",
    Verdict.NOISE: "≈",
    Verdict.UNDER: "▽",
    Verdict.BELOW: "▼",
    Verdict.NONE: "?",
}
"""The sign beside each verdict's words."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run at its best evaluation, or one baseline."""

    rank: int | None
    """From 1; None for a baseline."""
    name: str
    phase: str
    """`baseline` for a baseline."""
    run_id: int | None
    evaluation: Evaluation
    """Without ranks."""
    baseline: str = ""
    """Name of the strongest baseline, by Hit@5; empty when there is none."""
    baseline_gain: float | None = None
    """Hit@5 above the strongest baseline's, as a fraction."""
    skill: float | None = None
    """Share of what the strongest baseline leaves that is gained: (Hit@5 - baseline) / (1 - baseline)."""
    verdict: str = ""
    """One of `Verdict`; empty for a baseline."""
    glyph: str = " "
    state: State | None = None
    champion: bool = False
    tied: bool = False
    """The interval overlaps the leader's: the order between them may be chance."""
    parameters: int | None = None
    epochs: int = 0
    """Epochs trained."""
    best_epoch: int | None = None
    seconds: float = 0.0
    """Time spent training, over all attempts."""
    context: int = 0
    seed: int | None = None
    recipe_hash: str = ""

    @property
    def is_baseline(self) -> bool:
        return self.run_id is None


@dataclass(frozen=True, slots=True)
class Group:
    """Runs judged under one protocol. Rows of different groups cannot be compared."""

    protocol_id: str
    heading: str
    """What was judged, in a line: protocol, data, queries, pool."""
    difference: str
    """How this group's protocol differs from the first group's; empty for the first."""
    rows: tuple[Row, ...]
    """Runs and baselines together, best first."""


@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """The seeds of one recipe under one protocol."""

    phase: str
    recipe_hash: str
    best: Row
    seeds: int
    mean: float
    """Mean Hit@5 over seeds."""
    sd: float | None
    """Sample standard deviation over seeds; None for a single one."""


def leaderboard(
    runs: Sequence[RunView],
    baselines: Mapping[str, Sequence[Evaluation]],
    protocols: Mapping[str, Protocol],
) -> tuple[Group, ...]:
    """Rank every evaluated run by its best evaluation's Hit@5 (then MRR), within its protocol only.

    Args:
        runs: in any order; those without an evaluation are left out.
        baselines: protocol id -> its baselines.
        protocols: protocol id -> how it judges; one may be missing.

    Returns:
        The groups, the one with the newest run first.
    """
    by_protocol: dict[str, list[RunView]] = {}
    for view in sorted(runs, key=lambda view: -view.run.id):
        if view.best is not None:
            by_protocol.setdefault(view.best.protocol_id, []).append(view)
    first = next(iter(by_protocol), "")
    return tuple(
        Group(
            protocol_id,
            heading(protocol_id, protocols.get(protocol_id), views),
            "" if protocol_id == first else difference(protocols.get(protocol_id), protocols.get(first)),
            _rows(views, one_of_each(baselines.get(protocol_id, ()))),
        )
        for protocol_id, views in by_protocol.items()
    )


def one_of_each(baselines: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
    """The baselines of the validation split, each name once at its best (a baseline is stored for every
    context it was tuned for), weakest first by Hit@5."""
    best: dict[str, Evaluation] = {}
    for evaluation in baselines:
        name = evaluation.baseline
        if name is None or evaluation.split != "validation":
            continue
        if name not in best or score(evaluation) > score(best[name]):
            best[name] = evaluation
    return tuple(sorted(best.values(), key=score))


def score(evaluation: Evaluation) -> tuple[float, float]:
    """What is ranked by: Hit@5, then MRR."""
    return evaluation.hit5, evaluation.mrr


def strongest(baselines: Sequence[Evaluation], metric: str = "hit5") -> Evaluation | None:
    """The baseline with the highest value of a metric (`hit1`, `hit5`, `hit10` or `mrr`), then of the MRR."""
    candidates = [item for item in baselines if item.split == "validation"]
    return max(candidates, key=lambda item: (float(getattr(item, metric)), item.mrr), default=None)


def judge(best: Evaluation, baseline: Evaluation | None, targets: Mapping[str, float]) -> Verdict:
    """What a best evaluation is worth against the strongest baseline and the phase's targets.

    Args:
        best: the run's best evaluation.
        baseline: the strongest baseline under the same protocol.
        targets: metric name -> fraction to reach.
    """
    if baseline is not None:
        interval = best.hit5_interval or Interval(best.hit5, best.hit5)
        if interval.high < baseline.hit5:
            return Verdict.BELOW
        if interval.low <= baseline.hit5:
            return Verdict.NOISE if best.hit5 >= baseline.hit5 else Verdict.UNDER
    reached = [float(getattr(best, name)) >= target for name, target in targets.items()]
    if reached and all(reached):
        beyond = [_low(best, name) > target for name, target in targets.items()]
        return Verdict.EXCEEDS if all(beyond) else Verdict.MEETS
    return Verdict.ABOVE if baseline is not None else Verdict.NONE


def _low(evaluation: Evaluation, metric: str) -> float:
    interval: Interval | None = getattr(evaluation, f"{metric}_interval", None)
    return interval.low if interval else float(getattr(evaluation, metric))


def overlap(first: Evaluation, second: Evaluation) -> bool:
    """Whether the 95 % intervals of two Hit@5 overlap; equal values count where one has no interval."""
    a, b = (item.hit5_interval or Interval(item.hit5, item.hit5) for item in (first, second))
    return a.low <= b.high and b.low <= a.high


def _rows(views: Sequence[RunView], baselines: Sequence[Evaluation]) -> tuple[Row, ...]:
    ordered = sorted(
        ((view, view.best) for view in views if view.best is not None),
        key=lambda pair: (*(-value for value in score(pair[1])), pair[0].run.id),
    )
    leader = ordered[0][1]
    against = strongest(baselines)
    rows = [
        _run_row(view, best, rank, against, tied=rank > 1 and overlap(best, leader))
        for rank, (view, best) in enumerate(ordered, start=1)
    ]
    rows += [_baseline_row(evaluation) for evaluation in baselines]
    return tuple(sorted(rows, key=lambda row: tuple(-value for value in score(row.evaluation))))


def _run_row(view: RunView, best: Evaluation, rank: int, against: Evaluation | None, *, tied: bool) -> Row:
    run = view.run
    verdict = judge(best, against, run.targets)
    gain = best.hit5 - against.hit5 if against else None
    skill = gain / (1 - against.hit5) if against and gain is not None and against.hit5 < 1 else None
    return Row(
        rank=rank,
        name=run.name,
        phase=run.phase,
        run_id=run.id,
        evaluation=best,
        baseline=(against.baseline or "") if against else "",
        baseline_gain=gain,
        skill=skill,
        verdict=verdict.value,
        glyph=GLYPHS[verdict],
        state=view.state,
        champion="champion" in view.aliases,
        tied=tied,
        parameters=run.parameters,
        epochs=run.progress.epoch,
        best_epoch=best.epoch,
        seconds=training_seconds(view),
        context=run.context,
        seed=run.seed,
        recipe_hash=run.recipe_hash,
    )


def _baseline_row(evaluation: Evaluation) -> Row:
    return Row(
        rank=None,
        name=evaluation.baseline or "",
        phase="baseline",
        run_id=None,
        evaluation=evaluation,
        context=evaluation.context,
    )


def training_seconds(view: RunView) -> float:
    """Time spent training over all attempts, the present one up to its last heartbeat."""
    run = view.run
    present = 0.0
    if view.run.status in ACTIVE and run.started is not None and run.heartbeat is not None:
        present = max(0.0, run.heartbeat - run.started)
    return run.active_seconds + present


def heading(protocol_id: str, protocol: Protocol | None, views: Sequence[RunView]) -> str:
    """One line on what a group was judged on."""
    if protocol is None:
        return f"protocol {protocol_id}"
    data = next((view.run.data for view in views), "")
    return (
        f"{protocol.name} on {data} · {protocol.split} · n {thousands(protocol.n)}"
        f" · pool {thousands(protocol.pool)} · {thousands(protocol.documents)} documents · id {protocol_id}"
    )


def difference(protocol: Protocol | None, reference: Protocol | None) -> str:
    """A sentence on what makes two protocols incomparable; empty when they are the same."""
    if protocol is None or reference is None:
        return "Not comparable with the first group: how one of them was judged is not recorded."
    here, there = _facts(protocol), _facts(reference)
    keys = [key for key in here | there if here.get(key) != there.get(key)]
    parts = [f"{key} {_words(here.get(key))} instead of {_words(there.get(key))}" for key in keys]
    if not parts:
        return ""
    shown = "; ".join(parts[:6]) + (f"; and {len(parts) - 6} more" if len(parts) > 6 else "")
    return f"Not comparable with the first group: {shown}."


def _facts(protocol: Protocol) -> dict[str, Any]:
    """Everything that tells one protocol from another, in words -> value."""
    facts: dict[str, Any] = {
        "protocol": protocol.name,
        "data fingerprint": protocol.data_fingerprint,
        "split": protocol.split,
        "queries": protocol.n,
        "pool": protocol.pool,
        "documents": protocol.documents,
    }
    known = {"name", "data", "data_fingerprint", "split", "n", "pool", "documents", "protocol"}
    return facts | {key: value for key, value in _flat(protocol.spec) if key.replace(" ", "_") not in known}


def _flat(spec: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in spec.items():
        name = f"{prefix}{key}".replace("_", " ")
        pairs += _flat(value, f"{name} ") if isinstance(value, Mapping) else [(name, value)]
    return pairs


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return thousands(value) if isinstance(value, int) else str(value)


def by_phase(group: Group) -> tuple[PhaseSummary, ...]:
    """The runs of a group put together by recipe: best run, and mean ± sd over seeds, best mean first.

    Of several runs with one seed only the newest counts: repeating a seed is no new evidence.
    """
    by_recipe: dict[str, list[Row]] = {}
    for row in group.rows:
        if row.run_id is not None:
            by_recipe.setdefault(row.recipe_hash, []).append(row)
    summaries = [_summary(rows) for rows in by_recipe.values()]
    return tuple(sorted(summaries, key=lambda summary: -summary.mean))


def _summary(rows: Sequence[Row]) -> PhaseSummary:
    by_seed = {row.seed: row.evaluation.hit5 for row in sorted(rows, key=lambda row: row.run_id or 0)}
    values = list(by_seed.values())
    return PhaseSummary(
        phase=rows[0].phase,
        recipe_hash=rows[0].recipe_hash,
        best=rows[0],
        seeds=len(values),
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
    )
