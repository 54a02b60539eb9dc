"""An evaluation cut by lane, position, context and similarity of its queries, each part scored. Pure."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvmtui import stats
from lvmtui.snapshot import Slice, Slicing
from lvmtui.store.records import Interval, QueryFact

RESAMPLES = 2_000
"""Fewer than for whole evaluations: a slice's interval is wide anyhow."""

QUINTILES = 5

Whole = NDArray[np.int64]


class _Cut(NamedTuple):
    """How queries fall into the parts of one slicing."""

    name: str
    meaning: str
    part: Whole
    """(n,) number of each query's part, from 0."""
    labels: list[str]
    """One a part, in the order to show them."""


def slicings(
    ranks: ArrayLike,
    baseline_ranks: ArrayLike | None,
    facts: Mapping[str, QueryFact],
    groups: ArrayLike,
    *,
    context: int,
) -> tuple[Slicing, ...]:
    """Score an evaluation by lane, position, context and similarity.

    Args:
        ranks: (n,) of the evaluation, from 1.
        baseline_ranks: (n,) of what to show beside it.
        facts: what is known of the queries; a slicing whose fact is missing, or is not of these queries, is
            left out.
        groups: (n,) document number of each query.
        context: vectors that the model sees at most; 0 where that is not known.

    Raises:
        ValueError: ranks and groups are not of one length.
        StoreCorrupt: a fact cannot be unpacked.
    """
    found = np.asarray(ranks, np.int64)
    beside = None if baseline_ranks is None else np.asarray(baseline_ranks, np.int64)
    documents = np.asarray(groups, np.int64)
    if documents.shape != found.shape or (beside is not None and beside.shape != found.shape):
        raise ValueError(f"{len(found)} ranks, {len(documents)} documents: these are not the same queries")
    if not len(found):
        return ()
    cuts = list(_cuts(facts, len(found), context))
    intervals = _intervals(stats.hits(found, 5), documents, cuts)
    return tuple(
        Slicing(cut.name, cut.meaning, tuple(_slices(found, beside, cut, bounds)))
        for cut, bounds in zip(cuts, intervals, strict=True)
    )


def _cuts(facts: Mapping[str, QueryFact], n: int, context: int) -> Iterator[_Cut]:
    values = {name: stats.unpack_ranks(fact.packed).astype(np.int64) for name, fact in facts.items()}
    known = {name: value for name, value in values.items() if len(value) == n}
    if "lane" in known:
        yield _by_lane(known["lane"], facts["lane"].meta)
    if "position" in known:
        meaning = "vectors before the target in its own document"
        yield _Cut("position", meaning, *_powers_of_two(known["position"]))
    if "predecessors" in known:
        seen = known["predecessors"]
        limited = np.minimum(seen, context) if context else seen
        limit = f", {context} at most" if context else ""
        yield _Cut("context", f"vectors that a context could hold{limit}", *_powers_of_two(limited))
    if "similarity" in known:
        meaning = "cosine of the last vector and the target, in fifths of the queries"
        yield _Cut("similarity", meaning, *_fifths(known["similarity"]))


def _by_lane(lane: Whole, meta: Mapping[str, object]) -> _Cut:
    """Lanes that have queries, those with most first."""
    numbers, part, counts = np.unique(lane, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    names = meta.get("names")
    known = names if isinstance(names, (list, tuple)) else ()
    labels = [
        str(known[number]) if number < len(known) else f"lane {number}" for number in numbers[order].tolist()
    ]
    return _Cut("lane", str(meta.get("source") or "the target's lane"), place[part], labels)


def _powers_of_two(values: Whole) -> tuple[Whole, list[str]]:
    """Parts 0, 1, 2–3, 4–7, …, those without a query left out, the last one ending at the greatest value."""
    exponent = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    bins, part = np.unique(exponent, return_inverse=True)
    most = int(values.max())
    ranges = [(1 << (b - 1), min((1 << b) - 1, most)) if b else (0, 0) for b in bins.tolist()]
    return part, [str(low) if low == high else f"{low}–{high}" for low, high in ranges]


def _fifths(stored: Whole) -> tuple[Whole, list[str]]:
    """Parts of about equal size by cosine, the lowest first; fewer where many are equal."""
    edges = np.unique(np.quantile(stored, np.arange(1, QUINTILES) / QUINTILES))
    _, part = np.unique(np.searchsorted(edges, stored, side="left"), return_inverse=True)
    labels = []
    for number in range(int(part.max()) + 1):
        cosines = stored[part == number] / 10_000 - 1
        low, high = (f"{value:.2f}".replace("-", "−") for value in (cosines.min(), cosines.max()))
        labels.append(low if low == high else f"{low} to {high}")
    return part, labels


def _intervals(hits: NDArray[np.bool_], documents: Whole, cuts: list[_Cut]) -> list[list[Interval | None]]:
    """Hit@5 intervals of each cut's parts, by one bootstrap for all."""
    if not cuts:
        return []
    first = np.cumsum([0, *(len(cut.labels) for cut in cuts)])
    labels = np.concatenate([cut.part + start for cut, start in zip(cuts, first, strict=False)])
    found = stats.sliced_intervals(
        np.tile(hits, len(cuts)), np.tile(documents, len(cuts)), labels, resamples=RESAMPLES
    )
    return [
        [found[int(start) + k] for k in range(len(cut.labels))]
        for cut, start in zip(cuts, first, strict=False)
    ]


def _slices(
    ranks: Whole, beside: Whole | None, cut: _Cut, intervals: list[Interval | None]
) -> Iterator[Slice]:
    for number, (label, interval) in enumerate(zip(cut.labels, intervals, strict=True)):
        mine = cut.part == number
        own = ranks[mine]
        yield Slice(
            label=label,
            n=len(own),
            hit1=stats.hit_at(own, 1),
            hit5=stats.hit_at(own, 5),
            hit10=stats.hit_at(own, 10),
            mrr=stats.mrr(own),
            hit5_interval=interval,
            baseline_hit5=None if beside is None else stats.hit_at(beside[mine], 5),
        )
