import math

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.stats import resampling
from lvmtui.stats.student import normal_from_t, t_from_normal


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
    assert t_from_normal(1.959964, degrees) == pytest.approx(quantile, rel=tolerance)
    assert normal_from_t(t_from_normal(1.2, degrees), degrees) == pytest.approx(1.2)


def clustered(seed=0, documents=20, size=30, share=0.3, spread=0.1):
    random = np.random.default_rng(seed)
    sizes = random.integers(size // 2, size * 2, documents)
    means = random.beta(share * (1 / spread - 1), (1 - share) * (1 / spread - 1), documents)
    groups = np.repeat(np.arange(documents), sizes)
    return random.random(len(groups)) < means[groups], groups


def test_the_bootstrap_agrees_with_a_plain_loop():
    hits, groups = clustered(documents=60)
    interval = stats.bootstrap_interval(hits, groups)
    random = np.random.default_rng(1)
    means = []
    for _ in range(4000):
        drawn = random.integers(0, groups.max() + 1, groups.max() + 1)
        means.append(np.concatenate([hits[groups == document] for document in drawn]).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    # With 60 documents the corrections are small.
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
    monkeypatch.setattr(resampling, "_BLOCK", 64)
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


def test_documents_of_one_query_each_are_independent_queries():
    hits = np.random.default_rng(0).random(2000) < 0.3
    found = stats.bootstrap_interval(hits, np.arange(2000))
    wilson = stats.wilson_interval(int(hits.sum()), 2000)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=2e-3)


def test_uneven_documents_are_worth_fewer():
    sizes = np.full(10, 40)
    sizes[0] = 400
    groups = np.repeat(np.arange(10), sizes)
    hits = np.random.default_rng(0).random(len(groups)) < np.linspace(0.1, 0.5, 10)[groups]
    even = np.flatnonzero((groups > 0) | (np.arange(len(groups)) < 40))
    uneven, plain = (stats.bootstrap_interval(hits[i], groups[i]) for i in (np.arange(len(groups)), even))
    # Ten times as many queries of one document tell nothing more.
    assert uneven.high - uneven.low > plain.high - plain.low


def test_intervals_of_shares_stay_within_0_and_1_and_hold_the_score():
    for seed in range(40):
        hits, groups = clustered(seed, documents=3, size=6, share=0.1)
        interval = stats.bootstrap_interval(hits, groups, resamples=300)
        assert 0 <= interval.low <= hits.mean() <= interval.high <= 1


def test_equal_documents_with_unequal_queries_get_the_interval_of_independent_ones():
    values, groups = np.tile([0.0, 1.0, 1.0, 0.0], 10), np.repeat(np.arange(10), 4)
    interval = stats.bootstrap_interval(values, groups)
    assert interval.low < 0.4 < 0.6 < interval.high


def test_slices_are_what_the_bootstrap_of_their_queries_is():
    hits, groups = clustered(documents=40)
    labels = np.random.default_rng(2).integers(0, 3, len(hits)) * 5
    found = stats.sliced_intervals(hits, groups, labels, resamples=4000)
    assert set(found) == {0, 5, 10}
    for label, interval in found.items():
        mine = labels == label
        alone = stats.bootstrap_interval(hits[mine], groups[mine], resamples=4000)
        assert (interval.low, interval.high) == pytest.approx((alone.low, alone.high), abs=0.01)


def test_a_slice_of_one_document_or_without_spread():
    values = np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.5, 0.7, 0.2, 0.2])
    groups = np.array([0, 0, 0, 1, 2, 3, 3, 4, 5])
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3])
    found = stats.sliced_intervals(values, groups, labels)
    assert found[0] == stats.wilson_interval(2, 3)
    assert found[1] == stats.wilson_interval(2, 2)
    assert found[2] is None
    assert (found[3].low, found[3].high) == pytest.approx((0.2, 0.2))


def test_slices_of_nothing_and_of_nonsense():
    assert stats.sliced_intervals([], [], []) == {}
    with pytest.raises(ValueError, match="one length"):
        stats.sliced_intervals([1.0], [0, 1], [0])
    with pytest.raises(ValueError, match="finite"):
        stats.sliced_intervals([math.inf, 1.0], [0, 1], [0, 0])
