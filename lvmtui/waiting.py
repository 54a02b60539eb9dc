"""Why queued runs wait, in words, and whether anything will start them. Works on records alone."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lvmtui import this_host
from lvmtui.liveness import process_alive
from lvmtui.store import slots
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Run
from lvmtui.store.slots import Turn, Why

if TYPE_CHECKING:
    from lvmtui.launcher import Start

HAND_OVER_SECONDS = 10.0
"""How long after its run's end a process that still lives may be about to take up the next one."""

_ENDS = {Result.FAILED: "failed", Result.LOST: "was lost", Result.STOPPED: "was stopped"}


def waiting_reason(run: Run, runs: Sequence[Run], now: float) -> str:
    """Why a run waits: "waits for cpu: phase-1 #4 uses it"; empty where it does not.

    Args:
        run: the run.
        runs: all runs of the store.
        now: seconds since the epoch.
    """
    return waiting_reasons(runs, now).get(run.id, "") if slots.waits(run) else ""


def waiting_reasons(runs: Sequence[Run], now: float) -> dict[int, str]:
    """Run id -> why it waits, for all that do, in the order of the queue."""
    return {turn.run.id: words(turn) for turn in queue_turns(runs, now)}


def queue_turns(runs: Iterable[Run], now: float) -> list[Turn]:
    """What each queued run waits for, as seen from this host, in the order of the queue; then the queues of
    watched hosts, each as seen from there.

    Args:
        runs: all runs of the stores.
        now: seconds since the epoch.
    """
    queues: dict[str, list[Run]] = {"": []}
    for run in runs:
        queues.setdefault(run.origin, []).append(run)
    found = _turns_here(queues.pop(""), now)
    for own in queues.values():
        found += _turns_there(own)
    return found


def _turns_here(runs: Sequence[Run], now: float) -> list[Turn]:
    concerned = _concerned(runs)
    gone = [
        run.id for run in concerned if slots.is_taken(run) and this_host.proof_of_loss(now, run) is not None
    ]
    return slots.turns(concerned, host=socket.gethostname(), devices=this_host.devices(), gone=gone)


def _turns_there(runs: Sequence[Run]) -> list[Turn]:
    """The queue of a watched host. Its devices are not known from here: those count that its runs name."""
    concerned = _concerned(runs)
    if not concerned:
        return []
    named = [run.device.split()[0] for run in runs if run.device]
    named += [run.device_wanted for run in concerned if run.device_wanted]
    hosts = [run.host or run.host_wanted for run in reversed(runs)]
    return slots.turns(concerned, host=next(filter(None, hosts), ""), devices=list(dict.fromkeys(named)))


def _concerned(runs: Sequence[Run]) -> list[Run]:
    """The runs that are not done and those that others of them wait for; none where nothing waits."""
    unfinished = [run for run in runs if run.status is not Status.DONE]
    if not any(map(slots.waits, unfinished)):
        return []
    awaited = {run.after for run in unfinished if run.after is not None}
    return [*unfinished, *(run for run in runs if run.id in awaited)]


def stalled(runs: Sequence[Run], now: float) -> list[Run]:
    """Queued runs that may start on this host, but that no process is about to take up: the one that should
    have done so was killed.

    Args:
        runs: all runs of the store.
        now: seconds since the epoch.
    """
    here = [run for run in runs if not run.origin]
    ready = [turn.run for turn in queue_turns(here, now) if turn.why is Why.NOTHING]
    return [] if not ready or any(_hands_over(run, now) for run in here) else ready


def stalled_words(run: Run) -> str:
    """What to do about a run that `stalled` found."""
    return f"{run.name} may start, but nothing is left that would start it: `lvmtui queue start` does"


def sharing(run: Run, others: Iterable[Run], now: float) -> list[Run]:
    """Of other runs, those that are at work on the same device of the same host.

    Args:
        run: a run that has been started.
        others: other runs of the store.
        now: seconds since the epoch.
    """
    if not run.device or run.host is None:
        return []
    devices = this_host.devices()
    return [
        other
        for other in others
        if slots.is_taken(other)
        and (other.host, slots.device_of(other, devices)) == (run.host, run.device.split()[0])
        and this_host.proof_of_loss(now, other) is None
    ]


def outlook(start: Start, device: str, runs: Sequence[Run], now: float) -> str:
    """What will become of a run that is launched, in words that go on from "it".

    Args:
        start: when and where it is to start.
        device: the device that its recipe wants.
        runs: all runs of the store.
        now: seconds since the epoch.
    """
    wanted = start.device or device.replace("auto", "")
    coming = _coming(start, wanted, max((run.id for run in runs), default=0) + 1)
    if not start.waits:
        slot = slots.least_used(coming, runs, host=socket.gethostname(), devices=this_host.devices())
        started = replace(coming, device=slot or None, host=socket.gethostname())
        users = sharing(started, runs, now)
        return f"starts at once, although {_users(users, slot)}" if users else "starts at once"
    turns = queue_turns([*runs, coming], now)
    place = next(k for k, turn in enumerate(turns) if turn.run.id == coming.id)
    turn = turns[place]
    others = sum(other.why is Why.DEVICE and other.device == turn.device for other in turns[:place])
    before = f", {others} before it" if others else ""
    if turn.why is Why.NOTHING:
        return "starts at once, in its turn"
    verb = {Why.HELD: "is ", Why.BLOCKED: "is ", Why.AFTER: "starts "}.get(turn.why, "")
    return f"{verb}{words(turn)}{before}"


def words(turn: Turn) -> str:
    """What a queued run waits for, in words."""
    first = next(iter(turn.others), None)
    match turn.why:
        case Why.HELD:
            return "held"
        case Why.AFTER if first is not None:
            return f"after {first.name}"
        case Why.BLOCKED:
            return _blocked(turn.run, first)
        case Why.HOST:
            return f"waits for the host {turn.run.host_wanted}"
        case Why.MISSING:
            owner = turn.run.origin or socket.gethostname()
            return f"waits for {turn.device}, which {owner} does not have"
        case Why.GROUP if first is not None:
            return f"waits for {first.name} of its group"
        case Why.DEVICE if first is not None:
            return f"waits for {turn.device}: {_users(turn.others)}"
    return "starts next"


def _coming(start: Start, wanted: str, run_id: int) -> Run:
    """A run that is not there yet, as far as the queue cares."""
    return Run(
        id=run_id,
        revision=0,
        phase="",
        status=Status.QUEUED,
        result=None,
        recipe="{}",
        recipe_hash="",
        overrides={},
        seed=0,
        model="",
        context=0,
        watch="",
        targets={},
        data="",
        folder="",
        created=0.0,
        device_wanted=wanted,
        host_wanted=socket.gethostname() if start.host is None else start.host,
        priority=start.priority,
        held=start.held,
        after=start.after,
    )


def _users(others: Sequence[Run], device: str = "it") -> str:
    first, more = others[0], len(others) - 1
    if slots.waits(first):
        return f"{first.name} goes first"
    return f"{first.name} and {more} more use {device}" if more else f"{first.name} uses {device}"


def _blocked(run: Run, awaited: Run | None) -> str:
    if awaited is None:
        return f"blocked: #{run.after}, which it waits for, is gone"
    if awaited.trashed is not None:
        return f"blocked: {awaited.name}, which it waits for, is in the trash"
    return f"blocked: {awaited.name}, which it waits for, {_ENDS.get(awaited.result or Result.LOST, 'ended')}"


def _hands_over(run: Run, now: float) -> bool:
    """Whether a run has just ended, and its process lives and may take up the next."""
    if run.status is not Status.DONE or run.ended is None or now - run.ended > HAND_OVER_SECONDS:
        return False
    return bool(process_alive(run))
