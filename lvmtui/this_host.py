"""What this machine is to the queue: its devices, and this process. Loads no torch; psutil when needed."""

from __future__ import annotations

import os
import platform
import socket
import sys
from functools import cache
from typing import TYPE_CHECKING

from lvmtui.liveness import lost_reason, process_alive, process_start_time
from lvmtui.store.slots import CPU

if TYPE_CHECKING:
    from lvmtui.store.queue import Worker
    from lvmtui.store.records import Run


@cache
def devices() -> tuple[str, ...]:
    """What engines can train on here, by torch's names: `cpu`, `cuda:0`, `cuda:1`, …, `mps`.

    Found without torch, which takes seconds to load: by the driver, by `CUDA_VISIBLE_DEVICES`, and by which
    torch is installed.
    """
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return (CPU, "mps")
    return (CPU, *(f"cuda:{k}" for k in range(_gpus())))


def _gpus() -> int:
    from importlib import metadata

    try:
        if "+cpu" in metadata.version("torch"):
            return 0
    except metadata.PackageNotFoundError:
        pass  # only to look at runs; those that train here say so themselves
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in {"", "-1"}])
    try:
        import pynvml

        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except Exception:
        # NVMLError without a driver, OSError from a broken one, ImportError without the package.
        return 0


def worker() -> Worker:
    """This process, as one that takes runs up."""
    from lvmtui.store.queue import Worker

    started = process_start_time(os.getpid())
    if started is None:
        raise RuntimeError("this process has no start time")
    return Worker(os.getpid(), started, socket.gethostname(), devices())


def proof_of_loss(now: float, run: Run) -> str | None:
    """What proves that the process of a run on this host is gone; None where nothing does."""
    if process_alive(run) is not False:
        return None
    return lost_reason(run, now) or f"process {run.pid} is gone"
