"""Ranking and verdicts."""

import json
from dataclasses import replace

import pytest

from lvmtui.findings import Finding
from lvmtui.leaderboard.protocols import difference, looks_words, protocol_words
from lvmtui.leaderboard.ranking import copies_words, judged_otherwise, leaderboard, leaderboard_of
from lvmtui.leaderboard.seeds import by_phase
from lvmtui.leaderboard.verdicts import (
    Basis,
    Verdict,
    badge,
    judge,
    one_of_each,
    sentence,
    skill,
    strongest,
    worth,
)
from lvmtui.snapshot import RunView, Snapshot, State
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Evaluation, Interval, Progress, Protocol, Run, Severity, Versus
from lvmtui.versus import KEY, as_details


def evaluation(
    hit5: float, *, mrr: float = 0.1, half: float | None = 0.01, protocol: str = "p", name: str | None = None
) -> Evaluation:
    interval = None if half is None else Interval(hit5 - half, hit5 + half)
    return Evaluation(
        protocol,
        "validation",
        epoch=3,
        step=30,
        time=0.0,
        hit1=hit5 / 3,
        hit5=hit5,
        hit10=min(1.0, hit5 * 1.3),
        mrr=mrr,
        n=400,
        pool=450,
        hit5_interval=interval,
        baseline=name,
    )


def paired(best: Evaluation, baseline: Evaluation, low: float, high: float, p: float = 0.01) -> Evaluation:
    """The evaluation with its comparison with a baseline."""
    gain = best.hit5 - baseline.hit5
    found = Versus(
        baseline.baseline or "", gain, Interval(low, high), p, context=baseline.context, detectable=0.008
    )
    return replace(best, details={KEY: as_details([found])})


def view(
    number: int,
    best: Evaluation | None,
    *,
    phase: str = "phase-1",
    seed: int = 0,
    recipe: str = "r1",
    targets: dict[str, float] | None = None,
    **values: object,
) -> RunView:
    run = Run(
        id=number,
        revision=number,
        phase=phase,
        status=Status.DONE,
        result=Result.COMPLETED,
        recipe="{}",
        recipe_hash=recipe,
        overrides={},
        seed=seed,
        model="gru",
        context=100,
        watch="hit5",
        targets=targets or {},
        data="demo",
        folder=f"runs/{number}",
        created=0.0,
        progress=Progress(epoch=5, epochs=5),
        **values,  # type: ignore[arg-type]
    )
    return RunView(run, State.COMPLETED, best=best)


def protocol(identity: str, **values: object) -> Protocol:
    base = Protocol(identity, "doc-v1", "d1", {"split_seed": 0}, "validation", 400, 450, 0.0, 10)
    return replace(base, **values)  # type: ignore[arg-type]


COPY = evaluation(0.08, name="copy-last")
EWM = evaluation(0.12, name="ewm")


def test_runs_are_ranked_by_hit5_then_mrr_then_age() -> None:
    views = [
        view(1, evaluation(0.2, mrr=0.1)),
        view(2, evaluation(0.3)),
        view(3, evaluation(0.2, mrr=0.2)),
        view(4, evaluation(0.2, mrr=0.1)),
        view(5, None),
    ]
    (group,) = leaderboard(views, {}, {})
    assert [(row.rank, row.run_id) for row in group.rows] == [(1, 2), (2, 3), (3, 1), (4, 4)]


def test_baselines_stand_between_the_runs_without_a_rank() -> None:
    views = [view(1, evaluation(0.2)), view(2, evaluation(0.1))]
    (group,) = leaderboard(views, {"p": (COPY, EWM)}, {"p": protocol("p")})
    assert [row.name for row in group.rows] == ["phase-1 #1", "ewm", "phase-1 #2", "copy-last"]
    first = group.rows[0]
    assert (first.baseline, first.champion) == ("ewm", False)
    assert first.baseline_gain == pytest.approx(0.08)
    assert first.skill == pytest.approx(0.08 / 0.88)
    assert [row.rank for row in group.rows] == [1, None, 2, None]
    assert "n 400" in group.heading
    assert "pool 450" in group.heading


def test_protocols_are_never_ranked_together() -> None:
    views = [view(1, evaluation(0.9, protocol="old")), view(2, evaluation(0.2, protocol="new"))]
    protocols = {"old": protocol("old", pool=115, data_fingerprint="d0"), "new": protocol("new")}
    first, second = leaderboard(views, {}, protocols)
    assert (first.protocol_id, second.protocol_id) == ("new", "old")
    assert first.difference == ""
    assert second.rows[0].rank == 1
    assert "data fingerprint d0 instead of d1" in second.difference
    assert "pool 115 instead of 450" in second.difference


def test_difference_names_what_the_spec_says() -> None:
    one = protocol("a", spec={"split_seed": 0, "filter": {"within_document": False}})
    two = protocol("b", spec={"split_seed": 7, "filter": {"within_document": True}})
    words = difference(two, one)
    assert "split seed 7 instead of 0" in words
    assert "filter within document on instead of off" in words
    assert difference(one, one) == ""
    fewer = protocol("c", spec={"queries": "the last of a window", "pool": "targets"}, n=50)
    more = protocol("d", spec={"queries": "those with a predecessor", "pool": "the split"})
    said = difference(fewer, more)
    assert "queries 50 instead of 400" in said
    assert "asked the last of a window instead of those with a predecessor" in said
    assert "pooled targets instead of the split" in said
    assert "pooled" not in difference(replace(fewer, name="window-v0"), more)
    assert "not recorded" in difference(one, None)


@pytest.mark.parametrize(
    ("best", "targets", "verdict"),
    [
        (evaluation(0.05), {}, Verdict.BELOW),
        (evaluation(0.05, half=None), {}, Verdict.BELOW),
        (evaluation(0.115), {}, Verdict.UNDER),
        (evaluation(0.125), {"hit5": 0.1}, Verdict.NOISE),
        (evaluation(0.14), {}, Verdict.ABOVE),
        (evaluation(0.14), {"hit5": 0.2}, Verdict.ABOVE),
        (evaluation(0.20), {"hit5": 0.195}, Verdict.MEETS),
        (evaluation(0.20), {"hit5": 0.1}, Verdict.EXCEEDS),
        (evaluation(0.20), {"hit5": 0.1, "hit1": 0.5}, Verdict.ABOVE),
    ],
)
def test_verdicts(best: Evaluation, targets: dict[str, float], verdict: Verdict) -> None:
    assert judge(best, EWM, targets) is verdict


@pytest.mark.parametrize(
    ("hit5", "low", "high", "verdict"),
    [
        # The score's own interval reaches the baseline in all of these: only pairing tells.
        (0.126, 0.001, 0.011, Verdict.ABOVE),
        (0.126, -0.001, 0.013, Verdict.NOISE),
        (0.126, 0.0, 0.012, Verdict.NOISE),
        (0.115, -0.011, 0.001, Verdict.UNDER),
        (0.115, -0.009, -0.001, Verdict.BELOW),
    ],
)
def test_the_paired_comparison_decides(hit5: float, low: float, high: float, verdict: Verdict) -> None:
    best = paired(evaluation(hit5, half=0.02), EWM, low, high)
    found = worth(best, EWM, {})
    assert (found.verdict, found.basis) == (verdict, Basis.PAIRED)
    assert judge(best, EWM, {}) is verdict
    assert judge(best, EWM, {"hit5": 0.11}) is (Verdict.MEETS if verdict is Verdict.ABOVE else verdict)


def test_a_comparison_with_another_baseline_does_not_count() -> None:
    best = paired(evaluation(0.126, half=0.02), COPY, 0.03, 0.06)
    assert (worth(best, EWM, {}).verdict, worth(best, EWM, {}).basis) == (Verdict.NOISE, Basis.INTERVAL)
    elsewhere = replace(EWM, context=500)
    best = paired(evaluation(0.126, half=0.02), EWM, 0.001, 0.011)
    assert worth(best, elsewhere, {}).basis is Basis.INTERVAL
    assert worth(evaluation(0.5, half=None), EWM, {}).basis is Basis.SCORE


def test_a_verdict_is_said_with_its_figures_and_how_it_was_reached() -> None:
    found = worth(paired(evaluation(0.1), EWM, -0.03, -0.01), EWM, {})
    assert sentence(found) == (
        "below its baseline: Hit@5 −2.0 [−3.0, −1.0], p=.01 against ewm, paired over the same queries"
    )
    assert "by the score's own interval" in sentence(worth(evaluation(0.1), EWM, {}))
    assert sentence(worth(evaluation(0.1), None, {})) == "no baseline to compare with"


def test_skill_is_the_share_of_what_the_baseline_leaves() -> None:
    assert skill(0.6, 0.2) == pytest.approx(0.5)
    assert skill(0.1, 0.2) == pytest.approx(-0.125)
    assert skill(1.0, 1.0) is None
    assert worth(evaluation(0.56), EWM, {}).skill == pytest.approx(0.5)


def test_verdicts_without_a_paired_comparison_are_named() -> None:
    alone, both = evaluation(0.3), paired(evaluation(0.2), EWM, 0.06, 0.1)
    (group,) = leaderboard([view(1, alone), view(2, both)], {"p": (EWM,)}, {})
    assert judged_otherwise(group.rows).startswith("Verdicts on phase-1 #1: by each score's own interval; no")
    (group,) = leaderboard([view(1, alone)], {"p": (EWM,)}, {})
    assert judged_otherwise(group.rows).startswith("All verdicts: ")
    (group,) = leaderboard([view(2, both)], {"p": (EWM,)}, {})
    assert judged_otherwise(group.rows) == ""
    (group,) = leaderboard([view(1, alone)], {}, {})
    assert judged_otherwise(group.rows) == ""


def test_without_a_baseline_there_is_no_verdict_but_the_target() -> None:
    assert judge(evaluation(0.2), None, {}) is Verdict.NONE
    assert judge(evaluation(0.2), None, {"hit5": 0.195}) is Verdict.MEETS


def test_overlapping_intervals_are_tied_with_the_leader() -> None:
    views = [view(1, evaluation(0.2)), view(2, evaluation(0.19)), view(3, evaluation(0.1))]
    (group,) = leaderboard(views, {}, {})
    assert [row.tied for row in group.rows] == [False, True, False]


def test_each_baseline_counts_once_at_its_best_and_on_validation() -> None:
    weaker = replace(evaluation(0.10, name="ewm"), context=100)
    test_split = replace(evaluation(0.5, name="ewm"), split="test")
    assert one_of_each([COPY, weaker, EWM, test_split]) == (COPY, EWM)
    assert strongest([COPY, EWM, test_split]) is EWM
    assert strongest([]) is None


def test_seeds_of_one_recipe_are_put_together() -> None:
    views = [
        view(1, evaluation(0.10), seed=0),
        view(2, evaluation(0.20), seed=0),
        view(3, evaluation(0.24), seed=1),
        view(4, evaluation(0.30), recipe="r2", phase="phase-2"),
    ]
    (group,) = leaderboard(views, {"p": (EWM,)}, {})
    second, first = by_phase(group)[1], by_phase(group)[0]
    assert (first.phase, first.seeds, first.sd) == ("phase-2", 1, None)
    assert (second.seeds, second.best.run_id) == (2, 3)
    assert second.mean == pytest.approx(0.22)
    assert second.sd == pytest.approx(0.02 * 2**0.5)


def recipes(first: tuple[float, ...], second: tuple[float, ...], half: float = 0.01) -> list[RunView]:
    """The seeds of two recipes."""
    scores = [("a", seed, score) for seed, score in enumerate(first)]
    scores += [("b", seed, score) for seed, score in enumerate(second)]
    return [
        view(number, evaluation(score, half=half), recipe=name, seed=seed)
        for number, (name, seed, score) in enumerate(scores, start=1)
    ]


@pytest.mark.parametrize(
    ("first", "second", "tied", "words"),
    [
        ((0.30,), (0.20,), False, "behind the first: one seed each"),
        ((0.30,), (0.29,), True, "no verdict: intervals overlap, one seed each"),
        ((0.30, 0.31), (0.29,), True, "no verdict: intervals overlap, 1 against 2 seeds"),
        ((0.30, 0.31, 0.32), (0.30, 0.29), True, "no verdict: intervals overlap, 2 against 3 seeds"),
        ((0.30, 0.31, 0.32), (0.30, 0.29, 0.31), True, "intervals overlap, 3 seeds each: compare"),
    ],
)
def test_no_verdict_between_recipes_on_few_seeds(
    first: tuple[float, ...], second: tuple[float, ...], tied: bool, words: str
) -> None:
    (group,) = leaderboard(recipes(first, second), {"p": (EWM,)}, {})
    leading, behind = by_phase(group)
    assert leading.order == ("first, on one seed" if len(first) == 1 else "first")
    assert (behind.tied, leading.tied) == (tied, False)
    assert behind.order.startswith(words)


def test_skill_of_a_recipe_is_that_of_the_mean() -> None:
    (group,) = leaderboard(recipes((0.30, 0.34), (0.1,)), {"p": (EWM,)}, {})
    leading, behind = by_phase(group)
    assert leading.skill == pytest.approx((0.32 - 0.12) / 0.88)
    assert (leading.run_ids, leading.best.run_id) == ((1, 2), 2)
    assert leading.interval == Interval(pytest.approx(0.31), pytest.approx(0.33))
    assert behind.gain == pytest.approx(-0.02)


FLAWED = {"name": "window-v0", "flaws": ["Windows overlap.", "The pool shrinks as the context grows."]}


def test_a_flawed_protocol_is_last_and_called_legacy() -> None:
    views = [view(1, evaluation(0.2, protocol="sound")), view(2, evaluation(0.9, protocol="old"))]
    protocols = {"sound": protocol("sound"), "old": protocol("old", name="window-v0", spec=FLAWED)}
    first, last = leaderboard(views, {}, protocols)
    assert (first.protocol_id, last.protocol_id) == ("sound", "old")
    assert last.heading.startswith("window-v0 (legacy) on demo")
    assert last.flaws == ("Windows overlap.", "The pool shrinks as the context grows.")
    assert "flaws" not in last.difference
    assert first.flaws == ()
    words = list(protocol_words(protocols["old"]))
    assert words[:2] == [
        "Wrong with it: Windows overlap.",
        "Wrong with it: The pool shrinks as the context grows.",
    ]
    assert words[-1] == "window-v0, id old, data d1."


def test_a_protocol_in_words_leaves_nothing_out() -> None:
    spec = {
        "name": "doc-v1",
        "split": {"by": "document", "seed": 3, "name": "validation"},
        "queries": "those with a predecessor",
        "pool": "the split",
        "near_duplicate": 0.98,
        "ties": "against",
        "within_document": True,
        "extra": {"lag": 7},
    }
    words = " ".join(protocol_words(protocol("p", spec=spec), evaluation(0.2)))
    for said in (
        "400 queries in 10 documents of the validation split; split by document, seed 3.",
        "Queries: those with a predecessor.",
        "Pool of 450 candidates: the split.",
        "(cosine above 0.98)",
        "Ties count against the model.",
        "Contexts stay inside the document.",
        "extra lag: 7.",
    ):
        assert said in words


def test_looks_at_the_test_split_are_counted_by_data() -> None:
    tested = replace(view(1, evaluation(0.2)), test=replace(evaluation(0.18), split="test"))
    shown = Snapshot("s", 0.0, runs=(tested,), protocols={"p": protocol("p")}, test_looks={"d1": 2})
    (group,) = leaderboard_of(shown)
    assert group.looks == 2
    assert group.rows[0].test is tested.test
    assert leaderboard_of(replace(shown, test_looks={}))[0].looks == 0
    assert leaderboard(shown.runs, {}, shown.protocols)[0].looks is None
    assert looks_words(0) == "The test split was never looked at so far."
    assert "the less its scores prove" in looks_words(2)


def test_findings_are_counted_worst_first() -> None:
    found = [Finding("a", "m", severity) for severity in (Severity.WARN, Severity.ERROR, Severity.WARN)]
    assert badge(found) == ((Severity.ERROR, "✖1"), (Severity.WARN, "!2"))
    assert badge([Finding("a", "fine")]) == ()


def test_nothing_evaluated_gives_no_groups() -> None:
    assert leaderboard([view(1, None)], {"p": (EWM,)}, {}) == ()


def source_of_copy(number: int, *, attempt: int = 0) -> str:
    """What a run that was copied from gpu1 says of that."""
    told = {"host": "gpu1", "store": "/runs.db", "made": 1.0, "number": number, "created": 0.0}
    return json.dumps({**told, "attempt": attempt})


def test_a_copy_beside_its_original_is_neither_ranked_nor_a_seed() -> None:
    there = view(1 << 32 | 5, evaluation(0.3), seed=1, origin="gpu1")
    stale = view(2, evaluation(0.9), seed=1, source=source_of_copy(5))
    other = view(3, evaluation(0.2), seed=2)
    (group,) = leaderboard([there, stale, other], {}, {"p": protocol("p")})
    assert [(row.run_id, row.rank, row.tied, row.copy_of) for row in group.rows] == [
        (2, None, False, "#5@gpu1"),
        (there.run.id, 1, False, ""),
        (3, 2, False, ""),
    ]
    (recipe,) = by_phase(group)
    assert (recipe.seeds, recipe.run_ids) == (2, (3, there.run.id))
    assert recipe.mean == pytest.approx(0.25), "the copy's score of another moment counts for nothing"
    assert "phase-1 #2 of #5@gpu1" in copies_words(group.rows)

    (alone,) = leaderboard([stale, other], {}, {"p": protocol("p")})
    assert [row.rank for row in alone.rows] == [1, 2], "a copy stands for a run that is not there"
    resumed = replace(stale, run=replace(stale.run, attempt=2))
    (group,) = leaderboard([there, resumed], {}, {"p": protocol("p")})
    assert [row.rank for row in group.rows] == [1, 2], "it went on here: a run of its own"
    whole = view(5, evaluation(0.3), seed=1)
    (group,) = leaderboard([there, whole], {}, {"p": protocol("p")})
    assert [row.copy_of for row in group.rows] == ["", "#5"], "the file of the store was copied"
