"""Runs compared query by query: tests, corrections, seeds, protocols kept apart, scores on a common pool."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.checks.comparing import LEAST_SEEDS, Compared, check_comparison
from lvmtui.compare import words
from lvmtui.compare.comparing import NotPaired, compare, holm, paired_hits
from lvmtui.compare.contest import HIT5, MEASURES, MRR, Contender, Measure, Report, measures_with
from lvmtui.compare.seed_tests import compare_seeds
from lvmtui.leaderboard.verdicts import Verdict
from lvmtui.store.records import Evaluation, Protocol, QueryFact
from tests.tui import snapshots

N, DOCUMENTS, POOL = 1200, 40, 1240
GROUPS = np.repeat(np.arange(DOCUMENTS), N // DOCUMENTS)
RNG = np.random.default_rng(5)
HARD = RNG.random(N)
"""How hard each query is, for every model."""


def protocol(identity: str = "p1", **changes: object) -> Protocol:
    packed = stats.pack_ranks(GROUPS)
    made = Protocol(
        identity, "doc-v1", "f" * 16, {"near": 0.98}, "validation", N, POOL, 0.01, DOCUMENTS, packed
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def ranks(share: float, seed: int) -> np.ndarray:
    """Ranks of which about a share is within the first 5; hard queries are hard for all."""
    rng = np.random.default_rng(seed)
    found = HARD + rng.normal(0, 0.1, N) < share
    return np.where(found, rng.integers(1, 6, N), rng.integers(6, POOL - 40, N)).astype(np.uint32)


def evaluation(
    share: float, seed: int, *, identity: str = "p1", baseline: str | None = None, context: int = 100
) -> Evaluation:
    values = ranks(share, seed)
    return Evaluation(
        protocol_id=identity,
        split="validation",
        epoch=3,
        step=30,
        time=1000.0,
        hit1=stats.hit_at(values, 1),
        hit5=stats.hit_at(values, 5),
        hit10=stats.hit_at(values, 10),
        mrr=stats.mrr(values),
        n=N,
        pool=POOL,
        ranks=stats.pack_ranks(values),
        baseline=baseline,
        context=context,
    )


def contender(
    number: int, share: float, *, seed: int = 0, identity: str = "p1", lr: str = "0.0005"
) -> Contender:
    run = snapshots.run(number, "phase-1", share, seed=seed, identity=identity, train__lr=lr)
    return Contender(run, evaluation(share, number, identity=identity))


BASELINES = {
    "p1": [
        evaluation(0.2, 90, baseline="copy-last"),
        evaluation(0.3, 91, baseline="ewm"),
        evaluation(0.1, 92, baseline="mean"),
    ]
}


def compared(*contenders: Contender, measure: Measure = HIT5, **options: object) -> Report:
    return compare(contenders, BASELINES, {"p1": protocol()}, measure=measure, **options)  # type: ignore[arg-type]


def test_holm_corrects_step_by_step_and_stays_in_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_a_clear_difference_is_found_whichever_way_round() -> None:
    report = compared(contender(1, 0.35), contender(2, 0.5), measure=HIT5)
    (group,) = report.groups
    (pair,) = group.pairs
    test = pair.tests["hit5"]
    assert (pair.first.run_id, pair.second.run_id) == (2, 1), "best first"
    assert test.is_clear
    assert test.difference == pytest.approx(
        group.runs[0].scores["hit5"].value - group.runs[1].scores["hit5"].value
    )
    assert test.interval.low < test.difference < test.interval.high
    assert test.only_first is not None
    assert test.only_second is not None
    assert (test.only_first - test.only_second) / N == pytest.approx(test.difference)
    assert test.flipped().flipped() == test
    assert set(pair.tests) == {"hit1", "hit5", "hit10", "mrr"}
    assert pair.tests["mrr"].mcnemar is None
    said = words.pair_said(pair.better_first(HIT5), HIT5)
    assert str(said) == "▲ better"
    assert words.pair_sentence(pair, HIT5).startswith("phase-1 #2 beats phase-1 #1 in Hit@5: +")


def test_equal_models_are_not_told_apart_and_the_least_difference_is_said() -> None:
    report = compared(contender(1, 0.4), contender(2, 0.4))
    group = report.groups[0]
    assert not group.pairs[0].tests["hit5"].is_clear
    assert words.pair_said(group.pairs[0], HIT5).words == "not told apart"
    said = words.detectable_words(group, HIT5)
    assert said.startswith("With these 1 200 queries in 40 documents a true difference below ±")
    assert "points would probably go unseen" in said


def test_p_values_are_corrected_over_the_pairs_of_runs_only() -> None:
    report = compared(*(contender(number, 0.3 + 0.02 * number) for number in range(1, 5)))
    group = report.groups[0]
    raw = [pair.tests["hit5"].p for pair in group.pairs]
    adjusted = [pair.tests["hit5"].adjusted for pair in group.pairs]
    assert len(raw) == 6
    assert raw == sorted(raw), "surest first"
    assert adjusted == pytest.approx(holm(raw))
    assert all(pair.tests["hit5"].adjusted is None for pair in group.against)
    assert any("corrected over the 6 pairs" in text for text in words.method_words(group, HIT5))


def test_many_pairs_can_still_be_told_apart() -> None:
    """The bootstrap's least p must not exceed the level once it is multiplied by the number of pairs."""
    contenders = [contender(number, 0.1 + 0.4 * (number % 2)) for number in range(1, 15)]
    group = compared(*contenders).groups[0]
    assert len(group.pairs) == 91
    assert group.pairs[0].tests["hit5"].is_clear


def test_each_run_stands_beside_the_strongest_baseline_and_copy_last() -> None:
    group = compared(contender(1, 0.45), contender(2, 0.12)).groups[0]
    assert [entry.name for entry in group.baselines] == ["ewm", "copy-last"]
    verdicts = {
        (pair.first.run_id, pair.second.name): words.against_verdict(pair, HIT5) for pair in group.against
    }
    assert verdicts[1, "ewm"] is Verdict.ABOVE
    assert verdicts[2, "ewm"] is Verdict.BELOW
    assert verdicts[2, "copy-last"] is Verdict.BELOW
    below = next(pair for pair in group.against if pair.first.run_id == 2)
    assert words.against_said(below, HIT5).words == "below ewm"


def test_any_k_can_be_looked_at() -> None:
    assert [item.key for item in measures_with(Measure(20))] == ["hit1", "hit5", "hit10", "hit20", "mrr"]
    assert measures_with(MRR) == MEASURES
    report = compared(contender(1, 0.3), contender(2, 0.5), measure=Measure(20))
    assert report.measure.name == "Hit@20"
    assert "hit20" in report.groups[0].pairs[0].tests


def test_runs_of_different_protocols_are_never_paired() -> None:
    other = protocol("p2", pool=500)
    report = compare(
        [contender(1, 0.3), contender(2, 0.4), contender(3, 0.9, identity="p2")],
        BASELINES,
        {"p1": protocol(), "p2": other},
    )
    first, second = report.groups
    assert [run.run_id for run in first.runs] == [2, 1]
    assert [run.run_id for run in second.runs] == [3]
    assert first.difference == ""
    assert "pool 500 instead of 1 240" in second.difference
    assert second.pairs == second.against == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"query_groups": b""}, "the documents of the queries are not recorded"),
        ({"query_groups": stats.pack_ranks(np.zeros(N, int)), "documents": 1}, "one document is not enough"),
        ({"query_groups": stats.pack_ranks(GROUPS[:-1])}, "the queries differ"),
    ],
)
def test_what_cannot_be_paired_is_said(changes: Mapping[str, object], why: str) -> None:
    report = compare([contender(1, 0.3), contender(2, 0.4)], BASELINES, {"p1": protocol(**changes)})
    group = report.groups[0]
    assert group.pairs[0].tests == {}
    assert why in group.pairs[0].problem
    assert why in str(words.pair_said(group.pairs[0], HIT5))
    assert group.runs[0].scores["hit5"].interval is not None, "Wilson's"
    assert group.detectable(HIT5) is None
    assert words.detectable_words(group, HIT5) == ""


def test_an_unknown_protocol_is_no_reason_to_fail() -> None:
    report = compare([contender(1, 0.3), contender(2, 0.4)], {}, {})
    assert report.groups[0].pairs[0].problem
    assert report.groups[0].baselines == ()


def test_a_copy_is_no_seed_and_is_said() -> None:
    original, other = contender(2, 0.30, seed=1), contender(3, 0.42, seed=2)
    source = json.dumps({"host": "gpu1", "store": "x", "made": 1.0, "number": 2, "created": 0.0})
    told = replace(original.run, id=9, source=source, attempt=0)
    copy = Contender(told, evaluation(0.9, 2))
    (recipe,) = compared(original, copy, other).groups[0].seeds
    assert [run.run_id for run in recipe.runs] == [2, 3]
    assert words.seeds_of(recipe) == "2 seeds (#9 left out: a copy of #2)"
    (found, *_) = check_comparison([Compared(item.run, item.evaluation) for item in (original, copy)])
    assert (found.check, "#9 is a copy of #2" in found.message) == ("copies", True)


def test_of_runs_with_one_seed_the_newest_counts() -> None:
    group = compared(
        contender(1, 0.30, seed=1), contender(2, 0.40, seed=1), contender(3, 0.42, seed=2)
    ).groups[0]
    (recipe,) = group.seeds
    assert [run.run_id for run in recipe.runs] == [2, 3]
    assert recipe.repeated == (1,)
    assert "#1 left out" in words.seeds_of(recipe)
    values = [run.scores["hit5"].value for run in recipe.runs]
    assert recipe.scores["hit5"].mean == pytest.approx(np.mean(values))
    assert recipe.scores["hit5"].sd == pytest.approx(np.std(values, ddof=1))
    assert group.recipes == ()


def test_no_verdict_on_few_seeds_when_intervals_overlap() -> None:
    group = compared(contender(1, 0.30), contender(2, 0.33, lr="0.001")).groups[0]
    (tested,) = group.recipes
    said = words.recipe_said(tested, HIT5)
    assert said.words == "too few seeds for a verdict: 1 and 1; the intervals overlap"
    assert words.recipe_short(tested, HIT5) == "too few seeds: 1 and 1"


def test_far_apart_intervals_allow_a_verdict_on_one_seed() -> None:
    group = compared(contender(1, 0.1), contender(2, 0.8, lr="0.001")).groups[0]
    said = words.recipe_said(group.recipes[0], HIT5)
    assert said.words == "phase-1 #2 is ahead on 1 and 1 seed: the intervals lie apart"


def seeds_of_two(first: float, second: float, seeds: int = LEAST_SEEDS) -> Report:
    ours = [contender(number, first, seed=number) for number in range(seeds)]
    theirs = [contender(10 + number, second, seed=number, lr="0.001") for number in range(seeds)]
    return compared(*ours, *theirs)


def test_three_seeds_each_allow_a_verdict() -> None:
    tested = seeds_of_two(0.36, 0.30).groups[0].recipes[0]
    assert "is ahead over 3 and 3 seeds: +" in words.recipe_said(tested, HIT5).words
    tested = seeds_of_two(0.33, 0.33).groups[0].recipes[0]
    assert words.recipe_said(tested, HIT5).words.startswith("no difference shown over 3 and 3 seeds: ")
    tested = seeds_of_two(0.32, 0.30, seeds=2).groups[0].recipes[0]
    assert words.recipe_said(tested, HIT5).words.startswith("too few seeds for a verdict: 2 and 2")


def test_seeds_and_documents_both_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(N)
    calm = [base + 0.02, base + 0.021, base + 0.019]
    wild = [base + 0.1, base - 0.06, base + 0.02]
    zero = [base, base + 0.001, base - 0.001]
    narrow, p = compare_seeds(calm, zero, GROUPS) or pytest.fail("several documents")
    wide, much = compare_seeds(wild, zero, GROUPS) or pytest.fail("several documents")
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)
    assert p < 0.05 < much
    assert compare_seeds(calm, zero, np.zeros(N, np.uint32)) is None
    same, certain = compare_seeds([base, base], [base, base], GROUPS) or pytest.fail("several documents")
    assert (same.low, same.high, certain) == (0.0, 0.0, 1.0)


def test_equal_recipes_are_seldom_called_different() -> None:
    """At most about 5 % false verdicts, with effects of documents and of seeds."""
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(300):
        documents = rng.normal(0, 0.1, (2, DOCUMENTS))[:, GROUPS]
        trained = [
            [documents[side] + rng.normal(0, 0.03) + rng.normal(0, 0.3, N) for _ in range(3)]
            for side in (0, 1)
        ]
        found = compare_seeds(trained[0], trained[1], GROUPS)
        false += found is not None and found[1] < 0.05
    assert false <= 24


FACTS = {"p1": {"candidates": QueryFact("candidates", stats.pack_ranks(np.full(N, POOL)))}}


def test_scores_are_put_on_a_common_pool() -> None:
    report = compared(contender(1, 0.3), contender(2, 0.5), pool=115, facts=FACTS)
    assert {item.name for item in report.equated} == {"phase-1 #2", "ewm", "phase-1 #1"}
    values = [item.value for item in report.equated]
    assert values == sorted(values, reverse=True), "best first"
    first = report.equated[0]
    assert first.value is not None
    assert first.value > first.evaluation.hit5, "a smaller pool is easier"
    assert first.interval is not None
    assert first.interval.low < first.value < first.interval.high
    assert not first.extrapolated
    assert words.equated_heading(report) == "Hit@5 equated to pool 115, unpaired intervals only"
    own = compared(contender(1, 0.3), contender(2, 0.5), pool=POOL, facts=FACTS)
    assert own.equated[0].value == pytest.approx(own.equated[0].evaluation.hit5)
    larger = compared(contender(1, 0.3), contender(2, 0.5), pool=5000, facts=FACTS)
    assert all(item.extrapolated for item in larger.equated)
    assert "forecast" in words.equated_said(larger.equated[0], larger.equated[0])


def test_the_mrr_is_put_on_a_smaller_pool_only() -> None:
    smaller = compared(contender(1, 0.3), contender(2, 0.5), measure=MRR, pool=115, facts=FACTS)
    assert all(item.value is not None for item in smaller.equated)
    larger = compared(contender(1, 0.3), contender(2, 0.5), measure=MRR, pool=5000, facts=FACTS)
    assert all("larger pool" in item.problem for item in larger.equated)


def test_different_protocols_on_a_common_pool_are_called_unpaired() -> None:
    facts = dict.fromkeys(("p1", "p2"), FACTS["p1"])
    report = compare(
        [contender(1, 0.3), contender(2, 0.5, identity="p2")],
        BASELINES,
        {"p1": protocol(), "p2": protocol("p2", name="other")},
        pool=115,
        facts=facts,
    )
    assert words.equated_heading(report) == (
        "Hit@5 equated to pool 115, not the same queries: unpaired intervals only"
    )
    without = compare(
        [contender(1, 0.3), contender(2, 0.5, identity="p2")],
        {},
        {"p1": protocol(), "p2": protocol("p2", name="other")},
        pool=115,
        facts={"p1": FACTS["p1"]},
    )
    problems = {item.run_id: item.problem for item in without.equated}
    assert problems[1] == ""
    assert "not recorded" in problems[2]
    assert without.equated[-1].run_id == 2


def sequence(values: Sequence[float]) -> list[str]:
    return [words.change(MRR, value) for value in values]


def test_differences_are_written_in_points_and_the_mrr_as_it_is() -> None:
    assert sequence([0.0123, -0.0123, 0.0, -0.0001]) == ["+.012", "−.012", "+.000", "+.000"]
    assert words.change(HIT5, -0.0123) == "−1.2"
    assert words.margin(HIT5, 0.0191) == "±1.9"
    assert words.margin(MRR, 0.0191) == "±.019"


def test_paired_hits_refuses_what_cannot_be_paired() -> None:
    first, second = evaluation(0.3, 1), evaluation(0.4, 2)
    assert paired_hits(first, second, protocol()).difference == pytest.approx(first.hit5 - second.hit5)
    with pytest.raises(NotPaired, match="not known"):
        paired_hits(first, replace(second, ranks=b""), protocol())
    with pytest.raises(NotPaired, match="differ"):
        paired_hits(first, replace(second, ranks=stats.pack_ranks(ranks(0.4, 2)[:-1])), protocol())
