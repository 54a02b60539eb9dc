"""What an agent tells of runs that are looked at: curves, evaluations, logs, ranks, and what is new."""

import math
import sqlite3
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lvmtui import history
from lvmtui.remote.agent import curves, liveness
from lvmtui.remote.agent.packing import Point, unpack
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import MetricPoint, QueryFact
from tests.remote.agent_client import AgentClient
from tests.tui import stores
from tests.tui.stores import Trainee

LONG = 9_000
"""Values of a metric that are thinned."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def database(store: Path) -> Iterator[Database]:
    opened = Database.open(store)
    yield opened
    opened.close()


@pytest.fixture
def run(database: Database) -> Trainee:
    return stores.new_run(database, "phase-1").start().train(3)


def wave(run: Trainee, count: int, *, first: int = 1, keys: tuple[str, ...] = ("train/loss", "x")) -> None:
    """Values that a run logs: a wave, with a spike and a gap."""
    points = []
    for step in range(first, first + count):
        value = math.sin(step / 300)
        value = 50.0 if step == first + count // 3 else math.nan if step == first + count // 2 else value
        points += [MetricPoint(key, step, step / 100, 1000.0 + step, value) for key in keys]
    run.writer.metrics(points)


def stored(database: Database, run: int, key: str) -> list[Point]:
    return [tuple(point) for point in Reader(database).metric_points(run, key, limit=100_000)]


def newest_id(database: Database, run: Trainee, key: str) -> int:
    return stored(database, run.run_id, key)[-1][0]


def has(agent: AgentClient, run: Trainee, key: str, number: int) -> bool:
    return number in agent.told.curves.get((run.run_id, key), ())


def test_a_short_curve_is_told_in_full(store: Path, database: Database, run: Trainee) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        for key in Reader(database).metric_keys(run.run_id):
            told, whole = agent.told.points(run.run_id, key), stored(database, run.run_id, key)
            assert [point[4] for point in told] == [point[4] for point in whole]
            assert [point[:2] for point in told] == [point[:2] for point in whole]
            assert agent.told.upto[run.run_id][key] == whole[-1][0]
        told_scores = [row["id"] for row in agent.told.rows("evaluation") if row["run_id"] == run.run_id]
        assert told_scores == [item.id for item in Reader(database).evaluations(run.run_id)]
        assert agent.told.scored[run.run_id] == told_scores[-1]
        checkpoints = [row["path"] for row in agent.told.rows("checkpoint")]
        assert checkpoints == [item.path for item in Reader(database).checkpoints(run.run_id)]


def test_a_long_curve_keeps_its_ends_its_extremes_and_its_gap(store: Path, database: Database) -> None:
    run = stores.new_run(database, "phase-1").start()
    wave(run, LONG)
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        told = agent.told.points(run.run_id, "x")
    whole = stored(database, run.run_id, "x")
    assert (told[0], told[-1]) == (whole[0], whole[-1])
    assert len(told) <= 2 * curves.STRETCHES + 3
    assert {point[4] for point in whole if point[4] == 50.0 or point[4] is None} <= {
        point[4] for point in told
    }
    assert set(told) <= set(whole)
    stretch = -(-LONG // curves.STRETCHES)
    for begin in range(0, LONG, stretch):
        values = [point[4] for point in whole[begin : begin + stretch] if point[4] is not None]
        kept = [
            point[4] for point in told if whole[begin][0] <= point[0] <= whole[begin : begin + stretch][-1][0]
        ]
        assert {min(values), max(values)} <= set(kept)


def test_the_overlaid_metrics_come_first_and_alone_for_few(
    store: Path, database: Database, run: Trainee
) -> None:
    other = stores.new_run(database, "phase-1").start().train(2)
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id, {"run": other.run_id, "level": "few", "keys": {}})
        agent.wait(lambda: len(agent.told.detailed) == 2, "both runs")
        order = [
            (message["run"], key)
            for message in agent.messages
            if message["m"] == "curve"
            for key in message["keys"]
        ]
    overlaid = [(number, key) for key in curves.OVERLAID_KEYS for number in (run.run_id, other.run_id)]
    assert order[: len(overlaid)] == overlaid
    assert {key for number, key in order if number == other.run_id} == set(curves.OVERLAID_KEYS)


def test_the_order_of_metrics_and_the_limits_are_the_dashboards() -> None:
    assert curves.OVERLAID_KEYS == history.OVERLAID_KEYS
    assert curves.FIRST_KEYS == history.FIRST_KEYS
    from lvmtui import liveness as local

    assert liveness.HEARTBEAT_LIMIT == local.HEARTBEAT_LIMIT
    assert liveness.STARTUP_LIMIT == local.STARTUP_LIMIT
    assert liveness.START_TOLERANCE == local.START_TOLERANCE


def test_only_what_is_not_known_is_told(store: Path, database: Database, run: Trainee) -> None:
    with AgentClient(store) as agent:
        told = agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        have = dict(told.have)
    entry = {
        "run": run.run_id,
        "level": "all",
        "keys": told.upto[run.run_id],
        "scores": told.scored[run.run_id],
        "log": [told.log_sizes[run.run_id]],
    }
    run.train()
    with AgentClient(store, have=have, told=told) as agent:
        agent.listed()
        agent.messages.clear()
        agent.want(entry)
        agent.wait(lambda: any(message["m"] == "detailed" for message in agent.messages), "the details")
        counts = {
            key: len(unpack(columns))
            for message in agent.messages
            if message["m"] == "curve"
            for key, columns in message["keys"].items()
        }
        assert counts == {
            "train/loss": stores.STEPS,
            **dict.fromkeys(("val/hit1", "val/hit5", "val/hit10", "val/loss", "epoch/train_loss"), 1),
        }
        assert told.logs[run.run_id] == run.log.read_text()


def test_new_values_come_as_they_are_logged(store: Path, database: Database, run: Trainee) -> None:
    other = stores.new_run(database, "phase-1").start().train(1)
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        agent.messages.clear()
        for _ in range(3):
            run.train()
            other.train()
            newest = newest_id(database, run, "val/hit5")
            agent.wait(lambda newest=newest: has(agent, run, "val/hit5", newest), "the value")
        run.writer.metrics([MetricPoint("later", 1, 1.0, 1.0, 0.5)])
        agent.wait(lambda: agent.told.points(run.run_id, "later"), "another metric")
        levels = {message["level"] for message in agent.messages if message["m"] == "curve"}
        assert levels == {"live"}
        assert agent.told.points(other.run_id, "val/hit5") == []
        for key in Reader(database).metric_keys(run.run_id):
            assert [p[:2] for p in agent.told.points(run.run_id, key)] == [
                p[:2] for p in stored(database, run.run_id, key)
            ]
        agent.wait(lambda: run.log.read_text() == agent.told.logs[run.run_id], "the log")
        newest_score = Reader(database).evaluations(run.run_id)[-1].id
        agent.wait(lambda: agent.told.scored[run.run_id] == newest_score, "how far evaluations are told")
        agent.wait(lambda: agent.told.upto[run.run_id]["later"] > 0, "how far curves are told")


def test_looking_elsewhere_and_back_tells_what_was_missed(
    store: Path, database: Database, run: Trainee
) -> None:
    other = stores.new_run(database, "phase-1").start().train(1)
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        known = dict(agent.told.upto[run.run_id])
        agent.want(other.run_id)
        agent.wait_for("detailed", run=other.run_id)
        run.train()
        agent.wait(lambda: agent.told.run(run.run_id)["epoch"] == run.epoch, "the epoch")
        assert not has(agent, run, "val/hit5", newest_id(database, run, "val/hit5"))
        agent.messages.clear()
        agent.want({"run": run.run_id, "level": "all", "keys": known, "scores": 0})
        agent.wait_for("detailed", run=run.run_id)
        assert [p[:2] for p in agent.told.points(run.run_id, "train/loss")] == [
            p[:2] for p in stored(database, run.run_id, "train/loss")
        ]
        # And what the client has let go of meanwhile.
        agent.want(other.run_id)
        agent.wait_for("detailed", run=other.run_id)
        del agent.told.curves[(run.run_id, "train/loss")]
        agent.want({"run": run.run_id, "level": "all", "keys": {}, "scores": 0})
        agent.wait_for("detailed", run=run.run_id)
        assert len(agent.told.points(run.run_id, "train/loss")) == len(
            stored(database, run.run_id, "train/loss")
        )


def resume(run: Trainee, database: Database, back_to: int) -> None:
    """Take a stopped run up again from an earlier epoch, as an engine does."""
    Controller(database).requeue(run.run_id)
    run.start()
    run.epoch = back_to
    run.writer.rewind(back_to * stores.STEPS)


def check_whole(agent: AgentClient, database: Database, run: Trainee) -> None:
    """See that the client has exactly what the store has of a run."""
    for key in Reader(database).metric_keys(run.run_id):
        assert [p[:2] for p in agent.told.points(run.run_id, key)] == [
            p[:2] for p in stored(database, run.run_id, key)
        ]
    told = [row["id"] for row in agent.told.rows("evaluation") if row["run_id"] == run.run_id]
    assert told == [item.id for item in Reader(database).evaluations(run.run_id)]


def test_a_resumed_run_is_told_anew(store: Path, database: Database, run: Trainee) -> None:
    run.train(3).finish(Result.STOPPED)
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        resume(run, database, 2)
        run.train(2)
        agent.wait_for("rewind", run=run.run_id)
        agent.wait_for("detailed", run=run.run_id)
        run.train(1)
        newest = newest_id(database, run, "val/hit5")
        agent.wait(lambda: has(agent, run, "val/hit5", newest), "the newest value")
        agent.wait(lambda: agent.told.run(run.run_id)["epoch"] == run.epoch, "the row")
        check_whole(agent, database, run)


def test_a_run_that_was_resumed_while_nobody_looked_is_told_anew(
    store: Path, database: Database, run: Trainee
) -> None:
    run.train(3).finish(Result.STOPPED)
    with AgentClient(store) as agent:
        told = agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        have = dict(told.have)
    keys, scores = told.upto[run.run_id], told.scored[run.run_id]
    resume(run, database, 2)
    run.train(2)
    with AgentClient(store, have=have, told=told) as agent:
        agent.want({"run": run.run_id, "level": "all", "keys": keys, "scores": scores})
        agent.wait_for("rewind", run=run.run_id)
        agent.wait(
            lambda: told.upto.get(run.run_id, {}).get("val/hit5") == newest_id(database, run, "val/hit5")
        )
        agent.wait(lambda: told.scored.get(run.run_id) == Reader(database).evaluations(run.run_id)[-1].id)
        check_whole(agent, database, run)


def test_a_log_is_followed(store: Path, database: Database, run: Trainee) -> None:
    long = "".join(f"line {number} …\n" for number in range(20_000))
    run.log.write_text(long)
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        assert long.endswith(agent.told.logs[run.run_id])
        assert agent.told.logs[run.run_id].startswith("line ")
        assert len(agent.told.logs[run.run_id]) < len(long) / 4
        with run.log.open("ab") as file:
            # A character may be written in two halves.
            file.write("more €".encode()[:-1])
            file.flush()
            agent.wait(lambda: agent.told.logs[run.run_id].endswith("more "), "the first half")
            file.write("€ and more\n".encode()[2:])
        agent.wait(lambda: agent.told.logs[run.run_id].endswith("more € and more\n"), "the rest")
        assert agent.told.log_sizes[run.run_id] == run.log.stat().st_size
        run.log.write_text("another\n")
        agent.wait(lambda: agent.told.logs[run.run_id] == "another\n", "the other log")


def test_a_log_outside_the_runs_folder_is_not_read(
    store: Path, database: Database, run: Trainee, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "run.log").write_text("secret\n")
    other = stores.new_run(database, "phase-1").start()
    run.log.unlink()
    run.log.symlink_to(tmp_path / "secret" / "run.log")
    connection = sqlite3.connect(store)
    connection.execute("UPDATE run SET folder = '../../../../etc' WHERE id = ?", (other.run_id,))
    connection.commit()
    connection.close()
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id, other.run_id)
        agent.wait(lambda: len(agent.told.detailed) == 2, "both runs")
        assert agent.told.logs == {}


def test_ranks_come_once(store: Path, database: Database, run: Trainee) -> None:
    connection = sqlite3.connect(store)
    connection.execute("UPDATE evaluation SET ranks = CAST('ranks of ' || id AS BLOB)")
    connection.execute("UPDATE protocol SET query_groups = x'0102'")
    connection.commit()
    connection.close()
    run.writer.save_query_facts(stores.PROTOCOL, [QueryFact("lane", b"packed", {"names": ["a"]})])
    best = Reader(database).best_evaluation(run.writer.run())
    assert best is not None
    strongest = max(Reader(database).baselines(stores.PROTOCOL), key=lambda item: item.hit5)
    with AgentClient(store) as agent:
        told = agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        assert b64decode(told.ranks[("evaluation", best.id, "ranks")]["data"]) == best.ranks
        assert {key[1] for key in told.ranks if key[0] == "evaluation"} == {best.id, strongest.id}
        assert b64decode(told.ranks[("protocol", stores.PROTOCOL, "query_groups")]["data"]) == b"\x01\x02"
        fact = told.ranks[("query_fact", stores.PROTOCOL, "lane")]
        assert (b64decode(fact["data"]), fact["meta"]) == (b"packed", '{"names": ["a"]}')
        told.ranks.clear()
        agent.send("fetch", runs=[run.run_id, 999])
        agent.wait_for("detailed", run=run.run_id)
        agent.wait_for("detailed", run=999)
        assert {key[1] for key in told.ranks} == {
            item.id for item in Reader(database).baselines(stores.PROTOCOL) if item.id != strongest.id
        }
    with AgentClient(store) as agent:
        agent.want({"run": run.run_id, "level": "all", "keys": {}, "ranks": [best.id, strongest.id]})
        agent.wait_for("detailed")
        assert {key[0] for key in agent.told.ranks} == {"protocol", "query_fact"}


def test_a_new_best_epoch_brings_its_ranks(store: Path, database: Database, run: Trainee) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        while run.best_epoch != run.epoch or run.epoch < 4:
            run.train()
        best = Reader(database).best_evaluation(run.writer.run())
        assert best is not None
        agent.wait(lambda: ("evaluation", best.id, "ranks") in agent.told.ranks, "its ranks")


def test_a_best_epoch_may_be_named_before_its_evaluation(
    store: Path, database: Database, run: Trainee
) -> None:
    with AgentClient(store) as agent, closing(sqlite3.connect(store)) as raw:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        later = "revision = 1 + (SELECT max(revision) FROM run)"
        with raw:
            raw.execute(f"UPDATE run SET best_epoch = 90, {later} WHERE id = ?", (run.run_id,))
        agent.wait(lambda: agent.told.rows("run")[0]["best_epoch"] == 90, "its name")
        names = [name for _, name, *_ in raw.execute("PRAGMA table_info(evaluation)") if name != "id"]
        values = ", ".join("90" if name == "epoch" else name for name in names)
        into = f"INSERT INTO evaluation ({', '.join(names)})"
        copied = f"{into} SELECT {values} FROM evaluation WHERE run_id = ? LIMIT 1"
        with raw:
            new = raw.execute(copied, (run.run_id,)).lastrowid
        agent.wait(lambda: ("evaluation", new, "ranks") in agent.told.ranks, "its ranks")


@pytest.mark.parametrize(
    ("axis", "low", "high"),
    [("step", 100.5, 200.0), ("epoch", 1.005, 2.0), ("time", 99.5, 199.0), ("step", 8_000.0, 1e9)],
)
def test_a_stretch_is_told_in_full(
    store: Path, database: Database, axis: str, low: float, high: float
) -> None:
    run = stores.new_run(database, "phase-1").start()
    wave(run, LONG, keys=("x", "y"))
    with AgentClient(store) as agent:
        agent.listed()
        agent.send("zoom", run=run.run_id, keys=["x", "none"], axis=axis, low=low, high=high)
        message = agent.wait_for("curve")
    assert (message["level"], message["thinned"], list(message["keys"])) == ("zoom", False, ["x"])
    last = min(201, LONG)
    expected = range(100, last + 1) if low < 1000 else range(7_999, LONG + 1)
    assert [point[1] for point in unpack(message["keys"]["x"])] == list(expected)


def test_a_burst_of_values_is_thinned(store: Path, database: Database) -> None:
    run = stores.new_run(database, "phase-1").start()
    wave(run, 10, keys=("x",))
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        agent.wait_for("detailed")
        wave(run, LONG, first=11, keys=("x",))
        newest = stored(database, run.run_id, "x")[-1]
        agent.wait(lambda: newest in agent.told.points(run.run_id, "x"), "the newest value")
        assert len(agent.told.points(run.run_id, "x")) < LONG / 4
        run.writer.metrics([MetricPoint("x", LONG + 20, 1.0, time.time(), 0.25)])
        agent.wait(lambda: agent.told.points(run.run_id, "x")[-1][4] == 0.25, "what comes after it")
