"""What an agent tells of the list of runs of a real store: all of it, what is new, and what is gone."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Event
from lvmtui.store.shelves import delete_for_good, trash
from tests.remote.agent_client import AgentClient, Told
from tests.tui import stores

OLD_STORES = sorted((Path(__file__).parents[1] / "store" / "stores").glob("v*.sql"))
BLOBS = {"evaluation": {"ranks"}, "protocol": {"query_groups"}}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def database(store: Path) -> Iterator[Database]:
    opened = Database.open(store)
    yield opened
    opened.close()


def stored(store: Path, table: str, where: str = "") -> list[dict[str, Any]]:
    """Rows as they stand in the store."""
    connection = sqlite3.connect(store)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table} {where} ORDER BY id")]
    connection.close()
    return [{key: row[key] for key in row if key not in BLOBS.get(table, ())} for row in rows]


def delete(database: Database, run: int) -> None:
    trash(database, run)
    delete_for_good(database, [run])


def same(told: Told, store: Path) -> bool:
    """Whether the list is as the store has it."""
    return all(
        told.rows(table) == stored(store, table)
        for table in ("run", "protocol", "promotion", "event", "latency", "device_sample")
    )


def test_the_list_is_the_stores(store: Path, database: Database) -> None:
    runs = stores.fill(database)
    runs["champion"].writer.save_evaluation(stores.evaluation(23, 0.15))
    with AgentClient(store) as agent:
        told = agent.listed()
        assert same(told, store)
        assert agent.hello["store"] == str(store)
        assert agent.hello["mode"] == "full"
        shown = {row["id"] for row in told.rows("evaluation")}
        for run in stored(store, "run"):
            mine = stored(store, "evaluation", f"WHERE run_id = {run['id']}")
            assert not mine or mine[-1]["id"] in shown
            assert {row["id"] for row in mine if row["epoch"] == run["best_epoch"]} & shown or not mine
        assert len([row for row in told.rows("evaluation") if row["run_id"] is None]) == len(stores.BASELINES)
        whole = stored(store, "evaluation")
        assert len(shown) < len(whole) / 3
        assert all(row in whole for row in told.rows("evaluation"))


def test_the_newest_runs_come_first(store: Path, database: Database) -> None:
    for _ in range(60):
        stores.new_run(database, "phase-1")
    with AgentClient(store) as agent:
        agent.listed()
        agent.close()
    with AgentClient(store) as agent:
        agent.wait(lambda: len(agent.told.rows("run")) == 60, "all runs")
        batches = [
            message for message in agent.messages if message["m"] == "rows" and message["table"] == "run"
        ]
    ids = [row[0] for batch in batches for row in batch["rows"]]
    assert ids == sorted(ids, reverse=True)
    assert all(len(batch["rows"]) <= 25 for batch in batches)


def test_only_what_is_new_comes_again(store: Path, database: Database) -> None:
    runs = stores.fill(database)
    with AgentClient(store) as agent:
        told, first = agent.listed(), agent.receiver.received
    with AgentClient(store, have=told.have, told=told) as agent:
        agent.listed()
        assert [message["table"] for message in agent.messages if message["m"] == "rows"] == []
        assert agent.receiver.received < first / 10
    runs["second"].train()
    added = stores.new_run(database, "phase-1")
    with AgentClient(store, have=told.have, told=told) as agent:
        agent.listed()
        listed = [
            row[0]
            for message in agent.messages
            if message.get("table") == "run"
            for row in message.get("rows", ())
        ]
        assert listed == []
        assert same(told, store)
    assert added.run_id in told.tables["run"]


def test_changes_come_as_they_happen(store: Path, database: Database) -> None:
    runs = stores.fill(database)
    with AgentClient(store) as agent:
        told = agent.listed()
        run = runs["second"]
        agent.messages.clear()
        run.train()
        agent.wait(lambda: told.run(run.run_id)["epoch"] == run.epoch, "the epoch")
        agent.wait(lambda: stored(store, "evaluation")[-1] in told.rows("evaluation"), "the evaluation")
        changes = [message for message in agent.messages if message["m"] == "change"]
        assert {message["run"] for message in changes} == {run.run_id}
        assert not any({"recipe", "phase", "folder"} & message["set"].keys() for message in changes)
        Controller(database).request_stop(run.run_id)
        agent.wait(lambda: [row["run_id"] for row in told.rows("control")] == [run.run_id], "the request")
        run.writer.acknowledge_stop()
        agent.wait(lambda: told.rows("control") == [], "the answer to it")
        run.finish(Result.STOPPED)
        agent.wait(lambda: told.run(run.run_id)["result"] == "stopped", "the end")
        added = stores.new_run(database, "phase-1")
        agent.wait(lambda: added.run_id in told.tables["run"], "another run")
        agent.wait(lambda: told.rows("event") == stored(store, "event"), "the events")
        # What is to be sent in the next greeting moves on.
        agent.wait(
            lambda: told.have["revision"] == max(row["revision"] for row in stored(store, "run")), "have"
        )
        told_run = {key: told.run(run.run_id)[key] for key in ("status", "step", "best_value", "ended")}
    (now,) = stored(store, "run", f"WHERE id = {run.run_id}")
    assert told_run == {key: now[key] for key in told_run}


def test_deleted_runs_go(store: Path, database: Database) -> None:
    runs = stores.fill(database)
    with AgentClient(store) as agent:
        told = agent.listed()
        gone = runs["failed"].run_id
        delete(database, gone)
        agent.wait(lambda: gone not in told.tables["run"], "the run to go")
        agent.wait(lambda: told.rows("event") == stored(store, "event"), "what is said of it")
        have = dict(told.have)
    # And where it was deleted while nobody looked.
    later = runs["stopped"].run_id
    delete(database, later)
    with AgentClient(store, have=have, told=told) as agent:
        agent.listed()
        assert set(told.tables["run"]) == {row["id"] for row in stored(store, "run")}


@pytest.mark.parametrize("dump", OLD_STORES, ids=lambda path: path.stem)
def test_stores_of_all_versions_are_read_as_they_are(dump: Path, store: Path) -> None:
    connection = sqlite3.connect(store)
    connection.executescript(dump.read_text())
    version = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    connection.close()
    with AgentClient(store) as agent:
        told = agent.listed()
        assert told.rows("run") == stored(store, "run")
        assert told.rows("protocol") == stored(store, "protocol")
        assert told.names["run"] == list(stored(store, "run")[0])
        agent.want(1)
        agent.wait_for("detailed")
        assert [point[4] for point in told.points(1, "val/hit5") or [(0,) * 4 + (None,)]] == [None]
        assert ("evaluation", 1, "ranks") in told.ranks
    connection = sqlite3.connect(store)
    assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == version
    connection.close()


def test_columns_of_a_later_version_are_told_as_they_are(store: Path, database: Database) -> None:
    stores.new_run(database, "phase-1")
    connection = sqlite3.connect(store)
    connection.execute("ALTER TABLE run ADD COLUMN mood TEXT NOT NULL DEFAULT 'fine'")
    connection.execute("ALTER TABLE run ADD COLUMN picture BLOB")
    connection.execute("INSERT INTO schema_version VALUES (6, 'moods', 1.0, '9.0')")
    connection.commit()
    connection.close()
    with AgentClient(store) as agent:
        told = agent.listed()
        assert told.run(1)["mood"] == "fine"
        assert "picture" not in told.run(1)


def test_values_that_json_cannot_hold_are_none(store: Path, database: Database) -> None:
    stores.new_run(database, "phase-1")
    connection = sqlite3.connect(store)
    connection.execute(
        "UPDATE run SET note = ?, error = ?, versions = ?, created = ?",
        (
            "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
            "x" * 900_000,
            '{"a": "' + "y" * 900_000 + '"}',
            float("inf"),
        ),
    )
    connection.execute("UPDATE run SET tags = CAST(x'ff41' AS TEXT)")
    connection.commit()
    connection.close()
    with AgentClient(store) as agent:
        told = agent.listed()
        row = told.run(1)
        assert row["created"] is None
        assert row["tags"] == "\ufffdA"
        assert row["error"].startswith("xxx")
        assert row["versions"] == "{}"


def test_another_store_in_its_place_begins_anew(store: Path, tmp_path: Path, database: Database) -> None:
    stores.fill(database)
    other = stores.filled(tmp_path / "other" / "runs.db", phase="other")
    with AgentClient(store) as agent:
        told = agent.listed()
        assert len(told.rows("run")) == 7
        database.close()
        for rest in ("runs.db-wal", "runs.db-shm"):
            (tmp_path / rest).unlink(missing_ok=True)
        shutil.move(other, store)
        agent.wait_for("reset")
        agent.listed()
        assert len(told.rows("run")) == 8
        assert same(told, store)


def test_what_a_client_has_of_another_store_is_forgotten(store: Path, database: Database) -> None:
    stores.new_run(database, "phase-1")
    for have in ({"made": 1.0, "revision": 1}, {"made": None}, {"made": "x", "revision": []}):
        with AgentClient(store, have=have) as agent:
            agent.wait_for("reset")
            assert len(agent.listed().rows("run")) == 1
    with AgentClient(store) as agent:
        have = dict(agent.listed().have)
    with AgentClient(store, have={**have, "revision": have["revision"] + 5}) as agent:
        agent.wait_for("reset")
    with AgentClient(store, have={}) as agent:
        agent.listed()
        assert all(message["m"] != "reset" for message in agent.messages)


def test_a_store_that_is_not_there_yet_is_waited_for(store: Path) -> None:
    with AgentClient(store) as agent:
        problem = agent.wait_for("problem")
        assert str(store) in problem["text"]
        assert problem["hint"]
        database = Database.open(store)
        stores.new_run(database, "phase-1")
        database.close()
        agent.listed()
        assert agent.told.problem == ("", "")
        assert len(agent.told.rows("run")) == 1
        store.unlink()
        assert "no run store" in agent.wait_for("problem")["text"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"not a database at all" * 100, "not a readable"), (b"", "is empty"), (None, "is a folder")],
)
def test_what_is_no_store_is_said(store: Path, content: bytes | None, words: str) -> None:
    if content is None:
        store.mkdir()
    else:
        store.write_bytes(content)
    with AgentClient(store) as agent:
        assert words in agent.wait_for("problem")["text"]


def test_a_damaged_store_is_a_problem_and_no_end(store: Path, database: Database) -> None:
    stores.fill(database)
    database.close()
    content = bytearray(store.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    store.write_bytes(bytes(content))
    with AgentClient(store) as agent:
        assert "not a readable run store" in agent.wait_for("problem")["text"]
        agent.send("ping", time=1.0)
        agent.wait_for("beat", echo=1.0)
        store.unlink()
        again = Database.open(store)
        stores.new_run(again, "phase-1")
        again.close()
        assert len(agent.listed().rows("run")) == 1
        assert agent.told.problem == ("", "")


def test_a_database_of_something_else_is_refused(store: Path) -> None:
    connection = sqlite3.connect(store)
    connection.execute("CREATE TABLE cats (id INTEGER)")
    connection.close()
    with AgentClient(store) as agent:
        assert "no run store of lvmtui" in agent.wait_for("problem")["text"]


def test_a_locked_store_is_gone_on_with(store: Path, database: Database) -> None:
    run = stores.new_run(database, "phase-1").start()
    database.close()
    connection = sqlite3.connect(store, isolation_level=None)
    assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    with AgentClient(store) as agent:
        told = agent.listed()
        connection.execute("BEGIN EXCLUSIVE")
        assert "locked" in agent.wait_for("problem")["text"]
        connection.execute("UPDATE run SET step = 5, revision = revision + 1")
        connection.execute("COMMIT")
        agent.wait(lambda: told.run(run.run_id)["step"] == 5, "the step")
        agent.wait(lambda: told.problem == ("", ""), "the end of the problem")
    connection.close()


def test_the_lost_are_found_out(store: Path, database: Database) -> None:
    runs = stores.fill(database)
    with AgentClient(store) as agent:
        agent.listed()
        agent.wait(lambda: runs["lost"].run_id in agent.told.lost, "the lost run")
        assert "another one now" in agent.told.lost[runs["lost"].run_id]
        runs["lost"].writer.finish(Result.LOST, Event("lost", "lost", 1.0))
        agent.wait(lambda: runs["lost"].run_id not in agent.told.lost, "its end")


def test_nothing_is_written_to_the_store(store: Path, database: Database) -> None:
    stores.fill(database)
    database.close()
    before = store.read_bytes()
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(1, 2)
        agent.wait(lambda: {1, 2} <= set(agent.told.detailed), "both runs")
    assert store.read_bytes() == before
