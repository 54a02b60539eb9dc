"""Two evaluations of the same queries, compared query by query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvmtui.store.records import Evaluation, Protocol

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
