"""Runs that were launched together: who belongs to them, and which one comes next.

A group is a tag, `group:LABEL@ID` with the id of its first run. Its runs wait in the queue; each that ends
takes up the next, so that as many run at once as were started at first. No other process looks after them.
"""

import time

from sqlalchemy import Connection, func, insert, select

from lvmtui.store import runs, tables
from lvmtui.store.convert import event_columns, to_run
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import GROUP_PREFIX, ControlKind, Event, Run

_EVENT = runs.table(tables.EventRow)
_CONTROL = runs.table(tables.ControlRow)


def group_tag(label: str, first: int) -> str:
    """The tag of a group.

    Args:
        label: what was launched, in words; commas separate tags and are left out.
        first: id of its first run.
    """
    return f"{GROUP_PREFIX}{label.replace(',', '')}@{first}"


def members(database: Database, group: str) -> list[Run]:
    """All runs of a group, in the order in which they are taken up."""
    with database.read() as connection:
        return _members(connection, group)


def waiting(database: Database, run_id: int) -> Run | None:
    """The next run of this run's group that waits for a process; None where there is none."""
    with database.read() as connection:
        return _waiting(connection, runs.get(connection, run_id))


def take_next(database: Database, run_id: int, *, pid: int, process_started: float, host: str) -> Run | None:
    """Claim the next run of an ended run's group for a process, in one transaction.

    A run that a signal ended without anybody's request starts nothing: its machine may be going down.

    Args:
        run_id: the run that has ended.
        pid: the process that will take the next one up.
        process_started: when that began, seconds since the epoch.
        host: where it is.

    Returns:
        The run, still queued; None where none waits.
    """
    with database.write() as connection:
        ended = runs.get(connection, run_id)
        if ended.status is not Status.DONE:
            return None  # its end could not be recorded; with another run's process it would seem alive
        if ended.result is Result.STOPPED and not _was_asked(connection, ended):
            return None
        following = _waiting(connection, ended)
        if following is None:
            return None
        now = time.time()
        runs.change(
            connection, following.id, pid=pid, process_started=process_started, host=host, heartbeat=now
        )
        event = Event("claimed", f"{following.name} is next, after {ended.name}", now)
        connection.execute(insert(_EVENT), [event_columns(event, following.id)])
        return runs.get(connection, following.id)


def _members(connection: Connection, group: str) -> list[Run]:
    fits = runs.RUN.c.tags.contains(group, autoescape=True)
    rows = connection.execute(select(runs.RUN).where(fits).order_by(runs.RUN.c.id)).mappings()
    return [run for run in map(to_run, rows) if run.group == group]


def _waiting(connection: Connection, run: Run) -> Run | None:
    if run.group is None:
        return None
    found = _members(connection, run.group)
    return next((one for one in found if one.status is Status.QUEUED and one.pid is None), None)


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
