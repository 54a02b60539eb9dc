"""Rows that somebody else has written over: read as empty, or refused in words; never a crash."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from lvmtui import stats
from lvmtui.errors import StoreCorrupt
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Evaluation, Run
from lvmtui.store.writer import Writer
from lvmtui.versus import versus_of

Start = Callable[[], tuple[Run, Writer]]


@pytest.fixture
def evaluated(database: Database, started: Start) -> Run:
    run, writer = started()
    ranks = stats.pack_ranks([1, 2, 30])
    writer.save_evaluation(
        Evaluation("p1", "validation", 1, 10, 1.0, 0.3, 0.6, 0.6, 0.5, 3, 40, ranks=ranks, details={"a": 1})
    )
    return run


def overwrite(store: Path, column: str, value: object) -> None:
    connection = sqlite3.connect(store)
    with connection:
        connection.execute(f"UPDATE evaluation SET {column} = ?", (value,))
    connection.close()


@pytest.mark.parametrize("content", ["5", '"text"', "[1, 2]", "null"])
def test_details_that_are_no_object_are_read_as_empty(
    content: str, database: Database, store: Path, evaluated: Run
) -> None:
    overwrite(store, "details", content)
    (found,) = Reader(database).all_evaluations()
    assert found.details == {}
    assert versus_of(found) == ()


@pytest.mark.parametrize(
    "versus", ['{"versus": 5}', '{"versus": [5]}', '{"versus": [{"baseline": "ewm"}]}', '{"versus": [{}]}']
)
def test_comparisons_that_cannot_be_read_count_as_none(
    versus: str, database: Database, store: Path, evaluated: Run
) -> None:
    overwrite(store, "details", versus)
    (found,) = Reader(database).all_evaluations()
    assert versus_of(found) == ()


def test_text_that_is_no_json_is_named(database: Database, store: Path, evaluated: Run) -> None:
    overwrite(store, "details", "{broken")
    with pytest.raises(StoreCorrupt):
        Reader(database).all_evaluations()


def test_ranks_that_are_no_ranks_are_named(database: Database, store: Path, evaluated: Run) -> None:
    overwrite(store, "ranks", b"\x01damaged")
    (found,) = Reader(database).evaluations(evaluated.id)
    with pytest.raises(StoreCorrupt, match="damaged"):
        stats.unpack_ranks(found.ranks)
