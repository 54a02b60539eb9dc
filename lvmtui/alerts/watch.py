"""From one snapshot to the next, and by the clock, to alerts. Pure.

A `Watch` says each thing once. What was so before it began to watch is the past and no alert, but for runs
that are found lost or that stand still: those go on. Runs of a watched host that is away stay as they are;
what has happened to many of them meanwhile is told as one when it is back.
"""

from __future__ import annotations

from collections.abc import Sequence

from lvmtui.alerts.hosts import Hosts, summed_up
from lvmtui.alerts.kinds import Alert, DiskLimit, DiskSpace, Kind, alert_of
from lvmtui.alerts.rules import Tracked
from lvmtui.alerts.unseen import newest_ids, unseen
from lvmtui.format import percent, plain, size
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.store.lifecycle import Status
from lvmtui.store.records import Event

LONGEST_LOOK = 10.0
"""Of the time between two looks at most this much counts as watched: the machine may have slept meanwhile,
or the store could not be read. While a run trains, its heartbeat makes a snapshot every second."""

DISK_RECOVERED = 1.1
"""A disk is no longer nearly full when this many times the limit is free."""


class Watch:
    """Follows the stores of a snapshot."""

    def __init__(self, *, stall_factor: float = 5.0, disk: DiskLimit | None = None) -> None:
        """
        Args:
            stall_factor: a run stands still after so many times the usual time without a step.
            disk: how much of the store's disk should be free; None: the default.
        """
        self._stall_factor = stall_factor
        self._disk = disk or DiskLimit()
        self._disk_is_low = False
        self._since: float | None = None
        """When the watch began."""
        self._last = 0.0
        self._events: Sequence[Event] = ()
        self._last_events: tuple[int, ...] = ()
        """Id of the newest of each store."""
        self._news: dict[int | None, list[Event]] = {}
        """Run id -> its events that it was not looked at with yet."""
        self._hosts = Hosts()
        self.again: float | None = None
        """After so many seconds the newest snapshot is to be looked at once more, if none comes by then."""
        self._views: dict[int, RunView] = {}
        self._clocked: set[int] = set()
        """Runs that time alone may make an alert of: those that train."""
        self._tracked: dict[int, Tracked] = {}

    def look(self, snapshot: Snapshot, now: float) -> list[Alert]:
        """What a snapshot says that is worth telling.

        Args:
            snapshot: the newest; while there is a problem with the local store, its runs are an old reading
                and nothing comes of them.
            now: seconds since the epoch.
        """
        if snapshot.problem and not snapshot.hosts:
            return []
        if self._since is None:
            self._since = self._last = now
        passed = min(max(0.0, now - self._last), LONGEST_LOOK)
        self._last = now
        standing = self._hosts.look(snapshot.hosts, now)
        self.again = standing.again
        away = standing.away | {""} if snapshot.problem else standing.away
        self._take_events(snapshot, kept=bool(away))
        found: dict[str, list[Alert]] = {}
        for view in snapshot.runs:
            run_id = view.run.id
            if away and view.run.origin in away:
                continue
            before = self._views.get(run_id)
            if before is view and run_id not in self._clocked and run_id not in self._news:
                continue
            self._views[run_id] = view
            (self._clocked.add if view.state.is_active else self._clocked.discard)(run_id)
            events = self._news.pop(run_id, ())
            if self._is_past(view, before):
                continue
            said = self._of(view, before).told(view, events, passed, self._stall_factor)
            own = (alert_of(view, kind, message, now) for kind, message in said)
            found.setdefault(view.run.origin, []).extend(own)
        alerts = list(standing.alerts)
        for origin, told in found.items():
            alerts += summed_up(origin, told, now) if origin in standing.arrived else told
        return alerts

    def _take_events(self, snapshot: Snapshot, *, kept: bool) -> None:
        """Keep what is new for when its run is looked at. The first reading of a store is not.

        Args:
            snapshot: the newest.
            kept: whether there are runs that were not looked at since.
        """
        if snapshot.events is self._events:
            return
        self._events = snapshot.events
        if not kept:
            self._news.clear()
        for event in unseen(snapshot.events, self._last_events, self._since or 0.0):
            self._news.setdefault(event.run_id, []).append(event)
        self._last_events = newest_ids(snapshot.events, self._last_events)

    def look_at_disk(self, disk: DiskSpace, now: float) -> list[Alert]:
        """Whether the store's disk has become nearly full."""
        least = self._disk.least(disk.total)
        if self._disk_is_low:
            self._disk_is_low = disk.free < least * DISK_RECOVERED
            return []
        self._disk_is_low = disk.free < least
        if not self._disk_is_low:
            return []
        share = f" ({percent(disk.free / disk.total)} %)" if disk.total else ""
        words = (
            f"{size(disk.free)}{share} free on the disk of {plain(disk.path)}; runs that cannot write wait"
        )
        return [alert_of(None, Kind.DISK, words, now)]

    def _is_past(self, view: RunView, before: RunView | None) -> bool:
        """Whether there is nothing to follow: a run that had ended when it was first seen, or that was put
        aside."""
        run = view.run
        if (run.archived or run.trashed is not None) and not view.state.is_active:
            return True
        return before is None and run.status is Status.DONE and self._is_older(view)

    def _is_older(self, view: RunView) -> bool:
        return view.run.created < (self._since or 0.0)

    def _of(self, view: RunView, before: RunView | None) -> Tracked:
        """What is known of a run. One that is older than the watch has a past that nobody wants told."""
        run = view.run
        tracked = self._tracked.get(run.id)
        if tracked is None or tracked.created != run.created:
            tracked = self._tracked[run.id] = Tracked(run.created)
            if before is not None and before.run.created == run.created:
                tracked.remember(before)
            elif self._is_older(view):
                tracked.remember(view)
        return tracked
