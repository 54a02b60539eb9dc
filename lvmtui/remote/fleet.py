"""The local store and those of watched hosts as one: hands out frozen snapshots of all. No Textual.

Each store has a feed of its own, a host's on its mirror, and each host a link that writes into the mirror.
What they say is put together in one thread, so that a slow host holds nothing up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui.errors import RemoteError, UsageError
from lvmtui.feed import Feed
from lvmtui.format import plain
from lvmtui.remote.hosts import Host, slot_of
from lvmtui.remote.looks import Looks
from lvmtui.snapshot import CloseUp, Contact, Snapshot

if TYPE_CHECKING:
    from lvmtui.remote.combining import Combining
    from lvmtui.remote.link import Link
    from lvmtui.remote.watched import Opened, Opener, Watched
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Run

STOP_SECONDS = 1.5
"""Ending all connections may take so long; what hangs then is left to the end of the process."""

LEAST_SECONDS, CALM_SECONDS = 0.02, 0.15
"""Between two snapshots; and once all stores are read, unless something else is looked at: several hosts
with something new are drawn together."""

POLL_SECONDS = 0.05
"""Between two looks whether a mirror's feed has read what has just arrived."""

FETCH_SECONDS = 30.0
"""The ranks of runs must arrive within this time."""

OPEN_SECONDS = 2.0
"""How long somebody who asks for a link waits for the mirrors to be opened at the start."""


def opener(ssh: Sequence[str], readonly: bool) -> Opener:
    """Opens hosts with ssh.

    Args:
        ssh: how ssh is called; empty: as usual.
        readonly: ask hosts to change nothing.
    """

    def opened(host: Host, on_change: Callable[[], None]) -> Opened:
        from lvmtui.remote.link import Link
        from lvmtui.remote.mirrors.mirror import Mirror
        from lvmtui.remote.outbox import Outbox, outbox_file
        from lvmtui.remote.watched import Opened

        mirror = Mirror.open(host)
        outbox = Outbox(outbox_file(host))
        link = Link(host, mirror, ssh=ssh, on_change=on_change, outbox=outbox, readonly=readonly)
        return Opened(link, mirror.path, mirror.slot)

    return opened


class Fleet:
    """Reads the local store and those of watched hosts until it is stopped."""

    def __init__(
        self,
        store_target: str,
        hosts: Sequence[Host],
        on_snapshot: Callable[[Snapshot], None],
        *,
        ssh: Sequence[str] = (),
        readonly: bool = False,
        clock: Callable[[], float] = time.time,
        open_host: Opener | None = None,
    ) -> None:
        """
        Args:
            store_target: path or URL of the local store; need not exist yet.
            hosts: whose stores are watched too; their names differ.
            on_snapshot: called in one of the fleet's threads, once at the start and then whenever something
                changed.
            ssh: how ssh is called; empty: as usual.
            readonly: ask hosts to change nothing.
            clock: seconds since the epoch.
            open_host: makes mirror and link of a host; None: with ssh.
        """
        self.store = store_target
        self._on_snapshot = on_snapshot
        self._clock = clock
        # Alone it needs nothing between it and whoever shows it.
        self._local = Feed(store_target, self._take_local if hosts else on_snapshot, clock=clock)
        self._local_snapshot: Snapshot | None = None
        self._watched: dict[str, Watched] = {}
        if hosts:
            from lvmtui.remote.watched import Watched

            opens = open_host or opener(ssh, readonly)
            self._watched = {host.name: Watched(host, opens, self._wake_up, clock) for host in hosts}
        self._shown: Snapshot | None = None
        self._looks = Looks()
        self._wake = threading.Event()
        self._turned = threading.Event()
        """Something else is looked at, or this ends."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the watched hosts."""
        return tuple(self._watched)

    def start(self) -> None:
        """Begin to read."""
        self._local.start()
        if self._watched:
            self._open()
            self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop reading, end the connections and close the stores."""
        self._stop.set()
        self._turned.set()
        self._wake.set()
        if not self._watched:
            self._local.stop()
            return
        ends = [self._local.stop, *(watched.stop for watched in self._watched.values())]
        threads = [threading.Thread(target=end, name="fleet-end", daemon=True) for end in ends]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in [*threads, *([self._thread] if self._thread else [])]:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def set_looked_at(self, run_ids: Collection[int], *, glanced_at: Collection[int] = ()) -> None:
        """Say which runs' curves, events and logs are wanted, as `Feed.set_looked_at`."""
        self._look(
            self._looks._replace(run_ids=tuple(dict.fromkeys(run_ids)), glanced_at=frozenset(glanced_at))
        )

    def set_close_up(self, close_up: CloseUp | None) -> None:
        """Say which stretch of the x axis is enlarged; None: the whole axis is shown."""
        self._look(self._looks._replace(close_up=close_up))

    def set_devices_wanted(self, wanted: bool) -> None:
        """Say whether the sensors of the hosts are looked at."""
        self._look(self._looks._replace(devices=wanted))

    def _look(self, looks: Looks) -> None:
        if looks == self._looks:
            return
        self._looks = looks
        own = looks.of_slot(0)
        self._local.set_looked_at(own.run_ids, glanced_at=own.glanced_at)
        self._local.set_close_up(own.close_up)
        self._turned.set()
        self._wake.set()

    def refresh(self) -> None:
        """Look at all stores now."""
        self._local.refresh()
        for watched in self._watched.values():
            watched.refresh()

    def link(self, name: str) -> Link:
        """The connection to a host.

        Raises:
            UsageError: no such host is watched, or its mirror cannot be opened.
        """
        watched = self._watched.get(name)
        if watched is None:
            known = f"Watched are {', '.join(self.names)}." if self.names else ""
            raise UsageError(f"no host {name!r} is watched", known)
        watched.is_open.wait(OPEN_SECONDS)
        if watched.link is None:
            view = watched.part().view
            raise UsageError(f"{name} cannot be watched: {view.reason}", view.hint)
        return watched.link

    def link_of(self, run_id: int) -> Link | None:
        """The connection to the host that a run is on; None: it is in the local store.

        Raises:
            UsageError: its host is not watched.
        """
        slot = slot_of(run_id)
        if not slot:
            return None
        for watched in self._watched.values():
            watched.is_open.wait(OPEN_SECONDS)
            if watched.slot == slot and watched.link is not None:
                return watched.link
        raise UsageError("the host of this run is not watched")

    def name_of(self, run_id: int) -> str | None:
        """Name of the host that a run is on; empty: it is in the local store; None: its host is not watched,
        or its mirror is not open yet."""
        slot = slot_of(run_id)
        if not slot:
            return ""
        return next((name for name, watched in self._watched.items() if watched.slot == slot), None)

    def mirrors(self) -> Mapping[int, Path]:
        """Slot of each watched host -> its mirror, a store; those that are open."""
        return {
            watched.slot: watched.path
            for watched in self._watched.values()
            if watched.slot is not None and watched.path is not None
        }

    @contextmanager
    def reading(
        self,
        run_ids: Collection[int],
        seconds: float = FETCH_SECONDS,
        *,
        missed: dict[int, str] | None = None,
    ) -> Iterator[Reader]:
        """The stores of these runs, opened to read as one. What comparing runs takes and their mirrors do not
        have yet is fetched first: not for the UI thread.

        Args:
            run_ids: the runs.
            seconds: how long that may take.
            missed: takes up the runs of which it could not be fetched, each with the reason; None: all are
                needed.

        Raises:
            RemoteError: what is needed is on a host that cannot be reached, or does not come in time.
            StoreError: a store cannot be read.
        """
        from lvmtui.fleet_reader import open_fleet, without_ranks

        slots = {slot_of(run_id) for run_id in run_ids}
        mirrors = [path for slot, path in self.mirrors().items() if slot in slots]
        reader = open_fleet(self.store if 0 in slots else None, mirrors)
        try:
            missing = without_ranks(reader, [run_id for run_id in run_ids if slot_of(run_id)])
            self._fetch(missing, time.monotonic() + seconds, missed)
            yield reader
        finally:
            reader.database.close()

    def _fetch(self, runs: Sequence[Run], deadline: float, missed: dict[int, str] | None) -> None:
        """
        Raises:
            RemoteError: a host cannot be reached, or does not answer in time, and all are needed.
        """
        for name in dict.fromkeys(run.origin for run in runs):
            own = [run for run in runs if run.origin == name]
            try:
                self._fetch_from(name, own, deadline)
            except RemoteError:
                if missed is None:
                    raise
                missed |= {run.id: f"its ranks are on {name}, which does not answer" for run in own}

    def _fetch_from(self, name: str, runs: Sequence[Run], deadline: float) -> None:
        view = self._watched[name].part().view if name in self._watched else None
        if view is None or view.contact is Contact.OFFLINE:
            names = ", ".join(plain(run.name) for run in runs[:3]) + (" …" if len(runs) > 3 else "")
            why = f": {view.reason}" if view is not None and view.reason else ""
            raise RemoteError(
                f"the ranks of {names} are still on {name}, which cannot be reached{why}",
                (view.hint if view is not None else "") or "They are fetched once it is back.",
            )
        self.link(name).fetch([run.number for run in runs], max(0.0, deadline - time.monotonic()))

    def withdraw(self, name: str, request_id: str) -> bool:
        """Take back a request that was not sent yet; returns whether it could be."""
        return self.link(name).withdraw(request_id)

    def retry(self, name: str) -> None:
        """Try to connect to a host now."""
        if name in self._watched:
            self._watched[name].retry()

    def _wake_up(self) -> None:
        self._wake.set()

    def _take_local(self, snapshot: Snapshot) -> None:
        """Called in the local feed's thread."""
        self._local_snapshot = snapshot
        self._wake.set()

    def _run(self) -> None:
        from lvmtui.remote.combining import Combining

        combining = Combining()
        while not self._stop.is_set():
            self._wake.clear()
            self._turned.clear()
            is_calm = self._tell(combining)
            looks = self._looks
            for watched in self._watched.values():
                watched.steer(looks)
            settling = [watched for watched in self._watched.values() if watched.is_settling]
            self._turned.wait(CALM_SECONDS if is_calm else LEAST_SECONDS)
            self._wake.wait(POLL_SECONDS if settling else None)

    def _open(self) -> None:
        """Open all mirrors, each in a thread of its own: another lvmtui may have one locked."""
        for name, watched in self._watched.items():
            threading.Thread(
                target=watched.open, args=(self._looks,), name=f"open-{name}", daemon=True
            ).start()

    def _tell(self, combining: Combining) -> bool:
        """Hand out what has changed. Nothing is until the local store is read: what was marked and where the
        cursor stood must not seem to be gone.

        Returns:
            Whether something was handed out that all was read for.
        """
        parts = [watched.part() for watched in self._watched.values()]
        if self._local_snapshot is None:
            return False
        snapshot = combining.combine(self._local_snapshot, parts, self._clock())
        if snapshot is not self._shown:
            self._shown = snapshot
            self._on_snapshot(snapshot)
            return snapshot.is_whole
        return False
