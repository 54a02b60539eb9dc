"""The queue of runs: who takes up the next one, and how its order is changed.

Nothing looks after the queue all the time: an engine that has ended its run takes up the next, and whoever
finds a free slot (`lvmtui.launcher.fill_slots`) starts what may start. Each of them claims a run in one
transaction, so that none is taken twice and no slot is overfilled (`lvmtui.store.slots` has the rules).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, or_, select

from lvmtui.errors import IllegalTransition, UsageError
from lvmtui.store import runs, slots, tables
from lvmtui.store.convert import event_columns, to_run
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import ControlKind, Event, Run, Severity

_EVENT = runs.table(tables.EventRow)
_CONTROL = runs.table(tables.ControlRow)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that takes runs up, or starts processes for them."""

    pid: int
    process_started: float
    """Seconds since the epoch."""
    host: str
    devices: tuple[str, ...]
    """What its host can train on: `cpu`, `cuda:0`, …"""


def members(database: Database, group: str) -> list[Run]:
    """All runs of a group, oldest first."""
    fits = runs.RUN.c.tags.contains(group, autoescape=True)
    with database.read() as connection:
        rows = connection.execute(select(runs.RUN).where(fits).order_by(runs.RUN.c.id)).mappings()
        found = [to_run(dict(row)) for row in rows]
        return [run for run in found if run.group == group]


def unfinished(database: Database) -> list[Run]:
    """All runs that wait or are at work, and those that others wait for."""
    with database.read() as connection:
        return _unfinished(connection)


def undecided(database: Database, since: float) -> list[Run]:
    """What `unfinished` has, and all runs that have ended since a time: their processes may take up the next.

    Args:
        since: seconds since the epoch.
    """
    with database.read() as connection:
        found = {run.id: run for run in _unfinished(connection)}
        rows = connection.execute(select(runs.RUN).where(runs.RUN.c.ended >= since)).mappings()
        return list((found | {row["id"]: to_run(dict(row)) for row in rows}).values())


def waiting(database: Database) -> list[Run]:
    """The queue: what goes first is first."""
    return slots.in_order(unfinished(database))


def turns(database: Database, worker: Worker) -> list[slots.Turn]:
    """What each queued run waits for, as seen from a host."""
    with database.read() as connection:
        return _turns(connection, worker)


def claim(connection: Connection, run_id: int, worker: Worker, device: str = "") -> None:
    """Give a queued run to a process, in the caller's transaction.

    Args:
        run_id: the run.
        worker: who takes it.
        device: its slot; empty: the least used of its host that will do.
    """
    if not device:
        run = runs.get(connection, run_id)
        device = slots.least_used(run, _unfinished(connection), host=worker.host, devices=worker.devices)
    runs.change(
        connection,
        run_id,
        pid=worker.pid,
        process_started=worker.process_started,
        host=worker.host,
        device=device or None,
        # Until its own engine is known: see `is_being_started`.
        heartbeat=None,
        held=False,
        after=None,
    )


def is_being_started(run: Run) -> bool:
    """Whether the process recorded for a queued run is not its engine, but one that is about to start it."""
    return run.status is Status.QUEUED and run.pid is not None and run.heartbeat is None


def claim_this(database: Database, run_id: int, worker: Worker) -> Run:
    """Take a run out of the queue to start it now, whatever is in use.

    Raises:
        IllegalTransition: another process has taken it up, or it is in the trash.
    """
    with database.write() as connection:
        _unfinished(connection, lock=True)
        run = runs.get(connection, run_id)
        runs.check_not_in_trash(run)
        if run.status is not Status.QUEUED or run.pid is not None:
            raise IllegalTransition(f"{run.name} is taken up already", "`lvmtui ls` shows what runs.")
        claim(connection, run_id, worker)
        return runs.get(connection, run_id)


def claim_next(database: Database, worker: Worker) -> Run | None:
    """Claim the first run of the queue that a slot of the worker's host is free for, in one transaction.

    Returns:
        The run, still queued; None where nothing may start.
    """
    with database.write() as connection:
        return _claim_next(connection, worker)


def take_next(database: Database, run_id: int, worker: Worker) -> Run | None:
    """Claim the next run for the process of one that has ended, in one transaction; first of all one for the
    slot that it leaves.

    A run that a signal ended without anybody's request starts nothing: its machine may be going down.

    Args:
        run_id: the run that has ended.
        worker: its process.

    Returns:
        The run, still queued; None where none may start.
    """
    with database.write() as connection:
        ended = runs.get(connection, run_id)
        if ended.status is not Status.DONE:
            return None  # its end could not be recorded; with another run's process it would seem alive
        if ended.result is Result.STOPPED and not _was_asked(connection, ended):
            return None
        following = _claim_next(connection, worker, prefer=slots.device_of(ended, worker.devices))
        if following is None:
            return None
        # The process is an engine and stays one.
        runs.change(connection, following.id, heartbeat=time.time())
        _tell(connection, following.id, "claimed", f"{following.name} is next, after {ended.name}")
        return runs.get(connection, following.id)


def clear_dead(database: Database, reason_of: Callable[[Run], str | None]) -> list[Run]:
    """Record what is proven to be dead: engines as lost; runs whose starter died go back into the queue.

    Args:
        reason_of: what proves that a run's process is gone; None where nothing does.

    Returns:
        The runs that are lost now.
    """
    lost = []
    for seen in filter(slots.is_taken, unfinished(database)):
        reason = reason_of(seen)
        if reason is None:
            continue
        with database.write() as connection:
            if is_being_started(seen):
                if runs.get(connection, seen.id) == seen:
                    runs.change(connection, seen.id, pid=None, process_started=None, device=None)
            elif lose(connection, seen, reason):
                lost.append(runs.get(connection, seen.id))
    return lost


def lose(connection: Connection, seen: Run, reason: str) -> bool:
    """Record that a run's process is gone.

    Args:
        seen: the run as it was when the caller made sure of that.
        reason: what was found.

    Returns:
        Whether it was recorded; not when the run has ended, or was taken up again, in the meantime.
    """
    run = runs.get(connection, seen.id)
    if run.status is Status.DONE or (run.attempt, run.pid) != (seen.attempt, seen.pid):
        return False
    end = run.heartbeat or time.time()
    active = run.active_seconds + (max(0.0, end - run.started) if run.started else 0.0)
    runs.move(connection, run.id, Status.DONE, Result.LOST, ended=end, active_seconds=active)
    _tell(connection, run.id, "lost", f"lost: {reason}", Severity.WARN)
    return True


def hold(database: Database, run_id: int, by: str) -> Run:
    """Keep a queued run back until it is let go.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it does not wait.
    """
    with database.write() as connection:
        _waiting(connection, run_id)
        runs.change(connection, run_id, held=True)
        _tell(connection, run_id, "queue", f"held by {by}")
        return runs.get(connection, run_id)


def release(database: Database, run_id: int, by: str) -> Run:
    """Let a queued run go: it is held no longer, and does not wait for a run that will not end well.

    Raises:
        RunNotFound, IllegalTransition: as for `hold`.
    """
    with database.write() as connection:
        run = _waiting(connection, run_id)
        others = {one.id: one for one in _unfinished(connection)}
        awaited = others.get(run.after) if run.after is not None else None
        stays = awaited is not None and awaited.status is not Status.DONE
        runs.change(connection, run_id, held=False, after=run.after if stays else None)
        _tell(connection, run_id, "queue", f"let go by {by}")
        return runs.get(connection, run_id)


def set_priority(database: Database, run_id: int, priority: int, by: str) -> Run:
    """Give a queued run another priority; among its equals it stands by its id.

    Raises:
        RunNotFound, IllegalTransition: as for `hold`.
        UsageError: there is no such priority.
    """
    slots.check_priority(priority)
    with database.write() as connection:
        _waiting(connection, run_id)
        runs.change(connection, run_id, priority=priority, place=None)
        _tell(connection, run_id, "queue", f"priority {priority}, by {by}")
        return runs.get(connection, run_id)


def set_after(database: Database, run_id: int, other: int | None, by: str) -> Run:
    """Let a queued run wait for the end of another.

    Args:
        run_id: what waits.
        other: what it waits for; None: nothing.

    Raises:
        RunNotFound: one of them is not there.
        IllegalTransition: the first does not wait.
        UsageError: they would wait for each other.
    """
    with database.write() as connection:
        _waiting(connection, run_id)
        if other == run_id:
            raise UsageError(
                f"#{run_id} cannot wait for itself", f"`lvmtui queue after {run_id} none`: for no run."
            )
        seen, following = {run_id}, other
        while following is not None:
            if following in seen:
                raise UsageError(
                    f"#{run_id} after #{other}: they would wait for each other",
                    f"`lvmtui queue after {other} none` lets the other go first.",
                )
            seen.add(following)
            following = runs.get(connection, following).after
        runs.change(connection, run_id, after=other)
        words = f"after #{other}" if other is not None else "after no other run"
        _tell(connection, run_id, "queue", f"{words}, by {by}")
        return runs.get(connection, run_id)


def move(database: Database, run_id: int, index: Callable[[Sequence[Run], int], int]) -> Run:
    """Put a queued run somewhere else in the queue. Past runs of another priority it takes theirs.

    Args:
        run_id: what is moved.
        index: where to: of the others in order, and of where the run stands now, the number of those that
            are to go before it. What is too low or too high is the front or the end.

    Raises:
        RunNotFound, IllegalTransition: as for `hold`.
    """
    with database.write() as connection:
        run = _waiting(connection, run_id)
        order = slots.in_order(_unfinished(connection))
        now = [one.id for one in order].index(run_id)
        others = [one for one in order if one.id != run_id]
        to = min(max(index(others, now), 0), len(others))
        if to != now:
            _put(connection, run, others[:to], others[to:])
        return runs.get(connection, run_id)


def _put(connection: Connection, run: Run, before: list[Run], after: list[Run]) -> None:
    newest = connection.execute(select(func.max(runs.RUN.c.id))).scalar() or 0
    last, first = before[-1] if before else None, after[0] if after else None
    priority, place = slots.place_between(run, last, first, newest)
    runs.change(connection, run.id, priority=priority, place=place)
    equals = [one for one in before if one.priority == priority]
    others = [one for one in after if one.priority == priority]
    bounds = [slots.place_of(one) for one in (*equals[-1:], *others[:1])]
    if place in bounds:  # no number is left between the two
        low = slots.place_of(equals[0]) if equals else place
        for k, one in enumerate([*equals, run, *others]):
            runs.change(connection, one.id, place=low + k / (len(equals) + len(others) + 1))


def _waiting(connection: Connection, run_id: int) -> Run:
    run = runs.get(connection, run_id)
    if not slots.waits(run):
        state = run.result or ("in the trash" if run.pid is None else "taken up already")
        raise IllegalTransition(
            f"{run.name} does not wait in the queue: it is {state.replace('_', ' ')}",
            "`lvmtui queue` lists what waits.",
        )
    return run


def _claim_next(connection: Connection, worker: Worker, prefer: str = "") -> Run | None:
    turns_now = _turns(connection, worker, lock=True)
    ready = [turn for turn in turns_now if turn.why is slots.Why.NOTHING]
    if not ready:
        return None
    turn = next((turn for turn in ready if turn.device == prefer), ready[0])
    claim(connection, turn.run.id, worker, turn.device)
    return runs.get(connection, turn.run.id)


def _turns(connection: Connection, worker: Worker, *, lock: bool = False) -> list[slots.Turn]:
    return slots.turns(_unfinished(connection, lock=lock), host=worker.host, devices=worker.devices)


def _unfinished(connection: Connection, *, lock: bool = False) -> list[Run]:
    """Runs that wait or are at work, and those that others wait for.

    Args:
        lock: let no other transaction decide about them before this one has. A write transaction of SQLite
            is alone anyway; for it this changes nothing.
    """
    now = runs.RUN.c.status != Status.DONE.value
    awaited = select(runs.RUN.c.after).where(now, runs.RUN.c.after.is_not(None))
    query = select(runs.RUN).where(or_(now, runs.RUN.c.id.in_(awaited))).order_by(runs.RUN.c.id)
    query = query.with_for_update() if lock else query
    return [to_run(dict(row)) for row in connection.execute(query).mappings()]


def _was_asked(connection: Connection, run: Run) -> bool:
    """Whether somebody asked for the stop of the run's last attempt, or took it out of the queue."""
    if run.started is None:
        return True
    asked = select(func.count()).where(
        _CONTROL.c.run_id == run.id,
        _CONTROL.c.kind == ControlKind.STOP.value,
        _CONTROL.c.requested >= run.started,
    )
    return bool(connection.execute(asked).scalar())


def _tell(
    connection: Connection, run_id: int, kind: str, message: str, severity: Severity = Severity.INFO
) -> None:
    event = Event(kind, message, time.time(), severity)
    connection.execute(insert(_EVENT), [event_columns(event, run_id)])
