"""However runs go on and connections break, what a client was told comes to what the store has."""

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import Latency
from lvmtui.store.shelves import delete_for_good, trash
from tests.remote.agent_client import AgentClient, Told
from tests.tui import stores
from tests.tui.stores import Trainee

RUNS = 4


class Laboratory:
    """Runs to which things happen."""

    def __init__(self, database: Database, chance: random.Random) -> None:
        self.database = database
        self.chance = chance
        self.active = [stores.new_run(database, "phase-1").start() for _ in range(RUNS)]
        self.stopped: list[Trainee] = []

    def happen(self) -> None:
        """One of them."""
        what = self.chance.choice(
            (self.train, self.train, self.train, self.stop, self.resume, self.delete, self.add)
        )
        what()

    def train(self) -> None:
        if self.active:
            self.chance.choice(self.active).train(self.chance.randint(1, 3))

    def stop(self) -> None:
        if len(self.active) > 1:
            run = self.active.pop(self.chance.randrange(len(self.active)))
            if run.epoch:
                step = run.epoch * stores.STEPS
                latency = Latency(
                    "c", run.epoch, step, 1.0, "h", "cpu", "CPU", 1, "fp32", "stream", 9, 1, 5, 7, 10
                )
                run.writer.save_latencies([latency])
            self.stopped.append(run.finish(Result.STOPPED))

    def resume(self) -> None:
        if not self.stopped:
            return
        run = self.stopped.pop(self.chance.randrange(len(self.stopped)))
        Controller(self.database).requeue(run.run_id)
        run.start()
        run.epoch = self.chance.randint(0, run.epoch)
        if run.best_epoch is not None and run.best_epoch > run.epoch:
            run.best = run.best_epoch = None
        run.writer.rewind(run.epoch * stores.STEPS)
        self.active.append(run)

    def delete(self) -> None:
        if len(self.stopped) > 1:
            run = self.stopped.pop().run_id
            trash(self.database, run)
            delete_for_good(self.database, [run])

    def add(self) -> None:
        if len(self.active) < RUNS:
            self.active.append(stores.new_run(self.database, "phase-1").start())


def stored(store: Path, table: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(store)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY id")]
    connection.close()
    return rows


def differences(told: Told, store: Path, reader: Reader) -> list[str]:
    """What a client that looks at all runs was told otherwise than the store has it."""
    found = []
    for table in ("run", "latency", "checkpoint"):
        if shown(told.rows(table)) != shown(stored(store, table)):
            found.append(table)
    for run in reader.run_ids():
        for key in reader.metric_keys(run):
            whole = {point[0] for point in reader.metric_points(run, key, limit=10**6)}
            wrong = whole ^ set(told.curves.get((run, key), ()))
            if wrong:
                found.append(f"{key} of {run}: {sorted(wrong)}")
        scores = {row["id"] for row in told.rows("evaluation") if row["run_id"] == run}
        wrong = scores ^ {item.id for item in reader.evaluations(run)}
        if wrong:
            found.append(f"evaluations of {run}: {sorted(wrong)}")
    return found


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key not in {"heartbeat", "revision"}} for row in rows]


def list_differences(told: Told, store: Path, reader: Reader) -> list[str]:
    """The same of a client that looks at the list only."""
    scores = {row["id"] for row in told.rows("evaluation")}
    needed = {item.id for item in (*reader.list_scores(), *reader.baseline_evaluations())}
    gone = scores - {row["id"] for row in stored(store, "evaluation")}
    found = [f"lacks evaluations {sorted(needed - scores)}, has dropped ones {sorted(gone)}"]
    tables = [table for table in ("run", "latency") if shown(told.rows(table)) != shown(stored(store, table))]
    return tables + (found if gone or not needed <= scores else [])


def wait_for_none(agent: AgentClient, differences: Callable[[], list[str]]) -> None:
    """Read on until there are no differences."""
    try:
        agent.wait(lambda: not differences(), seconds=20.0)
    except AssertionError:
        assert differences() == []


@pytest.mark.parametrize("seed", range(4))
def test_ends_meet(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    store, told = tmp_path / "runs.db", Told()
    database = Database.open(store)
    reader = Reader(database)
    laboratory = Laboratory(database, chance)
    for _ in range(4):
        with AgentClient(store, have=told.have, told=told) as agent:
            for _ in range(12):
                laboratory.happen()
                if chance.random() < 0.5:
                    runs = [run for run in told.tables.get("run", ()) if chance.random() < 0.5]
                    agent.want(*[entry(told, run) for run in runs])
                for _ in range(chance.randint(0, 4)):
                    agent.read(0.02)
        for _ in range(chance.randint(0, 8)):
            laboratory.happen()
    with AgentClient(store, have=told.have, told=told) as agent:
        agent.listed()
        laboratory.train()
        wait_for_none(agent, lambda: list_differences(told, store, reader))
        agent.want(*[entry(told, run) for run in reader.run_ids()])
        wait_for_none(agent, lambda: differences(told, store, reader))
    database.close()


def entry(told: Told, run: int) -> dict[str, Any]:
    """What a client that knows so much wants of a run."""
    known = told.upto.get(run, {})
    size = told.log_sizes.get(run, 0)
    return {"run": run, "level": "all", "keys": dict(known), "scores": told.scored.get(run, 0), "log": [size]}
