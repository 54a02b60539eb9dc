"""Ranking and verdicts."""

from dataclasses import replace

import pytest

from lvmtui.ranking import Verdict, by_phase, difference, judge, leaderboard, one_of_each, strongest
from lvmtui.snapshot import RunView, State
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Evaluation, Interval, Progress, Protocol, Run


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


def test_nothing_evaluated_gives_no_groups() -> None:
    assert leaderboard([view(1, None)], {"p": (EWM,)}, {}) == ()
