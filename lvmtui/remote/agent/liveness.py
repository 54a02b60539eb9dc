"""Finds runs whose process is dead, replaced or silent, by the same rules as `lvmtui.liveness`."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

HEARTBEAT_LIMIT = 4.0
"""Seconds without a heartbeat after which a run counts as lost; engines beat every second."""

STARTUP_LIMIT = 30.0
"""The same for a process that has not reached its first step."""

START_TOLERANCE = 2.0
"""Seconds by which a process's start time may differ from the recorded one (clock adjustments)."""

COLUMNS = ("status", "pid", "process_started", "host", "heartbeat")
"""Columns of a run's row that tell."""


def lost_reason(values: Sequence[Any], now: float) -> str:
    """Why a run counts as lost; empty when it does not.

    Args:
        values: those of `COLUMNS`.
        now: seconds since the epoch.
    """
    status, pid, started, host, heartbeat = values
    if status == "done" or (status == "queued" and pid is None):
        return ""
    if pid is not None and host == socket.gethostname():
        problem = _process_problem(pid, started)
        if problem:
            return problem
    if heartbeat is None:
        return ""
    limit = STARTUP_LIMIT if status in ("queued", "starting") else HEARTBEAT_LIMIT
    silence = now - heartbeat
    return f"no heartbeat for {math.floor(silence)} s" if silence > limit else ""


def _process_problem(pid: int, recorded: float | None) -> str:
    if not os.path.exists("/proc/self/stat"):
        return "" if _answers(pid) else f"process {pid} is gone"
    started = _start_time(pid)
    if started is None:
        return f"process {pid} is gone"
    if recorded is not None and abs(started - recorded) > START_TOLERANCE:
        return f"process {pid} is another one now"
    return ""


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it belongs to somebody else
    return True


def _start_time(pid: int) -> float | None:
    """When a process started, seconds since the epoch; None when there is none, or a zombie. See proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The program's name stands in parentheses and may hold anything.
            fields = file.read().rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X"):
            return None
        return _boot_time() + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


@lru_cache(maxsize=1)
def _boot_time() -> float:
    with open("/proc/stat", "rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return float(line.split()[1])
    raise ValueError("/proc/stat does not say when the machine was started")
