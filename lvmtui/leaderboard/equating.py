"""Puts scores that were made with pools of different sizes on a common one, in closed form from stored
ranks.

Queries and data of different protocols remain different: equal pools make scores comparable in difficulty,
not in kind. numpy is imported when it is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lvmtui.store.reader import Reader

from lvmtui import versus
from lvmtui.errors import UsageError
from lvmtui.format import thousands
from lvmtui.leaderboard.ranking import Group, Row, baseline_row, ranked, run_row
from lvmtui.leaderboard.verdicts import one_of_each, strongest, worth
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.store.records import Evaluation, Interval, Protocol, QueryFact, Versus
from lvmtui.store.sources import copies_among

LEAST_POOL = 11
"""In a smaller pool Hit@10 is 1 whatever is predicted."""


def candidates_of(protocol: Protocol, facts: Mapping[str, QueryFact]) -> NDArray[np.int64] | None:
    """How many candidates each query had, its target included, as (n,); None where it cannot be told.

    Read from the stored fact `candidates`. Without it (evaluations of earlier versions) they follow from the
    protocol, near duplicates of the target then not left out: `window-v0` has one pool for all queries,
    `doc-v1` leaves out the vectors that stand before the query in its own document.

    Raises:
        StoreCorrupt: what is stored cannot be unpacked.
    """
    import numpy as np

    from lvmtui import stats

    if "candidates" in facts:
        known = stats.unpack_ranks(facts["candidates"].packed).astype(np.int64)
        return known if len(known) == protocol.n else None
    if protocol.name == "window-v0":
        return np.full(protocol.n, protocol.pool, np.int64)
    groups = stats.unpack_ranks(protocol.query_groups)
    if protocol.name != "doc-v1" or len(groups) != protocol.n or not len(groups):
        return None
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    document = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(groups)]))
    # The queries of a document are its vectors but the first, in order.
    position = np.arange(len(groups)) - starts[document] + 1
    return protocol.pool - position


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known of the queries of one protocol."""

    candidates: NDArray[np.int64]
    """(n,) of each query, its target included."""
    groups: NDArray[Any]
    """(n,) document of each query; the query's own number where documents are not known."""
    documents: bool
    """Whether documents are known."""


def judged_of(reader: Reader, protocol: Protocol) -> Judged | None:
    """What the store knows of a protocol's queries; None where the pools cannot be told."""
    import numpy as np

    from lvmtui import stats

    candidates = candidates_of(protocol, reader.query_facts(protocol.id))
    if candidates is None:
        return None
    groups = stats.unpack_ranks(protocol.query_groups)
    known = len(groups) == len(candidates)
    return Judged(candidates, groups if known else np.arange(len(candidates)), known)


def equated(evaluation: Evaluation, judged: Judged, pool: int) -> Evaluation | None:
    """An evaluation (with its ranks) as if each query had had `pool` candidates, chosen at random among its
    own, its target included. None where its ranks are not stored, or do not fit the candidates.

    Without ranks and without the comparison with baselines, which was at another pool. The MRR is NaN where
    the pool is larger than some query's own: there is no closed form for it.
    """
    import numpy as np

    from lvmtui import stats

    ranks = stats.unpack_ranks(evaluation.ranks)
    if not len(ranks) or len(ranks) != len(judged.candidates):
        return None
    if ranks.min() < 1 or (ranks > judged.candidates).any():
        return None
    scores = np.column_stack([_hits(ranks, judged, pool, k) for k in (1, 5, 10)])
    means = scores.mean(axis=0)
    intervals: Sequence[Interval | None] = (None,) * 3
    if len(np.unique(judged.groups)) > 1:
        intervals = stats.bootstrap_intervals(scores, judged.groups)
    over = "documents" if judged.documents else "queries"
    return replace(
        evaluation,
        hit1=float(means[0]),
        hit5=float(means[1]),
        hit10=float(means[2]),
        mrr=_mrr(ranks, judged, pool),
        pool=pool,
        hit1_interval=intervals[0],
        hit5_interval=intervals[1],
        hit10_interval=intervals[2],
        interval_method=f"bootstrap over {over}, equated to pool {pool}" if intervals[1] else "",
        ranks=b"",
        details={},
    )


def _hits(ranks: NDArray[Any], judged: Judged, pool: int, k: int) -> NDArray[np.float64]:
    from lvmtui import stats

    return stats.equated_hits(ranks, judged.candidates, pool, k)


def _mrr(ranks: NDArray[Any], judged: Judged, pool: int) -> float:
    from lvmtui import stats

    if stats.is_extrapolated(judged.candidates, pool):
        return math.nan
    return float(stats.equated_mrr(ranks, judged.candidates, pool).mean())


def equated_board(reader: Reader, snapshot: Snapshot, views: Sequence[RunView], pool: int) -> Group:
    """Runs and baselines of all protocols in one table, on a common pool.

    Each verdict is against the strongest baseline of the run's own protocol at that pool. Targets are left
    out: they were set for other pools.

    Raises:
        UsageError: the pool is smaller than `LEAST_POOL`.
        StoreCorrupt: stored ranks are damaged.
    """
    if pool < LEAST_POOL:
        raise UsageError(
            f"a pool of {pool} says nothing: Hit@10 is 100 % whatever is predicted",
            f"Choose {LEAST_POOL} or more.",
        )
    rows: list[Row] = []
    left_out: list[str] = []
    by_protocol: dict[str, list[RunView]] = {}
    for view in views:
        if view.best is not None:
            by_protocol.setdefault(view.best.protocol_id, []).append(view)
    for protocol_id, runs in by_protocol.items():
        protocol = snapshot.protocols.get(protocol_id)
        judged = judged_of(reader, protocol) if protocol else None
        if judged is None:
            left_out += [view.run.name for view in runs]
            continue
        found, missing = _protocol_rows(reader, protocol_id, runs, judged, pool)
        rows += found
        left_out += missing
    notes = []
    if left_out:
        why = "their ranks and candidates are not both stored"
        notes.append(f"Left out, since {why}: {', '.join(left_out)}.")
    if any(row.extrapolated for row in rows):
        notes.append("x: extrapolated to a pool larger than its own, by a beta-binomial model of the ranks.")
    title = f"equated to pool {thousands(pool)}; other queries and data remain different"
    return Group("", title, "", ranked(rows), notes=tuple(notes))


def _protocol_rows(
    reader: Reader, protocol_id: str, views: Sequence[RunView], judged: Judged, pool: int
) -> tuple[list[Row], list[str]]:
    """The rows of one protocol, and the names of runs without ranks."""
    from lvmtui import stats

    extrapolated = stats.is_extrapolated(judged.candidates, pool)
    own = one_of_each(reader.baselines(protocol_id))
    baselines = [(item, moved) for item in own if (moved := equated(item, judged, pool)) is not None]
    best_moved = strongest([moved for _, moved in baselines])
    best_own = next((item for item, moved in baselines if moved is best_moved), None)
    rows = [
        replace(baseline_row(moved), extrapolated=extrapolated, own_pool=item.pool)
        for item, moved in baselines
    ]
    missing = []
    copies = copies_among(view.run for view in views)
    for view in views:
        full = reader.best_evaluation(view.run)
        moved = equated(full, judged, pool) if full is not None else None
        if full is None or moved is None:
            missing.append(view.run.name)
            continue
        moved = _compared(full, moved, best_own, best_moved, judged, pool)
        row = run_row(view, moved, worth(moved, best_moved, {}), copies.get(view.run.id, ""))
        rows.append(replace(row, extrapolated=extrapolated, own_pool=full.pool))
    return rows, missing


def _compared(
    full: Evaluation,
    moved: Evaluation,
    baseline: Evaluation | None,
    baseline_moved: Evaluation | None,
    judged: Judged,
    pool: int,
) -> Evaluation:
    """The equated evaluation with its paired comparison with a baseline at the same pool."""
    import numpy as np

    from lvmtui import stats

    if baseline is None or baseline_moved is None or len(np.unique(judged.groups)) < 2:
        return moved
    ours, theirs = (_hits(stats.unpack_ranks(item.ranks), judged, pool, 5) for item in (full, baseline))
    paired = stats.paired_bootstrap(ours, theirs, judged.groups)
    kept = versus.as_details(
        [
            Versus(
                baseline.baseline or "",
                paired.difference,
                paired.interval,
                paired.p,
                context=baseline_moved.context,
                detectable=paired.detectable,
            )
        ]
    )
    return replace(moved, details={versus.KEY: kept})
