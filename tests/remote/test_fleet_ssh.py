"""Two machines over a real sshd beside the local store: live, away and back, nothing lost or doubled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lvmtui.compare.side_by_side import read_side_by_side
from lvmtui.errors import RemoteError
from lvmtui.merge import snapshot as read_once
from lvmtui.remote.fleet import Fleet
from lvmtui.snapshot import Contact, Snapshot
from lvmtui.stats import pack_ranks
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.sqlite import open_reader
from tests.remote.conftest import StartHosts
from tests.tui.stores import Trainee, new_run


def until(seen: list[Snapshot], fits: Callable[[Snapshot], object], seconds: float = 30.0) -> Snapshot:
    deadline = time.monotonic() + seconds
    while not (seen and fits(seen[-1])):
        assert time.monotonic() < deadline, (seen[-1].hosts, seen[-1].is_whole) if seen else None
        time.sleep(0.01)
    return seen[-1]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., tuple[Fleet, list[Snapshot]]]]:
    fleets: list[Fleet] = []

    def start(*hosts: object, ssh: tuple[str, ...]) -> tuple[Fleet, list[Snapshot]]:
        seen: list[Snapshot] = []
        fleet = Fleet(str(tmp_path / "runs.db"), hosts, seen.append, ssh=ssh)  # type: ignore[arg-type]
        fleets.append(fleet)
        fleet.start()
        return fleet, seen

    yield start
    for fleet in fleets:
        fleet.stop()


def losses(snapshot: Snapshot, run_id: int) -> int:
    """How many losses of a run are there to be drawn."""
    detail = snapshot.details.get(run_id)
    return len(detail.series["train/loss"].step) if detail and "train/loss" in detail.series else 0


def begun(folder: Path, phase: str) -> tuple[Database, Trainee]:
    database = Database.open(folder / "runs.db")
    return database, new_run(database, phase).start().train(2)


def with_ranks(database: Database, shift: int) -> None:
    """Give every evaluation of a store ranks of 200 queries."""
    ranks = (np.arange(200) * 7 + shift) % 40 + 1
    with database.write() as connection:
        run = connection.exec_driver_sql
        run("UPDATE evaluation SET ranks = ?, n = 200", (pack_ranks(ranks),))
        run("UPDATE protocol SET query_groups = ?", (pack_ranks(np.arange(200) // 10),))


def test_two_machines_beside_the_local_store(
    ssh_hosts: StartHosts, started: Callable[..., tuple[Fleet, list[Snapshot]]], tmp_path: Path
) -> None:
    hosts = ssh_hosts("gpu1", "gpu2")
    local, _ = begun(tmp_path, "phase-1")
    one, run = begun(hosts["gpu1"].home, "phase-2")
    two, _ = begun(hosts["gpu2"].home, "phase-3")
    fleet, seen = started(hosts.host("gpu1"), hosts.host("gpu2"), ssh=hosts.ssh)
    snapshot = until(seen, lambda now: now.is_whole and len(now.runs) == 3)
    assert {view.run.name for view in snapshot.runs} == {"phase-1 #1", "phase-2 #1@gpu1", "phase-3 #1@gpu2"}
    run_id = next(view.run.id for view in snapshot.runs if view.run.origin == "gpu1")
    fleet.set_looked_at([run_id])
    until(seen, lambda now: now.is_whole and losses(now, run_id) == 40)

    run.train(1)
    until(seen, lambda now: now.view(run_id).run.progress.epoch == 3)  # type: ignore[union-attr]

    hosts["gpu1"].stop()
    away = until(seen, lambda now: now.hosts[0].contact is Contact.OFFLINE)
    assert away.view(run_id).silent is not None  # type: ignore[union-attr]
    assert {view.silent for view in away.runs if view.run.origin != "gpu1"} == {None}
    run.train(4)
    new_run(one, "phase-9").start().train(1)
    with pytest.raises(RemoteError, match="gpu1"), fleet.reading([run_id, 1]):
        pass

    hosts["gpu1"].start()
    fleet.retry("gpu1")
    back = until(seen, lambda now: now.hosts[0].is_whole)
    assert {view.run.name for view in back.runs} >= {"phase-9 #2@gpu1"}, "all at once, with the list"
    until(seen, lambda now: now.is_whole and losses(now, run_id) == 140)
    source = open_reader(hosts["gpu1"].home / "runs.db")
    there = read_once(Reader(source), looked_at=[1], now=time.time()).details[1]
    source.close()
    here = until(seen, lambda now: len(now.details[run_id].evaluations) == 7).details[run_id]
    assert here.series.keys() == there.series.keys()
    for key, series in there.series.items():
        assert np.array_equal(here.series[key].step, series.step), key
        assert np.array_equal(here.series[key].value, series.value, equal_nan=True), key
    assert [item.hit5 for item in here.evaluations] == [item.hit5 for item in there.evaluations]
    for database in (local, one, two):
        database.close()


def test_runs_of_two_machines_are_compared(
    ssh_hosts: StartHosts, started: Callable[..., tuple[Fleet, list[Snapshot]]]
) -> None:
    hosts = ssh_hosts("gpu1", "gpu2")
    for name, shift in (("gpu1", 0), ("gpu2", 3)):
        database, _ = begun(hosts[name].home, "phase-2")
        with_ranks(database, shift)
        database.close()
    fleet, seen = started(hosts.host("gpu1"), hosts.host("gpu2"), ssh=hosts.ssh)
    runs = [view.run.id for view in until(seen, lambda now: now.is_whole and len(now.runs) == 2).runs]
    with fleet.reading(runs) as reader:
        found = read_side_by_side(reader, [reader.run(run_id) for run_id in runs])
    assert not found.left_out
    (group,) = found.report.groups
    assert {entry.label for entry in group.runs} == {"#1@gpu1", "#1@gpu2"}
    (pair,) = (pair for pair in group.pairs if pair.second.run_id is not None)
    assert pair.tests["hit5"].p <= 1
    hosts["gpu1"].stop()
    until(seen, lambda now: now.hosts[0].contact is Contact.OFFLINE)
    with fleet.reading(runs) as reader:  # from the mirrors: nothing is missing
        assert not read_side_by_side(reader, [reader.run(run_id) for run_id in runs]).left_out
