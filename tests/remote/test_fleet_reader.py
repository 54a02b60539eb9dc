"""Several stores read as one, by the ids of runs and of protocols."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lvmtui.compare.side_by_side import read_side_by_side
from lvmtui.errors import RunNotFound, StoreMissing, UsageError
from lvmtui.fleet_reader import open_fleet, without_ranks
from lvmtui.remote.hosts import Host, global_id
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.stats import pack_ranks
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from tests.remote.telling import told
from tests.tui.stores import PROTOCOL, filled

QUERIES = 200


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose evaluations have ranks."""
    path = filled(tmp_path_factory.mktemp("store") / "runs.db")
    database = Database.open(path)
    ranks = np.arange(1, QUERIES + 1) % 37 + 1
    with database.write() as connection:
        run = connection.exec_driver_sql
        run("UPDATE evaluation SET ranks = ?, n = ?", (pack_ranks(ranks), QUERIES))
        run("UPDATE protocol SET query_groups = ?", (pack_ranks(np.arange(QUERIES) // 10),))
        run("INSERT INTO query_fact VALUES (?, 'position', ?, '{}')", (PROTOCOL, pack_ranks(ranks)))
    database.close()
    return path


@pytest.fixture
def mirror(tmp_path: Path, store: Path) -> Iterator[Mirror]:
    opened = Mirror.open(Host("gpu1", "gpu1"), tmp_path / "hosts")
    opened.have()
    for message in told(store):
        if message["m"] != "ranks":
            opened.apply(message)
    yield opened
    opened.close()


@pytest.fixture
def both(store: Path, mirror: Mirror) -> Iterator[Reader]:
    reader = open_fleet(str(store), [mirror.path])
    yield reader
    reader.database.close()


def test_a_run_is_read_from_its_own_store(both: Reader, mirror: Mirror) -> None:
    there = global_id(mirror.slot, 1)
    assert (both.run(1).label, both.run(there).label) == ("#1", "#1@gpu1")
    assert both.best_evaluation(both.run(1)).run_id == 1  # type: ignore[union-attr]
    assert both.best_evaluation(both.run(there)).run_id == there  # type: ignore[union-attr]
    assert len(both.runs()) == 2 * sum(not run.origin for run in both.runs())
    assert {item.run_id for item in both.evaluations(there)} == {there}
    with pytest.raises(UsageError):
        both.run(global_id(9, 1))
    with pytest.raises(RunNotFound, match="gpu1"):
        both.run(global_id(mirror.slot, 900))


def test_what_is_about_a_protocol_comes_from_who_has_all_of_it(store: Path, mirror: Mirror) -> None:
    alone = open_fleet(None, [mirror.path])
    (protocol,) = alone.protocols()
    assert not protocol.query_groups
    assert not any(item.ranks for item in alone.baselines(PROTOCOL))
    assert alone.query_facts(PROTOCOL) == {}
    alone.database.close()
    reader = open_fleet(str(store), [mirror.path])
    (protocol,) = reader.protocols()
    assert protocol.query_groups
    baselines = reader.baselines(PROTOCOL)
    assert len({item.baseline for item in baselines}) == len(baselines)
    assert all(item.ranks for item in baselines)
    assert [item.hit5 for item in baselines] == sorted(item.hit5 for item in baselines)
    assert set(reader.query_facts(PROTOCOL)) == {"position"}
    reader.database.close()


def test_runs_are_compared_across_stores_once_their_ranks_are_there(
    both: Reader, mirror: Mirror, store: Path
) -> None:
    ids = [1, global_id(mirror.slot, 1)]
    assert [run.label for run in without_ranks(both, ids)] == ["#1@gpu1"]
    found = read_side_by_side(both, [both.run(run_id) for run_id in ids])
    assert [item.run.label for item in found.left_out] == ["#1@gpu1"]
    for message in told(store):
        if message["m"] == "ranks":
            mirror.apply(message)
    assert without_ranks(both, ids) == []
    found = read_side_by_side(both, [both.run(run_id) for run_id in ids])
    assert not found.left_out
    (group,) = found.report.groups
    assert {entry.label for entry in group.runs} == {"#1", "#1@gpu1"}
    assert {pair.tests["hit5"].difference for pair in group.pairs if pair.second.run_id} == {0.0}


def test_a_laptop_without_a_store_has_no_runs_of_its_own(tmp_path: Path, mirror: Mirror) -> None:
    reader = open_fleet(str(tmp_path / "none.db"), [mirror.path])
    assert {run.origin for run in reader.runs()} == {"gpu1"}
    reader.database.close()
    with pytest.raises(StoreMissing):
        open_fleet(str(tmp_path / "none.db"), [])
