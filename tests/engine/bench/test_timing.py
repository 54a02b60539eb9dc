"""Blocks of single queries: what counts, what does not, and the percentiles. The clock is the test's own."""

import gc
import itertools

import numpy as np
import pytest

from engine.bench import timing
from engine.bench.timing import BLOCK_SECONDS, LEAST, WARMUP, Series, percentiles


class Clock:
    """Time that passes only in queries."""

    def __init__(self, nanoseconds: int) -> None:
        self.now = 0
        self.each = nanoseconds
        self.calls: list[object] = []

    def query(self, number: int) -> int:
        assert not gc.isenabled(), "the collector must not run inside a measured query"
        self.now += self.each
        self.calls.append(number)
        return number

    def begin(self) -> None:
        self.calls.append("begin")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(2_000_000)
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: made.now)
    return made


def test_a_block_warms_up_and_then_counts(clock: Clock) -> None:
    series = Series(clock.query, clock.begin)
    series.block(40)
    assert [len(block) for block in series.blocks] == [40]
    assert clock.calls == ["begin", 0, *range(WARMUP - 1), 0, "begin", *range(40)]
    times = series.times()
    assert (times.p50, times.p95, times.p99) == pytest.approx((0.002, 0.002, 0.002))
    assert (times.n, times.warmup) == (40, 4)


def test_slow_queries_are_fewer_but_never_none(clock: Clock) -> None:
    clock.each = int(0.1e9)
    series = Series(clock.query)
    series.block(1000)
    assert len(series.blocks[0]) == int(BLOCK_SECONDS / 0.1)
    clock.each = int(60e9)
    series.block(1000)
    assert len(series.blocks[1]) == LEAST
    series.block(1)
    assert len(series.blocks[2]) == 1


def test_one_disturbed_block_changes_little(clock: Clock) -> None:
    series = Series(clock.query)
    for each in (2, 2, 50, 2, 2):
        clock.each = each * 1_000_000
        series.block(40)
    assert series.times().p95 == pytest.approx(0.002)
    assert series.times().p99 == pytest.approx(0.05), (
        "too few queries for a P99 of each block: it is seen there"
    )


def test_the_collector_comes_back_after_a_failure() -> None:
    def fail(number: int) -> None:
        raise KeyboardInterrupt

    assert gc.isenabled()
    with pytest.raises(KeyboardInterrupt):
        Series(fail).block(10)
    assert gc.isenabled()


def test_percentiles_of_long_blocks_are_medians_over_blocks() -> None:
    random = np.random.default_rng(0)
    blocks = (random.gamma(2.0, 1e6, size=(5, 200)) + 1).astype(int).tolist()
    each = [np.percentile(block, (50, 95, 99)) for block in blocks]
    assert percentiles(blocks) == pytest.approx(tuple(np.median(each, axis=0) / 1e9))


def test_percentiles_of_short_blocks_are_those_of_all_queries() -> None:
    blocks = [[i * 1_000_000 for i in range(start, start + 4)] for start in (0, 10, 20, 30, 40)]
    everything = list(itertools.chain(*blocks))
    p50, p95, p99 = percentiles(blocks)
    assert p50 == pytest.approx(float(np.median([np.median(block) for block in blocks])) / 1e9)
    assert (p95, p99) == pytest.approx(tuple(np.percentile(everything, (95, 99)) / 1e9))
    assert p50 <= p95 <= p99
