"""The reporter: order, coalescing, heartbeats, requests, a store that is locked, a run that was taken."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.control import StopFlag
from engine.reporter import OwnershipLost, Reporter
from lvmtui.sensors import DeviceSampler
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import (
    DeviceSample,
    EpochReport,
    Event,
    MetricPoint,
    NewRun,
    Progress,
    Run,
    RunFacts,
)
from lvmtui.store.writer import Writer

FACTS = RunFacts(1, "f", "p", "cpu", {})


class OneSample:
    """A sampler without waiting for sensors."""

    def sample(self) -> list[DeviceSample]:
        return [DeviceSample(host="here", device="cpu", name="cpu", time=time.time())]


class Setup:
    """A running run with its reporter, and the view of another process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.other = Database.open(path)
        self.reader = Reader(self.other)
        new = NewRun("p", "{}", "h", 0, "gru", 8, "hit5", "demo", 3, 3)
        self.id = Controller(self.other).create_run(new).id
        self.database = Database.open(path)
        # A busy store must be noticed within the test.
        self.database._connection.exec_driver_sql("PRAGMA busy_timeout=50")
        self.database._connection.rollback()
        writer = Writer(self.database, self.id)
        self.flag = StopFlag()
        run = writer.start(pid=1, process_started=1.0, host="here")
        self.reporter = Reporter(writer, run, self.flag, OneSample())
        self.reporter.start()
        self.reporter.call(lambda writer: writer.running(FACTS))

    def run(self) -> Run:
        return self.reader.run(self.id)


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    made = Setup(tmp_path / "runs.db")
    yield made
    made.reporter.close()
    made.database.close()
    made.other.close()


Wait = Callable[..., None]


def point(step: int, value: float = 1.0) -> MetricPoint:
    return MetricPoint("train/loss", step, step / 10, time.time(), value)


def test_metrics_arrive_in_order_with_the_progress(setup: Setup) -> None:
    for step in range(500):
        setup.reporter.metrics([point(step)], Progress(step=step))
    setup.reporter.flush()
    assert [found.step for found in setup.reader.metrics(setup.id)] == list(range(500))
    assert setup.run().progress.step == 499


def test_metrics_arrive_without_a_flush_and_in_few_commits(setup: Setup, wait_until: Wait) -> None:
    before = setup.run().revision
    for step in range(300):
        setup.reporter.metrics([point(step)], Progress(step=step))
    wait_until(lambda: len(setup.reader.metrics(setup.id)) == 300)
    assert setup.run().revision - before < 20


def test_an_epoch_comes_after_the_metrics_before_it(setup: Setup) -> None:
    setup.reporter.metrics([point(1)], Progress(step=1))
    setup.reporter.epoch(EpochReport(Progress(epoch=1, step=1), metrics=(point(1, 2.0),)))
    setup.reporter.metrics([point(2)], Progress(epoch=1, step=2))
    setup.reporter.flush()
    assert [found.value for found in setup.reader.metrics(setup.id)] == [1.0, 2.0, 1.0]
    assert setup.run().progress == Progress(epoch=1, step=2)


def test_it_beats_and_samples_without_being_asked(setup: Setup, wait_until: Wait) -> None:
    first = setup.run().heartbeat
    wait_until(lambda: setup.run().heartbeat != first)
    wait_until(lambda: len(setup.reader.device_samples()) >= 2)


def test_a_stop_request_sets_the_flag_and_is_acknowledged(setup: Setup, wait_until: Wait) -> None:
    Controller(setup.other).request_stop(setup.id)
    wait_until(setup.flag.is_set)
    wait_until(lambda: setup.run().status is Status.STOPPING)
    assert setup.reader.pending_controls() == []


def test_a_signal_is_acknowledged_too(setup: Setup, wait_until: Wait) -> None:
    setup.flag.set("SIGTERM")
    wait_until(lambda: setup.run().status is Status.STOPPING)


def test_a_locked_store_delays_and_loses_nothing(setup: Setup, wait_until: Wait) -> None:
    locker = sqlite3.connect(setup.path, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    for step in range(10):
        setup.reporter.metrics([point(step)], Progress(step=step))
    wait_until(lambda: setup.reporter._failing_since is not None)
    with pytest.raises(TimeoutError, match="could not be written"):
        setup.reporter.flush(timeout=0.01)
    locker.execute("ROLLBACK")
    locker.close()
    setup.reporter.flush()
    assert [found.step for found in setup.reader.metrics(setup.id)] == list(range(10))


def test_a_run_that_was_declared_lost_is_written_no_more(setup: Setup, wait_until: Wait) -> None:
    Controller(setup.other).mark_lost(setup.reader.run(setup.id), "somebody thought so")
    with pytest.raises(OwnershipLost, match="not this process's any more"):
        wait_until(lambda: setup.reporter.check() is not None)  # type: ignore[func-returns-value]
    with pytest.raises(OwnershipLost):
        setup.reporter.metrics([point(1)], Progress(step=1))
    assert setup.reader.metrics(setup.id) == []
    assert setup.run().result is Result.LOST


def test_errors_of_a_call_reach_the_caller_and_the_thread_goes_on(setup: Setup) -> None:
    def fail(_writer: Writer) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        setup.reporter.call(fail)
    setup.reporter.event("note", "still here")
    setup.reporter.flush()
    assert setup.reader.events(run_id=setup.id)[-1].message == "still here"


def test_the_end_comes_last_and_is_no_loss(setup: Setup) -> None:
    setup.reporter.metrics([point(1)], Progress(step=1))
    setup.reporter.finish(Result.COMPLETED, Event("completed", "done", time.time()))
    run = setup.run()
    assert (run.status, run.result, run.progress.step) == (Status.DONE, Result.COMPLETED, 1)
    setup.reporter.close()
    setup.reporter.check()


def test_what_is_handed_over_before_closing_is_written(setup: Setup) -> None:
    setup.reporter.metrics([point(1)], Progress(step=1))
    setup.reporter.close()
    assert len(setup.reader.metrics(setup.id)) == 1


def test_the_sampler_reads_this_machine_and_leaves_out_what_it_cannot() -> None:
    cpu, *gpus = DeviceSampler().sample()
    assert cpu.device == "cpu"
    assert cpu.memory_total is not None
    assert cpu.process_memory is not None
    assert cpu.utilisation is not None
    assert cpu.power is None
    assert cpu.temperature is None or cpu.temperature > 0
    assert [gpu.device for gpu in gpus] == [f"gpu{index}" for index in range(len(gpus))]
