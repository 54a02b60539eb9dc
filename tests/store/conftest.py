"""A store and runs in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.records import NewRun, Run, RunFacts
from lvmtui.store.writer import Writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def database(store: Path) -> Iterator[Database]:
    opened = Database.open(store)
    yield opened
    opened.close()


@pytest.fixture
def new_run() -> NewRun:
    return NewRun(
        phase="phase-1",
        recipe='{"name": "phase-1"}',
        recipe_hash="abc",
        seed=0,
        model="gru",
        context=100,
        watch="hit5",
        data="demo",
        epochs=10,
        patience=3,
        targets={"hit5": 0.2},
        overrides={"train.lr": "0.001"},
    )


@pytest.fixture
def facts() -> RunFacts:
    return RunFacts(
        parameters=11_285_672,
        data_fingerprint="f" * 16,
        protocol_id="p1",
        device="cpu",
        versions={"torch": "2.13.0"},
    )


@pytest.fixture
def started(database: Database, new_run: NewRun, facts: RunFacts) -> Callable[[], tuple[Run, Writer]]:
    """Makes runs that are running."""

    def start() -> tuple[Run, Writer]:
        run = Controller(database).create_run(new_run)
        writer = Writer(database, run.id)
        writer.start(pid=1, process_started=1.0, host="here")
        writer.running(facts)
        return writer.run(), writer

    return start
