"""The local store and hosts as one: what is shown, what is asked of whom, and that nothing waits."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lvmtui.errors import RemoteError, StoreError, UsageError
from lvmtui.remote import fleet as fleets
from lvmtui.remote.fleet import Fleet
from lvmtui.remote.hosts import Host, number_of, slot_of
from lvmtui.remote.watched import Opened
from lvmtui.snapshot import CloseUp, Contact, PendingRequest, Snapshot
from lvmtui.store.database import Database
from lvmtui.store.records import DeviceSample
from tests.remote.telling import told
from tests.remote.watching import Machines
from tests.tui.stores import filled, new_run

GPU1, GPU2 = Host("gpu1", "gpu1"), Host("gpu2", "gpu2")


class Watching:
    """A fleet that is read, and its newest snapshot."""

    def __init__(self, store: Path, machines: Machines, *hosts: Host) -> None:
        self.machines = machines
        self.seen: list[Snapshot] = []
        self.fleet = Fleet(str(store), hosts, self.seen.append, open_host=machines.open)

    @property
    def now(self) -> Snapshot:
        return self.seen[-1]

    def until(self, fits: Callable[[Snapshot], object], seconds: float = 20.0) -> Snapshot:
        """The first snapshot that fits."""
        deadline = time.monotonic() + seconds
        while not (self.seen and fits(self.now)):
            assert time.monotonic() < deadline, self.seen[-1:]
            time.sleep(0.005)
        return self.now

    def arrive(self, name: str, there: Path) -> None:
        """Have a host be live and say all it has."""
        link = self.machines[name]
        link.show(contact=Contact.LIVE, news=None)
        link.say(told(there))
        link.show(is_whole=True)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("there") / "runs.db")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    store = tmp_path / "here" / "runs.db"
    store.parent.mkdir()
    database = Database.open(store)
    new_run(database, "phase-3").start().train(2)
    database.close()
    return store


@pytest.fixture
def watching(here: Path, tmp_path: Path) -> Iterator[Callable[..., Watching]]:
    found: list[Watching] = []

    def begin(*hosts: Host, machines: Machines | None = None) -> Watching:
        made = Watching(here, machines or Machines(tmp_path / "hosts"), *hosts)
        found.append(made)
        made.fleet.start()
        return made

    yield begin
    for made in found:
        made.fleet.stop()


def test_alone_the_feed_hands_its_snapshots_over_itself(
    here: Path, watching: Callable[..., Watching]
) -> None:
    made = watching()
    snapshot = made.until(lambda now: now.is_whole)
    assert [view.run.name for view in snapshot.runs] == ["phase-3 #1"]
    assert snapshot.hosts == ()
    assert made.fleet._thread is None, "nothing stands between feed and screen"
    assert made.fleet.link_of(1) is None
    with pytest.raises(UsageError, match="'gpu1'"):
        made.fleet.link("gpu1")


def test_runs_of_all_stores_newest_first(there: Path, watching: Callable[..., Watching]) -> None:
    made = watching(GPU1, GPU2)
    made.until(lambda now: now.runs)
    made.fleet.link("gpu1")
    made.arrive("gpu1", there)
    snapshot = made.until(lambda now: now.hosts[0].is_whole)
    assert [host.name for host in snapshot.hosts] == ["gpu1", "gpu2"]
    names = {view.run.name for view in snapshot.runs}
    assert {"phase-3 #1", "phase-2 #1@gpu1"} <= names
    assert [view.run.created for view in snapshot.runs] == sorted(
        (view.run.created for view in snapshot.runs), reverse=True
    )
    remote = [view for view in snapshot.runs if view.run.origin]
    assert {view.run.origin for view in remote} == {"gpu1"}
    assert all(view.silent is None for view in remote)
    assert not snapshot.is_whole, "gpu2 has not said anything"
    link = made.fleet.link_of(remote[0].run.id)
    assert link is made.machines["gpu1"]  # type: ignore[comparison-overlap]
    assert made.fleet.name_of(remote[0].run.id) == "gpu1"
    assert made.fleet.name_of(1) == ""
    assert made.fleet.name_of(9 << 32 | 1) is None


def test_a_host_that_is_away_says_since_when(there: Path, watching: Callable[..., Watching]) -> None:
    made = watching(GPU1)
    made.fleet.link("gpu1")
    made.arrive("gpu1", there)
    made.until(lambda now: now.is_whole)
    local = made.now.view(1)
    made.machines["gpu1"].show(contact=Contact.OFFLINE, news=123.0, reason="no route", is_whole=False)
    snapshot = made.until(lambda now: now.hosts[0].contact is Contact.OFFLINE)
    assert {view.silent for view in snapshot.runs if view.run.origin} == {123.0}
    assert snapshot.view(1) is local, "nothing else is drawn again"
    assert snapshot.is_whole, "nothing more comes for now"
    assert not snapshot.problem
    made.machines["gpu1"].show(contact=Contact.LIVE, news=None, reason="", is_whole=True)
    back = made.until(lambda now: now.hosts[0].is_whole)
    assert {view.silent for view in back.runs} == {None}


def test_the_last_reading_of_a_host_shows_at_once(
    there: Path, here: Path, tmp_path: Path, watching: Callable[..., Watching]
) -> None:
    first = watching(GPU1)
    first.fleet.link("gpu1")
    first.arrive("gpu1", there)
    ids = [view.run.id for view in first.until(lambda now: now.is_whole).runs]
    heard = next(iter(first.fleet.mirrors().values())).with_name("heard")
    first.fleet.stop()
    heard.touch()
    os.utime(heard, (123.0, 123.0))
    again = watching(GPU1)
    snapshot = again.until(lambda now: len(now.runs) == len(ids))
    assert snapshot.hosts[0].contact is Contact.CONNECTING
    assert snapshot.hosts[0].news == 123.0
    assert {view.silent for view in snapshot.runs if view.run.origin} == {123.0}
    assert [view.run.id for view in snapshot.runs] == ids, "slots are kept"
    assert all((view.silent is not None) == bool(view.run.origin) for view in snapshot.runs)


def test_each_store_is_asked_for_its_own_runs(there: Path, watching: Callable[..., Watching]) -> None:
    made = watching(GPU1, GPU2)
    made.fleet.link("gpu1")
    made.arrive("gpu1", there)
    snapshot = made.until(lambda now: now.hosts[0].is_whole)
    remote = sorted(view.run.id for view in snapshot.runs if view.run.origin)
    looked = [remote[1], 1, remote[0]]
    made.machines["gpu1"].come |= {number_of(remote[0]), number_of(remote[1])}
    for _ in range(3):
        made.fleet.set_looked_at(looked, glanced_at=[remote[0]])
    snapshot = made.until(lambda now: set(looked) <= now.details.keys())
    assert snapshot.glanced_at == {remote[0]}
    assert made.machines["gpu1"].wanted() == [([number_of(remote[1])], [number_of(remote[0])], False)]
    assert made.machines["gpu2"].wanted() == []
    made.fleet.set_devices_wanted(True)
    link = made.machines["gpu2"]
    made.until(lambda _: link.wanted())
    assert link.wanted() == [([], [], True)]


def test_a_stretch_is_asked_for_once_the_curves_are_there(
    there: Path, watching: Callable[..., Watching]
) -> None:
    made = watching(GPU1)
    made.fleet.link("gpu1")
    made.arrive("gpu1", there)
    link = made.machines["gpu1"]
    snapshot = made.until(lambda now: now.is_whole)
    run_id = next(view.run.id for view in snapshot.runs if view.run.origin and view.best)
    with closing(sqlite3.connect(link.mirror.path)) as connection, connection:
        connection.execute("UPDATE mirror_curve SET thinned = 1 WHERE key = 'val/hit5'")
    made.fleet.set_close_up(CloseUp("epoch", 1.0, 2.0))
    made.fleet.set_looked_at([run_id])
    made.until(lambda _: [call for call in link.calls if call[0] == "zoom"])
    made.fleet.set_looked_at([run_id, 1])
    made.until(lambda now: 1 in now.details)
    (zoom,) = [call for call in link.calls if call[0] == "zoom"]
    assert zoom == ("zoom", number_of(run_id), ["val/hit5"], "epoch", 1.0, 2.0), "the rest is there"


def test_what_was_asked_for_stands_beside_the_run(there: Path, watching: Callable[..., Watching]) -> None:
    made = watching(GPU1)
    made.fleet.link("gpu1")
    made.arrive("gpu1", there)
    run_id = next(view.run.id for view in made.until(lambda now: now.is_whole).runs if view.run.origin)
    asked = PendingRequest("r1", "stop phase-2 #1@gpu1", run_id, 5.0)
    made.machines["gpu1"].show(pending=(asked, PendingRequest("r2", "launch demo", None, 6.0)))
    snapshot = made.until(lambda now: now.hosts[0].pending)
    assert [view.run.id for view in snapshot.runs if view.pending] == [run_id]
    assert snapshot.view(run_id).pending == ("stop",)  # type: ignore[union-attr]
    assert made.fleet.withdraw("gpu1", "r1")
    assert not made.fleet.withdraw("gpu1", "r9")


def test_a_mirror_that_cannot_be_opened_leaves_the_rest_alone(
    there: Path, tmp_path: Path, watching: Callable[..., Watching]
) -> None:
    machines = Machines(tmp_path / "hosts")
    machines.refuses["gpu1"] = StoreError("the disk is full", "Make room.")
    made = watching(GPU1, GPU2, machines=machines)
    made.fleet.link("gpu2")
    made.arrive("gpu2", there)
    snapshot = made.until(lambda now: now.is_whole)
    assert (snapshot.hosts[0].contact, snapshot.hosts[0].reason) == (Contact.OFFLINE, "the disk is full")
    assert {view.run.origin for view in snapshot.runs} == {"", "gpu2"}
    with pytest.raises(UsageError, match="the disk is full"):
        made.fleet.link("gpu1")
    machines.refuses.clear()
    made.fleet.retry("gpu1")
    made.until(lambda now: now.hosts[0].contact is Contact.CONNECTING)


def test_a_mirror_that_is_locked_holds_nobody_up(
    tmp_path: Path, there: Path, watching: Callable[..., Watching]
) -> None:
    class Slow(Machines):
        free = threading.Event()

        def open(self, host: Host, on_change: Callable[[], None]) -> Opened:
            if host.name == "gpu1":
                self.free.wait(20)
            return super().open(host, on_change)

    machines = Slow(tmp_path / "hosts")
    made = watching(GPU1, GPU2, machines=machines)
    made.until(lambda now: now.runs and "gpu2" in machines.links)
    made.arrive("gpu2", there)
    snapshot = made.until(lambda now: now.hosts[1].is_whole)
    assert snapshot.hosts[0].contact is Contact.CONNECTING
    assert {view.run.origin for view in snapshot.runs} == {"", "gpu2"}
    machines.free.set()
    assert made.fleet.link("gpu1") is machines["gpu1"]  # type: ignore[comparison-overlap]


def test_a_list_counts_as_whole_only_when_it_is_read(there: Path, watching: Callable[..., Watching]) -> None:
    made = watching(GPU1)
    made.fleet.link("gpu1")
    made.arrive("gpu1", there)
    made.until(lambda now: now.hosts[0].is_whole)
    first = next(snapshot for snapshot in made.seen if snapshot.hosts[0].is_whole)
    assert len(first.runs) == len(made.now.runs)


def test_the_end_waits_for_nobody(watching: Callable[..., Watching], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "STOP_SECONDS", 0.2)
    made = watching(GPU1)
    made.fleet.link("gpu1")
    made.until(lambda now: now.runs)
    released = []
    link = made.machines["gpu1"]
    end = link.stop

    def hang() -> None:
        while not released:
            time.sleep(0.01)

    link.stop = hang  # type: ignore[method-assign]
    began = time.monotonic()
    made.fleet.stop()
    assert time.monotonic() - began < 2.0
    released.append(True)
    link.stop = end  # type: ignore[method-assign]


def test_ranks_are_fetched_before_runs_are_compared(there: Path, watching: Callable[..., Watching]) -> None:
    made = watching(GPU1)
    made.fleet.link("gpu1")
    link = made.machines["gpu1"]
    link.show(contact=Contact.LIVE)
    everything = told(there)
    link.say(message for message in everything if message["m"] != "ranks")
    link.show(is_whole=True)
    link.fetched = [message for message in everything if message["m"] == "ranks"]
    judged = [
        view.run.id
        for view in made.until(lambda now: now.is_whole).runs
        if view.run.origin and view.best is not None
    ]
    with made.fleet.reading([1, *judged[:2]], 5.0) as reader:
        assert reader.run(judged[0]).origin == "gpu1"
        assert reader.run(1).origin == ""
        assert slot_of(reader.best_evaluation(reader.run(judged[0])).id)  # type: ignore[union-attr]
    assert [call for call in link.calls if call[0] == "fetch"] == [
        ("fetch", [number_of(run_id) for run_id in judged[:2]])
    ]
    link.show(contact=Contact.OFFLINE, reason="no route to host", hint="Wait.", is_whole=False)
    made.until(lambda now: now.hosts[0].contact is Contact.OFFLINE)
    with pytest.raises(RemoteError, match="no route to host"), made.fleet.reading(judged[2:3]):
        pass
    missed: dict[int, str] = {}
    with made.fleet.reading([1, *judged[:3]], missed=missed) as reader:
        assert reader.run(judged[2]).origin == "gpu1"
    assert missed[judged[2]] == "its ranks are on gpu1, which does not answer"


def test_what_sensors_read_is_shown_while_it_is_wanted(
    there: Path, watching: Callable[..., Watching]
) -> None:
    made = watching(GPU1)
    made.fleet.link("gpu1")
    made.arrive("gpu1", there)
    link = made.machines["gpu1"]
    now = time.time()
    link.live_devices = (DeviceSample("box", "gpu9", "H200", now - 1, 0.5),)
    link.on_change()
    made.until(lambda seen: any(item.sample.device == "gpu9" for item in seen.devices))
    link.live_devices = (DeviceSample("box", "gpu9", "H200", now, 0.7),)
    link.on_change()
    snapshot = made.until(lambda seen: any(len(item.history) == 2 for item in seen.devices))
    (device,) = (item for item in snapshot.devices if item.sample.device == "gpu9")
    assert (device.sample.host, device.history, device.stale) == ("gpu1", (0.5, 0.7), False)
    link.live_devices = ()
    link.on_change()
    made.until(lambda seen: all(item.sample.device != "gpu9" for item in seen.devices))
