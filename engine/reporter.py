"""The thread that owns the process's store connection: training hands over records and waits for no disk."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy.exc import OperationalError

from engine.control import StopFlag
from lvmtui.errors import TrainingError
from lvmtui.store.lifecycle import ACTIVE, Result
from lvmtui.store.records import (
    ControlKind,
    DeviceSample,
    EpochReport,
    Event,
    MetricPoint,
    Progress,
    Run,
    Severity,
)
from lvmtui.store.writer import Writer

COMMIT_SECONDS = 0.2
"""Least time between two commits of step metrics."""
POLL_SECONDS = 0.25
"""Time between two looks at the requests."""
BEAT_SECONDS = 1.0
"""Time between two heartbeats and device samples."""
RETRY_SECONDS = 1.0
"""Time between two tries at a store that cannot be written."""

log = logging.getLogger("engine")
Value = TypeVar("Value")


class OwnershipLost(TrainingError):
    """The store says that another process, or none, has the run: this one must write no more of it."""


class Sampler(Protocol):
    """What reads the devices."""

    def sample(self) -> list[DeviceSample]: ...


@dataclass(frozen=True)
class _Points:
    points: tuple[MetricPoint, ...]
    progress: Progress


@dataclass(frozen=True)
class _Job:
    work: Callable[[Writer], Any]
    done: "Future[Any] | None" = None


class Reporter:
    """Writes what it is handed, in order; beats, samples the devices, and looks for requests.

    A store that cannot be written (full disk, lock) is tried again until it can; nothing is dropped, and
    training goes on meanwhile.

    Args:
        writer: the run's writer; from `start` on it belongs to the thread.
        run: the run as `Writer.start` returned it: what tells this process's attempt from another's.
        flag: set when the store holds a stop request.
        sampler: reads the devices every second.
    """

    def __init__(self, writer: Writer, run: Run, flag: StopFlag, sampler: Sampler) -> None:
        self._writer = writer
        self._run = run
        self._flag = flag
        self._sampler = sampler
        self._queue: deque[_Points | _Job] = deque()
        self._wake = threading.Condition()
        self._urgent = False
        self._closing = False
        self._acknowledged = False
        self._ended = False
        self._failure: BaseException | None = None
        self._failing_since: float | None = None
        self._next_try = 0.0
        self._next_commit = 0.0
        self._next_poll = 0.0
        self._next_beat = 0.0
        self._thread = threading.Thread(target=self._work, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def metrics(self, points: Sequence[MetricPoint], progress: Progress) -> None:
        """Hand over step metrics; they are committed with their neighbours."""
        self._put(_Points(tuple(points), progress), urgent=False)

    def epoch(self, report: EpochReport) -> None:
        """Hand over an epoch's end: one transaction."""
        self._put(_Job(lambda writer: writer.epoch(report)))

    def event(
        self,
        kind: str,
        message: str,
        severity: Severity = Severity.INFO,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """Hand over an event, and log it."""
        level = {Severity.WARN: logging.WARNING, Severity.ERROR: logging.ERROR}.get(severity, logging.INFO)
        log.log(level, "%s", message)
        self._put(_Job(lambda writer: writer.event(kind, message, severity, evidence)))

    def submit(self, work: Callable[[Writer], Any]) -> None:
        """Do something with the writer after everything handed over so far; does not wait."""
        self._put(_Job(work))

    def call(self, work: Callable[[Writer], Value], timeout: float | None = None) -> Value:
        """Do something with the writer after everything handed over so far, and wait for its value.

        Raises:
            OwnershipLost: the run is another process's now.
            TimeoutError: the store could not be written for `timeout` seconds.
        """
        done: Future[Value] = Future()
        self._put(_Job(work, done))
        try:
            return done.result(timeout)
        except FutureTimeout:
            if done.done():
                raise
            raise TimeoutError(f"the store could not be written for {timeout:.0f} s") from None

    def finish(
        self, result: Result, event: Event, *, error: str | None = None, timeout: float | None = None
    ) -> None:
        """Say how the run ended, after everything handed over so far.

        Raises:
            TimeoutError: the store could not be written for `timeout` seconds.
        """

        def work(writer: Writer) -> None:
            writer.finish(result, event, error=error)
            self._ended = True

        self.call(work, timeout)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything handed over so far is committed."""
        self.call(lambda _writer: None, timeout)

    def check(self) -> None:
        """Tell the training thread when there is no sense in going on.

        Raises:
            OwnershipLost: the run is another process's now.
            TrainingError: the store is damaged.
        """
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the thread. What is still queued is tried once more."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _put(self, item: _Points | _Job, *, urgent: bool = True) -> None:
        with self._wake:
            if self._failure is not None:
                raise self._failure
            self._queue.append(item)
            self._urgent = self._urgent or urgent
            self._wake.notify()

    def _work(self) -> None:
        while not self._closing:
            self._wait()
            try:
                self._poll_if_due()
                self._drain()
                self._beat_if_due()
            except OperationalError as error:
                self._postpone(error)
            except BaseException as error:
                self._fail(error)
                return
        try:
            self._drain()
        except BaseException as error:
            self._fail(error)

    def _wait(self) -> None:
        with self._wake:
            while not self._closing:
                now = time.monotonic()
                due = min(self._next_poll, self._next_beat)
                if self._queue:
                    due = min(due, self._next_commit if not self._urgent else 0.0)
                due = max(due, self._next_try)
                if due <= now:
                    return
                self._wake.wait(due - now)

    def _drain(self) -> None:
        """Write what is queued. An item leaves the queue only once it is committed."""
        while True:
            with self._wake:
                if not self._queue:
                    self._urgent = False
                    return
                if not self._urgent and time.monotonic() < self._next_commit and not self._closing:
                    return
                batch = self._head()
            first = batch[0]
            if isinstance(first, _Job):
                self._do(first)
            else:
                points = [point for item in batch if isinstance(item, _Points) for point in item.points]
                last = batch[-1]
                assert isinstance(last, _Points)
                self._writer.metrics(points, last.progress)
            self._next_commit = time.monotonic() + COMMIT_SECONDS
            self._recovered()
            with self._wake:
                for _ in batch:
                    self._queue.popleft()

    def _head(self) -> list[_Points | _Job]:
        """The first item, with the step metrics that follow it when it is of step metrics itself."""
        batch: list[_Points | _Job] = [self._queue[0]]
        if isinstance(batch[0], _Points):
            for item in list(self._queue)[1:]:
                if isinstance(item, _Job):
                    break
                batch.append(item)
        return batch

    def _do(self, job: _Job) -> None:
        if job.done is None:
            job.work(self._writer)
            return
        try:
            value = job.work(self._writer)
        except OperationalError:
            raise
        except Exception as error:
            job.done.set_exception(error)
        else:
            job.done.set_result(value)

    def _poll_if_due(self) -> None:
        if time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + POLL_SECONDS
        run = self._writer.run()
        if run.status not in ACTIVE or run.attempt != self._run.attempt or run.pid != self._run.pid:
            self._check_over(run)
            return
        if any(request.kind is ControlKind.STOP for request in self._writer.pending()):
            self._flag.set("a request")
        if self._flag.is_set() and not self._acknowledged:
            self._writer.acknowledge_stop()
            self._acknowledged = True

    def _check_over(self, run: Run) -> None:
        """Another process has the run, or somebody declared it lost; unless it was us who ended it."""
        if self._ended:
            return
        state = f"{run.status}" if run.result is None else f"{run.status} ({run.result})"
        raise OwnershipLost(
            f"{run.name} is not this process's any more: the store has it as {state}, pid {run.pid}",
            "It was declared lost, or resumed elsewhere. This process ends and writes no more.",
        )

    def _beat_if_due(self) -> None:
        if time.monotonic() < self._next_beat or self._ended:
            return
        self._next_beat = time.monotonic() + BEAT_SECONDS
        self._writer.heartbeat()
        self._writer.device_samples(self._sampler.sample())

    def _postpone(self, error: OperationalError) -> None:
        """The store cannot be written now; keep everything and try again."""
        now = time.monotonic()
        self._next_try = now + RETRY_SECONDS
        if self._failing_since is None:
            self._failing_since = now
            log.warning("the store cannot be written (%s); training goes on, will try again", error.orig)

    def _recovered(self) -> None:
        if self._failing_since is not None:
            log.info("the store is written again after %.0f s", time.monotonic() - self._failing_since)
            self._failing_since = None

    def _fail(self, error: BaseException) -> None:
        """Nothing more can be written: tell everyone who waits."""
        with self._wake:
            self._failure = error
            waiting = [item.done for item in self._queue if isinstance(item, _Job) and item.done is not None]
            lost = len(self._queue)
            self._queue.clear()
        for done in waiting:
            if not done.done():
                done.set_exception(error)
        if lost and not isinstance(error, OwnershipLost):
            log.error("the store failed (%s); %d records are lost", error, lost)
