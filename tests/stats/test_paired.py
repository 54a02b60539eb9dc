import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lvmtui import stats
from lvmtui.store.records import Interval


def clustered(documents=60, size=30):
    """Hits of documents that differ in difficulty, and the document of each."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(documents), random.integers(size // 2, size * 2, documents))
    return random.random(len(groups)) < random.beta(3, 7, documents)[groups], groups


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
    hits, groups = clustered()
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


def test_several_comparisons_at_once_are_each_as_alone():
    hits, groups = clustered()
    random = np.random.default_rng(1)
    others = np.column_stack([hits ^ (random.random(len(hits)) < share) for share in (0.05, 0.2)])
    together = stats.paired_bootstraps(hits, others, groups)
    alone = [stats.paired_bootstrap(hits, other, groups) for other in others.T]
    for one, other in zip(together, alone, strict=True):
        assert (one.difference, one.p, one.detectable) == pytest.approx(
            (other.difference, other.p, other.detectable)
        )
        assert (one.interval.low, one.interval.high) == pytest.approx(
            (other.interval.low, other.interval.high)
        )


@pytest.mark.parametrize(
    ("values", "groups", "words"),
    [([1.0, 0.0], [3, 3], "at least 2 groups"), ([1.0, math.nan], [0, 1], "finite")],
)
def test_what_cannot_be_compared_is_refused(values, groups, words):
    with pytest.raises(ValueError, match=words):
        stats.paired_bootstrap(values, [0.0, 0.0], groups)


def test_p_is_never_below_what_the_resamples_can_tell():
    groups = np.repeat(np.arange(200), 5)
    first = np.random.default_rng(0).random(1000) < 0.9
    found = stats.paired_bootstrap(first, np.zeros(1000), groups, resamples=999)
    assert found.p == pytest.approx(2 / 1000)


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five():
    documents, size, trials = 30, 30, 400
    groups = np.repeat(np.arange(documents), size)
    random = np.random.default_rng(0)

    def gains(true):
        return true + random.normal(0, 0.05, documents)[groups] + random.normal(0, 0.3, len(groups))

    nothing = np.zeros(len(groups))
    detectable = np.mean(
        [stats.paired_bootstrap(gains(0), nothing, groups, resamples=500).detectable for _ in range(50)]
    )
    found = [
        stats.paired_bootstrap(gains(detectable), nothing, groups, resamples=500).p for _ in range(trials)
    ]
    # The simulation is off by 0.04 (two standard errors).
    assert 0.74 <= np.mean(np.array(found) < 0.05) <= 0.88


def test_fewer_documents_detect_less():
    assert stats.detectable_difference(0.01, 1000) == pytest.approx(0.01 * (1.96 + 0.8416), rel=0.01)
    assert stats.detectable_difference(0.01, 6) > 1.2 * stats.detectable_difference(0.01, 1000)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),
        (0, 10, 2 / 1024),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
        (15, 5, 2 * 21700 / 2**20),
    ],
)
def test_mcnemar_by_hand(only_first, only_second, p):
    first = np.r_[np.ones(only_first), np.zeros(only_second), np.ones(7), np.zeros(4)].astype(bool)
    second = np.r_[np.zeros(only_first), np.ones(only_second), np.ones(7), np.zeros(4)].astype(bool)
    found = stats.mcnemar(first, second)
    assert found[:2] == (only_first, only_second)
    assert found.p == pytest.approx(p)
    assert stats.mcnemar(second, first).p == pytest.approx(p)


def test_mcnemar_of_very_many_and_of_other_queries():
    many = stats.mcnemar(np.arange(200_000) < 150_000, np.arange(200_000) >= 150_000)
    assert many.p == 0.0 or many.p < 1e-300
    with pytest.raises(ValueError, match="queries differ"):
        stats.mcnemar(np.ones(3, bool), np.ones(4, bool))


def test_mcnemar_takes_clustered_hits_for_better_proof_than_they_are():
    # All of the difference is in one of 8 documents.
    groups = np.repeat(np.arange(8), 50)
    first = np.tile(np.arange(50) < 20, 8)
    second = np.where(groups == 0, False, first)
    assert stats.mcnemar(first, second).p < 0.01
    assert stats.paired_bootstrap(first, second, groups).p > 0.1
