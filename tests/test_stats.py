import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lvmtui import stats
from lvmtui.errors import StoreCorrupt
from lvmtui.store.records import Interval


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_packed_ranks_come_back(values):
    back = stats.unpack_ranks(stats.pack_ranks(np.array(values, np.int64)))
    assert back.dtype == np.uint32
    assert back.tolist() == values


@pytest.mark.parametrize(
    ("largest", "width"), [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 4), (2**32 - 1, 4)]
)
def test_packing_takes_the_narrowest_width(largest, width):
    assert stats.pack_ranks(np.array([largest], np.uint64))[0] == width


@pytest.mark.parametrize("values", [[-1], [2**32], [1.5], [[1, 2]]])
def test_what_is_no_rank_is_not_packed(values):
    with pytest.raises(ValueError, match="ranks are"):
        stats.pack_ranks(np.array(values))


@pytest.mark.parametrize("blob", [b"\x09abc", b"\x01abc", stats.pack_ranks(np.arange(300))[:-3], b"\x01"])
def test_damaged_ranks_are_refused_in_words(blob):
    with pytest.raises(StoreCorrupt, match="damaged"):
        stats.unpack_ranks(blob)


def test_no_ranks_at_all():
    assert stats.unpack_ranks(b"").size == 0
    assert math.isnan(stats.hit_at([], 5))
    assert math.isnan(stats.mrr([]))


def test_scores_by_hand():
    ranks = np.array([1, 2, 5, 6, 100], np.uint32)
    assert stats.hit_at(ranks, 1) == 0.2
    assert stats.hit_at(ranks, 5) == 0.6
    assert stats.mrr(ranks) == pytest.approx((1 + 1 / 2 + 1 / 5 + 1 / 6 + 1 / 100) / 5)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(87, 115, 0.6706, 0.8258), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634)],
)
def test_wilson_gives_the_published_values(successes, n, low, high):
    interval = stats.wilson_interval(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="trials"):
        stats.wilson_interval(successes, n)


@pytest.mark.parametrize(
    ("degrees", "quantile", "tolerance"),
    [(3, 3.18245, 0.015), (5, 2.57058, 0.005), (11, 2.20099, 0.001), (100, 1.98397, 1e-4)],
)
def test_the_approximation_of_t_holds_to_tables(degrees, quantile, tolerance):
    assert stats._t_from_normal(1.959964, degrees) == pytest.approx(quantile, rel=tolerance)
    assert stats._normal_from_t(stats._t_from_normal(1.2, degrees), degrees) == pytest.approx(1.2)


def clustered(seed=0, documents=20, size=30, share=0.3, spread=0.1):
    random = np.random.default_rng(seed)
    sizes = random.integers(size // 2, size * 2, documents)
    means = random.beta(share * (1 / spread - 1), (1 - share) * (1 / spread - 1), documents)
    groups = np.repeat(np.arange(documents), sizes)
    return random.random(len(groups)) < means[groups], groups


def test_the_bootstrap_agrees_with_a_plain_loop():
    hits, groups = clustered()
    interval = stats.bootstrap_interval(hits, groups)
    random = np.random.default_rng(1)
    means = []
    for _ in range(4000):
        drawn = random.integers(0, groups.max() + 1, groups.max() + 1)
        means.append(np.concatenate([hits[groups == document] for document in drawn]).mean())
    low, high = np.quantile(means, stats._levels(groups.max() + 1))
    assert interval.low == pytest.approx(low, abs=0.01)
    assert interval.high == pytest.approx(high, abs=0.01)


def test_the_bootstrap_is_repeatable_and_blind_to_labels_and_order():
    hits, groups = clustered()
    interval = stats.bootstrap_interval(hits, groups)
    assert stats.bootstrap_interval(hits, groups) == interval
    assert stats.bootstrap_interval(hits, groups * 7 + 3) == interval
    assert stats.bootstrap_interval(hits, groups, seed=1) != interval
    order = np.random.default_rng(0).permutation(len(hits))
    shuffled = stats.bootstrap_interval(hits[order], groups[order])
    assert (shuffled.low, shuffled.high) == pytest.approx((interval.low, interval.high))


def test_several_scores_at_once_are_each_as_alone():
    hits, groups = clustered()
    values = np.column_stack([hits, 1 - hits.astype(float), np.linspace(0, 1, len(hits))])
    together = stats.bootstrap_intervals(values, groups)
    alone = [stats.bootstrap_interval(column, groups) for column in values.T]
    assert [(i.low, i.high) for i in together] == pytest.approx([(i.low, i.high) for i in alone])


def test_blocks_of_resamples_give_the_same_means(monkeypatch):
    hits, groups = clustered()
    whole = stats.bootstrap_interval(hits, groups, resamples=500)
    monkeypatch.setattr(stats, "_BLOCK", 64)
    assert stats.bootstrap_interval(hits, groups, resamples=500) == whole


def test_dependent_queries_widen_the_interval():
    hits, groups = clustered(spread=0.3)
    dependent = stats.bootstrap_interval(hits, groups)
    independent = stats.wilson_interval(int(hits.sum()), len(hits))
    assert dependent.high - dependent.low > 1.5 * (independent.high - independent.low)


def test_no_hit_at_all_is_no_proof_of_zero():
    groups = np.repeat(np.arange(10), 30)
    assert stats.bootstrap_interval(np.zeros(300), groups) == stats.wilson_interval(0, 300)
    assert stats.bootstrap_interval(np.ones(300), groups) == stats.wilson_interval(300, 300)
    constant = stats.bootstrap_interval(np.full(300, 0.25), groups)
    assert (constant.low, constant.high) == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize(
    ("values", "groups", "words"),
    [
        ([1.0, 0.0], [3, 3], "at least 2 groups"),
        ([1.0, math.nan], [0, 1], "finite"),
        ([1.0, 0.0, 1.0], [0, 1], "do not fit"),
        ([], [], "at least 2 groups"),
    ],
)
def test_what_cannot_be_resampled_is_refused(values, groups, words):
    with pytest.raises(ValueError, match=words):
        stats.bootstrap_interval(values, groups)
    with pytest.raises(ValueError, match=words):
        stats.paired_bootstrap(values, values, groups)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(4, 40).flatmap(
        lambda groups: arrays(np.float64, (groups, 3), elements=st.integers(-3, 4).map(float))
    )
)
def test_the_p_value_and_the_interval_agree(gains):
    groups = np.repeat(np.arange(len(gains)), 3)
    values = gains.ravel()
    found = stats.paired_bootstrap(values, np.zeros_like(values), groups, resamples=2000)
    assert found.interval.low <= found.difference <= found.interval.high or np.ptp(gains.mean(1)) < 1e-9
    if found.p > 0.06:
        assert found.interval.low <= 0 <= found.interval.high
    if found.p < 0.04:
        assert not found.interval.low <= 0 <= found.interval.high


def test_a_clear_gain_is_seen_and_none_is_not():
    hits, groups = clustered(documents=60)
    better = hits | (np.random.default_rng(3).random(len(hits)) < 0.2)
    gain = stats.paired_bootstrap(better, hits, groups)
    assert gain.difference == pytest.approx(better.mean() - hits.mean())
    assert 0 < gain.p < 0.001
    assert gain.interval.low > 0
    loss = stats.paired_bootstrap(hits, better, groups)
    assert loss.difference == -gain.difference
    assert loss.p == pytest.approx(gain.p)
    same = stats.paired_bootstrap(hits, hits, groups)
    assert (same.difference, same.interval, same.p) == (0.0, Interval(0.0, 0.0), 1.0)


def test_two_runs_of_other_queries_are_not_compared():
    with pytest.raises(ValueError, match="queries differ"):
        stats.paired_bootstrap(np.ones(4), np.ones(5), np.arange(4))


@pytest.mark.parametrize(("documents", "size", "share"), [(12, 60, 0.25), (30, 40, 0.1), (100, 20, 0.3)])
def test_intervals_cover_what_they_promise(documents, size, share):
    trials = 500
    covered = 0
    for trial in range(trials):
        hits, groups = clustered(trial, documents, size, share, spread=0.05)
        interval = stats.bootstrap_interval(hits, groups, resamples=1500, seed=trial)
        covered += interval.low <= share <= interval.high
    # The simulation itself is off by up to 0.02 or so at 500 trials.
    assert 0.91 <= covered / trials <= 0.985
