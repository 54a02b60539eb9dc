import numpy as np
import pytest

from lvmtui import stats
from lvmtui.errors import StoreCorrupt
from lvmtui.slices import slicings
from lvmtui.store.records import QueryFact

N = 400
GROUPS = np.repeat(np.arange(20), 20)
POSITION = np.tile(np.arange(1, 21), 20)
RANKS = np.random.default_rng(0).integers(1, 30, N)


def fact(name, values, **meta):
    return QueryFact(name, stats.pack_ranks(np.asarray(values)), meta)


def everything():
    random = np.random.default_rng(1)
    return {
        "position": fact("position", POSITION),
        "predecessors": fact("predecessors", np.arange(1, N + 1)),
        "similarity": fact("similarity", random.integers(9_000, 19_000, N)),
        "lane": fact(
            "lane", np.r_[np.full(300, 2), np.zeros(100, int)], source="given labels", names=["a", "b", "c"]
        ),
        "candidates": fact("candidates", np.full(N, 500)),
    }


def by_name():
    found = slicings(RANKS, RANKS + 3, everything(), GROUPS, context=100)
    return {item.name: item for item in found}


def test_every_slicing_holds_every_query_once_and_its_scores_are_those_of_its_queries():
    found = by_name()
    assert list(found) == ["lane", "position", "context", "similarity"]
    for item in found.values():
        assert sum(part.n for part in item.slices) == N
        total = sum(part.hit5 * part.n for part in item.slices) / N
        assert total == pytest.approx(stats.hit_at(RANKS, 5))
        for part in item.slices:
            assert part.hit1 <= part.hit5 <= part.hit10
            assert part.hit5_interval.low <= part.hit5 <= part.hit5_interval.high
            assert part.baseline_hit5 <= part.hit5


def test_lanes_are_named_and_those_with_most_queries_come_first():
    lane = by_name()["lane"]
    assert lane.meaning == "given labels"
    assert [(part.label, part.n) for part in lane.slices] == [("c", 300), ("a", 100)]
    first = RANKS[:300]
    assert lane.slices[0].mrr == pytest.approx(stats.mrr(first))
    assert lane.slices[0].baseline_hit5 == stats.hit_at(first + 3, 5)


@pytest.mark.parametrize("meta", [{}, {"names": ["only one"]}, {"names": "abc"}, {"names": None}])
def test_lanes_without_names_have_numbers(meta):
    (lane,) = slicings(RANKS, None, {"lane": fact("lane", np.full(N, 7), **meta)}, GROUPS, context=0)
    assert [part.label for part in lane.slices] == ["lane 7"]
    assert lane.slices[0].baseline_hit5 is None


def test_positions_and_contexts_are_cut_at_powers_of_two():
    found = by_name()
    assert [part.label for part in found["position"].slices] == ["1", "2–3", "4–7", "8–15", "16–20"]
    assert found["position"].slices[0].n == 20
    context = found["context"]
    assert [part.label for part in context.slices] == ["1", "2–3", "4–7", "8–15", "16–31", "32–63", "64–100"]
    assert context.slices[-1].n == N - 63
    assert "100 at most" in context.meaning
    (unlimited,) = slicings(RANKS, None, {"predecessors": everything()["predecessors"]}, GROUPS, context=0)
    assert [part.label for part in unlimited.slices][-1] == "256–400"
    assert "at most" not in unlimited.meaning


def test_similarity_is_cut_into_fifths_with_their_cosines():
    parts = by_name()["similarity"].slices
    assert [part.n for part in parts] == pytest.approx([80] * 5, abs=3)
    assert parts[0].label.startswith("−0.")
    assert " to " in parts[0].label
    (same,) = slicings(RANKS, None, {"similarity": fact("similarity", np.full(N, 15_000))}, GROUPS, context=0)
    assert [(part.label, part.n) for part in same.slices] == [("0.50", N)]


def test_one_document_has_wilsons_intervals():
    (item,) = slicings(RANKS, None, {"position": fact("position", POSITION)}, np.zeros(N, int), context=0)
    first = item.slices[0]
    hits = RANKS[POSITION == 1] <= 5
    assert first.hit5_interval == stats.wilson_interval(int(hits.sum()), 20)


def test_a_slice_of_a_single_query_has_an_interval_that_says_so():
    lane = np.r_[0, np.ones(N - 1, int)]
    (item,) = slicings(RANKS, None, {"lane": fact("lane", lane)}, GROUPS, context=0)
    tiny = item.slices[-1]
    assert tiny.n == 1
    assert tiny.hit5_interval.high - tiny.hit5_interval.low > 0.7


def test_facts_that_are_missing_or_of_other_queries_are_left_out():
    assert slicings(RANKS, None, {}, GROUPS, context=8) == ()
    facts = {"position": fact("position", [1, 2, 3]), "lane": everything()["lane"]}
    assert [item.name for item in slicings(RANKS, None, facts, GROUPS, context=8)] == ["lane"]
    assert slicings([], None, everything(), [], context=8) == ()


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="not the same queries"):
        slicings(RANKS, None, everything(), GROUPS[:-1], context=8)
    with pytest.raises(ValueError, match="not the same queries"):
        slicings(RANKS, RANKS[:-1], everything(), GROUPS, context=8)
    with pytest.raises(StoreCorrupt):
        slicings(RANKS, None, {"lane": QueryFact("lane", b"\x01nonsense")}, GROUPS, context=8)


def test_it_is_repeatable():
    assert by_name() == by_name()
