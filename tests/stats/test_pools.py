import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmtui import stats


def by_enumeration(rank, candidates, pool, score):
    """Mean score over every way to cut the pool: competitors 1..rank-1 beat the target."""
    ways = list(itertools.combinations(range(1, candidates), pool - 1))
    return sum(score(1 + sum(other < rank for other in way)) for way in ways) / len(ways)


@pytest.mark.parametrize("candidates", [1, 2, 5, 8])
def test_every_small_case_is_that_of_enumeration(candidates):
    for rank in range(1, candidates + 1):
        for pool in range(1, candidates + 1):
            for k in (1, 2, 3, 9):
                expected = by_enumeration(rank, candidates, pool, lambda place, k=k: place <= k)
                assert stats.equated_hits([rank], candidates, pool, k)[0] == pytest.approx(expected, abs=1e-9)
            expected = by_enumeration(rank, candidates, pool, lambda place: 1 / place)
            assert stats.equated_mrr([rank], candidates, pool)[0] == pytest.approx(expected, abs=1e-9)


def test_it_agrees_with_pools_cut_at_random():
    random = np.random.default_rng(0)
    ranks, candidates = np.array([1, 7, 40, 300, 900]), np.array([1000, 990, 980, 400, 900])
    exact = stats.equated_hits(ranks, candidates, 100, 5)
    exact_mrr = stats.equated_mrr(ranks, candidates, 100)
    for index, (rank, count) in enumerate(zip(ranks, candidates, strict=True)):
        places = np.empty(3000, int)
        for draw in range(3000):
            kept = random.permutation(count - 1)[:99] + 1  # the target is 0, competitor i has place i
            places[draw] = 1 + np.count_nonzero(kept < rank)
        assert exact[index] == pytest.approx(np.mean(places <= 5), abs=0.035)
        assert exact_mrr[index] == pytest.approx(np.mean(1 / places), abs=0.02)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), min_size=1, max_size=20), st.integers(1, 30)
)
def test_a_pool_of_all_candidates_gives_the_stored_hits(queries, k):
    ranks = np.array([rank for rank, _ in queries])
    candidates = int(max(rank + more for rank, more in queries))
    assert stats.equated_hits(ranks, candidates, candidates, k).tolist() == stats.hits(ranks, k).tolist()
    assert stats.equated_mrr(ranks, candidates, candidates) == pytest.approx(1 / ranks)


def test_the_smaller_the_pool_the_higher_the_score():
    random = np.random.default_rng(0)
    candidates = random.integers(200, 400, 300)
    ranks = 1 + (random.beta(0.3, 3, 300) * (candidates - 1)).astype(int)
    scores = [stats.equated_hits(ranks, candidates, pool, 5) for pool in (4, 5, 6, 50, 199, 300, 400, 900)]
    assert (scores[0] == 1).all()
    assert (scores[1] == 1).all()
    for smaller, larger in itertools.pairwise(scores):
        assert (smaller >= larger - 1e-9).all()
        assert smaller.mean() >= larger.mean()


def test_large_pools_stay_exact():
    million = 1_000_000
    # Drawing 1 of 2: the target is alone with a competitor that beats it with chance (r - 1) / (C - 1).
    ranks = np.array([1, 2, 1000, 500_000, million])
    assert stats.equated_hits(ranks, million, 2, 1) == pytest.approx(
        1 - (ranks - 1) / (million - 1), abs=1e-7
    )
    # Leaving out one competitor of all: P(it is one of the r - 1).
    assert stats.equated_hits([6], million, million - 1, 5)[0] == pytest.approx(5 / (million - 1), rel=1e-5)
    # A large K far out in the tail: the mean number kept is 250.
    halves = stats.equated_hits([500_001], million, 501, 250)[0]
    assert halves == pytest.approx(0.5, abs=0.02)
    assert np.isfinite(stats.equated_mrr(ranks, million, 115)).all()


def test_queries_with_equal_ranks_are_worked_out_once_and_put_back_in_order():
    ranks = np.array([9, 1, 9, 3, 40, 1], np.uint32)
    found = stats.equated_hits(ranks, 50, 20, 3)
    assert found[0] == found[2]
    assert found[1] == found[5] == found[3] == 1
    assert found.shape == ranks.shape


def test_blocks_change_nothing(monkeypatch):
    from lvmtui.stats import pools

    ranks = np.arange(1, 200)
    whole = stats.equated_hits(ranks, 200, 50, 7), stats.equated_hits(ranks, 200, 300, 7)
    monkeypatch.setattr(pools, "_BLOCK", 20)
    blocks = stats.equated_hits(ranks, 200, 50, 7), stats.equated_hits(ranks, 200, 300, 7)
    np.testing.assert_array_equal(whole, blocks)


def test_a_larger_pool_is_a_forecast_and_says_so():
    assert not stats.is_extrapolated(np.array([100, 90]), 90)
    assert stats.is_extrapolated(np.array([100, 90]), 91)
    random = np.random.default_rng(0)
    share = random.beta(0.5, 4, 4000)
    ranks = 1 + random.binomial(199, share)
    truth = np.mean(random.binomial(399, share) < 5)
    forecast = stats.equated_hits(ranks, 200, 400, 5)
    assert forecast.mean() == pytest.approx(truth, abs=0.02)
    assert (forecast[ranks > 5] == 0).all()
    with pytest.raises(ValueError, match="larger than some"):
        stats.equated_mrr(ranks, 200, 400)


def test_a_forecast_from_perfect_and_from_single_candidates():
    assert stats.equated_hits(np.ones(30, int), 100, 200, 1).mean() > 0.98
    assert 0 <= stats.equated_hits([1, 1], [1, 1], 30, 5).mean() <= 1


@pytest.mark.parametrize(
    ("ranks", "candidates", "pool", "k"),
    [([0], 5, 3, 1), ([6], 5, 3, 1), ([1], 5, 0, 1), ([1], 5, 3, 0), ([1, 2], [5, 5, 5], 3, 1)],
)
def test_what_cannot_be_is_refused(ranks, candidates, pool, k):
    with pytest.raises(ValueError, match=r"ranks|pool"):
        stats.equated_hits(ranks, candidates, pool, k)


def test_no_queries_at_all():
    assert stats.equated_hits([], 5, 3, 1).shape == (0,)


def test_log_gamma_holds_to_the_standard_library():
    from lvmtui.stats.pools import _log_gamma

    values = np.array([0.01, 0.5, 1, 2, 3.7, 9, 100, 12_345, 1e6, 4e9])
    assert _log_gamma(values) == pytest.approx([math.lgamma(value) for value in values], rel=1e-11, abs=1e-11)
