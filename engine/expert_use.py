"""Which experts a model asks for the queries of which lane."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.data.split import SplitView
from engine.evaluate import Judge
from engine.lanes import Lanes, lanes_of

LARGEST = 32
"""Lanes that are told apart; the smaller ones are one."""


class Collected:
    """How much each expert had to say for the queries of an evaluation, as batches come in."""

    def __init__(self, queries: int) -> None:
        self._queries = queries
        self._routes: NDArray[np.float32] | None = None

    def add(self, query: Tensor, routes: Tensor) -> None:
        """Take note of the routes (k, experts) of queries with the numbers (k,)."""
        if self._routes is None:
            self._routes = np.zeros((self._queries, routes.shape[1]), np.float32)
        self._routes[query.cpu().numpy()] = routes.cpu().numpy()

    def by_lane(self, judge: Judge, train: SplitView) -> Mapping[str, Any] | None:
        """See `expert_use`; None where there are no experts."""
        return None if self._routes is None else expert_use(self._routes, judge, train)


def expert_use(routes: NDArray[np.floating[Any]], judge: Judge, train: SplitView) -> Mapping[str, Any]:
    """The share of each expert, overall and by lane of the target.

    Args:
        routes: (n, experts) how much each expert had to say for each query, rows of sum 1.
        judge: whose queries they are.
        train: the training split: clusters of it are the lanes, where the data give none.

    Returns:
        As JSON: `source` of the lanes, in words; `share` (experts,) of all queries; `lanes`, the largest
        first: each its `name`, its queries `n`, and its `share` (experts,).

    Raises:
        DataError: the given lanes are damaged.
    """
    lanes = _lanes(judge, train)
    numbers, place, counts = np.unique(lanes.number, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rows = []
    for index in order[:LARGEST].tolist():
        number = int(numbers[index])
        name = lanes.names[number] if number < len(lanes.names) else f"lane {number}"
        rows.append(_row(name, routes[place == index]))
    if len(order) > LARGEST:
        name = f"{len(order) - LARGEST} smaller lanes"
        rows.append(_row(name, routes[np.isin(place, order[LARGEST:])]))
    return {"source": lanes.source, "share": _shares(routes), "lanes": rows}


def _row(name: str, routes: NDArray[np.floating[Any]]) -> dict[str, Any]:
    return {"name": name, "n": len(routes), "share": _shares(routes)}


def _shares(routes: NDArray[np.floating[Any]]) -> list[float]:
    share: list[float] = routes.mean(axis=0, dtype=np.float64).round(4).tolist()
    return share


@lru_cache(maxsize=2)
def _lanes(judge: Judge, train: SplitView) -> Lanes:
    """Found once for all evaluations of a run."""
    return lanes_of(judge.split, judge.asked.positions, train)
