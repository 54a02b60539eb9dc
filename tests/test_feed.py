"""The feed against real stores, written by this process and by another one."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lvmtui.details import CURVE_POINTS, Curve, hit_curve
from lvmtui.feed import Feed
from lvmtui.merge import snapshot
from lvmtui.snapshot import Snapshot, State
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import (
    DeviceSample,
    EpochReport,
    Evaluation,
    Event,
    MetricPoint,
    NewRun,
    Progress,
    RunFacts,
)
from lvmtui.store.sqlite import open_reader
from lvmtui.store.writer import Writer

Wait = Callable[..., None]


class Seen:
    """Collects what a feed shows."""

    def __init__(self) -> None:
        self.all: list[Snapshot] = []

    def __call__(self, snapshot: Snapshot) -> None:
        self.all.append(snapshot)

    @property
    def last(self) -> Snapshot:
        return self.all[-1]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def feed(store: Path, seen: Seen, wait_until: Wait) -> Iterator[Feed]:
    running = Feed(str(store), seen)
    running.start()
    wait_until(lambda: seen.all, "the first snapshot")
    yield running
    running.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


@pytest.fixture
def database(store: Path) -> Iterator[Database]:
    opened = Database.open(store)
    yield opened
    opened.close()


def launch(database: Database, phase: str = "phase-1") -> Writer:
    new = NewRun(
        phase=phase,
        recipe="{}",
        recipe_hash="abc",
        seed=0,
        model="gru",
        context=10,
        watch="hit5",
        data="demo",
        epochs=10,
        patience=3,
    )
    return Writer(database, Controller(database).create_run(new).id)


def start(writer: Writer, *, pid: int | None = None) -> None:
    import psutil

    process = psutil.Process(pid or os.getpid())
    import socket

    writer.start(pid=process.pid, process_started=process.create_time(), host=socket.gethostname())
    writer.running(
        RunFacts(
            parameters=1, data_fingerprint="f" * 16, protocol_id="p1", device="cpu", versions={"torch": "2"}
        )
    )


def point(step: int, value: float | None, key: str = "train/loss") -> MetricPoint:
    return MetricPoint(key=key, step=step, epoch=step / 10, time=1e9 + step, value=value)


def evaluation(epoch: int, hit5: float, *, baseline: str | None = None) -> Evaluation:
    return Evaluation(
        protocol_id="p1",
        split="validation",
        epoch=epoch,
        step=epoch * 10,
        time=1e9,
        hit1=hit5 / 3,
        hit5=hit5,
        hit10=hit5 * 1.3,
        mrr=hit5 / 2,
        n=100,
        pool=120,
        baseline=baseline,
    )


def test_no_store_is_an_empty_snapshot_and_its_creation_is_noticed(
    feed: Feed, seen: Seen, store: Path, wait_until: Wait
) -> None:
    assert seen.last.runs == ()
    assert seen.last.problem == ""
    assert seen.last.store == str(store)
    assert not store.exists(), "reading makes no store"
    with_run = Database.open(store)
    launch(with_run)
    wait_until(lambda: seen.last.runs, "the new run")
    with_run.close()
    assert seen.last.runs[0].state is State.QUEUED


def test_a_missing_folder_is_waited_for(tmp_path: Path, seen: Seen, wait_until: Wait) -> None:
    store = tmp_path / "later" / "runs.db"
    feed = Feed(str(store), seen)
    feed.start()
    wait_until(lambda: seen.all)
    database = Database.open(store)
    launch(database)
    wait_until(lambda: seen.last.runs, "the new run")
    feed.stop()
    database.close()


def test_what_another_process_writes_is_seen(
    feed: Feed, seen: Seen, store: Path, database: Database, wait_until: Wait
) -> None:
    writer = launch(database)
    feed.set_looked_at([writer.run_id])
    code = """
import sys
from lvmtui.store.database import Database
from lvmtui.store.records import MetricPoint
from lvmtui.store.writer import Writer
writer = Writer(Database.open(sys.argv[1]), int(sys.argv[2]))
for step in range(1, 41):
    writer.metrics([MetricPoint("train/loss", step, step / 10, 1e9, 1 / step)])
writer.metrics([MetricPoint("train/loss", 41, 4.1, 1e9, float("nan"))])
"""
    subprocess.run([sys.executable, "-c", code, str(store), str(writer.run_id)], check=True)

    def written() -> int:
        detail = seen.last.details.get(writer.run_id)
        return len(detail.series["train/loss"].value) if detail and detail.series else 0

    wait_until(lambda: written() == 41, "41 points")
    series = seen.last.details[writer.run_id].series["train/loss"]
    assert series.step[:40].tolist() == list(range(1, 41))
    assert np.isnan(series.value[40])


def test_nothing_is_shown_twice_when_nothing_changes(
    feed: Feed, seen: Seen, database: Database, wait_until: Wait
) -> None:
    writer = launch(database)
    start(writer)
    feed.set_looked_at([writer.run_id])
    wait_until(lambda: seen.last.details and seen.last.events, "the detail and everything else")
    readings = len(seen.all)
    for _ in range(5):
        feed._wake.set()
        wait_until(lambda: not feed._wake.is_set(), "the reading")
    assert len(seen.all) == readings


def test_details_only_of_runs_that_are_looked_at(
    feed: Feed, seen: Seen, database: Database, wait_until: Wait
) -> None:
    writers = [launch(database) for _ in range(3)]
    for writer in writers:
        writer.metrics([point(1, 0.5)])
    ids = [writer.run_id for writer in writers]
    feed.set_looked_at(ids[:1])
    wait_until(lambda: set(seen.last.details) == {ids[0]}, "one detail")
    feed.set_looked_at(ids[1:])
    wait_until(lambda: set(seen.last.details) == set(ids[1:]), "the other two")
    assert seen.last.details[ids[1]].series["train/loss"].value.tolist() == [0.5]


def test_views_carry_best_last_baseline_and_champion(
    feed: Feed, seen: Seen, database: Database, wait_until: Wait
) -> None:
    writer = launch(database)
    start(writer)
    writer.save_baseline(evaluation(0, 0.08, baseline="copy-last"))
    writer.save_baseline(evaluation(0, 0.12, baseline="ewm"))
    for epoch, hit5 in ((1, 0.1), (2, 0.2), (3, 0.15)):
        progress = Progress(epoch=epoch, epochs=10, best_epoch=min(epoch, 2), patience=3)
        writer.epoch(EpochReport(progress=progress, evaluation=evaluation(epoch, hit5)))
    Controller(database).request_stop(writer.run_id)
    wait_until(
        lambda: seen.last.runs and seen.last.runs[0].last and seen.last.runs[0].last.epoch == 3, "epoch 3"
    )
    wait_until(lambda: seen.last.runs[0].stop_requested, "the stop request")
    view = seen.last.runs[0]
    assert view.best is not None
    assert view.best.hit5 == 0.2
    assert view.baseline is not None
    assert view.baseline.baseline == "ewm"
    writer.acknowledge_stop()
    writer.finish(Result.STOPPED, Event("stopped", "stopped", time.time()))
    wait_until(lambda: seen.last.runs[0].state is State.STOPPED, "stopped")
    assert not seen.last.runs[0].stop_requested


def test_a_resumed_run_s_rewritten_rows_replace_the_old_ones(
    feed: Feed, seen: Seen, database: Database, wait_until: Wait
) -> None:
    writer = launch(database)
    feed.set_looked_at([writer.run_id])
    start(writer)
    for step in range(1, 31):
        writer.metrics([point(step, 1.0)])
    for epoch in (1, 2, 3):
        progress = Progress(epoch=epoch, epochs=10, step=epoch * 10, best_epoch=1)
        writer.epoch(EpochReport(progress=progress, evaluation=evaluation(epoch, 0.1)))

    def detail():  # type: ignore[no-untyped-def]
        return seen.last.details.get(writer.run_id)

    wait_until(lambda: detail() and len(detail().evaluations) == 3, "the first attempt")
    controller = Controller(database)
    controller.mark_lost(writer.run(), "test")
    controller.requeue(writer.run_id)
    start(writer)
    wait_until(lambda: seen.last.runs[0].run.attempt == 2, "the second attempt")
    writer.rewind(10)
    for step in range(11, 26):
        writer.metrics([point(step, 2.0)], Progress(epoch=1, epochs=10, step=step, best_epoch=1))
    progress = Progress(epoch=2, epochs=10, step=25, best_epoch=1)
    writer.epoch(EpochReport(progress=progress, evaluation=evaluation(2, 0.3)))
    wait_until(lambda: len(detail().evaluations) == 2 and len(detail().series["train/loss"].step) == 25)
    assert detail().series["train/loss"].step.tolist() == list(range(1, 26))
    assert detail().series["train/loss"].value.tolist() == [1.0] * 10 + [2.0] * 15
    assert [e.hit5 for e in detail().evaluations] == [0.1, 0.3]


def test_a_dead_process_shows_as_lost(feed: Feed, seen: Seen, database: Database, wait_until: Wait) -> None:
    writer = launch(database)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    start(writer, pid=process.pid)
    wait_until(lambda: seen.last.runs and seen.last.runs[0].state is State.RUNNING, "running")
    process.kill()
    process.wait()
    wait_until(lambda: seen.last.runs[0].state is State.LOST, "lost", 5.0)
    assert str(process.pid) in seen.last.runs[0].lost_reason
    readings = len(seen.all)
    feed.refresh()
    wait_until(lambda: not feed._wake.is_set())
    assert len(seen.all) == readings


def test_the_log_is_followed_and_made_harmless(
    feed: Feed, seen: Seen, database: Database, store: Path, wait_until: Wait
) -> None:
    writer = launch(database)
    log = store.parent / "runs" / str(writer.run_id) / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"first\n\x1b[31mred\x1b[0m [b]markup[/b]\nhalf")
    feed.set_looked_at([writer.run_id])

    def lines() -> tuple[str, ...]:
        detail = seen.last.details.get(writer.run_id)
        return detail.log if detail else ()

    wait_until(lambda: lines() == ("first", "red [b]markup[/b]", "half"), "the log")
    with log.open("ab") as file:
        file.write(b" a line\nlast\n")
    wait_until(lambda: lines()[-2:] == ("half a line", "last"), "the new lines")
    log.write_bytes(b"again\n")
    wait_until(lambda: lines() == ("again",), "the replaced log")


def test_a_log_outside_the_run_s_folder_is_not_read(
    feed: Feed, seen: Seen, database: Database, store: Path, tmp_path: Path, wait_until: Wait
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    writer = launch(database)
    folder = store.parent / "runs" / str(writer.run_id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.log").symlink_to(secret)
    feed.set_looked_at([writer.run_id])
    wait_until(lambda: writer.run_id in seen.last.details, "the detail")
    assert seen.last.details[writer.run_id].log == ()


def test_devices_keep_a_past_and_go_stale(store: Path, database: Database) -> None:
    from lvmtui.device_views import DEVICE_READINGS
    from lvmtui.merge import Merge
    from lvmtui.store.reader import Reader

    writer = launch(database)
    now = 1_000_000.0
    readings = DEVICE_READINGS + 10
    writer.device_samples(
        [
            DeviceSample("box", "cpu", "CPU", now - (readings - place) * 0.7, utilisation=place / 1000)
            for place in range(1, readings)
        ]
    )
    merge = Merge(Reader(database))
    merge.read(now)
    shown = merge.build((), now)
    (device,) = shown.devices
    assert len(device.history) <= DEVICE_READINGS
    assert device.sample.utilisation == (readings - 1) / 1000
    assert not device.stale
    assert merge.build((), now + 1) is shown
    assert merge.build((), now + 6).devices[0].stale


def test_a_removed_store_keeps_the_last_reading_and_a_new_one_is_taken_up(
    feed: Feed, seen: Seen, store: Path, wait_until: Wait
) -> None:
    database = Database.open(store)
    launch(database, "old")
    wait_until(lambda: seen.last.runs, "the run")
    database.close()
    for file in store.parent.glob("runs.db*"):
        file.unlink()
    wait_until(lambda: "removed" in seen.last.problem, "the problem")
    assert seen.last.runs
    database = Database.open(store)
    launch(database, "new")
    wait_until(lambda: not seen.last.problem, "the new store")
    wait_until(lambda: [view.run.phase for view in seen.last.runs] == ["new"], "the new run")
    database.close()


def test_a_corrupt_store_is_said_to_be_so_and_recovers(store: Path, seen: Seen, wait_until: Wait) -> None:
    store.write_bytes(b"this is no database" * 100)
    feed = Feed(str(store), seen)
    feed.start()
    wait_until(lambda: seen.all and "not a readable run store" in seen.last.problem, "the problem")
    store.unlink()
    wait_until(lambda: not seen.last.problem, "the file to be gone")
    database = Database.open(store)
    launch(database)
    wait_until(lambda: seen.last.runs, "the run")
    feed.stop()
    database.close()


def a_store(path: Path, phase: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = Database.open(path)
    launch(database, phase)
    database.close()
    return path


def phases(snapshot: Snapshot) -> list[str]:
    return [view.run.phase for view in snapshot.runs]


@pytest.mark.parametrize("in_place", [False, True], ids=["another file", "written over"])
def test_a_store_replaced_by_another_is_read_anew(
    in_place: bool, store: Path, seen: Seen, tmp_path: Path, wait_until: Wait
) -> None:
    a_store(store, "old")
    feed = Feed(str(store), seen)
    feed.start()
    wait_until(lambda: seen.all and phases(seen.last) == ["old"], "the old run")
    other = a_store(tmp_path / "other" / "runs.db", "new")
    if in_place:
        with sqlite3.connect(other) as source, sqlite3.connect(store) as target:
            source.backup(target)
        source.close()
        target.close()
    else:
        os.replace(other, store)
    wait_until(lambda: phases(seen.last) == ["new"], "the new run")
    assert seen.last.problem == ""
    feed.stop()


def test_a_copy_from_earlier_is_taken_for_what_it_is(
    feed: Feed, seen: Seen, store: Path, tmp_path: Path, wait_until: Wait
) -> None:
    a_store(store, "kept")
    copy = tmp_path / "copy.db"
    with sqlite3.connect(store) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    target.close()
    a_store(store, "lost")
    wait_until(lambda: phases(seen.last) == ["lost", "kept"], "both runs")
    with sqlite3.connect(copy) as target:
        target.backup(source)
    target.close()
    source.close()
    wait_until(lambda: phases(seen.last) == ["kept"], "the first run alone")


def test_runs_that_were_deleted_go(
    feed: Feed, seen: Seen, database: Database, store: Path, wait_until: Wait
) -> None:
    first, second = launch(database, "first"), launch(database, "second")
    feed.set_looked_at([first.run_id])
    wait_until(lambda: len(seen.last.runs) == 2 and seen.last.details, "both runs")
    with database.write() as connection:
        connection.exec_driver_sql(f"DELETE FROM run WHERE id = {first.run_id}")
    wait_until(lambda: phases(seen.last) == ["second"], "the second alone")
    assert not seen.last.details
    assert seen.last.view(first.run_id) is None
    assert seen.last.view(second.run_id) is seen.last.runs[0]


def test_a_locked_store_is_said_to_be_so_and_read_on(
    store: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch, wait_until: Wait
) -> None:
    monkeypatch.setattr("lvmtui.feed.BUSY_SECONDS", 0.05)
    a_store(store, "before")
    # With a write-ahead log nobody could lock readers out.
    locker = sqlite3.connect(store, isolation_level=None)
    locker.execute("PRAGMA journal_mode=DELETE")
    feed = Feed(str(store), seen)
    feed.start()
    wait_until(lambda: seen.all and seen.last.runs, "the run")
    locker.execute("BEGIN EXCLUSIVE")
    feed.refresh()
    wait_until(lambda: "locked by another program" in seen.last.problem, "the problem")
    assert phases(seen.last) == ["before"]
    locker.execute("UPDATE run SET revision = revision + 1, phase = 'after'")
    locker.execute("COMMIT")
    wait_until(lambda: not seen.last.problem and phases(seen.last) == ["after"], "the end of the lock")
    feed.stop()
    locker.close()


def test_a_store_that_was_emptied_keeps_the_last_reading(store: Path, seen: Seen, wait_until: Wait) -> None:
    a_store(store, "old")
    feed = Feed(str(store), seen)
    feed.start()
    wait_until(lambda: seen.all and seen.last.runs, "the run")
    with store.open("r+b") as file:
        file.truncate(0)
    wait_until(lambda: "is empty now" in seen.last.problem, "the problem")
    assert phases(seen.last) == ["old"]
    for file_left in store.parent.glob("runs.db*"):
        file_left.unlink()
    a_store(store, "new")
    wait_until(lambda: not seen.last.problem and phases(seen.last) == ["new"], "the new run")
    feed.stop()


def test_a_folder_that_is_removed_and_made_again(tmp_path: Path, seen: Seen, wait_until: Wait) -> None:
    store = a_store(tmp_path / "folder" / "runs.db", "old")
    feed = Feed(str(store), seen)
    feed.start()
    wait_until(lambda: seen.all and seen.last.runs, "the run")
    shutil.rmtree(store.parent)
    wait_until(lambda: "was removed" in seen.last.problem, "the problem")
    a_store(store, "new")
    wait_until(lambda: not seen.last.problem and phases(seen.last) == ["new"], "the new run")
    feed.stop()


def test_a_newer_store_is_refused(store: Path, seen: Seen, database: Database, wait_until: Wait) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version = 998 + version")
    feed = Feed(str(store), seen)
    feed.start()
    wait_until(lambda: seen.all and seen.last.problem, "the problem")
    feed.stop()
    assert "later" in seen.last.problem or "newer" in seen.last.problem


def row(step: int, value: float | None) -> tuple[int, int, float, float, float | None]:
    return step, step, step / 10, 1e9 + step, value


def test_a_long_curve_is_thinned_but_keeps_its_extremes() -> None:
    curve = Curve()
    for block in range(100):
        first = block * 1000
        curve.extend([row(first + i, 0.5) for i in range(999)] + [row(first + 999, float(block))])
    curve.extend([row(100_000, None)])
    series = curve.series()
    assert len(series.step) <= CURVE_POINTS
    assert series.value[np.isfinite(series.value)].max() == 99.0
    assert np.isnan(series.value[-1])
    assert set(np.arange(100.0)) <= set(series.value[np.isfinite(series.value)])
    assert (np.diff(series.step) >= 0).all()


def test_points_out_of_order_are_sorted() -> None:
    curve = Curve()
    curve.extend([row(5, 5.0), row(3, 3.0)])
    curve.extend([row(4, 4.0)])
    assert curve.series().value.tolist() == [3.0, 4.0, 5.0]


def test_hit_at_every_k_from_the_ranks() -> None:
    from lvmtui.stats import pack_ranks

    curve = hit_curve(pack_ranks(np.array([1, 2, 2, 7, 4000], dtype=np.uint32)))
    assert len(curve) == 100
    assert [curve[k - 1] for k in (1, 2, 6, 7, 100)] == [0.2, 0.6, 0.6, 0.8, 0.8]
    assert hit_curve(b"") == ()


def test_damaged_ranks_hide_nothing_else(tmp_path: Path) -> None:
    """The ranks in the dumps of old stores are no ranks."""
    old = sqlite3.connect(tmp_path / "runs.db")
    old.executescript((Path(__file__).parent / "store" / "stores" / "v4.sql").read_text())
    old.close()
    source = open_reader(tmp_path / "runs.db")
    found = snapshot(Reader(source), looked_at=[1], now=300.0)
    source.close()
    assert not found.problem
    assert found.details[1].damage == "stored ranks are damaged"
    assert len(found.details[1].evaluations) == 1
