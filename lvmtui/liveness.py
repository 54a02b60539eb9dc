"""Finds runs whose process is dead, replaced or silent. Loads psutil only when it looks at a process."""

import math
import socket

from lvmtui.store.lifecycle import Status
from lvmtui.store.records import Run

HEARTBEAT_LIMIT = 4.0
"""Seconds without a heartbeat after which a run counts as lost; engines beat every second."""

STARTUP_LIMIT = 30.0
"""The same for a process that has not reached its first step: importing torch on a busy machine holds the
heartbeat up. A process that is gone is noticed at once all the same."""

START_TOLERANCE = 2.0
"""Seconds by which a process's start time may differ from the recorded one (clock adjustments)."""


def same_host(run: Run) -> bool:
    """Whether the run's process is, or was, on this machine."""
    return run.host == socket.gethostname()


def process_alive(run: Run) -> bool | None:
    """Whether the very process that was recorded for the run still lives.

    Returns:
        None when it cannot be told from here: no process was recorded, or it is on another host.
    """
    if run.pid is None or not same_host(run):
        return None
    return not _process_problem(run.pid, run.process_started)


def process_start_time(pid: int) -> float | None:
    """When the process started, seconds since the epoch; None when there is no such process (a zombie that
    its parent has not collected counts as none)."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None


def lost_reason(run: Run, now: float) -> str | None:
    """Why the run counts as lost, or None when it does not.

    Args:
        run: the run as the store has it.
        now: seconds since the epoch.
    """
    if run.status is Status.DONE or (run.status is Status.QUEUED and run.pid is None):
        return None
    if run.pid is not None and same_host(run):
        problem = _process_problem(run.pid, run.process_started)
        if problem:
            return problem
    if run.heartbeat is None:
        return None
    silence = now - run.heartbeat
    limit = STARTUP_LIMIT if run.status in {Status.QUEUED, Status.STARTING} else HEARTBEAT_LIMIT
    return f"no heartbeat for {math.floor(silence)} s" if silence > limit else None


def _process_problem(pid: int, recorded_start: float | None) -> str:
    started = process_start_time(pid)
    if started is None:
        return f"process {pid} is gone"
    if recorded_start is not None and abs(started - recorded_start) > START_TOLERANCE:
        return f"process {pid} is another one now"
    return ""
