"""The rules of the queue, on records alone: who waits, in which order, and for what. Standard library only.

A slot is one device of one host; it has room for one run. Runs of one group may share a slot while fewer of
the group are at work than its jobs allow.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lvmtui.errors import UsageError
from lvmtui.store.lifecycle import ACTIVE, Result, Status
from lvmtui.store.records import GROUP_PREFIX, Run

CPU = "cpu"

MOST_PRIORITY = 1_000_000
"""The highest priority; its negative is the lowest."""

ENDED_WELL = frozenset({Result.COMPLETED, Result.EARLY_STOPPED})
"""Ends of a run after which those that wait for it may start."""

_GROUP = re.compile(r"@\d+x(\d+)$")


class Why(StrEnum):
    """What a queued run waits for."""

    HELD = "held"
    AFTER = "after"
    """Another run has to end first."""
    BLOCKED = "blocked"
    """The run it waits for has not ended well, or is gone; somebody has to let it go."""
    HOST = "host"
    """It is for another host."""
    MISSING = "missing"
    """The host has no such device."""
    GROUP = "group"
    """As many of its group are at work as may be at once."""
    DEVICE = "device"
    """Its device is in use."""
    NOTHING = "nothing"
    """It can start now."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a queued run stands."""

    run: Run
    why: Why
    device: str = ""
    """The device that it waits for, or gets."""
    others: tuple[Run, ...] = ()
    """The runs that it waits for."""


def group_tag(label: str, first: int, jobs: int = 1) -> str:
    """The tag of a group.

    Args:
        label: what was launched, in words; commas separate tags and are left out.
        first: id of its first run.
        jobs: how many of it may be at work at once.
    """
    return f"{GROUP_PREFIX}{label.replace(',', '')}@{first}{f'x{jobs}' if jobs > 1 else ''}"


def jobs_of(group: str) -> int:
    """How many runs of a group may be at work at once."""
    found = _GROUP.search(group)
    return int(found[1]) if found else 1


def check_priority(priority: int) -> None:
    """Refuse what no database could hold.

    Raises:
        UsageError: it is too high or too low.
    """
    if abs(priority) > MOST_PRIORITY:
        raise UsageError(
            f"there is no priority {priority}", f"It lies between {-MOST_PRIORITY} and {MOST_PRIORITY}."
        )


def waits(run: Run) -> bool:
    """Whether a run stands in the queue: nobody has taken it up."""
    return run.status is Status.QUEUED and run.pid is None and run.trashed is None


def is_taken(run: Run) -> bool:
    """Whether a process has taken a run up and has not ended it."""
    return run.status in ACTIVE or (run.status is Status.QUEUED and run.pid is not None)


def place_of(run: Run) -> float:
    """Where a run stands among those of equal priority."""
    return float(run.id) if run.place is None else run.place


def in_order(runs: Iterable[Run]) -> list[Run]:
    """The queue: what goes first is first."""
    return sorted(filter(waits, runs), key=lambda run: (-run.priority, place_of(run), run.id))


def fitting(wanted: str, devices: Sequence[str]) -> tuple[str, ...]:
    """The devices of a host that will do.

    Args:
        wanted: `cpu`, `cuda` (any of them), `cuda:1`, `mps`; empty: any but the processor, if there is one.
        devices: what the host has: `cpu`, `cuda:0`, …
    """
    if not wanted:
        return tuple(device for device in devices if device != CPU) or (CPU,)
    return tuple(device for device in devices if device == wanted or device.partition(":")[0] == wanted)


def device_of(run: Run, devices: Sequence[str]) -> str:
    """The device that a run at work uses, as far as it is known."""
    if run.device:
        return run.device.split()[0]
    return next(iter(fitting(run.device_wanted, devices)), run.device_wanted)


def turns(
    runs: Iterable[Run],
    *,
    host: str,
    devices: Sequence[str],
    gone: Iterable[int] = (),
) -> list[Turn]:
    """What each queued run waits for, in the order of the queue.

    Those that can start now take their slots one after another, so that they may all be started.

    Args:
        runs: all that wait or are at work, and those that others wait for.
        host: the host that asks.
        devices: what it has.
        gone: ids of runs whose process is known to be dead; they use nothing any more.
    """
    known = {run.id: run for run in runs}
    dead = set(gone)
    at_work = [run for run in known.values() if is_taken(run) and run.id not in dead]
    used: dict[str, list[Run]] = {device: [] for device in devices}
    for run in at_work:
        if run.host == host:
            used.setdefault(device_of(run, devices), []).append(run)
    found = []
    for run in in_order(known.values()):
        turn = _before(run, known, host) or _slot(run, at_work, used, devices)
        if turn.why is Why.NOTHING:
            at_work.append(run)
            used[turn.device].append(run)
        found.append(turn)
    return found


def _before(run: Run, known: Mapping[int, Run], host: str) -> Turn | None:
    """What keeps a run from starting whatever is free; None where nothing does."""
    if run.held:
        return Turn(run, Why.HELD)
    if run.after is not None:
        awaited = known.get(run.after)
        if awaited is None or awaited.trashed is not None:
            return Turn(run, Why.BLOCKED, others=() if awaited is None else (awaited,))
        if awaited.status is not Status.DONE:
            return Turn(run, Why.AFTER, others=(awaited,))
        if awaited.result not in ENDED_WELL:
            return Turn(run, Why.BLOCKED, others=(awaited,))
    return Turn(run, Why.HOST) if run.host_wanted not in {"", host} else None


def _slot(
    run: Run, at_work: Sequence[Run], used: Mapping[str, Sequence[Run]], devices: Sequence[str]
) -> Turn:
    """The slot that a run gets, or what it waits for."""
    devices = fitting(run.device_wanted, devices)
    if not devices:
        return Turn(run, Why.MISSING, run.device_wanted)
    mates = [one for one in at_work if run.group is not None and one.group == run.group]
    if run.group is not None and len(mates) >= jobs_of(run.group):
        return Turn(run, Why.GROUP, others=tuple(mates))
    free = [device for device in devices if all(one in mates for one in used[device])]
    if free:
        return Turn(run, Why.NOTHING, min(free, key=lambda device: len(used[device])))
    device = min(devices, key=lambda device: len(used[device]))
    return Turn(run, Why.DEVICE, device, tuple(used[device]))


def least_used(run: Run, runs: Iterable[Run], *, host: str, devices: Sequence[str]) -> str:
    """The device for a run that is to start now, whatever is in use; what it wants where there is none."""
    others = (one for one in runs if is_taken(one) and one.host == host and one.id != run.id)
    used = [device_of(one, devices) for one in others]
    return min(fitting(run.device_wanted, devices), key=used.count, default=run.device_wanted)


def place_between(run: Run, before: Run | None, after: Run | None, newest: int) -> tuple[int, float]:
    """Priority and place that put a run between two others of the queue. It keeps its priority if it can.

    Args:
        run: what is put there.
        before: what is to go before it; None: nothing.
        after: what is to go after it; None: nothing.
        newest: id of the newest run, whose followers come after all that wait now.
    """
    priority = run.priority if before is None else min(run.priority, before.priority)
    priority = priority if after is None else max(priority, after.priority)
    low = place_of(before) if before is not None and before.priority == priority else None
    high = place_of(after) if after is not None and after.priority == priority else None
    if low is not None:
        return priority, (low + (max(newest, low) + 1.0 if high is None else high)) / 2
    return priority, float(run.id) if high is None else high - 0.5
