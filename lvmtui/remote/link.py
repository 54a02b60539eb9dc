"""A watched host: one thread that keeps a connection to it, writes what it says into the mirror, hands over
what it is asked for, and tries again for ever when the connection fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from lvmtui.errors import LvmtuiError, RemoteError
from lvmtui.format import plain
from lvmtui.remote.asking import Asking, Pending
from lvmtui.remote.connection import Connection, Ended, Timing
from lvmtui.remote.conversation import Conversation
from lvmtui.remote.hosts import Host
from lvmtui.remote.retrying import Backoff
from lvmtui.remote.shared import Shared, Want
from lvmtui.remote.ssh import NEEDS_USER, Cause, Step
from lvmtui.snapshot import Contact, HostView
from lvmtui.store.records import DeviceSample

if TYPE_CHECKING:
    from lvmtui.remote.mirrors.mirror import Mirror
    from lvmtui.remote.outbox import Outbox

STOP_SECONDS = 2.0

MOST_WANTED = 200
"""Runs of which something is wanted at once."""

LOOK_SECONDS = 5.0
"""Between two looks at the clock."""


class Link:
    """The connection to one host. Every method may be called from any thread, and only those that say so wait
    for anything."""

    def __init__(
        self,
        host: Host,
        mirror: Mirror,
        *,
        ssh: Sequence[str] = (),
        on_change: Callable[[], None],
        outbox: Outbox | None = None,
        readonly: bool = False,
        timing: Timing | None = None,
    ) -> None:
        """
        Args:
            host: the machine.
            mirror: where what it says is written; the link's from now on, which closes it at its end.
            ssh: how ssh is called; empty: as usual.
            on_change: called, mostly in the link's thread, when `view`, the mirror or `live_devices` has
                changed.
            outbox: keeps requests; closed at the end. None: they are forgotten with this process.
            readonly: have it change nothing.
            timing: how long what may take; None: as usual.
        """
        self.host = host
        self._mirror, self._ssh = mirror, tuple(ssh)
        self._shared = Shared(host.name, on_change)
        self._asking = Asking(host, outbox)
        self._readonly = readonly
        self._timing = timing or Timing()
        self._backoff = Backoff(self._timing)
        self._thread = threading.Thread(target=self._run, name=f"link-{host.name}", daemon=True)
        self._heard: float | None = None

    def start(self) -> None:
        """Begin to connect."""
        self._refresh_pending()
        self._thread.start()

    def stop(self) -> None:
        """End the connection and close the mirror; waits for that for 2 s at most, whatever ssh does."""
        self._shared.stopped = True
        self._shared.wake()
        if self._thread.ident is None:
            self._close()
        elif self._thread is not threading.current_thread():
            self._thread.join(STOP_SECONDS)

    @property
    def view(self) -> HostView:
        """How the host is."""
        return self._shared.view

    @property
    def live_devices(self) -> tuple[DeviceSample, ...]:
        """The newest readings of its sensors; empty while they are not wanted, or it is offline."""
        return self._shared.live_devices

    def want(self, full: Sequence[int], few: Collection[int] = (), *, devices: bool = False) -> None:
        """Say what is looked at; replaces what was said before.

        Args:
            full: numbers of runs of which everything is wanted, most wanted first.
            few: numbers of runs of which only the overlaid metrics are.
            devices: whether the sensors are.
        """
        whole = tuple(dict.fromkeys(full))[:MOST_WANTED]
        glanced = tuple(number for number in dict.fromkeys(few) if number not in whole)
        self._shared.set_want(Want(whole, glanced[: MOST_WANTED - len(whole)], devices))

    def zoom(self, run: int, keys: Sequence[str], axis: str, low: float, high: float) -> None:
        """Have every value of a stretch of the x axis sent; nothing happens while the host is offline."""
        message = {"m": "zoom", "run": run, "keys": list(keys), "axis": axis, "low": low, "high": high}
        with suppress(RemoteError):
            self._shared.put(message, 0.0)

    def fetch(self, runs: Sequence[int], seconds: float) -> None:
        """Wait until the mirror has the ranks of these runs' best evaluations, of their baselines, and facts.

        Raises:
            RemoteError: the host is offline, or they have not come in time.
        """
        deadline = time.monotonic() + seconds
        self._shared.expect(runs)
        self._shared.put({"m": "fetch", "runs": list(runs)}, seconds)
        self._shared.wait(lambda: all(map(self.has_come, runs)), deadline, "what was asked of its runs")

    def wait_listed(self, seconds: float) -> None:
        """Wait until the list of runs is whole.

        Raises:
            RemoteError: the host is offline, has no store, or the list has not come in time.
        """
        deadline = time.monotonic() + seconds
        self._shared.wait(lambda: self._shared.view.is_whole, deadline, "its list of runs", store=True)

    def wait_detailed(self, run: int, seconds: float) -> None:
        """Wait until the mirror has all that is wanted of a run; it must be wanted already.

        Raises:
            RemoteError: the host is offline, or it has not come in time.
        """
        deadline = time.monotonic() + seconds
        self._shared.wait(lambda: self.has_come(run), deadline, f"everything of run {run}")

    def has_come(self, run: int) -> bool:
        """Whether the mirror has all that is wanted of a run."""
        return self._shared.detailed.get(run, False)

    def request(self, what: str, arguments: Mapping[str, Any], words: str, run_id: int | None) -> Pending:
        """Ask the host to do something (`lvmtui.operations`), now or when it is back.

        Args:
            what: name of the operation.
            arguments: its arguments; runs by their number there.
            words: what is asked, for people: `stop phase-3 #17@gpu1`.
            run_id: the run it is about, by its id here; None: the host as a whole.

        Raises:
            RemoteError: nothing may be changed there.
            LvmtuiError: it cannot be kept.
        """
        why = "lvmtui was started with --readonly" if self._readonly else self.view.readonly
        if why:
            raise RemoteError(f"nothing can be changed on {self.host.name}: {why}")
        pending = self._asking.put(what, arguments, words, run_id)
        self._refresh_pending()
        self._shared.requests_are_due = True
        self._shared.wake()
        return pending

    def withdraw(self, request_id: str) -> bool:
        """Take back a request that was not sent yet; whether it could be.

        Raises:
            LvmtuiError: the outbox cannot be changed.
        """
        withdrawn = self._asking.withdraw(request_id)
        self._refresh_pending()
        return withdrawn

    def forget(self, request_id: str) -> None:
        """Do not wait for the answer to a question any more, sent or not; nothing may hang on it.

        Raises:
            LvmtuiError: the outbox cannot be changed.
        """
        self._asking.forget(request_id)
        self._refresh_pending()

    def retry_now(self) -> None:
        """Connect at once where it waits to try again, and anew where lvmtui was not installed: it may be
        now."""
        self._shared.retry = True
        self._shared.wake()

    def _refresh_pending(self) -> None:
        try:
            self._shared.show(pending=self._asking.waiting())
        except LvmtuiError as error:
            self._shared.show(reason=error.message, hint=error.hint)

    # --- the thread

    def _run(self) -> None:
        try:
            while self._shared.goes_on():
                cause, seconds = self._connect()
                if self._shared.goes_on():
                    with suppress(Exception):  # whoever is told must not end this thread
                        self._say_offline(cause, seconds)
                    self._pause(seconds)
        finally:
            self._close()

    def _connect(self) -> tuple[Cause, float]:
        """Talk for as long as it goes well; why it ended, and after how many seconds to try again."""
        shared = self._shared
        talk = Conversation(
            self.host, shared, self._mirror, self._asking, readonly=self._readonly, timing=self._timing
        )
        cause = Cause(Step.SSH, "it was ended")
        try:
            wake = shared.wake_read
            with closing(Connection(self.host, self._ssh, wake=wake, timing=self._timing)) as connection:
                talk.hold(connection)
        except Ended as error:
            cause = error.cause
        except Exception as error:  # a mistake of ours must not leave the host without its thread
            cause = Cause(
                Step.LVMTUI, plain(f"{type(error).__name__}: {error}")[:300], "This is a mistake in lvmtui."
            )
        self._heard = talk.heard or self._heard
        lasted = time.monotonic() - talk.whole_since if talk.whole_since is not None else 0.0
        if talk.is_to_be_repeated:
            return cause, 0.0
        needs_user = cause.step in NEEDS_USER and talk.heard is None
        return cause, self._backoff.failed(lasted=lasted, needs_user=needs_user)

    def _say_offline(self, cause: Cause, seconds: float) -> None:
        shared = self._shared
        shared.disconnected()
        shared.show(
            contact=Contact.OFFLINE,
            reason=cause.reason,
            hint=cause.hint,
            news=self._heard,
            next_try=time.time() + seconds,
            round_trip=None,
            is_whole=False,
        )

    def _pause(self, seconds: float) -> None:
        """Wait until it is time to try again."""
        shared = self._shared
        # By both clocks: one stands still while this machine sleeps, the other may be set.
        monotonic, clock = time.monotonic() + seconds, time.time() + seconds
        with shared.changed:
            while not (shared.stopped or shared.retry):
                left = min(monotonic - time.monotonic(), clock - time.time())
                if left <= 0:
                    break
                shared.changed.wait(min(left, LOOK_SECONDS))
        if shared.retry:
            self._backoff.forget()
        with suppress(Exception):
            shared.show(next_try=None)

    def _close(self) -> None:
        self._shared.close()
        self._mirror.close()
        self._asking.close()
