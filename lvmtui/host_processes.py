"""What this machine is busy with: its devices' sensors, and the processes on each of them.

Loads psutil, and NVML where there is an NVIDIA driver; import it where it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import psutil

from lvmtui.sensors import DeviceSampler
from lvmtui.store.records import DeviceSample

BUSY = 0.05
"""A process that uses this much of one core is worth a line."""

OTHERS = 8
"""Processes of the processor that are no run's, busiest first."""

ANCESTORS = 8
"""How far up a process's parents are looked at."""


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """One process on one device."""

    device: str
    """`cpu`, `gpu0`, …"""
    pid: int
    name: str = ""
    """Of its program; empty where the system does not say."""
    user: str = ""
    is_own: bool = False
    """Belongs to the user of this process."""
    is_this: bool = False
    """Is this very process."""
    memory: int | None = None
    """Bytes: resident, or on the GPU."""
    cpu: float | None = None
    """Cores that it kept busy since the reading before; None at the first, and on a GPU."""
    started: float | None = None
    lineage: tuple[tuple[int, float], ...] = ()
    """Ids and start times of the process and its parents, nearest first."""


@dataclass(frozen=True, slots=True)
class HostReading:
    """One moment of this machine."""

    host: str
    time: float
    samples: tuple[DeviceSample, ...] = ()
    processes: tuple[ProcessReading, ...] = ()
    """Those of the runs that were asked for, the busiest others, and all on GPUs."""
    gpu_problem: str = ""
    """Why no GPU is read; empty where one is."""


class HostSampler:
    """Reads this machine. One thread at a time."""

    def __init__(self) -> None:
        self._devices = DeviceSampler()
        self._known: set[int] = set()
        """Processes whose use of the processor was read before, so that it has something to compare with."""

    def sample(self, wanted: Collection[int]) -> HostReading:
        """Read devices and processes.

        Args:
            wanted: ids of the processes of runs, which are told of with their children however idle.
        """
        samples = self._devices.sample()
        processes = {process.pid: process for process in psutil.process_iter()}
        parents, use = _parents_and_use(processes.values())
        family = _descendants(wanted, parents)
        busy = {pid: share for pid, share in use.items() if pid in self._known}
        others = [pid for pid, share in busy.items() if share >= BUSY and pid not in family]
        shown = [*sorted(family), *sorted(others, key=lambda pid: -busy[pid])[:OTHERS]]
        found = [_reading("cpu", processes[pid], parents, cpu=busy.get(pid)) for pid in shown]
        for device, pid, memory in self._devices.gpu_processes():
            # In a container, the driver may tell of processes that are not to be seen from here.
            known = _reading(device, processes[pid], parents, memory=memory) if pid in processes else None
            found.append(known or ProcessReading(device, pid, memory=memory))
        self._known = set(use)
        return HostReading(
            self._devices.host,
            samples[0].time,
            tuple(samples),
            tuple(reading for reading in found if reading is not None),
            self._devices.gpu_problem,
        )


def _parents_and_use(processes: Iterable[psutil.Process]) -> tuple[dict[int, int], dict[int, float]]:
    """Process id -> id of its parent, and -> cores kept busy since this was asked before."""
    parents: dict[int, int] = {}
    use: dict[int, float] = {}
    for process in processes:
        try:
            with process.oneshot():
                parents[process.pid] = process.ppid()
                use[process.pid] = process.cpu_percent(None) / 100
        except psutil.Error:
            continue  # has just ended, or may not be looked at
    return parents, use


def _descendants(wanted: Collection[int], parents: dict[int, int]) -> set[int]:
    """The wanted processes that live, and all that they have started."""
    family = {pid for pid in wanted if pid in parents}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return family


def _reading(
    device: str,
    process: psutil.Process,
    parents: dict[int, int],
    *,
    cpu: float | None = None,
    memory: int | None = None,
) -> ProcessReading | None:
    """What there is to say of a process; None when it has just ended."""
    try:
        with process.oneshot():
            return ProcessReading(
                device=device,
                pid=process.pid,
                name=process.name(),
                user=process.username(),
                is_own=process.uids().real == os.getuid(),
                is_this=process.pid == os.getpid(),
                memory=int(process.memory_info().rss) if device == "cpu" else memory,
                cpu=cpu,
                started=process.create_time(),
                lineage=tuple(_lineage(process, parents)),
            )
    except psutil.NoSuchProcess:
        return None
    except (psutil.Error, AttributeError, OSError):
        return ProcessReading(device, process.pid, memory=memory, cpu=cpu)


def _lineage(process: psutil.Process, parents: dict[int, int]) -> Iterable[tuple[int, float]]:
    yield process.pid, process.create_time()
    pid = process.pid
    for _ in range(ANCESTORS):
        pid = parents.get(pid, 0)
        if pid <= 1:
            return
        try:
            yield pid, psutil.Process(pid).create_time()
        except psutil.Error:
            return
