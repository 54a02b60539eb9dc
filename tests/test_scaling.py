"""What context length does to Hit@K: seeds, slopes, unequal pools, scores without ranks."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.charts.figure import Look
from lvmtui.compare import scaling_words as words
from lvmtui.compare.contest import HIT5, Contender, SeedScore
from lvmtui.compare.judged_scaling import PUBLISHED_POOL, Known, scaling_of
from lvmtui.compare.published_scaling import (
    Published,
    published_by_files,
    published_by_phases,
    published_scaling,
)
from lvmtui.compare.scaling import HITS, SMALLEST, How, Scaling, unpaired
from lvmtui.compare.scaling_chart import axes_of, curves_of
from lvmtui.compare.words import Tone
from lvmtui.errors import DataError, UsageError
from lvmtui.findings import Finding
from lvmtui.leaderboard.equating import Judged
from lvmtui.store.records import Evaluation, Interval, Protocol
from tests.tui import honest, snapshots

N, DOCUMENTS, POOL = 1200, 40, 1300
GROUPS = np.repeat(np.arange(DOCUMENTS), N // DOCUMENTS)
HARD = np.random.default_rng(5).random(N)


def protocol(identity: str = "p1", n: int = N, **changes: object) -> Protocol:
    packed = stats.pack_ranks(GROUPS[:n])
    made = Protocol(identity, "doc-v1", "f" * 16, {}, "validation", n, POOL, 0.01, DOCUMENTS, packed)
    return replace(made, **changes)  # type: ignore[arg-type]


def evaluation(
    share: float,
    seed: int,
    *,
    judged_by: Protocol,
    baseline: str | None = None,
    context: int = 100,
) -> Evaluation:
    rng = np.random.default_rng(seed)
    n = judged_by.n
    found = HARD[:n] + rng.normal(0, 0.05, n) < share
    values = np.where(found, rng.integers(1, 6, n), rng.integers(6, judged_by.pool, n)).astype(np.uint32)
    return Evaluation(
        protocol_id=judged_by.id,
        split="validation",
        epoch=3,
        step=30,
        time=1000.0,
        hit1=stats.hit_at(values, 1),
        hit5=stats.hit_at(values, 5),
        hit10=stats.hit_at(values, 10),
        mrr=stats.mrr(values),
        n=n,
        pool=judged_by.pool,
        ranks=stats.pack_ranks(values),
        baseline=baseline,
        context=context,
        id=seed + 1,
    )


def contender(
    number: int,
    share: float,
    *,
    context: int = 100,
    seed: int = 0,
    judged_by: Protocol | None = None,
    phase: str = "phase-1",
    **overrides: str,
) -> Contender:
    protocol_ = judged_by or protocol()
    run = snapshots.run(number, phase, share, context=context, seed=seed, identity=protocol_.id, **overrides)
    return Contender(run, evaluation(share, number, judged_by=protocol_, context=context))


def known_of(*protocols: Protocol, baselines: Sequence[Evaluation] = ()) -> dict[str, Known]:
    return {
        item.id: Known(
            item,
            [found for found in baselines if found.protocol_id == item.id],
            Judged(np.full(item.n, item.pool), GROUPS[: item.n], True),
        )
        for item in protocols
    }


def scaled(
    *contenders: Contender,
    known: Mapping[str, Known] | None = None,
    audits: Mapping[str, Sequence[Finding]] | None = None,
    **options: object,
) -> Scaling:
    runs = [item.run for item in contenders]
    known = known or known_of(protocol())
    return scaling_of(runs, contenders, known, audits or {}, **options)  # type: ignore[arg-type]


def verdict(scaling: Scaling) -> words.Said:
    said = words.slope_said(scaling.series[0], HIT5)
    assert said is not None
    return said


def test_seeds_of_a_recipe_are_one_point_with_mean_sd_and_interval() -> None:
    scaling = scaled(*(contender(i, 0.3, seed=i) for i in (1, 2, 3)))
    (point,) = scaling.points
    means = [evaluation(0.3, i, judged_by=protocol()).hit5 for i in (1, 2, 3)]
    score = point.scores["hit5"]
    assert (point.seeds, point.run_ids, point.name) == (3, (1, 2, 3), "phase-1 #1 #2 #3")
    assert score.mean == pytest.approx(np.mean(means))
    assert score.sd == pytest.approx(np.std(means, ddof=1))
    hits = np.mean(
        [
            stats.hits(stats.unpack_ranks(evaluation(0.3, i, judged_by=protocol()).ranks), 5)
            for i in (1, 2, 3)
        ],
        axis=0,
    )
    assert score.interval == stats.bootstrap_interval(hits, GROUPS)
    assert "One context only, 100" in verdict(scaling).words


def test_of_runs_with_one_seed_the_newest_counts() -> None:
    (point,) = scaled(contender(1, 0.2), contender(2, 0.4)).points
    assert (point.run_ids, point.repeated, point.seeds) == ((2,), (1,), 1)
    assert words.runs_words(point) == "phase-1 #2 (1 repeat left out)"


def test_no_slope_is_said_where_the_interval_holds_zero() -> None:
    made = [contender(i, 0.3, context=c, seed=i % 3) for i, c in enumerate((8, 8, 8, 64, 64, 64), 1)]
    scaling = scaled(*made)
    (series,) = scaling.series
    assert series.slope is not None
    assert series.slope.paired
    assert series.slope.enough
    interval = series.slope.tests["hit5"].interval
    assert interval is not None
    assert interval.low <= 0 <= interval.high
    assert verdict(scaling).words.startswith("No gain from context shown: Hit@5 at 64 against 8 is ")
    assert "paired over the same 1 200 queries, 3 seeds each" in verdict(scaling).words
    assert verdict(scaling).tone is Tone.UNSURE


def test_a_slope_over_three_seeds_is_a_gain_and_downwards_a_loss() -> None:
    made = [contender(i, 0.3, context=8, seed=i) for i in (1, 2, 3)]
    made += [contender(i, 0.4, context=64, seed=i) for i in (4, 5, 6)]
    assert verdict(scaled(*made)).words.startswith("A gain from context: Hit@5 at 64 against 8 is +")
    turned = [contender(i, 0.4, context=8, seed=i) for i in (1, 2, 3)]
    turned += [contender(i, 0.3, context=64, seed=i) for i in (4, 5, 6)]
    assert verdict(scaled(*turned)).glyph == "▼"


def test_fewer_than_three_seeds_give_no_verdict_where_intervals_overlap() -> None:
    scaling = scaled(contender(1, 0.30, context=8), contender(2, 0.325, context=64))
    test = scaling.series[0].slope.tests["hit5"]  # type: ignore[union-attr]
    assert test.interval is not None
    assert test.interval.low > 0
    assert test.overlap
    assert verdict(scaling).words.startswith("No verdict on fewer than 3 seeds, as the intervals overlap")
    apart = scaled(contender(1, 0.2, context=8), contender(2, 0.6, context=64))
    assert verdict(apart).words.startswith("A gain from context")
    assert "one seed each" in verdict(apart).words


def test_the_best_baseline_that_looks_no_further_stands_beside_each_context() -> None:
    baselines = [
        evaluation(0.1, 90, judged_by=protocol(), baseline="copy-last", context=8),
        evaluation(0.2, 91, judged_by=protocol(), baseline="ewm", context=8),
        evaluation(0.3, 92, judged_by=protocol(), baseline="ewm", context=64),
    ]
    known = known_of(protocol(), baselines=baselines)
    made = [contender(1, 0.3, context=4), contender(2, 0.3, context=8), contender(3, 0.2, context=64)]
    none, short, long = scaled(*made, known=known).points
    assert none.baseline is None
    assert short.baseline is not None
    assert (short.baseline.name, short.baseline.context) == ("ewm", 8)
    assert long.baseline is not None
    assert long.baseline.context == 64
    assert words.gain_said(short, HIT5).words == "above it"
    assert words.gain_said(long, HIT5).words == "below it"
    test = short.gains["hit5"]
    paired = stats.paired_bootstrap(
        *(stats.hits(stats.unpack_ranks(item.ranks), 5) for item in (made[1].evaluation, baselines[1])),
        GROUPS,
    )
    assert test.interval == paired.interval
    assert test.p == paired.p


def windows(identity: str, pool: int, **changes: object) -> Protocol:
    return protocol(identity, pool, name="window-v0", pool=pool, **changes)


def test_unequal_pools_do_not_compare_and_are_not_joined() -> None:
    protocols = windows("w100", 1148), windows("w500", 230), windows("w1000", 115)
    made = [
        contender(i, share, context=context, judged_by=item)
        for i, (share, context, item) in enumerate(
            zip((0.59, 0.66, 0.75), (100, 500, 1000), protocols, strict=True), 1
        )
    ]
    known = known_of(*protocols)
    scaling = scaled(*made, known=known)
    (series,) = scaling.series
    assert not series.comparable
    assert series.slope is None
    assert words.slope_said(series, HIT5) is None
    assert words.pool_words(series, HIT5) == (
        "Not comparable: the pool shrinks from 1 148 to 115 as the context grows: "
        "the rise shows nothing by itself."
    )
    curve = curves_of(scaling, HIT5, Look())[0]
    assert np.isnan(curve.y).sum() == 2

    equal = scaled(*made, known=known, pool=SMALLEST)
    assert equal.pool == 115
    assert equal.series[0].comparable
    assert {point.how for point in equal.points} == {How.RANKS}
    first = equal.points[0]
    ranks = stats.unpack_ranks(made[0].evaluation.ranks)
    assert first.scores["hit5"].mean == pytest.approx(stats.equated_hits(ranks, 1148, 115, 5).mean())
    assert first.judged["hit5"] == made[0].evaluation.hit5
    slope = equal.series[0].slope
    assert slope is not None
    assert not slope.paired
    assert "other queries, so not paired" in verdict(equal).words
    said = " ".join(words.sentences(equal, HIT5))
    assert "As judged the pool shrinks from 1 148 to 115" in said
    assert "Estimates in closed form from the stored ranks" in said
    assert [curve.label for curve in curves_of(equal, HIT5, Look())] == [
        "@5 in a pool of 115",
        "@5 as judged",
    ]


def test_a_larger_pool_is_a_forecast_and_one_too_small_refused() -> None:
    item = windows("w", 115)
    made = contender(1, 0.7, judged_by=item)
    known = known_of(item)
    assert scaled(made, known=known, pool=500).points[0].how is How.FORECAST
    with pytest.raises(UsageError, match="a pool of 5 says nothing"):
        scaled(made, known=known, pool=5)


def test_runs_of_one_protocol_stay_paired_on_another_pool() -> None:
    scaling = scaled(contender(1, 0.3, context=8), contender(2, 0.3, context=64), pool=SMALLEST)
    assert scaling.pool == PUBLISHED_POOL
    slope = scaling.series[0].slope
    assert slope is not None
    assert slope.paired
    assert [curve.label for curve in curves_of(scaling, HIT5, Look())] == ["@5", "@10", "@1"]


def test_other_protocols_are_left_out_in_words_or_brought_together_by_a_pool() -> None:
    other = protocol("p2", data_fingerprint="e" * 16)
    made = [
        contender(1, 0.3, context=8),
        contender(2, 0.3, context=64),
        contender(3, 0.9, judged_by=other),
    ]
    made[2] = replace(made[2], run=replace(made[2].run, phase="[red]brown[/]"))
    known = known_of(protocol(), other)
    scaling = scaled(*made, known=known)
    assert [point.run_ids for point in scaling.points] == [(1,), (2,)]
    (note,) = scaling.notes
    assert note.startswith("Left out: [red]brown[/] #3, not comparable with the others: data fingerprint")
    together = scaled(*made, known=known, pool=115)
    assert len(together.series) == 2
    assert len(curves_of(together, HIT5, Look())) == 2
    chosen = scaled(*made, known=known, protocol="p2")
    assert [point.run_ids for point in chosen.points] == [(3,)]
    with pytest.raises(UsageError, match="none of these runs was judged by 'nope'"):
        scaled(*made, known=known, protocol="nope")


def test_as_judged_the_legacy_protocol_comes_last_however_many_its_runs() -> None:
    leaks = windows("old", 300)
    few, many = contender(1, 0.2), [contender(k, 0.2, judged_by=leaks) for k in (2, 3)]
    found = scaled(*many, few, known=known_of(protocol(), leaks))
    assert [point.protocol_id for point in found.points] == ["p1"]
    assert "Left out: phase-1 #2, phase-1 #3" in found.notes[0]


def test_several_recipes_at_a_context_stand_in_the_table_and_one_on_the_line() -> None:
    scaling = scaled(
        contender(1, 0.9, context=8, train__lr="0.1"),
        contender(2, 0.3, context=8, seed=0, train__lr="0.2"),
        contender(3, 0.3, context=8, seed=1, train__lr="0.2"),
        contender(4, 0.3, context=64),
    )
    (series,) = scaling.series
    assert len(series.points) == 3
    assert [point.run_ids for point in series.line] == [(2, 3), (4,)], "most seeds, not the best score"
    said = words.recipe_words(series)
    assert "Recipes differ in more than context: train.lr." in said
    assert "Several recipes at 8: the line takes the one with most seeds." in said


def test_runs_without_ranks_keep_their_scores_but_no_pool() -> None:
    made = contender(1, 0.3)
    bare = Contender(made.run, replace(made.evaluation, ranks=b"", hit5_interval=Interval(0.2, 0.4)))
    (point,) = scaled(bare).points
    assert point.scores["hit5"] == SeedScore(bare.evaluation.hit5, None, Interval(0.2, 0.4))
    equal = scaled(bare, pool=115)
    assert equal.series == ()
    assert "ranks or candidates are not stored or do not fit" in equal.notes[0]


def test_nothing_and_runs_without_an_evaluation() -> None:
    assert scaling_of([], [], {}, {}) == Scaling()
    queued = snapshots.run(1, "phase-1", None)
    assert scaling_of([queued], [], {}, {}).notes == ("phase-1 #1 has no evaluation yet.",)
    many = [snapshots.run(number, "phase-1", None) for number in range(1, 6)]
    assert scaling_of(many, [], {}, {}).notes == ("5 runs have no evaluation yet.",)
    assert curves_of(Scaling(), HIT5, Look()) == ()
    assert axes_of(Scaling()).zoom is None


def test_runs_that_did_not_end_are_named() -> None:
    made = contender(1, 0.3)
    running = replace(made, run=replace(made.run, result=None))
    assert scaled(running).notes == ("Not trained to the end, so perhaps better than shown: phase-1 #1.",)
    assert scaled(made).notes == ()


def test_the_lag_curve_stands_beside() -> None:
    data = "f" * 16
    scaling = scaled(
        contender(1, 0.3, context=8),
        contender(2, 0.3, context=400),
        audits={data: [honest.lag_curve(data)]},
    )
    (series,) = scaling.series
    assert series.reach == 100
    assert (
        series.horizon == "Lag curve: context beyond lag 100 carries nothing, so 400 has nothing more to use."
    )


@pytest.mark.parametrize(
    ("evidence", "said", "reach"),
    [
        ({"lags": [1, 2], "horizon": None}, "context carries nothing", 0),
        ({"lags": [1, 2], "horizon": 2}, "at every lag measured, up to 2", None),
        ({"lags": [], "horizon": None}, "", None),
        ({}, "", None),
    ],
)
def test_lag_curves_of_every_kind(evidence: dict[str, object], said: str, reach: int | None) -> None:
    found = words.horizon_of([Finding("lag-curve", "m", evidence=evidence)], (8, 64))
    assert said in found[0]
    assert found[1] == reach


def test_newcombe_gives_the_published_example() -> None:
    """56/70 and 48/80: Newcombe 1998, table II (a), method 10."""
    one, other = (SeedScore(a / n, None, stats.wilson_interval(a, n)) for a, n in ((56, 70), (48, 80)))
    found = unpaired(one, other)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.0524, abs=1e-4)
    assert found.interval.high == pytest.approx(0.3339, abs=1e-4)


TABLE = [
    Published("broken", 100, {1: 0.2376, 5: 0.3699, 10: 0.4273}, 1149),
    Published("phase-1", 100, {1: 0.4007, 5: 0.5932, 10: 0.6516}, 1148),
    Published("phase-2", 500, {1: 0.5, 5: 0.6652, 10: 0.7478}, 230),
    Published("phase-3", 1000, {1: 0.6174, 5: 0.7565, 10: 0.8174}, 115),
]


def test_the_published_rise_is_gone_on_one_pool() -> None:
    raw = published_scaling(TABLE, "published")
    assert [point.name for point in raw.series[0].line] == ["phase-1", "phase-2", "phase-3"]
    assert "the rise shows nothing by itself" in words.pool_words(raw.series[0], HIT5)
    equal = published_scaling(TABLE, "published", SMALLEST)
    assert equal.pool == 115
    assert equal.series[0].line[0].scores["hit5"].mean > 0.7
    assert equal.series[0].line[0].possible["hit5"].high > equal.series[0].line[0].scores["hit5"].mean
    assert words.slope_said(equal.series[0], HIT5).words.startswith("No gain from context shown")  # type: ignore[union-attr]
    assert "Estimates from Hit@1/5/10 alone" in words.estimate_words(equal.series[0])


def test_a_published_score_cannot_be_put_on_a_larger_pool() -> None:
    scaling = published_scaling(TABLE, "published", 200)
    assert math.isnan(scaling.series[0].line[-1].scores["hit5"].mean)
    assert scaling.notes == ("phase-3 is not on a pool of 200: its own is smaller, and there are no ranks.",)
    slope = scaling.series[0].slope
    assert slope is not None
    assert slope.last.context == 500
    assert all(np.isfinite(curve.y[~np.isnan(curve.y)]).all() for curve in curves_of(scaling, HIT5, Look()))
    assert published_scaling([], "published") == Scaling()


def test_phases_say_what_was_published() -> None:
    found = {item.name: item for item in published_by_phases()}
    assert {"phase-1", "phase-2", "phase-3"} <= set(found)
    assert found["phase-3"].pool == 115
    assert found["phase-3"].hits[5] == 87 / 115
    assert len(found) == len({(item.context, *item.hits.values()) for item in found.values()})


def history(path: Path, n: int, output: str) -> Path:
    rows = [(n // 5, n // 3, n // 2), (n // 4, n // 2, n // 2 + 3)]
    entries = [
        {"epoch": epoch, **{f"hit@{k}": c / n for k, c in zip((1, 5, 10), row, strict=True)}}
        for epoch, row in enumerate(rows, 1)
    ]
    path.write_text(json.dumps({"history": entries, "args": {"output_dir": output}}))
    return path


def test_histories_tell_their_context_by_their_paths(tmp_path: Path) -> None:
    items, notes = published_by_files([history(tmp_path / "a.json", 230, "models/run_500ctx")])
    assert [(item.name, item.context, item.pool) for item in items] == [("a", 500, 230)]
    assert notes == ["a.json: context 500, as its paths say"]
    with pytest.raises(DataError, match="does not say which context"):
        published_by_files([history(tmp_path / "b.json", 230, "models/run")])


def test_many_runs_of_many_recipes_are_resampled_in_blocks() -> None:
    made = [contender(i, 0.3, context=8 * (1 + i % 50), train__lr=str(i / 10)) for i in range(1, 61)]
    scaling = scaled(*made)
    assert len(scaling.points) == 60
    assert all(point.scores[item.key].interval for point in scaling.points for item in HITS)
