"""Runs compared query by query: who is better, and could it be chance? numpy is imported when it is needed.

Only evaluations of one protocol are compared: they answer the same queries. Tests are paired, because two
models find the same queries hard. With several runs there are several pairs, and chance has as many tries:
the p-values of the pairs are corrected as Holm does ("A Simple Sequentially Rejective Multiple PairTest
Procedure", Scandinavian Journal of Statistics 6, 1979).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from lvmtui.compare.common_pool import Baselines, Facts, Protocols, equate
from lvmtui.compare.contest import HIT5, Contender, Measure, Pair, ProtocolGroup, Report, measures_with
from lvmtui.compare.score_table import ScoreTable
from lvmtui.compare.seed_tests import recipe_tests, seed_groups
from lvmtui.format import METRIC_NAMES
from lvmtui.leaderboard.protocols import difference
from lvmtui.leaderboard.verdicts import strongest
from lvmtui.store.records import Evaluation, Protocol
from lvmtui.store.sources import copies_among

if TYPE_CHECKING:
    from lvmtui.stats import Comparison


class NotPaired(ValueError):
    """The evaluations cannot be compared query by query; the message says why."""


def paired_hits(first: Evaluation, second: Evaluation, protocol: Protocol | None, k: int = 5) -> Comparison:
    """The difference in Hit@K by paired bootstrap over documents.

    Args:
        first: with its ranks.
        second: with its ranks, under the same protocol.
        protocol: knows which document each query is of.

    Raises:
        NotPaired: ranks or documents are not known, the queries differ, or there is a single document.
    """
    from lvmtui import stats

    if not (first.ranks and second.ranks and protocol is not None and protocol.query_groups):
        raise NotPaired("ranks or documents of the queries are not known")
    ours, theirs = (stats.unpack_ranks(item.ranks) for item in (first, second))
    groups = stats.unpack_ranks(protocol.query_groups)
    if not len(ours) == len(theirs) == len(groups):
        raise NotPaired("the queries differ, so they cannot be paired")
    if len(set(groups.tolist())) < 2:
        raise NotPaired("one document is not enough to tell chance apart")
    return stats.paired_bootstrap(stats.hits(ours, k), stats.hits(theirs, k), groups)


def compare(
    contenders: Sequence[Contender],
    baselines: Baselines,
    protocols: Protocols,
    *,
    measure: Measure = HIT5,
    pool: int | None = None,
    facts: Facts | None = None,
) -> Report:
    """Compare runs, each protocol for itself.

    Args:
        contenders: each run once.
        baselines: protocol id -> its baselines, ranks included.
        protocols: protocol id -> how it judges; one may be missing.
        measure: what is looked at first; the others of `MEASURES` are compared as well.
        pool: candidates to put every Hit@K on.
        facts: protocol id -> what is known of its queries; needed for `pool`.

    Raises:
        StoreCorrupt: stored ranks are damaged.
    """
    measures = measures_with(measure)
    by_protocol: dict[str, list[Contender]] = {}
    for contender in contenders:
        by_protocol.setdefault(contender.evaluation.protocol_id, []).append(contender)
    ordered = sorted(by_protocol, key=lambda key: -len(by_protocol[key]))
    groups = tuple(
        _group_of(
            by_protocol[key],
            tuple(_chosen(baselines.get(key, ()), measure)),
            key,
            protocols.get(key),
            difference(protocols.get(key), protocols.get(ordered[0])) if key != ordered[0] else "",
            measure,
            measures,
        )
        for key in ordered
    )
    if pool is None:
        return Report(measure, measures, groups)
    equated = equate(by_protocol, baselines, protocols, facts or {}, measure, pool)
    return Report(measure, measures, groups, pool, equated)


def _chosen(baselines: Sequence[Evaluation], measure: Measure) -> Iterator[Evaluation]:
    """The strongest baseline, and copy-last where that is another."""
    known = measure.key if measure.key in METRIC_NAMES else "hit5"
    best = strongest([item for item in baselines if item.ranks], known)
    if best is None:
        return
    yield best
    copies = [
        item for item in baselines if item.baseline == "copy-last" and item.ranks and item.split == best.split
    ]
    if best.baseline != "copy-last" and copies:
        yield copies[-1]


def _group_of(
    contenders: Sequence[Contender],
    baselines: Sequence[Evaluation],
    protocol_id: str,
    protocol: Protocol | None,
    different: str,
    measure: Measure,
    measures: Sequence[Measure],
) -> ProtocolGroup:
    table = ScoreTable(protocol, measures)
    copies = copies_among(item.run for item in contenders)
    runs = [table.add_run(item, copies.get(item.run.id, "")) for item in contenders]
    runs.sort(key=lambda entry: (-entry.scores[measure.key].value, entry.run_id or 0))
    others = [table.add(item, item.baseline or "baseline") for item in baselines]
    pairs = table.pairs(list(combinations(runs, 2)))
    pairs = sorted(_corrected(pairs, measures), key=lambda pair: pair.unsureness(measure))
    seeds = seed_groups(runs, measures)
    return ProtocolGroup(
        protocol_id,
        protocol,
        different,
        tuple(runs),
        tuple(others),
        tuple(pairs),
        tuple(table.pairs([(run, other) for run in runs for other in others])),
        seeds,
        recipe_tests(seeds, table.values, table.groups, measures),
    )


def _corrected(pairs: Sequence[Pair], measures: Sequence[Measure]) -> list[Pair]:
    """The pairs with p-values corrected over all of them, each measure for itself."""
    tested = [pair for pair in pairs if pair.tests]
    tests = [dict(pair.tests) for pair in tested]
    for measure in measures:
        adjusted = holm([test[measure.key].p for test in tests])
        for test, p in zip(tests, adjusted, strict=True):
            test[measure.key] = replace(test[measure.key], adjusted=p)
    done = iter(tests)
    return [replace(pair, tests=next(done)) if pair.tests else pair for pair in pairs]


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests, corrected so that the chance of even one false difference stays at the level
    (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted
