"""A small version of `benchmarks/coverage.py`: intervals hold the truth as often as they promise."""

import pytest

from benchmarks.coverage import GAIN, independent, naive, paired, single

TRIALS = 1_000
# Two and a half standard errors of the simulation itself at 95 %.
CHANCE = 0.017

CASES = [
    (documents, alike, score, sizes)
    for documents in (6, 12, 40)
    for alike, score in ((0.02, 0.1), (0.06, 0.4))
    for sizes in ("even", "uneven")
]


@pytest.mark.slow
@pytest.mark.parametrize(("documents", "alike", "score", "sizes"), CASES)
def test_intervals_over_documents_hold_the_truth(documents, alike, score, sizes):
    coverage = single(documents, alike, score, sizes, TRIALS).coverage
    assert 0.93 - CHANCE <= coverage <= 0.97 + CHANCE


@pytest.mark.slow
@pytest.mark.parametrize("documents", [6, 12, 40])
@pytest.mark.parametrize("sizes", ["even", "wild"])
def test_intervals_of_differences_hold_the_truth(documents, sizes):
    assert 0.93 - CHANCE <= paired(documents, 0.06, 0.3, sizes, TRIALS).coverage <= 0.97 + CHANCE


@pytest.mark.slow
def test_wilson_holds_for_independent_queries_and_not_for_those_of_documents():
    assert 0.93 <= independent(115, 0.75, 4 * TRIALS).coverage <= 0.97
    assert naive(12, 0.06, 0.3, "even", TRIALS).coverage < 0.75


def test_the_simulation_is_repeatable():
    assert single(6, 0.06, 0.3, "wild", 20) == single(6, 0.06, 0.3, "wild", 20)
    assert paired(6, 0.06, 0.3, "even", 5) == paired(6, 0.06, 0.3, "even", 5)
    assert GAIN > 0
