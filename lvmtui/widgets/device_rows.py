"""Devices and the processes on them as rows: readings of runs and of this machine put together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lvmtui.format import plain
from lvmtui.liveness import START_TOLERANCE
from lvmtui.snapshot import HostView, RunView, Snapshot
from lvmtui.store.lifecycle import Status
from lvmtui.store.records import DeviceSample

if TYPE_CHECKING:
    from lvmtui.host_processes import HostReading, ProcessReading

KEPT_SECONDS = 300.0
"""How far back the past of a device is shown."""

STALE_SECONDS = 6.0
"""Without a reading for that long, nothing measures a device."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process on one device."""

    key: str
    pid: int
    what: str
    """The run's name; `other`; or the program, for one's own."""
    run_id: int | None = None
    memory: int | None = None
    cpu: float | None = None
    """Cores that it keeps busy."""
    started: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device: its newest reading, its past, and what works on it."""

    key: str
    sample: DeviceSample
    past: tuple[DeviceSample, ...] = ()
    """Oldest first, the newest reading included."""
    stale: bool = False
    processes: tuple[ProcessRow, ...] = ()


@dataclass(frozen=True, slots=True)
class HostRow:
    """One machine."""

    name: str
    is_this: bool
    devices: tuple[DeviceRow, ...]
    gpu_problem: str = ""
    watched: HostView | None = None
    """How it is, where it is a watched host."""


@dataclass(slots=True)
class Past:
    """The readings of every device over the last minutes."""

    _held: dict[tuple[str, str], dict[float, DeviceSample]] = field(default_factory=dict)

    def add(self, samples: Iterable[DeviceSample], now: float) -> None:
        """Take in readings, known ones too, and forget what is long past."""
        for sample in samples:
            self._held.setdefault((sample.host, sample.device), {})[sample.time] = sample
        for held in self._held.values():
            newest = max(held)
            for time in [time for time in held if now - time > KEPT_SECONDS and time != newest]:
                del held[time]

    def of(self, host: str, device: str) -> tuple[DeviceSample, ...]:
        """The readings of one device, oldest first."""
        held = self._held.get((host, device), {})
        return tuple(held[time] for time in sorted(held))

    def devices(self) -> dict[str, list[str]]:
        """Host -> its devices, GPUs first."""
        found: dict[str, list[str]] = {}
        for host, device in sorted(self._held, key=lambda key: (key[0], key[1] == "cpu", _numbered(key[1]))):
            found.setdefault(host, []).append(device)
        return found


def _numbered(device: str) -> tuple[str, int]:
    """`gpu10` after `gpu9`."""
    name = device.rstrip("0123456789")
    return name, int(device[len(name) :] or 0)


def hosts(snapshot: Snapshot | None, here: HostReading | None, past: Past, now: float) -> list[HostRow]:
    """Every machine that is known, this one first; then those that no host is watched on, then the watched
    ones in their order, also where nothing was read of them.

    Args:
        snapshot: the store's newest reading.
        here: this machine's newest reading.
        past: what was read before, these two included.
        now: seconds since the epoch.
    """
    working = [view for view in snapshot.runs if view.state.is_active] if snapshot else []
    found, known = [], past.devices()
    for name, devices in known.items():
        is_this = here is not None and here.host == name
        rows = [_device(name, device, past, working, here if is_this else None, now) for device in devices]
        problem = here.gpu_problem if here is not None and is_this else ""
        view = snapshot.host(name) if snapshot else None
        found.append(HostRow(plain(name), is_this, tuple(rows), problem, view))
    watched = snapshot.hosts if snapshot else ()
    found += [HostRow(host.name, False, (), watched=host) for host in watched if host.name not in known]
    place = {host.name: number for number, host in enumerate(watched)}
    return sorted(found, key=lambda host: (not host.is_this, place.get(host.name, -1)))


def _device(
    host: str, device: str, past: Past, working: Sequence[RunView], here: HostReading | None, now: float
) -> DeviceRow:
    readings = past.of(host, device)
    sample = readings[-1]
    if here is not None:
        mine = [process for process in here.processes if process.device == device]
        processes = tuple(_process(host, process, working) for process in mine)
    else:
        processes = tuple(_remote(sample, readings, view) for view in working if _is_on(view, host, device))
    return DeviceRow(
        key=f"{host}/{device}",
        sample=sample,
        past=readings,
        stale=now - sample.time > STALE_SECONDS,
        processes=processes,
    )


def run_of(host: str, lineage: Sequence[tuple[int, float]], working: Sequence[RunView]) -> RunView | None:
    """The run that a process belongs to, by its own id or that of one of its parents; the start times must
    agree, for ids are used again."""
    here = [view for view in working if view.run.host == host]
    # A watched host may be this very machine; the last one counts, and that is one of this store.
    here.sort(key=lambda view: not view.run.origin)
    by_pid: Mapping[int | None, RunView] = {view.run.pid: view for view in here}
    for pid, started in lineage:
        view = by_pid.get(pid)
        if view is None:
            continue
        recorded = view.run.process_started
        if recorded is None or abs(recorded - started) <= START_TOLERANCE:
            return view
    return None


def _process(host: str, process: ProcessReading, working: Sequence[RunView]) -> ProcessRow:
    view = run_of(host, process.lineage, working)
    if view is not None:
        child = "" if view.run.pid == process.pid else " · child"
        what = f"{plain(view.run.name)}{child}"
    elif process.is_this:
        what = "this dashboard"
    elif process.is_own:
        what = plain(process.name)
    else:
        what = f"other · {plain(process.user)}" if process.user else "other"
    return ProcessRow(
        key=f"{host}/{process.device}/{process.pid}",
        pid=process.pid,
        what=what,
        run_id=view.run.id if view else None,
        memory=process.memory,
        cpu=process.cpu,
        started=process.started,
    )


def _is_on(view: RunView, host: str, device: str) -> bool:
    """Whether a run of another machine trains on this device, by what it says itself."""
    run = view.run
    if (run.origin or run.host) != host or run.status is Status.QUEUED:
        return False
    trained_on = (run.device or "").split(" ")[0]
    kind, _, number = trained_on.partition(":")
    return device == (f"gpu{number or 0}" if kind == "cuda" else "cpu")


def _remote(sample: DeviceSample, readings: Sequence[DeviceSample], view: RunView) -> ProcessRow:
    run = view.run
    own = next((item for item in reversed(readings) if item.run_id == run.id), None)
    return ProcessRow(
        key=f"{sample.host}/{sample.device}/{run.pid}",
        pid=run.pid or 0,
        what=plain(f"{run.phase} #{run.number}"),
        run_id=run.id,
        memory=own.process_memory if own else None,
        started=run.process_started or run.started,
    )


def wanted_pids(snapshot: Snapshot | None, host: str) -> frozenset[int]:
    """Ids of the processes of the runs that train on a machine."""
    views = snapshot.runs if snapshot else ()
    return frozenset(
        view.run.pid for view in views if view.state.is_active and view.run.pid and view.run.host == host
    )
