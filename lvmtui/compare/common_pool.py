"""Hit@K of runs of any protocol, put on a common number of candidates in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lvmtui.compare.contest import Contender, Equated, Measure
from lvmtui.leaderboard.equating import candidates_of
from lvmtui.leaderboard.verdicts import strongest
from lvmtui.store.records import Evaluation, Protocol, QueryFact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Baselines = Mapping[str, Sequence[Evaluation]]
"""Protocol id -> its baselines."""
Protocols = Mapping[str, Protocol]
Facts = Mapping[str, Mapping[str, QueryFact]]
"""Protocol id -> what is known of its queries."""


def equate(
    contenders: Mapping[str, Sequence[Contender]],
    baselines: Baselines,
    protocols: Protocols,
    facts: Facts,
    measure: Measure,
    pool: int,
) -> tuple[Equated, ...]:
    """The score of each run, and of the strongest baseline of its protocol, on a common pool, best first.

    Queries and data remain what they were, so scores of different protocols are not paired.

    Args:
        contenders: protocol id -> runs, ranks included.
        pool: candidates, the target included.
    """
    found = [
        item
        for key, members in contenders.items()
        for item in _of_protocol(
            members, baselines.get(key, ()), protocols.get(key), facts.get(key, {}), measure, pool
        )
    ]
    return tuple(sorted(found, key=lambda item: math.inf if item.value is None else -item.value))


def _of_protocol(
    members: Sequence[Contender],
    baselines: Sequence[Evaluation],
    protocol: Protocol | None,
    facts: Mapping[str, QueryFact],
    measure: Measure,
    pool: int,
) -> Iterator[Equated]:
    best = strongest([item for item in baselines if item.ranks])
    named: list[tuple[str, int | None, Evaluation]] = [
        (member.run.name, member.run.id, member.evaluation) for member in members
    ]
    if best is not None:
        named.append((best.baseline or "baseline", None, best))
    candidates = candidates_of(protocol, facts) if protocol is not None else None
    for name, run_id, evaluation in named:
        bare = Equated(name, run_id, replace(evaluation, ranks=b""), None)
        if protocol is None or candidates is None:
            yield replace(bare, problem="how many candidates each query had is not recorded")
        else:
            yield _on_pool(bare, evaluation, candidates, protocol, measure, pool)


def _on_pool(
    bare: Equated,
    evaluation: Evaluation,
    candidates: NDArray[np.int64],
    protocol: Protocol,
    measure: Measure,
    pool: int,
) -> Equated:
    from lvmtui import stats

    ranks = stats.unpack_ranks(evaluation.ranks)
    extrapolated = stats.is_extrapolated(candidates, pool)
    if extrapolated and not measure.k:
        return replace(bare, problem="the MRR cannot be put on a larger pool than a query had")
    try:
        if measure.k:
            scores = stats.equated_hits(ranks, candidates, pool, measure.k)
        else:
            scores = stats.equated_mrr(ranks, candidates, pool)
    except ValueError as error:
        return replace(bare, problem=str(error))
    groups = stats.unpack_ranks(protocol.query_groups)
    several = len(groups) == len(ranks) and len(set(groups.tolist())) > 1
    return replace(
        bare,
        value=float(scores.mean()),
        interval=stats.bootstrap_interval(scores, groups) if several else None,
        extrapolated=extrapolated,
    )
