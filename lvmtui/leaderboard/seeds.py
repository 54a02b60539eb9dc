"""Runs of one recipe that differ in their seed, put together: mean ± sd, and which recipe is ahead. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvmtui.checks.comparing import LEAST_SEEDS
from lvmtui.format import counted
from lvmtui.leaderboard.ranking import Group, Row
from lvmtui.leaderboard.verdicts import score, skill
from lvmtui.store.records import Interval


@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """The seeds of one recipe under one protocol."""

    phase: str
    recipe_hash: str
    best: Row
    """The best of the runs that count."""
    seeds: int
    mean: float
    """Mean Hit@5 over seeds."""
    sd: float | None
    """Sample standard deviation over seeds; None for a single one."""
    gain: float | None = None
    """The mean above the strongest baseline."""
    skill: float | None = None
    """Of the mean, over the strongest baseline."""
    interval: Interval | None = None
    """Mean ends of the seeds' own 95 % intervals: what the queries leave open. None where a seed has none."""
    run_ids: tuple[int, ...] = ()
    """The runs that count, oldest first."""
    tied: bool = False
    """The order between it and the first recipe may be chance."""
    order: str = ""
    """How it stands to the first recipe, in words."""


def by_phase(group: Group) -> tuple[PhaseSummary, ...]:
    """The runs of a group put together by recipe: best run, and mean ± sd over seeds, best mean first.

    Of several runs with one seed only the newest counts: repeating a seed is no new evidence.
    A copy of another run of the group counts not at all.
    """
    by_recipe: dict[tuple[str, str], list[Row]] = {}
    for row in group.rows:
        if row.run_id is not None and not row.copy_of:
            by_recipe.setdefault((row.recipe_hash, row.evaluation.protocol_id), []).append(row)
    summaries = sorted(map(_summary, by_recipe.values()), key=lambda summary: -summary.mean)
    return tuple(_ordered(summary, summaries[0]) for summary in summaries)


def _summary(rows: Sequence[Row]) -> PhaseSummary:
    by_seed = {row.seed: row for row in sorted(rows, key=lambda row: (row.created, row.run_id or 0))}
    values = [row.evaluation.hit5 for row in by_seed.values()]
    bounds = [row.evaluation.hit5_interval for row in by_seed.values()]
    known = [item for item in bounds if item is not None]
    around = (
        Interval(statistics.fmean(item.low for item in known), statistics.fmean(item.high for item in known))
        if len(known) == len(bounds)
        else None
    )
    mean = statistics.fmean(values)
    gain = rows[0].baseline_gain
    baseline = None if gain is None else rows[0].evaluation.hit5 - gain
    return PhaseSummary(
        phase=rows[0].phase,
        recipe_hash=rows[0].recipe_hash,
        best=max(by_seed.values(), key=lambda row: score(row.evaluation)),
        seeds=len(values),
        mean=mean,
        sd=statistics.stdev(values) if len(values) > 1 else None,
        gain=None if baseline is None else mean - baseline,
        skill=None if baseline is None else skill(mean, baseline),
        interval=around,
        run_ids=tuple(sorted(row.run_id for row in by_seed.values() if row.run_id is not None)),
    )


def seeds_words(seeds: int) -> str:
    """`one seed`, `3 seeds`."""
    return "one seed" if seeds == 1 else counted(seeds, "seed")


def _ordered(summary: PhaseSummary, first: PhaseSummary) -> PhaseSummary:
    if summary is first:
        return replace(summary, order="first" if summary.seeds > 1 else "first, on one seed")
    if not _overlap(summary, first):
        return replace(summary, order=f"behind the first: {_seeds_of_both(summary, first)}")
    if min(summary.seeds, first.seeds) < LEAST_SEEDS:
        words = f"no verdict: intervals overlap, {_seeds_of_both(summary, first)}"
        return replace(summary, tied=True, order=words)
    words = f"intervals overlap, {_seeds_of_both(summary, first)}: compare, which pairs queries, sees more"
    return replace(summary, tied=True, order=words)


def _seeds_of_both(summary: PhaseSummary, first: PhaseSummary) -> str:
    if summary.seeds == first.seeds:
        return f"{seeds_words(summary.seeds)} each"
    return f"{summary.seeds} against {seeds_words(first.seeds)}"


def _overlap(one: PhaseSummary, other: PhaseSummary) -> bool:
    a, b = (item.interval or Interval(item.mean, item.mean) for item in (one, other))
    return a.low <= b.high and b.low <= a.high
