"""Runs that are only glanced at: some of their metrics are read, and the others once they are wanted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lvmtui.merge import Merge
from lvmtui.snapshot import Series
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import NewRun
from lvmtui.store.sqlite import open_reader

SHOWN, OTHER, FRESH = "val/hit5", "val/mrr", "val/cosine"


def log(store: Path, steps: Sequence[int], *keys: str) -> None:
    """One value of each metric at each step, by both runs in turn: the step itself."""
    rows = [(run, key, step, step / 10, 1e9 + step, step) for step in steps for run in (1, 2) for key in keys]
    connection = sqlite3.connect(store)
    with connection:
        connection.executemany(
            "INSERT INTO metric (run_id, key, step, epoch, time, value) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
    connection.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    database = Database.open(path)
    for number in range(2):
        new = NewRun("phase-1", "{}", "abc", number, "gru", 10, "hit5", "demo", 10, 3)
        Controller(database).create_run(new)
    database.close()
    log(path, range(100), OTHER, SHOWN)
    return path


@pytest.fixture
def merge(store: Path) -> Iterator[Merge]:
    source = open_reader(store)
    merge = Merge(Reader(source))
    merge.read(0.0)
    merge.read_details([1, 2])
    yield merge
    source.close()


def series(merge: Merge, run: int) -> dict[str, Series]:
    return dict(merge.build([1, 2], 0.0).details[run].series)


def assert_whole(found: Series, steps: Sequence[int]) -> None:
    assert found.step.tolist() == found.value.tolist() == list(steps)


def test_of_a_run_glanced_at_only_what_the_dashboard_draws_is_read(merge: Merge) -> None:
    assert merge.read_curves([1, 2], glanced_at=[2])
    assert series(merge, 1).keys() == {SHOWN, OTHER}
    assert series(merge, 2).keys() == {SHOWN}


def test_the_rest_comes_when_it_is_wanted(merge: Merge) -> None:
    merge.read_curves([1, 2], glanced_at=[2])
    assert merge.read_curves([1, 2])
    for key in (SHOWN, OTHER):
        assert_whole(series(merge, 2)[key], range(100))


@pytest.mark.parametrize("at_once", [50_000, 10], ids=["few", "many"])
def test_what_is_logged_meanwhile_is_neither_lost_nor_read_twice(
    store: Path, merge: Merge, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("lvmtui.merge.CATCH_UP_ROWS", at_once)
    merge.read_curves([1, 2], glanced_at=[2])
    for begin in (100, 150):
        log(store, range(begin, begin + 50), FRESH, OTHER, SHOWN)
        assert merge.read_curves([1, 2], glanced_at=[2])
        assert_whole(series(merge, 2)[SHOWN], range(begin + 50))
        assert OTHER not in series(merge, 2)
    assert merge.read_curves([1, 2])
    for run in (1, 2):
        for key in (SHOWN, OTHER):
            assert_whole(series(merge, run)[key], range(200))
        assert_whole(series(merge, run)[FRESH], range(100, 200))


def test_a_run_read_in_full_stays_so(store: Path, merge: Merge) -> None:
    merge.read_curves([1, 2])
    log(store, range(100, 120), OTHER, SHOWN)
    assert merge.read_curves([1, 2], glanced_at=[2])
    assert_whole(series(merge, 2)[OTHER], range(120))
