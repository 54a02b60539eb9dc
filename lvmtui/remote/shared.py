"""What a host's link shares with everybody else: how the host is, what is wanted of it, what waits for it."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from lvmtui.errors import RemoteError
from lvmtui.remote.agent.wire import Message
from lvmtui.snapshot import Contact, HostView
from lvmtui.store.records import DeviceSample

MOST_OUTGOING = 32
"""Messages that wait to be sent; then who sends waits."""


@dataclass(frozen=True, slots=True)
class Want:
    """What is looked at."""

    full: tuple[int, ...] = ()
    """Numbers of runs of which everything is wanted, most wanted first."""
    few: tuple[int, ...] = ()
    """Those of which only the overlaid metrics are."""
    devices: bool = False


class Shared:
    """Safe to use from all threads. The link's own thread is woken through `wake_read`."""

    def __init__(self, name: str, on_change: Callable[[], None]) -> None:
        """
        Args:
            name: the host's.
            on_change: called, outside of any lock, when the view has changed.
        """
        self.name = name
        self.on_change = on_change
        self.changed = threading.Condition()
        """Guards everything; waited on by those who wait for something of the host."""
        self.view = HostView(name, Contact.CONNECTING)
        self.live_devices: tuple[DeviceSample, ...] = ()
        self.want = Want()
        self.want_is_due = False
        self.requests_are_due = False
        self.detailed: dict[int, bool] = {}
        """Number of each run that is waited for -> whether everything of it has come."""
        self.retry = False
        self.stopped = False
        self._outgoing: deque[Message] = deque()
        self.wake_read, self._wake_write = os.pipe()
        for descriptor in (self.wake_read, self._wake_write):
            os.set_blocking(descriptor, False)

    def wake(self) -> None:
        """Have the link's thread, and all that wait, look at what has changed."""
        with self.changed:
            self.changed.notify_all()
            if self._wake_write >= 0:
                with suppress(BlockingIOError):
                    os.write(self._wake_write, b".")

    def goes_on(self) -> bool:
        """Whether the link was not stopped; takes notice of having been woken. For the link's thread."""
        with suppress(BlockingIOError):
            os.read(self.wake_read, 4096)
        return not self.stopped

    def close(self) -> None:
        """The link's thread is done."""
        with self.changed:
            if self._wake_write >= 0:
                os.close(self.wake_read)
                os.close(self._wake_write)
                self._wake_write = -1
            self.changed.notify_all()

    def show(self, **changes: Any) -> bool:
        """Change the view, and say so if that made a difference; whether it did."""
        with self.changed:
            view = replace(self.view, **changes)
            is_new, self.view = view != self.view, view
            self.changed.notify_all()
        if is_new:
            self.on_change()
        return is_new

    def set_want(self, want: Want) -> None:
        """Replace what is looked at."""
        with self.changed:
            if want == self.want:
                return
            fresh = {*want.full} - {*self.want.full} | {*want.few} - {*self.want.few}
            wanted = {*want.full, *want.few}
            self.detailed = {run: run not in fresh and self.detailed.get(run, False) for run in wanted}
            self.want, self.want_is_due = want, True
        self.wake()

    def expect(self, runs: Collection[int]) -> None:
        """Everything of these runs is to come anew."""
        with self.changed:
            self.detailed |= dict.fromkeys(runs, False)

    def has_come(self, run: Any) -> None:
        """Everything of a run is there."""
        with self.changed:
            if type(run) is int and run in self.detailed:
                self.detailed[run] = True
                self.changed.notify_all()

    def put(self, message: Message, seconds: float) -> None:
        """Have a message sent; waits for room, and for the connection where it is made for the first time.

        Raises:
            RemoteError: the host is offline, or there was no room in time.
        """

        def has_room() -> bool:
            return self.view.contact is Contact.LIVE and len(self._outgoing) < MOST_OUTGOING

        with self.changed:
            self.wait(has_room, time.monotonic() + seconds, "room for more")
            self._outgoing.append(message)
        self.wake()

    def take_outgoing(self) -> Message | None:
        """The next message that waits to be sent."""
        with self.changed:
            message = self._outgoing.popleft() if self._outgoing else None
            self.changed.notify_all()
        return message

    def disconnected(self) -> None:
        """Forget what was meant for the connection that is over."""
        with self.changed:
            self._outgoing.clear()
            self.expect(list(self.detailed))
            self.live_devices = ()
            self.want_is_due = self.requests_are_due = True
            self.retry = False

    def wait(self, done: Callable[[], bool], deadline: float, what: str, *, store: bool = False) -> None:
        """Wait for something of the host.

        Args:
            done: whether it has come; called with the lock.
            deadline: by the monotonic clock.
            what: what is waited for.
            store: whether a store that cannot be read is an end of it.

        Raises:
            RemoteError: the host is offline, or it has not come in time.
        """
        with self.changed:
            while not done():
                view, left = self.view, deadline - time.monotonic()
                if self.stopped:
                    raise RemoteError(f"{self.name}: the connection was ended")
                if view.contact is Contact.OFFLINE or (store and view.reason):
                    raise RemoteError(f"{self.name}: {view.reason}", view.hint)
                if left <= 0:
                    raise RemoteError(f"{self.name}: {what} has not come in time")
                self.changed.wait(left)
