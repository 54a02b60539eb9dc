"""Timing single queries so that noise is kept out and nothing is smoothed away.

Configurations take turns, block by block: what else the machine does for a while hits all of them alike, and
their ratios stay fair. Each block begins with queries that do not count (caches, clock rates), and Python's
garbage collector rests while it lasts. A percentile is the median over the blocks' own percentiles, where a
block is long enough to have one beyond it (20 queries for P95, 100 for P99), else that of all queries.
"""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

BLOCKS = 5
"""Blocks of each configuration."""

PERCENTS = (50, 95, 99)

LEAST = 4
"""Queries in a block, however slow they are."""

BLOCK_SECONDS = 1.2
"""A block of slow queries ends about here."""

WARMUP = 3
"""Queries at a block's start that do not count: of fast ones a tenth of the block if that is more, of those
that take most of a block one."""

NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Times:
    """Percentiles of the time of one query, in seconds."""

    p50: float
    p95: float
    p99: float
    n: int
    """Queries that count."""
    warmup: int
    """Queries that do not."""


@dataclass
class Series:
    """The queries of one configuration."""

    query: Callable[[int], object]
    """Makes the query with this number within its block, from 0; waits for its answer."""
    begin: Callable[[], object] = lambda: None
    """Puts things where a block starts: before its warm-up and after it; not timed."""
    blocks: list[list[int]] = field(default_factory=list)
    """Nanoseconds."""
    warmup: int = 0

    def block(self, most: int) -> None:
        """Measure one block of at most `most` queries."""
        self.begin()
        first = self._timed(1)
        if first[0] < BLOCK_SECONDS / WARMUP * NANOSECONDS:
            first += self._timed(WARMUP - 1)
        seconds = statistics.median(first) / NANOSECONDS
        count = min(most, max(LEAST, int(BLOCK_SECONDS / max(seconds, 1e-9))))
        more = min(max(0, most // 10 - WARMUP), count)
        self._timed(more)
        self.warmup += len(first) + more
        self.begin()
        self.blocks.append(self._timed(count))

    def _timed(self, count: int) -> list[int]:
        """Nanoseconds of `count` queries, one after the other."""
        found: list[int] = []
        resting = gc.isenabled()
        gc.collect()
        gc.disable()
        try:
            for number in range(count):
                before = time.perf_counter_ns()
                self.query(number)
                found.append(time.perf_counter_ns() - before)
        finally:
            if resting:
                gc.enable()
        return found

    def times(self) -> Times:
        """What the blocks measured so far come to."""
        p50, p95, p99 = percentiles(self.blocks)
        return Times(p50, p95, p99, sum(map(len, self.blocks)), self.warmup)


def percentiles(blocks: Sequence[Sequence[int]]) -> tuple[float, float, float]:
    """P50, P95 and P99 in seconds, of blocks of nanoseconds; interpolated linearly within a block."""
    everything = [value for block in blocks for value in block]
    shortest = min(map(len, blocks))

    def one(percent: int) -> float:
        parts = blocks if shortest * (100 - percent) >= 100 else [everything]
        return float(np.median([np.percentile(part, percent) for part in parts])) / NANOSECONDS

    p50, p95, p99 = map(one, PERCENTS)
    return p50, p95, p99
