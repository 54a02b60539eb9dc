"""Scores on a common pool: how many candidates each query had, and the table of all protocols."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.errors import UsageError
from lvmtui.leaderboard.equating import Judged, candidates_of, equated, equated_board
from lvmtui.leaderboard.ranking import Group
from lvmtui.leaderboard.verdicts import Verdict
from lvmtui.merge import snapshot
from lvmtui.recipe import build
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import (
    EpochReport,
    Evaluation,
    Event,
    NewRun,
    Progress,
    Protocol,
    QueryFact,
    RunFacts,
)
from lvmtui.store.writer import Writer

LENGTHS = (40, 60, 50, 30, 20)
"""Queries in each document."""
N = sum(LENGTHS)
GROUPS = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
POSITIONS = np.concatenate([np.arange(1, length + 1) for length in LENGTHS])


def protocol(identity: str = "p1", pool: int = 400, **values: object) -> Protocol:
    base = Protocol(
        identity, "doc-v1", "f00d", {}, "validation", N, pool, 0.0, len(LENGTHS), stats.pack_ranks(GROUPS)
    )
    return replace(base, **values)  # type: ignore[arg-type]


def evaluation(seed: int, share: float, judged: Protocol, name: str | None = None) -> Evaluation:
    """An evaluation of which about a share of the queries is found early."""
    generator = np.random.default_rng(seed)
    ranks = generator.integers(1, judged.pool - 60, N)
    ranks[generator.random(N) < share] = 2
    return Evaluation(
        judged.id,
        "validation",
        1,
        10,
        0.0,
        stats.hit_at(ranks, 1),
        stats.hit_at(ranks, 5),
        stats.hit_at(ranks, 10),
        stats.mrr(ranks),
        N,
        judged.pool,
        ranks=stats.pack_ranks(ranks),
        baseline=name,
        context=32,
    )


def test_candidates_are_read_where_they_are_stored() -> None:
    stored = QueryFact("candidates", stats.pack_ranks(np.arange(100, 100 + N)))
    found = candidates_of(protocol(), {"candidates": stored})
    assert found is not None
    assert found.tolist() == list(range(100, 100 + N))
    short = QueryFact("candidates", stats.pack_ranks(np.arange(3)))
    assert candidates_of(protocol(), {"candidates": short}) is None


def test_candidates_follow_from_the_protocol_where_they_are_not() -> None:
    found = candidates_of(protocol(), {})
    assert found is not None
    assert found.tolist() == (400 - POSITIONS).tolist()
    legacy = candidates_of(protocol(name="window-v0", query_groups=b""), {})
    assert legacy is not None
    assert set(legacy.tolist()) == {400}
    assert candidates_of(protocol(name="other"), {}) is None
    assert candidates_of(protocol(query_groups=b""), {}) is None


def test_a_smaller_pool_is_what_random_pools_give() -> None:
    judged = Judged(400 - POSITIONS, GROUPS, documents=True)
    whole = evaluation(1, 0.3, protocol())
    found = equated(whole, judged, 100)
    assert found is not None
    generator = np.random.default_rng(0)
    ranks = stats.unpack_ranks(whole.ranks).astype(np.int64)
    draws = generator.hypergeometric(ranks - 1, judged.candidates - ranks, 99, (2000, N)) + 1
    for k, score in ((1, found.hit1), (5, found.hit5), (10, found.hit10)):
        assert score == pytest.approx((draws <= k).mean(), abs=0.002)
    assert found.mrr == pytest.approx((1 / draws).mean(), abs=0.002)
    assert found.hit5 > whole.hit5
    assert found.hit5_interval is not None
    assert found.hit5_interval.low < found.hit5 < found.hit5_interval.high
    assert (found.pool, found.ranks) == (100, b"")
    assert found.interval_method == "bootstrap over documents, equated to pool 100"


def test_without_ranks_there_is_nothing_to_equate() -> None:
    judged = Judged(400 - POSITIONS, GROUPS, documents=True)
    assert equated(replace(evaluation(1, 0.3, protocol()), ranks=b""), judged, 100) is None
    behind_all = replace(evaluation(1, 0.3, protocol()), ranks=stats.pack_ranks(np.full(N, 400)))
    assert equated(behind_all, judged, 100) is None


class Store:
    """A store with runs of several protocols."""

    def __init__(self, path: Path) -> None:
        self.database = Database.open(path)
        self.reader = Reader(self.database)

    def run(self, judged: Protocol, best: Evaluation, *baselines: Evaluation) -> None:
        recipe = build({"name": "phase-1", "targets": {"hit5": 0.01}})
        new = NewRun(
            *("phase-1", recipe.to_json(), recipe.hash, 0, "gru", 32, "hit5", "demo", 1, 3),
            targets={"hit5": 0.01},
        )
        writer = Writer(self.database, Controller(self.database).create_run(new).id)
        writer.start(pid=1, process_started=1.0, host="elsewhere")
        writer.running(RunFacts(1000, judged.data_fingerprint, judged.id, "cpu", {}))
        writer.save_protocol(judged)
        for baseline in baselines:
            writer.save_baseline(baseline)
        progress = Progress(1, 1, 10, 10, 1.0, 1.0, 0, 3, best.hit5, 1, best.hit5)
        writer.epoch(EpochReport(progress, evaluation=best))
        writer.finish(Result.COMPLETED, Event("completed", "done", 1.0))

    def board(self, pool: int) -> Group:
        taken = snapshot(self.reader, now=2.0)
        return equated_board(self.reader, taken, taken.runs, pool)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "runs.db")
    yield made
    made.database.close()


def test_all_protocols_stand_in_one_table_on_a_common_pool(store: Store) -> None:
    large, small = protocol("large", 400), protocol("small", 250, data_fingerprint="beef")
    store.run(large, evaluation(1, 0.5, large), evaluation(2, 0.1, large, "ewm"))
    store.run(small, evaluation(3, 0.1, small), evaluation(4, 0.5, small, "ewm"))
    group = store.board(100)
    assert group.protocol_id == ""
    assert group.heading == "equated to pool 100; other queries and data remain different"
    assert group.notes == ()
    assert [(row.rank, row.evaluation.protocol_id) for row in group.rows if row.run_id] == [
        (1, "large"),
        (2, "small"),
    ]
    assert {row.evaluation.pool for row in group.rows} == {100}
    assert {row.own_pool for row in group.rows} == {250, 400}
    first, last = (row for row in group.rows if row.run_id)
    # Targets were set for other pools: the verdict is on the baseline alone, paired at this pool.
    assert (first.verdict, last.verdict) == (Verdict.ABOVE, Verdict.BELOW)
    assert first.versus is not None
    assert first.versus.interval.low > 0
    assert first.baseline_gain == pytest.approx(first.versus.difference)
    assert not any(row.extrapolated for row in group.rows)


def test_a_pool_larger_than_its_own_is_marked(store: Store) -> None:
    large, small = protocol("large", 2000), protocol("small", 250)
    store.run(large, evaluation(1, 0.5, large), evaluation(2, 0.1, large, "ewm"))
    store.run(small, evaluation(3, 0.5, small), evaluation(4, 0.1, small, "ewm"))
    group = store.board(1000)
    marked = {row.evaluation.protocol_id: row.extrapolated for row in group.rows}
    assert marked == {"large": False, "small": True}
    assert any("extrapolated" in note for note in group.notes)


def test_runs_that_cannot_be_equated_are_named(store: Store) -> None:
    judged, odd = protocol("p1"), protocol("p2", name="something-else")
    store.run(judged, replace(evaluation(1, 0.5, judged), ranks=b""))
    store.run(odd, evaluation(1, 0.5, odd))
    group = store.board(100)
    assert group.rows == ()
    assert "phase-1 #1" in group.notes[0]
    assert "phase-1 #2" in group.notes[0]


def test_a_pool_that_says_nothing_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="a pool of 10 says nothing"):
        store.board(10)
