"""The queue: its order and slots on a real store, and real engines that take up one another's runs."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lvmtui import launcher, this_host, waiting
from lvmtui.errors import IllegalTransition, RunNotFound, UsageError
from lvmtui.launcher import Start, queueing
from lvmtui.liveness import process_alive
from lvmtui.store import queue, slots
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.queue import Worker
from lvmtui.store.reader import Reader
from lvmtui.store.records import Event, NewRun, Run, RunFacts
from lvmtui.store.writer import Writer
from tests.tiny import ENDLESS, TINY, end_all, runs, states, write_vectors

NEW = NewRun("p", "{}", "h", 0, "gru", 8, "hit5", "demo", 1, 1)
HERE = "box"
CPU_ONLY = ("cpu",)
QUEUE = Start(queue=True)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "runs.db")
    yield opened
    opened.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with a small vector set; what was launched in it is ended afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_vectors(tmp_path)
    yield tmp_path
    end_all()


def new(database: Database, **values: object) -> Run:
    return Controller(database).create_run(replace(NEW, **values))  # type: ignore[arg-type]


def worker(pid: int = 1, devices: tuple[str, ...] = CPU_ONLY, host: str = HERE) -> Worker:
    return Worker(pid, 2.0, host, devices)


def at_work(database: Database, run: Run, device: str = "cpu", pid: int = 1, host: str = HERE) -> Writer:
    writer = Writer(database, run.id)
    writer.start(pid=pid, process_started=2.0, host=host)
    writer.running(RunFacts(1, "f", "p", device, {}))
    return writer


def end(writer: Writer, result: Result = Result.COMPLETED) -> None:
    writer.finish(result, Event(result.value, "over", time.time()))


def order(database: Database) -> list[int]:
    return [run.id for run in queue.waiting(database)]


def why(database: Database, devices: tuple[str, ...] = CPU_ONLY) -> list[tuple[int, str]]:
    return [(turn.run.id, turn.why.value) for turn in queue.turns(database, worker(devices=devices))]


def test_what_has_more_priority_goes_first_then_what_was_there_first(database: Database) -> None:
    for priority in (0, 5, 0, 5, -1):
        new(database, priority=priority)
    assert order(database) == [2, 4, 1, 3, 5]
    queue.set_priority(database, 5, 9, "me")
    assert order(database) == [5, 2, 4, 1, 3]
    claimed = [run.id for _ in range(5) if (run := queue.claim_next(database, worker(devices=("cpu",))))]
    assert claimed == [5]  # one slot


def test_a_run_is_moved_by_one_place_whatever_the_priorities(database: Database) -> None:
    for priority in (2, 1, 1, 0):
        new(database, priority=priority)
    assert order(database) == [1, 2, 3, 4]
    assert queue.move(database, 3, queueing.earlier).priority == 1
    assert order(database) == [1, 3, 2, 4]
    assert queue.move(database, 3, queueing.earlier).priority == 2
    assert order(database) == [3, 1, 2, 4]
    assert queue.move(database, 3, queueing.earlier).priority == 2  # it is the first already
    queue.move(database, 3, queueing.last)
    assert order(database) == [1, 2, 4, 3]
    queue.move(database, 4, queueing.first)
    assert order(database) == [4, 1, 2, 3]
    queue.move(database, 4, queueing.later)
    assert order(database) == [1, 4, 2, 3]
    queue.move(database, 3, queueing.before(Reader(database).run(4)))
    assert order(database) == [1, 3, 4, 2]
    new(database)
    assert order(database) == [1, 3, 4, 2, 5]
    with pytest.raises(IllegalTransition, match="none of the others that wait"):
        queue.move(database, 3, queueing.before(Reader(database).run(3)))


def test_the_places_between_two_runs_never_run_out(database: Database) -> None:
    for _ in range(4):
        new(database)
    for k in range(150):
        third = order(database)[2]
        queue.move(database, third, queueing.earlier)
        assert order(database)[1] == third, k
    new(database)
    assert order(database)[-1] == 5


def test_held_and_trashed_runs_are_passed_over(database: Database) -> None:
    for held in (True, False, False):
        new(database, held=held)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET trashed = 1.0 WHERE id = 2")
    assert why(database) == [(1, "held"), (3, "nothing")]
    queue.hold(database, 3, "me")
    assert queue.claim_next(database, worker()) is None
    queue.release(database, 1, "me")
    taken = queue.claim_next(database, worker())
    assert taken is not None
    assert (taken.id, taken.pid, taken.device) == (1, 1, "cpu")
    with pytest.raises(IllegalTransition, match="p #1 does not wait in the queue: it is taken up already"):
        queue.hold(database, 1, "me")
    with pytest.raises(RunNotFound):
        queue.hold(database, 99, "me")


@pytest.mark.parametrize(
    ("result", "then"),
    [
        (Result.COMPLETED, "nothing"),
        (Result.EARLY_STOPPED, "nothing"),
        (Result.FAILED, "blocked"),
        (Result.STOPPED, "blocked"),
    ],
)
def test_a_run_waits_for_the_good_end_of_another(database: Database, result: Result, then: str) -> None:
    first = at_work(database, new(database))
    new(database, after=1)
    assert why(database) == [(2, "after")]
    assert waiting.words(queue.turns(database, worker())[0]) == "after p #1"
    end(first, result)
    assert why(database) == [(2, then)]
    if then == "blocked":
        assert waiting.words(queue.turns(database, worker())[0]).startswith("blocked: p #1, which it waits")
        assert queue.claim_next(database, worker()) is None
        assert queue.release(database, 2, "me").after is None
    assert queue.claim_next(database, worker()) is not None


def test_a_run_never_waits_for_itself(database: Database) -> None:
    new(database)
    new(database, after=1)
    new(database, after=2)
    with pytest.raises(UsageError, match="would wait for each other"):
        queue.set_after(database, 1, 3, "me")
    with pytest.raises(UsageError, match="cannot wait for itself"):
        queue.set_after(database, 1, 1, "me")
    with pytest.raises(RunNotFound):
        queue.set_after(database, 1, 99, "me")
    assert queue.set_after(database, 3, None, "me").after is None
    assert queue.release(database, 2, "me").after == 1  # what is still awaited stays so


def test_a_slot_is_one_device_of_one_host(database: Database) -> None:
    gpus = ("cpu", "cuda:0", "cuda:1")
    at_work(database, new(database), device="cuda:0 NVIDIA H200")
    at_work(database, new(database), device="cpu", host="elsewhere")
    new(database, device_wanted="cuda:0")  # 3
    new(database)  # 4: any but the processor
    new(database, device_wanted="cuda")  # 5
    new(database, device_wanted="cpu")  # 6
    new(database, device_wanted="mps")  # 7
    new(database, host_wanted="elsewhere")  # 8
    found = {turn.run.id: turn for turn in queue.turns(database, worker(devices=gpus))}
    assert {k: (turn.why.value, turn.device) for k, turn in found.items()} == {
        3: ("device", "cuda:0"),
        4: ("nothing", "cuda:1"),
        5: ("device", "cuda:0"),
        6: ("nothing", "cpu"),
        7: ("missing", "mps"),
        8: ("host", ""),
    }
    assert waiting.words(found[3]) == "waits for cuda:0: p #1 uses it"
    assert [run.id for _ in range(4) if (run := queue.claim_next(database, worker(7, gpus)))] == [4, 6]


def test_the_ending_process_takes_first_what_fits_its_own_slot(database: Database) -> None:
    gpus = ("cpu", "cuda:0")
    ended = at_work(database, new(database), device="cuda:0 NVIDIA H200")
    new(database, device_wanted="cpu")
    new(database, device_wanted="cuda")
    assert queue.take_next(database, 1, worker(1, gpus)) is None  # it has not ended
    end(ended)
    following = queue.take_next(database, 1, worker(1, gpus))
    assert following is not None
    assert (following.id, following.device, following.status) == (3, "cuda:0", Status.QUEUED)
    assert not queue.is_being_started(following)


def test_a_group_shares_a_slot_as_far_as_its_jobs_allow(database: Database) -> None:
    Controller(database).create_group([NEW] * 4, "two", jobs=2)
    new(database)
    taken = [run.id for _ in range(5) if (run := queue.claim_next(database, worker()))]
    assert taken == [1, 2]
    assert why(database) == [(3, "group"), (4, "group"), (5, "device")]


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cuda:0", "cuda:1", "cuda:2")])
def test_many_that_end_at_once_take_each_run_once_and_fill_no_slot_twice(
    database: Database, tmp_path: Path, devices: tuple[str, ...]
) -> None:
    for _ in range(12):
        new(database)
    taken: list[Run] = []
    start = threading.Barrier(8)

    def take(pid: int) -> None:
        mine = Database.open(tmp_path / "runs.db")
        start.wait()
        for _ in range(3):
            run = queue.claim_next(mine, worker(pid, devices))
            if run is not None:
                taken.append(run)
        mine.close()

    threads = [threading.Thread(target=take, args=(100 + k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = [device for device in devices if device != "cpu"] or ["cpu"]
    assert sorted(run.device or "" for run in taken) == wanted
    assert sorted(run.id for run in taken) == list(range(1, len(wanted) + 1))


def test_what_is_proven_dead_is_cleared_away(database: Database) -> None:
    at_work(database, new(database), pid=11)
    new(database)
    queue.claim_this(database, 2, worker(12))
    new(database)
    assert why(database) == [(3, "device")]
    lost = queue.clear_dead(database, lambda run: f"process {run.pid} is gone")
    assert [(run.id, run.result) for run in lost] == [(1, Result.LOST)]
    back = Reader(database).run(2)
    assert (back.status, back.pid, back.device) == (Status.QUEUED, None, None)
    assert why(database) == [(2, "nothing"), (3, "device")]
    with pytest.raises(IllegalTransition, match="taken up already"):
        queue.claim_this(database, 1, worker(13))


def test_a_signal_from_outside_starts_nothing(database: Database) -> None:
    writer = at_work(database, new(database))
    new(database)
    end(writer, Result.STOPPED)
    assert queue.take_next(database, 1, worker()) is None
    assert waiting.stalled(Reader(database).runs(), time.time())[0].id == 2


def test_a_wish_for_a_device_that_cannot_be_is_refused(place: Path) -> None:
    for device in ("gpu", "cuda:x", "cpu:0", "cuda:"):
        with pytest.raises(UsageError, match="no device"):
            launcher.launch("runs.db", "phase-1", TINY, start=Start(device=device))
    assert not (place / "runs.db").exists()
    with pytest.raises(RunNotFound):
        launcher.launch("runs.db", "phase-1", TINY, start=Start(after=7))


def test_the_devices_of_this_host_are_found_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0")
    monkeypatch.setattr("lvmtui.this_host.sys.platform", "linux")
    for visible, found in {"": 0, "-1": 0, "0": 1, "0,2": 2, "GPU-1,GPU-2,GPU-3": 3}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert this_host.devices.__wrapped__() == ("cpu", *(f"cuda:{k}" for k in range(found)))
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cpu")
    assert this_host.devices.__wrapped__() == ("cpu",)
    monkeypatch.setattr("lvmtui.this_host.sys.platform", "darwin")
    monkeypatch.setattr("lvmtui.this_host.platform.machine", lambda: "arm64")
    assert this_host.devices.__wrapped__() == ("cpu", "mps")


def is_training(run_id: int) -> bool:
    run = runs()[run_id - 1]
    assert run.status is not Status.DONE, run.error
    return run.progress.epoch >= 1


def are_done(*ids: int) -> bool:
    return all(runs()[run_id - 1].status is Status.DONE for run_id in ids)


@pytest.mark.slow
def test_the_queue_goes_on_by_itself_in_its_order(place: Path, wait_until: Callable[..., None]) -> None:
    first = launcher.launch("runs.db", "phase-1", ENDLESS, start=QUEUE)
    assert first.pid is not None  # nothing else used the processor
    launcher.launch("runs.db", "phase-1", TINY, start=QUEUE)
    launcher.launch("runs.db", "phase-1", TINY | {"data": "vectors"}, start=Start(after=2))
    launcher.launch("runs.db", "phase-1", TINY, start=Start(held=True))
    last = launcher.launch("runs.db", "phase-1", TINY, start=Start(queue=True, priority=1))
    assert (last.pid, last.device_wanted, last.host_wanted) == (None, "cpu", first.host)
    assert list(waiting.waiting_reasons(runs(), time.time()).items()) == [
        (5, "waits for cpu: phase-1 #1 uses it"),
        (2, "waits for cpu: phase-1 #1 uses it"),
        (3, "after phase-1 #2"),
        (4, "held"),
    ]
    wait_until(lambda: is_training(1), "the first epoch")
    launcher.stop("runs.db", 1)
    wait_until(lambda: are_done(1, 2, 3, 5), "the queue", seconds=120)
    assert states() == ["stopped", "completed", "completed", "queued", "completed"]
    started = {run.id: run.started or 0.0 for run in runs()}
    ended = {run.id: run.ended or 0.0 for run in runs()}
    assert ended[1] <= started[5] <= ended[5] <= started[2] <= ended[2] <= started[3]
    assert len({run.pid for run in runs() if run.id != 4}) == 1
    wait_until(lambda: process_alive(runs()[2]) is False, "the process to end")
    assert queueing.release("runs.db", 4).pid is not None
    wait_until(lambda: are_done(4), "the released run", seconds=60)


@pytest.mark.slow
def test_two_that_end_at_once_leave_one_slot(place: Path, wait_until: Callable[..., None]) -> None:
    for _ in range(2):
        launcher.launch("runs.db", "phase-1", ENDLESS)  # at once, although one runs already
    for _ in range(3):
        launcher.launch("runs.db", "phase-1", TINY, start=QUEUE)
    wait_until(lambda: is_training(1) and is_training(2), "both to train")
    most = 0

    def over() -> bool:
        nonlocal most
        now = runs()
        most = max(most, sum(slots.is_taken(run) for run in now if run.id > 2))
        return all(run.status is Status.DONE for run in now)

    for run_id in (1, 2):
        launcher.stop("runs.db", run_id)
    wait_until(over, "the end of all", seconds=120)
    assert most == 1
    assert states() == ["stopped", "stopped", *["completed"] * 3]
    assert [run.attempt for run in runs()] == [1] * 5


@pytest.mark.slow
def test_after_a_kill_whoever_looks_first_goes_on_and_only_one_does(
    place: Path, wait_until: Callable[..., None]
) -> None:
    launcher.launch("runs.db", "phase-1", ENDLESS, start=QUEUE)
    for _ in range(2):
        launcher.launch("runs.db", "phase-1", ENDLESS, start=QUEUE)
    wait_until(lambda: is_training(1), "the first epoch")
    os.killpg(runs()[0].pid or 0, signal.SIGKILL)
    wait_until(lambda: process_alive(runs()[0]) is False, "the process to be gone")
    assert [run.id for run in waiting.stalled(runs(), time.time())] == [2]
    started: list[Run] = []
    threads = [
        threading.Thread(target=lambda: started.extend(launcher.fill_slots("runs.db"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.id for run in started] == [2]
    assert states()[0] == "lost"
    wait_until(lambda: is_training(2), "the second to train")
    assert launcher.fill_slots("runs.db") == []
    wait_until(lambda: states()[1:] == ["running", "queued"], "one at work")
    launcher.kill("runs.db", 2)  # which starts the next
    assert slots.is_taken(runs()[2])
    wait_until(lambda: is_training(3), "the third to train")
    assert psutil.pid_exists(runs()[2].pid or 0)


@pytest.mark.slow
def test_a_starting_engine_has_the_other_slots_filled(place: Path, wait_until: Callable[..., None]) -> None:
    """One that ends can become only one other run; its end may have let several go."""
    from engine import relay

    launcher.launch("runs.db", "phase-1", TINY, start=Start(held=True))
    database = Database.open("runs.db")
    relay.fill_other_slots(database)  # nothing may start: no process is spent on it
    here = this_host.worker()
    at_work(database, new(database), device="cuda:0 NVIDIA H200", pid=here.pid, host=here.host)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET held = 0 WHERE id = 1")
    relay.fill_other_slots(database)
    database.close()
    wait_until(lambda: are_done(1), "the run on the processor", seconds=60)
    assert states()[0] == "completed"


@pytest.mark.slow
def test_a_run_whose_folder_cannot_be_used_does_not_end_the_queue(
    place: Path, wait_until: Callable[..., None]
) -> None:
    launcher.launch("runs.db", "phase-1", ENDLESS, start=QUEUE)
    for _ in range(2):
        launcher.launch("runs.db", "phase-1", TINY, start=QUEUE)
    folder = place / "runs" / "2"
    folder.rmdir()
    folder.write_text("in the way")
    wait_until(lambda: is_training(1), "the first epoch")
    launcher.stop("runs.db", 1)
    wait_until(lambda: are_done(1, 2, 3), "the end of all", seconds=120)
    assert states() == ["stopped", "failed", "completed"]
    assert "could not be started: File exists" in (runs()[1].error or "")
