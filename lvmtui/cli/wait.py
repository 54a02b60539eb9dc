"""Waits for a run and prints a line an epoch. Waiting never touches a run that is at work; where nothing else
would start one that waits, it is started."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lvmtui.cli.contacts import Contacts, lost_because
from lvmtui.cli.logfile import LogReader
from lvmtui.cli.session import Session, line, note, reading, ref
from lvmtui.format import (
    duration,
    metric_name,
    metric_value,
    number,
    percent,
    plain_lines,
    plus_minus,
    small,
    speed,
)
from lvmtui.launcher import fill_slots, run_folder
from lvmtui.liveness import process_alive
from lvmtui.logtail import LogTail
from lvmtui.reading import LOG_NAME
from lvmtui.remaining import remaining_of
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.slots import waits
from lvmtui.waiting import stalled, waiting_reason

if TYPE_CHECKING:
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Evaluation, Run

POLL_SECONDS = 0.2

QUEUE_SECONDS = 2.0
"""Time between two looks at what a queued run waits for."""

INTERRUPTED = 130
"""Exit code after ctrl+c, as shells have it."""

SILENT_EVENTS = frozenset({"best", "epoch", "completed", "early_stopped", "stopped", "failed", "lost"})
"""Events that the lines of epochs and the last line tell already."""

_TIME_OF_DAY = re.compile(r"^\d\d:\d\d:\d\d ")

LOG_LINES = 20
"""Lines of its log that are shown of a run whose process died without a word."""


def wait_for(session: Session, run_id: int, tell: Callable[[str], None] = line) -> int:
    """Print what a run does until it ends.

    Args:
        session: where the run is.
        run_id: its id.
        tell: prints one line of progress.

    Returns:
        0 when it completed or stopped early; 1 when it failed, was lost, or was stopped before its end;
        130 after ctrl+c, which ends the waiting only.
    """
    with reading(session) as reader:
        run = reader.run(run_id)
        try:
            return _Watch(reader, run, tell, Contacts(session)).until_over()
        except KeyboardInterrupt:
            note(f"Stopped waiting; {run.name} goes on. `lvmtui stop {ref(run)}` ends it.")
            return INTERRUPTED


def wait_for_all(session: Session, made: Sequence[Run], tell: Callable[[str], None] = line) -> int:
    """Print what the runs of a group do, one after another, until all have ended.

    Returns:
        As `wait_for`, the worst of all.
    """
    worst = 0
    for run in made:
        code = wait_for(session, run.id, tell)
        if code == INTERRUPTED:
            return code
        worst = max(worst, code)
    return worst


class _Watch:
    """What of a run has been printed already."""

    def __init__(self, reader: Reader, run: Run, tell: Callable[[str], None], contacts: Contacts) -> None:
        self._reader = reader
        self._contacts = contacts
        self._tell = tell
        self._run_id = run.id
        # A resumed run's past is no news.
        self._event = max((event.id for event in reader.events(run_id=run.id)), default=0)
        self._evaluation = max((item.id for item in reader.evaluations(run.id)), default=0)
        self._silent = False
        self._reason = ""
        self._next_look = 0.0
        self._log = LogReader(run_folder(reader.database, run) / LOG_NAME)
        self._log.skip()
        self._told: set[str] = set()
        """Log lines that were printed: what an event says again is no news."""

    def until_over(self) -> int:
        version: int | None = -1
        while True:
            seen = self._reader.database.data_version()
            run = self._reader.run(self._run_id)
            if seen is None or seen != version:
                version = seen
                self._news(run)
            if waits(run) and time.monotonic() >= self._next_look:
                self._look_at_queue(run)
            if run.status in {Status.QUEUED, Status.STARTING}:
                self._preparations(run)
            code = self._end(run)
            if code is not None:
                return code
            self._contacts.tell()
            time.sleep(POLL_SECONDS)

    def _look_at_queue(self, run: Run) -> None:
        """Say why the run waits, and start what nothing else would start."""
        self._next_look = time.monotonic() + QUEUE_SECONDS
        runs, now = self._reader.runs(), time.time()
        if stalled(runs, now):  # of this machine alone
            fill_slots(self._reader.database.location.url)
            return
        reason = waiting_reason(run, runs, now)
        if reason != self._reason:
            self._reason = reason
            note(f"{run.name}: {reason}")

    def _preparations(self, run: Run) -> None:
        """Print what the log says while data and baselines are made ready, which can take a while."""
        for text in self._log.read(whole_lines=True):
            message = _TIME_OF_DAY.sub("", text).removeprefix(f"{run.phase} #{run.number}: ")
            self._told.add(message)
            self._tell(f"{run.name}  {message}")

    def _news(self, run: Run) -> None:
        """Print events and epochs that are new, in the order in which they happened."""
        events = self._reader.events(after=self._event, run_id=run.id)
        evaluations = self._reader.evaluations(run.id, after=self._evaluation)
        news = [
            (item.time, f"{run.name}  {item.message}") for item in events if item.kind not in SILENT_EVENTS
        ]
        news += [(item.time, self._epoch(run, item)) for item in evaluations]
        for _, text in sorted(news, key=lambda item: item[0]):
            self._tell(text)
        self._event = events[-1].id if events else self._event
        self._evaluation = evaluations[-1].id if evaluations else self._evaluation

    def _epoch(self, run: Run, item: Evaluation) -> str:
        bounds, progress = item.hit5_interval, run.progress
        parts = [
            f"{run.name}  epoch {item.epoch}/{progress.epochs}",
            f"Hit@5 {percent(item.hit5)} {plus_minus(bounds.low, bounds.high) if bounds else ''}".rstrip(),
            f"MRR {small(item.mrr)}",
        ]
        if item.loss is not None:
            parts.append(f"loss {number(item.loss)}")
        if progress.epoch == item.epoch:
            best = metric_value(run.watch, progress.best_value)
            parts.append(f"best {metric_name(run.watch)} {best} at {progress.best_epoch}")
            parts.append(f"no gain {progress.patience_used}/{progress.patience}")
            if progress.vectors_per_second is not None:
                parts.append(speed(progress.vectors_per_second))
            left = remaining_of(run)
            if left is not None and left.worst > 0:
                parts.append(f"left {duration(left.likely)} to {duration(left.worst)}")
        return "  ".join(parts)

    def _end(self, run: Run) -> int | None:
        """Print how the run ended, if it has; the exit code then."""
        if run.status is not Status.DONE:
            reason = lost_because(self._reader, run)
            if not reason:
                self._silent = False
                return None
            if not _is_gone(run, reason):
                if not self._silent:
                    self._silent = True
                    note(f"{run.name}: {reason}; still waiting.")
                return None
            run = self._reader.run(self._run_id)  # it may have ended by itself just now
            if run.status is not Status.DONE:
                return self._lost(run, reason)
        self._news(run)
        return self._done(run)

    def _lost(self, run: Run, reason: str) -> int:
        self._tell(f"{run.name}  lost: {reason}")
        for text in LogTail(self._reader.database.location.root, run).read()[-LOG_LINES:]:
            note(f"  | {text}")
        note(f"`lvmtui resume {ref(run)}` goes on from its last checkpoint.")
        return 1

    def _done(self, run: Run) -> int:
        result = run.result or Result.LOST
        words = f"{run.name}  {result.value.replace('_', ' ')} at epoch {run.progress.epoch}"
        if run.progress.best_value is not None:
            best = metric_value(run.watch, run.progress.best_value)
            words += f", best {metric_name(run.watch)} {best} at epoch {run.progress.best_epoch}"
        self._tell(f"{words}, {duration(run.active_seconds)}")
        if result is Result.FAILED:
            for text in filter(None, plain_lines(run.error or "")[:2]):
                note(text)
            note(f"`lvmtui show {ref(run)}` has the whole error, `lvmtui logs {ref(run)}` the log.")
        return 0 if result in {Result.COMPLETED, Result.EARLY_STOPPED} else 1


def _is_gone(run: Run, reason: str) -> bool:
    """Whether the process of a run that counts as lost is known to be gone; else it may only be silent."""
    return process_alive(run) is False if not run.origin else "heartbeat" not in reason
