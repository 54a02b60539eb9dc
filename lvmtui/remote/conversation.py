"""What is said over one connection to a host: its messages are taken in, what is wanted of it is sent."""

from __future__ import annotations

import json
import time
from typing import Any

import lvmtui
from lvmtui.errors import LvmtuiError
from lvmtui.remote.agent.wire import GREETING_LIMIT, PROTOCOL, Message, WireError
from lvmtui.remote.asking import Asking
from lvmtui.remote.connection import Connection, Ended, Timing, nonsense
from lvmtui.remote.heard import device_samples, moment, text
from lvmtui.remote.hosts import Host
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.shared import Shared, Want
from lvmtui.remote.ssh import Cause, Step
from lvmtui.snapshot import Contact

MOST_REQUESTS = 50
"""Requests sent at once."""

MOST_WANT = GREETING_LIMIT * 3 // 4
"""Bytes of what is looked at in a greeting; more of it is said afterwards."""

WORK_SECONDS, WORK_SHARE = 3.0, 0.5
"""What a host may keep this process busy with at a stretch, and for good: a flood holds nobody else up."""

SLEEP_SECONDS = 4.0
"""The clock that goes on while this machine sleeps has then moved by more than this. Then the other side
has so long to show that it is still there."""

SKEW_SECONDS = 1.0
"""The clock there is shown anew when it has moved by more than this."""


class Conversation:
    """Owned by the link's thread; ends with `Ended`, or when the link is stopped."""

    def __init__(
        self, host: Host, shared: Shared, mirror: Mirror, asking: Asking, *, readonly: bool, timing: Timing
    ) -> None:
        self._host, self._shared, self._mirror, self._asking = host, shared, mirror, asking
        self._readonly, self._timing = readonly, timing
        self._work = Work()
        self._ping: tuple[float, float] | None = None
        """When the last ping was sent: by the clock, and by the monotonic one; None: it was answered."""
        self._next_ping = 0.0
        self._has_answered = False
        """The last ping was answered."""
        self._ahead = time.time() - time.monotonic()
        self._takes_requests = False
        self._told: Want | None = None
        """What the greeting has said to be looked at."""
        self._news: dict[str, Any] = {}
        """What of the view has changed with the messages that came together."""
        self.is_to_be_repeated = False
        """It was ended to be begun anew."""
        self.heard: float | None = None
        """When the host was last heard of, by the clock; None: never."""
        self._heard = 0.0
        """The same by the monotonic clock."""
        self.whole_since: float | None = None
        """Since when the list of runs is whole, by the monotonic clock."""

    def hold(self, connection: Connection) -> None:
        """Talk until the link is stopped.

        Raises:
            Ended: the connection is over.
        """
        try:
            hello = {
                "m": "hello",
                "protocol": PROTOCOL,
                "version": lvmtui.__version__,
                "store": self._host.store,
                "have": self._mirror.have(),
                "readonly": self._readonly,
            }
            hello |= self._first_want(is_new=not hello["have"])
            agent = connection.greet(hello, self._shared.goes_on)
            if agent is not None:
                self._greeted(agent)
                self._talk(connection)
                connection.send({"m": "bye"})
        except WireError as error:
            raise Ended(nonsense(error)) from error
        except LvmtuiError as error:
            raise Ended(Cause(Step.SSH, error.message, error.hint)) from error

    def _first_want(self, *, is_new: bool) -> Message:
        """What the greeting says of what is looked at, so that it need not be waited for.

        Args:
            is_new: nothing is known of the host: which run will be looked at is left to it.
        """
        with self._shared.changed:
            want = self._shared.want
        if not (want.full or want.few):
            return {"first": True} if is_new else {}
        message = self._want_message(want)
        if len(json.dumps(message)) > MOST_WANT:
            return {}
        self._told = want
        return {"want": message}

    def _greeted(self, agent: Message) -> None:
        self.heard = time.time()
        self._mirror.heard()
        why = text(agent, "why")
        self._takes_requests = agent.get("mode") == "full" and not self._readonly
        version = text(agent, "version", 40)
        # That this lvmtui changes nothing is no quality of the host.
        is_fixed = not self._takes_requests and not (self._readonly and version)
        self._asking.connected()
        with self._shared.changed:
            is_told = agent.get("wanted") is True and self._shared.want == self._told
            self._shared.want_is_due, self._shared.requests_are_due = not is_told, True
        self._shared.show(
            contact=Contact.LIVE,
            reason="",
            hint="",
            news=None,
            next_try=None,
            store=text(agent, "store", 1024),
            version=version,
            readonly=(why or "the agent there only reads") if is_fixed else "",
            is_whole=False,
        )

    def _talk(self, connection: Connection) -> None:
        while self._shared.goes_on():
            if self._shared.retry and not self._shared.view.version:
                self.is_to_be_repeated = True
                raise Ended(Cause(Step.PORT, "it is connected to anew"))
            self._notice_sleep(connection)
            self._send(connection)
            changed = False
            wait = min(self._next_ping, connection.gives_up) - time.monotonic()
            for message in connection.receive(wait):
                changed |= self._take(message)
                self._work.rest()
                if self._shared.stopped:
                    return
            self._work.rest()
            if self._has_answered:
                connection.trust()
                self._mirror.heard()
                self._has_answered = False
            if connection.heard != self._heard:  # only one of the clocks goes on while this machine sleeps
                self._heard, self.heard = connection.heard, time.time()
            news, self._news = self._news, {}
            if not self._shared.show(**news) and changed:
                self._shared.on_change()

    def _notice_sleep(self, connection: Connection) -> None:
        """After this machine has slept, a connection that is still there answers soon."""
        ahead = time.time() - time.monotonic()
        if ahead - self._ahead > SLEEP_SECONDS:
            connection.doubt(SLEEP_SECONDS)
            self._next_ping = 0.0
        self._ahead = ahead

    # --- what is sent

    def _send(self, connection: Connection) -> None:
        """Everything that is due, and that ssh takes."""
        if not connection.has_room:
            self._next_ping = time.monotonic() + self._timing.ping
            return
        messages = self._want(connection.received)
        now = time.monotonic()
        if now >= self._next_ping:
            self._next_ping = now + self._timing.ping
            self._ping = time.time(), now
            messages.append({"m": "ping", "time": self._ping[0]})
            self._look_at_requests()
        connection.send(*messages)
        self._send_requests(connection)
        while connection.has_room and (message := self._shared.take_outgoing()) is not None:
            connection.send(message)

    def _want(self, taken: int) -> list[Message]:
        with self._shared.changed:
            want, is_due = self._shared.want, self._shared.want_is_due
            self._shared.want_is_due = False
        if not is_due:
            return []
        message = self._want_message(want)
        if not want.devices and self._shared.live_devices:
            self._shared.live_devices = ()
            self._shared.on_change()
        # With what has come so far, so that the agent knows what these cursors know of.
        return [{"m": "ack", "bytes": taken}, message]

    def _want_message(self, want: Want) -> Message:
        runs = [self._mirror.wanted(number, "all") for number in want.full]
        runs += [self._mirror.wanted(number, "few") for number in want.few]
        return {"m": "want", "runs": runs, "devices": want.devices}

    def _look_at_requests(self) -> None:
        """Another lvmtui that shares the outbox may have put something into it, or had an answer."""
        if self._shared.view.pending or self._takes_requests:
            self._shared.requests_are_due = True

    def _send_requests(self, connection: Connection) -> None:
        if not self._shared.requests_are_due:
            return
        self._shared.requests_are_due = False
        try:
            if self._takes_requests:
                for message in self._asking.due(MOST_REQUESTS):
                    try:
                        connection.send(message)
                    except WireError:
                        self._asking.refuse(message["id"], "the request is too long to be sent")
            elif not self._readonly:
                name, why = self._host.name, self._shared.view.readonly
                self._asking.refuse_all(f"nothing can be changed on {name}: {why}")
            self._shared.show(pending=self._asking.waiting())
        except LvmtuiError as error:
            self._shared.show(reason=error.message, hint=error.hint)

    # --- what comes in

    def _take(self, message: Message) -> bool:
        """Take a message in; whether that changed something in the mirror that is shown."""
        kind = message["m"]
        if kind == "beat":
            self._beat(message)
        elif kind == "answer":
            self._answer(message)
        elif kind == "problem":
            self._news |= {"reason": text(message, "text"), "hint": text(message, "hint")}
        elif kind == "devices":
            return self._devices(message)
        else:
            changed = self._mirror.apply(message)
            self._notice(kind, message)
            return changed
        return False

    def _notice(self, kind: str, message: Message) -> None:
        """What a message to the mirror means for those who wait for it."""
        if kind == "listed" and not self._shared.view.is_whole:
            self.whole_since = self.whole_since or time.monotonic()
            self._news["is_whole"] = True
        elif kind == "reset":
            self._shared.expect(list(self._shared.detailed))
        elif kind == "detailed":
            self._shared.has_come(message.get("run"))

    def _beat(self, message: Message) -> None:
        sent, self._ping = self._ping, None
        theirs = moment(message, "time")
        if sent is None or theirs is None or message.get("echo") != sent[0]:
            self._ping = sent
            return
        self._has_answered = True
        round_trip = time.monotonic() - sent[1]
        view = self._shared.view
        if view.round_trip is None or round_trip < view.round_trip / 2:
            self._news["round_trip"] = round_trip
        skew = theirs - (sent[0] + round_trip / 2)
        if abs(skew - view.skew) > SKEW_SECONDS:
            self._news["skew"] = skew

    def _answer(self, message: Message) -> None:
        try:
            self._asking.take(message)
            self._shared.show(pending=self._asking.waiting())
        except LvmtuiError as error:
            self._shared.show(reason=error.message, hint=error.hint)

    def _devices(self, message: Message) -> bool:
        if not self._shared.want.devices:
            return False
        samples = device_samples(message, self._mirror.slot)
        changed = samples != self._shared.live_devices
        self._shared.live_devices = samples
        return changed


class Work:
    """Keeps a thread from taking more than its share of the processor."""

    def __init__(self) -> None:
        self._left = WORK_SECONDS
        self._clock, self._used = time.monotonic(), time.thread_time()

    def rest(self) -> None:
        """Sleep where this thread has worked for too long."""
        clock, used = time.monotonic(), time.thread_time()
        self._left += (clock - self._clock) * WORK_SHARE - (used - self._used)
        self._left = min(self._left, WORK_SECONDS)
        self._clock, self._used = clock, used
        if self._left < 0:
            time.sleep(min(0.1, -self._left / WORK_SHARE))
