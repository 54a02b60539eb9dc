"""Reads from a store what runs are compared by: best evaluations with their ranks, baselines, recipes, looks.

Recipes need pydantic, the store sqlalchemy: both are imported when they are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lvmtui.checks.comparing import Compared, check_comparison
from lvmtui.compare import comparing
from lvmtui.compare.common_pool import Protocols
from lvmtui.compare.contest import HIT5, MEASURES, Contender, Measure, Report
from lvmtui.errors import RecipeError
from lvmtui.findings import Finding, worst_first
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.store.reader import Reader


@dataclass(frozen=True, slots=True)
class Difference:
    """One field and its value in each run."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that cannot be compared."""

    run: Run
    reason: str
    """`it has no evaluation yet`."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Runs, and what comparing them has found."""

    runs: tuple[Run, ...]
    """All that were asked for, in that order."""
    report: Report
    left_out: tuple[LeftOut, ...] = ()
    differences: tuple[Difference, ...] = ()
    """The fields in which the recipes of `runs` differ."""
    findings: tuple[Finding, ...] = ()
    """What keeps the comparison from meaning much, worst first."""
    problem: str = ""
    """Why the recipes could not be compared."""


def read_side_by_side(
    reader: Reader, runs: Sequence[Run], *, measure: Measure = HIT5, pool: int | None = None
) -> SideBySide:
    """Compare these runs at their best evaluations.

    Args:
        reader: an open store.
        runs: each once.
        measure: what is looked at first.
        pool: candidates to put every Hit@K on.

    Raises:
        StoreError: the store cannot be read, or stored ranks are damaged.
    """
    contenders, left_out = _contenders(reader, runs)
    protocols = {protocol.id: protocol for protocol in reader.protocols()}
    judged = dict.fromkeys(item.evaluation.protocol_id for item in contenders)
    report = comparing.compare(
        contenders,
        {key: reader.baselines(key) for key in judged},
        protocols,
        measure=measure,
        pool=pool,
        facts={key: reader.query_facts(key) for key in judged} if pool else None,
    )
    differences: tuple[Difference, ...] = ()
    problem = ""
    try:
        differences = recipe_differences([run.recipe for run in runs])
    except RecipeError as error:
        problem = str(error)
    findings = _findings(reader, contenders, protocols, measure)
    return SideBySide(tuple(runs), report, tuple(left_out), differences, findings, problem)


def _contenders(reader: Reader, runs: Sequence[Run]) -> tuple[list[Contender], list[LeftOut]]:
    contenders, left_out = [], []
    for run in runs:
        best = reader.best_evaluation(run)
        if best is None:
            left_out.append(LeftOut(run, "it has no evaluation yet"))
        elif not best.ranks:
            left_out.append(LeftOut(run, "the ranks of its best evaluation are not stored"))
        else:
            contenders.append(Contender(run, best))
    return contenders, left_out


def _findings(
    reader: Reader, contenders: Sequence[Contender], protocols: Protocols, measure: Measure
) -> tuple[Finding, ...]:
    """Of all the runs together, and where they were not judged alike, of those that were."""
    from lvmtui.store.looks import test_looks

    metric = measure.key if measure in MEASURES else HIT5.key
    items = []
    for item in contenders:
        protocol = protocols.get(item.evaluation.protocol_id)
        data = protocol.data_fingerprint if protocol else item.run.data_fingerprint or ""
        bare = replace(item.evaluation, ranks=b"")
        items.append(Compared(item.run, bare, protocol, test_looks(reader, data)))
    found = check_comparison(items, metric)
    for key in dict.fromkeys(item.evaluation.protocol_id for item in items):
        found += check_comparison([item for item in items if item.evaluation.protocol_id == key], metric)
    return worst_first({(finding.check, finding.message): finding for finding in found}.values())


def recipe_differences(recipes: Sequence[str]) -> tuple[Difference, ...]:
    """The fields in which any recipe differs from the first, in the order of a recipe.

    Imports pydantic: not for the UI thread.

    Args:
        recipes: as the store keeps them, one or more.

    Raises:
        RecipeError: one does not fit this version.
    """
    from lvmtui.recipe import differences, field_names, from_json

    first, *others = [from_json(text) for text in recipes]
    found = [differences(first, other) for other in others]
    originals = {field: pair[0] for pairs in found for field, pair in pairs.items()}
    return tuple(
        Difference(field, (original, *(pairs.get(field, (original, original))[1] for pairs in found)))
        for field in field_names()
        if (original := originals.get(field)) is not None
    )
