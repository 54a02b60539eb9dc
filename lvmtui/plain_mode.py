"""The list mode for screen readers and dumb terminals: sentences, one under the other, nothing redrawn.

First every run, newest first, then a line for each change as it happens. Words stand where the dashboard has
glyphs, colours and boxes.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence

from lvmtui import format as fmt
from lvmtui.alerts.kinds import Kind
from lvmtui.alerts.watch import Watch
from lvmtui.remaining import remaining_of
from lvmtui.remote.fleet import Fleet
from lvmtui.remote.hosts import Host
from lvmtui.snapshot import Contact, HostView, RunView, Snapshot, State
from lvmtui.store.lifecycle import Status
from lvmtui.store.records import Evaluation

LISTED = 200
"""Runs that are listed at the start; the others are counted."""

HOSTS_SECONDS = 10.0
"""So long the list at the start waits for watched hosts."""

TOLD_ALREADY = frozenset({Kind.NEW_BEST, Kind.EARLY_STOP, Kind.COMPLETED, Kind.FAILED, Kind.LOST, Kind.HOST})
"""Alerts that say what a line of the run, or of its host, itself says."""


def follow(
    store: str, tell: Callable[[str], None], *, hosts: Sequence[Host] = (), ssh: Sequence[str] = ()
) -> None:
    """Print the runs of a store and of watched hosts and then what changes, until KeyboardInterrupt.

    Args:
        store: path or URL; need not exist yet.
        tell: prints one line.
        hosts: machines that are watched too.
        ssh: how ssh is called; empty: as usual.
    """
    news: queue.SimpleQueue[Snapshot] = queue.SimpleQueue()
    feed = Fleet(store, hosts, news.put, ssh=ssh, readonly=True)
    feed.start()
    try:
        before: Snapshot | None = None
        watch = Watch()
        while True:
            now = _arrived(news) if before is None else news.get()
            for line in opening(now) if before is None else changes(before, now):
                tell(line)
            for alert in watch.look(now, time.time()):
                if alert.kind not in TOLD_ALREADY:
                    tell(f"{fmt.clock(alert.time)} alert: {alert.text}")
            before = now
    finally:
        feed.stop()


def _arrived(news: queue.SimpleQueue[Snapshot]) -> Snapshot:
    """The first snapshot with what the hosts have; those that take long to say it come as changes."""
    now = news.get()
    deadline = time.monotonic() + HOSTS_SECONDS
    while any(_is_to_come(host) for host in now.hosts):
        try:
            now = news.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
    return now


def _is_to_come(host: HostView) -> bool:
    """Whether its list of runs may still come."""
    return not (host.is_whole or host.contact is Contact.OFFLINE or host.reason)


def opening(snapshot: Snapshot) -> Iterator[str]:
    """What there is at the start."""
    yield from (f"{host.name}: {_contact(host)}" for host in snapshot.hosts)
    if snapshot.problem:
        yield f"problem: {snapshot.problem}"
    elif not snapshot.runs:
        yield f"{snapshot.store}: no runs yet. They are told here as they come. Ctrl+c ends."
        return
    counted = ", ".join(f"{number} {state.value}" for state in State if (number := snapshot.count(state)))
    where = " and ".join([snapshot.store, *(host.name for host in snapshot.hosts)])
    yield f"{where}: {fmt.counted(len(snapshot.runs), 'run')}: {counted or 'none'}."
    listed = [view for view in snapshot.runs if not view.run.archived and view.run.trashed is None]
    for view in listed[:LISTED]:
        yield f"{view.run.name}: {described(view)}"
    if len(listed) > LISTED:
        yield f"and {fmt.counted(len(listed) - LISTED, 'older run')}; `lvmtui ls` lists all."
    yield "Changes follow as they happen. Ctrl+c ends; runs go on."


def _contact(host: HostView) -> str:
    """How a watched host is."""
    if host.contact is Contact.OFFLINE:
        return ", ".join(filter(None, ["offline", host.reason, host.hint]))
    if host.contact is Contact.LIVE:
        return f"watched, problem: {host.reason}" if host.reason else "watched"
    return host.contact.value


def described(view: RunView) -> str:
    """One run as a sentence: `running, epoch 3 of 50, best Hit@5 17.9 plus or minus 1.2 at epoch 2, …`."""
    run, progress = view.run, view.run.progress
    parts = [view.state.value]
    if view.state is State.LOST:
        parts = ["lost", *filter(None, [view.lost_reason])]
    if view.state is not State.QUEUED and progress.epochs:
        parts.append(f"epoch {progress.epoch} of {progress.epochs}")
    if view.best is not None:
        parts.append(f"best {scored(view.best)} at epoch {view.best.epoch}")
    if view.best is not None and view.baseline is not None:
        parts.append(f"{_against(view.best, view.baseline)}")
    if view.state.is_active and progress.patience:
        parts.append(f"patience {progress.patience_used} of {progress.patience} used")
    if view.state.is_active and (left := remaining_of(run)) is not None and left.worst > 0:
        parts.append(f"at most {fmt.duration(left.worst)} left")
    worst = view.findings[0] if view.findings else None
    if worst is not None:
        parts.append(f"{fmt.counted(len(view.findings), 'finding')} of the audit")
    if view.aliases:
        parts.append(" and ".join(view.aliases))
    return ", ".join(parts)


def scored(evaluation: Evaluation) -> str:
    """`Hit@5 17.9 plus or minus 1.2`."""
    bounds = evaluation.hit5_interval
    around = f" plus or minus {100 * (bounds.high - bounds.low) / 2:.1f}" if bounds else ""
    return f"Hit@5 {fmt.percent(evaluation.hit5)}{around}"


def _against(best: Evaluation, baseline: Evaluation) -> str:
    difference = 100 * (best.hit5 - baseline.hit5)
    side = "above" if difference >= 0 else "below"
    return f"{abs(difference):.1f} points {side} {baseline.baseline}"


def changes(before: Snapshot, now: Snapshot) -> Iterator[str]:
    """What is different, a line each, led by the time of day."""
    stamp = fmt.clock(now.taken)
    if now.problem != before.problem:
        yield f"{stamp} problem: {now.problem}" if now.problem else f"{stamp} The store can be read again."
    hosts = {host.name: host for host in before.hosts}
    for host in now.hosts:
        was = hosts.get(host.name)
        if was is None or _contact(was) != _contact(host):
            yield f"{stamp} {host.name}: {_contact(host)}"
    known = {view.run.id: view for view in before.runs}
    arriving = {host.name for host in before.hosts if not host.is_whole}
    for view in reversed(now.runs):
        old = known.pop(view.run.id, None)
        # What comes with a host that answers at last has mostly been over for long.
        is_past = old is None and view.run.origin in arriving and view.run.status is Status.DONE
        if old is view or is_past:
            continue
        for words in _run_changes(old, view):
            yield f"{stamp} {view.run.name}: {words}"
    for gone in known.values():
        yield f"{stamp} {gone.run.name}: no longer in the store"


def _run_changes(old: RunView | None, view: RunView) -> Iterator[str]:
    if old is None:
        yield f"a new run, {described(view)}"
        return
    progress, was = view.run.progress, old.run.progress
    if progress.epoch > was.epoch:
        yield ", ".join(_epoch(view, is_best=progress.best_epoch != was.best_epoch))
    if view.state is not old.state:
        ended = not view.state.is_active and view.state is not State.QUEUED
        yield f"ended: {described(view)}" if ended and view.state is not State.LOST else described(view)
    elif view.stop_requested and not old.stop_requested:
        yield "asked to stop after its batch"
    for alias in set(view.aliases) - set(old.aliases):
        yield f"is the {alias} now"
    if view.run.note != old.run.note:
        yield f"note: {view.run.note or 'none'}"


def _epoch(view: RunView, *, is_best: bool) -> Iterator[str]:
    progress = view.run.progress
    yield f"epoch {progress.epoch} of {progress.epochs}"
    if view.last is not None and view.last.epoch == progress.epoch:
        yield scored(view.last)
    if is_best:
        yield "a new best"
    elif progress.patience:
        yield f"no gain, patience {progress.patience_used} of {progress.patience} used"
