"""Watched hosts for the command line: connects to them, waits for what is wanted, asks them for changes."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lvmtui.errors import LvmtuiError, RemoteError
from lvmtui.remote.hosts import Host
from lvmtui.snapshot import Contact, HostView

if TYPE_CHECKING:
    from pathlib import Path

    from lvmtui.remote.link import Link
    from lvmtui.remote.outbox import Answer

LIST_SECONDS = 30.0
"""A host's list of runs must arrive within this time."""

DETAIL_SECONDS = 60.0
"""So must the curves, scores and ranks of its runs."""

LOOK_SECONDS = 0.5
"""Between two looks at a mirror that another lvmtui may have written to."""

ANSWER_SECONDS = 20.0
"""A request must be answered within this time."""


class Visit:
    """One host, connected to. Its mirror is written in the background for as long as it is open."""

    def __init__(
        self, host: Host, *, ssh: Sequence[str] = (), readonly: bool = False, offline: bool = False
    ) -> None:
        """
        Args:
            host: the machine.
            ssh: how ssh is called; empty: as usual.
            readonly: ask it to change nothing.
            offline: don't connect; the mirror is as the last connection has left it.

        Raises:
            RemoteError: offline, and there was no connection so far.
            StoreError: the mirror cannot be used.
        """
        from lvmtui.remote.mirrors.mirror import Mirror

        self.host = host
        mirror = Mirror.open(host)
        self.path: Path = mirror.path
        """The mirror, a store."""
        self.slot = mirror.slot
        self._link: Link | None = None
        self._changed = threading.Event()
        if offline:
            known = mirror.have()
            mirror.close()
            if not known:
                raise RemoteError(f"nothing was ever heard of {host.name}", "Leave --offline out.")
            return
        from lvmtui.remote.link import Link

        self._link = Link(host, mirror, ssh=ssh, on_change=self._changed.set, readonly=readonly)
        self._link.start()

    @property
    def link(self) -> Link:
        """The connection.

        Raises:
            RemoteError: it is visited offline.
        """
        if self._link is None:
            raise RemoteError(f"{self.host.name} is not connected to", "Leave --offline out.")
        return self._link

    @property
    def view(self) -> HostView:
        """How the connection is."""
        if self._link is None:
            return HostView(self.host.name, Contact.OFFLINE, reason="not connected to")
        return self._link.view

    @property
    def mirrored(self) -> float | None:
        """When the host was last heard of, seconds since the epoch."""
        from lvmtui.remote.combining import last_news

        return last_news(self.path)

    def arrive(self, seconds: float = LIST_SECONDS) -> None:
        """Wait until the mirror has all that a list of runs shows.

        Raises:
            RemoteError: the host cannot be reached, or there is no store; says why.
        """
        if self._link is not None:
            self._link.wait_listed(seconds)

    def look_at(self, *numbers: int, seconds: float = DETAIL_SECONDS) -> None:
        """Wait until the mirror has the curves, scores, events and the log's end of these runs, and keep them
        up to date from now on.

        Raises:
            RemoteError: they have not come in time.
        """
        if self._link is None:
            return
        self._link.want(numbers)
        for number in numbers:
            self._link.wait_detailed(number, seconds)

    def fetch_ranks(self, numbers: Sequence[int], seconds: float = DETAIL_SECONDS) -> None:
        """Wait until the mirror has what comparing these runs takes.

        Raises:
            RemoteError: it has not come in time.
        """
        if numbers and self._link is not None:
            self._link.fetch(numbers, seconds)

    def wait(self, done: Callable[[], bool], what: str, seconds: float = LIST_SECONDS) -> None:
        """Wait until something stands in the mirror.

        Args:
            done: whether it does.
            what: is waited for, in words.
            seconds: how long.

        Raises:
            RemoteError: the host is offline, or it has not come in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._changed.clear()
            if done():
                return
            view, left = self.view, deadline - time.monotonic()
            if view.contact is Contact.OFFLINE or left <= 0:
                why = view.reason if view.contact is Contact.OFFLINE else "it has not come in time"
                raise RemoteError(f"{self.host.name}: {what}: {why}", view.hint)
            self._changed.wait(min(left, LOOK_SECONDS))

    def ask(self, what: str, arguments: Mapping[str, Any], words: str, run_id: int | None = None) -> Answer:
        """Have the host do something, now or not at all.

        Args:
            what: name of the operation (`lvmtui.operations`).
            arguments: its arguments; runs by their number there.
            words: what is asked, for people: "stop phase-3 #17@gpu1".
            run_id: the run that it is about.

        Raises:
            RemoteError: it was not answered in time; says whether it may have been done all the same.
            LvmtuiError: the host refuses.
        """
        why = self.view.readonly
        if why:
            raise RemoteError(f"nothing can be changed on {self.host.name}: {why}")
        pending = self.link.request(what, arguments, words, run_id)
        deadline = time.monotonic() + ANSWER_SECONDS
        while (answer := pending.wait(LOOK_SECONDS)) is None:
            view = self.view
            if view.contact is Contact.OFFLINE and self.link.withdraw(pending.id):
                raise RemoteError(f"{self.host.name}: {view.reason}", view.hint)
            if time.monotonic() >= deadline:
                raise self._unanswered(pending.id, words)
        if not answer.ok:
            # A path there may have the name in it, too: that does not say whose it is.
            is_named = re.search(rf"(?:^|[@ ]){re.escape(self.host.name)}\b", answer.words)
            said = answer.words if is_named else f"{self.host.name}: {answer.words}"
            raise LvmtuiError(said, answer.hint)
        return answer

    def _unanswered(self, request_id: str, words: str) -> RemoteError:
        """Nothing of a command lingers after it: what has not left is taken back."""
        name = self.host.name
        said = f"{name} has not answered within {ANSWER_SECONDS:.0f} s: {words}"
        if self.link.withdraw(request_id):
            return RemoteError(said, "It had not been sent and was withdrawn: nothing was done.")
        return RemoteError(
            said, f"It was sent: whether it was done is not known. `lvmtui ls --host {name}` shows it."
        )

    def close(self) -> None:
        """End the connection."""
        if self._link is not None:
            self._link.stop()


class Visits:
    """The hosts that one command has to do with: connected to when they are first needed, until it ends."""

    def __init__(self, *, readonly: bool = False, offline: bool = False) -> None:
        """
        Args:
            readonly: ask them to change nothing.
            offline: connect to none.
        """
        self._readonly, self._offline = readonly, offline
        self._open: dict[str, Visit] = {}
        self._arrived: set[str] = set()
        self._failed: dict[str, RemoteError] = {}

    def to(self, hosts: Sequence[Host], *, listed: bool = True) -> list[Visit]:
        """Visits of these hosts, in their order; those that are not reached yet are connected to at once.

        Args:
            hosts: the machines.
            listed: wait until their lists of runs have arrived.

        Raises:
            RemoteError: one cannot be reached, or has no store; says why.
        """
        new = [host for host in hosts if host.name not in self._open]
        if new:
            from lvmtui.config import load_config
            from lvmtui.remote.ssh import ssh_words

            ssh = ssh_words(load_config())
            for host in new:
                self._open[host.name] = Visit(host, ssh=ssh, readonly=self._readonly, offline=self._offline)
        visits = [self._open[host.name] for host in hosts]
        for found in visits if listed else ():
            if found.host.name not in self._arrived:
                if not found.view.is_whole:
                    found.arrive()
                self._arrived.add(found.host.name)
        return visits

    def to_some(self, hosts: Sequence[Host]) -> tuple[list[Visit], list[RemoteError]]:
        """Visits of those of the hosts that can be reached, and why the others cannot be. None is tried
        twice."""
        for host in hosts:
            self._try(host, listed=False)
        for host in hosts:
            self._try(host, listed=True)
        found = [self._open[host.name] for host in hosts if host.name not in self._failed]
        return found, [self._failed[host.name] for host in hosts if host.name in self._failed]

    def _try(self, host: Host, *, listed: bool) -> None:
        if host.name not in self._failed:
            try:
                self.to([host], listed=listed)
            except RemoteError as error:
                self._failed[host.name] = error

    def close(self) -> None:
        """End all connections."""
        for found in self._open.values():
            found.close()
        self._open.clear()
        self._arrived.clear()
