"""Statistics on per-query ranks: ours beside a plain loop that does the same.

Run: `python benchmarks/resampling.py [queries]` (5000). Seconds of processor time, best of 3. The plain loop
draws documents and joins their queries, 10 000 times; it is timed over 200 resamples and scaled up. Pools are
put on 115 candidates; the plain way cuts each query's pool at random 20 times, which leaves an error that the
closed form does not have.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lvmtui import stats
from lvmtui.slices import slicings
from lvmtui.store.records import QueryFact

LOOPS = 200
POOL = 115
CUTS = 20


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Least processor time of some calls."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def loop_means(hits: NDArray[np.bool_], groups: NDArray[np.int64], resamples: int) -> NDArray[np.float64]:
    """Means over documents drawn with replacement, one resample at a time."""
    random = np.random.default_rng(0)
    order = np.argsort(groups, kind="stable")
    documents = np.split(hits[order], np.flatnonzero(np.diff(groups[order])) + 1)
    means = np.empty(resamples)
    for row in range(resamples):
        drawn = random.integers(0, len(documents), len(documents))
        means[row] = np.concatenate([documents[document] for document in drawn]).mean()
    return means


def cut_at_random(ranks: NDArray[np.int64], candidates: int, pool: int, k: int) -> NDArray[np.float64]:
    """Chance to be within the first k of a pool, from pools that are really cut."""
    random = np.random.default_rng(0)
    found = np.empty(len(ranks))
    for query, rank in enumerate(ranks.tolist()):
        kept = [random.choice(candidates - 1, pool - 1, replace=False, shuffle=False) for _ in range(CUTS)]
        found[query] = np.mean([np.count_nonzero(competitors < rank - 1) < k for competitors in kept])
    return found


def row(name: str, ours: float, plain: float | None = None, more: str = "") -> None:
    beside = f"{plain:10.2f}{plain / ours:9.0f}" if plain is not None else f"{'':19}"
    print(f"  {name:46}{ours:8.3f}{beside}  {more}".rstrip())


def facts_of(groups: NDArray[np.int64], random: np.random.Generator) -> dict[str, QueryFact]:
    """Facts about queries as the engine keeps them."""
    n = len(groups)
    starts = np.searchsorted(groups, groups)
    values = {
        "position": np.arange(n) - starts + 1,
        "predecessors": np.arange(n) + 1,
        "similarity": random.integers(9_000, 19_000, n),
        "lane": random.integers(0, 16, n),
    }
    return {name: QueryFact(name, stats.pack_ranks(value)) for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("queries", type=int, nargs="?", default=5_000)
    n = parser.parse_args().queries
    random = np.random.default_rng(0)
    candidates = 100_000
    ranks = 1 + (random.beta(0.3, 3, n) * (candidates - 1)).astype(np.int64)
    hits, other = stats.hits(ranks, 50), random.random(n) < 0.2
    print(f"{n} queries, {stats.RESAMPLES} resamples: seconds of one core")
    print(f"  {'':46}{'ours':>8}{'plain':>10}{'times':>9}")
    for documents in (100, n):
        groups = np.sort(np.arange(n) % documents)
        scores = np.column_stack([stats.hits(ranks, k) for k in (1, 5, 10, 50)])
        scaled = stats.RESAMPLES / LOOPS * seconds(lambda g=groups: loop_means(hits, g, LOOPS), 1)
        ours = seconds(lambda g=groups: stats.bootstrap_interval(hits, g))
        row(f"interval of a score, {documents} documents", ours, scaled)
        ours = seconds(lambda g=groups, s=scores: stats.bootstrap_intervals(s, g))
        row(f"intervals of 4 scores, {documents} documents", ours, 4 * scaled)
        ours = seconds(lambda g=groups: stats.paired_bootstrap(hits, other, g))
        row(f"paired comparison, {documents} documents", ours, scaled)
        known = facts_of(groups, random)
        ours = seconds(lambda g=groups, f=known: slicings(ranks, ranks, f, g, context=100))
        row(f"all slices (2 000 resamples), {documents} documents", ours)
    exact = stats.equated_hits(ranks, candidates, POOL, 5)
    error = np.abs(cut_at_random(ranks, candidates, POOL, 5) - exact).mean()
    row(
        f"Hit@5 of {candidates} candidates put on {POOL}",
        seconds(lambda: stats.equated_hits(ranks, candidates, POOL, 5)),
        seconds(lambda: cut_at_random(ranks, candidates, POOL, 5), 1),
        f"mean error of the plain way {100 * error:.1f} points a query",
    )
    row("McNemar's exact test", seconds(lambda: stats.mcnemar(stats.hits(ranks, 50), other)))


if __name__ == "__main__":
    main()
