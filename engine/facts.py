"""What is known of a protocol's queries before anything is predicted: slices and pools are made from it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.split import SplitView
from engine.evaluate import Judge
from engine.lanes import lanes_of
from engine.ranks import Pairs, exact_cosines
from lvmtui import stats
from lvmtui.store.records import QueryFact

_SIMILARITY_STEPS = 10_000
"""Steps of the similarity in a cosine of 1."""


def query_facts(judge: Judge, train: SplitView) -> list[QueryFact]:
    """The facts of `records.QUERY_FACTS`, in that order.

    Args:
        judge: whose queries they are about.
        train: the training split: clusters of it are the lanes, where the data give none.

    Raises:
        DataError: the given lanes are damaged, or no lane for each vector.
    """
    asked, placed = judge.asked, judge.placed
    copies = np.bincount(judge.duplicates.query, minlength=len(asked)) - 1
    position = asked.positions - asked.document_start
    lanes = lanes_of(judge.split, asked.positions, train)
    return [
        _fact("candidates", len(judge.pool) - (placed.positions - placed.document_start) - copies),
        _fact("position", position),
        _fact("predecessors", _predecessors(judge, position)),
        _fact("similarity", _similarity(judge)),
        _fact("lane", lanes.number, {"source": lanes.source, "names": list(lanes.names)}),
    ]


def _predecessors(judge: Judge, position: NDArray[np.int64]) -> NDArray[np.int64]:
    """Vectors (n,) that a context may hold: those of the document or of the whole stream, or of the window,
    where the protocol has one."""
    reach = position if judge.within_document else judge.asked.positions
    return reach if judge.window is None else np.minimum(reach, judge.window)


def _similarity(judge: Judge) -> NDArray[np.int64]:
    """Cosines (n,) of last vector and target, 0 for -1 to twice the steps for 1."""
    everyone = np.arange(len(judge.asked))
    cosines = exact_cosines(judge.targets(), judge.split, Pairs(everyone, judge.queries - 1))
    steps: NDArray[np.float64] = np.rint((cosines.clip(-1, 1) + 1) * _SIMILARITY_STEPS)
    return steps.astype(np.int64)


def _fact(name: str, values: NDArray[np.int64], meta: Mapping[str, Any] | None = None) -> QueryFact:
    return QueryFact(name, stats.pack_ranks(values), meta or {})
