"""One connection to an agent: an ssh process, greetings each way, then messages. It ends with a cause."""

from __future__ import annotations

import math
import os
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lvmtui.errors import LvmtuiError
from lvmtui.format import plain
from lvmtui.remote import bootstrap, early, ssh
from lvmtui.remote.agent import wire
from lvmtui.remote.agent.wire import Message, WireError
from lvmtui.remote.hosts import Host
from lvmtui.remote.ssh import Cause, Step

READ_BYTES = 1 << 16
ACK_BYTES = 1 << 16
"""What was taken in is acknowledged after so many bytes: a quarter of what the agent may be ahead."""

WRITE_LIMIT = 1 << 17
"""Bytes that may wait for ssh to take them."""

_STDERR_LIMIT = 8192
_MOST_ERRORS = 1 << 20
"""Bytes of errors before a greeting: more is not said by anybody who means to greet."""
_EXIT_SECONDS = 0.5
"""How long ssh may take to end, and to say why, once its output has."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what may take, in seconds."""

    greeting: float = 30.0
    """From starting ssh to the agent's greeting."""
    silence: float = 15.0
    """Without a byte of the agent, after which the connection is given up."""
    ping: float = 5.0
    """Between two signs of life of ours."""
    first_retry: float = 1.0
    """After the first failure; twice as long after each further one."""
    last_retry: float = 60.0
    """At most, and at once where the user has to do something."""
    lasting: float = 30.0
    """A connection that was whole for so long counts as a good one: failures are counted anew."""


class Ended(Exception):
    """The connection is over, or was never made."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.reason)
        self.cause = cause


class Connection:
    """Owned by one thread. Nothing here waits longer than it is told to."""

    def __init__(self, host: Host, words: Sequence[str], *, wake: int, timing: Timing) -> None:
        """
        Args:
            host: where to.
            words: how ssh is called; empty: as usual.
            wake: what becomes readable when the owner has something else to do.
            timing: how long what may take.

        Raises:
            Ended: ssh cannot be started.
        """
        self._host, self._timing = host, timing
        try:
            line = ssh.command_line(host, words)
            self._process = early.taken(line) or ssh.start(line)
        except LvmtuiError as error:
            raise Ended(Cause(Step.SSH, error.message, error.hint)) from error
        self._stdin, self._stdout, self._stderr = ssh.pipes(self._process)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)
        self._wake = wake
        self._waiting = bytearray()
        """Bytes for ssh that it has not taken yet."""
        self._errors = b""
        """The end of what ssh and the other side have written as errors."""
        self._sender = wire.Sender(self._waiting.extend)
        self._receiver = wire.Receiver()
        self._early = b""
        """What came with the greeting."""
        self._is_greeted = False
        self._acknowledged = 0
        self._error_bytes = 0
        self.heard = time.monotonic()
        """When the other side last sent something."""
        self._taken = self.heard
        """When ssh last took something, or nothing waited for it."""
        self._proof_due = math.inf
        """When it must have been shown that the other side is still there (monotonic clock)."""

    # --- greeting

    def greet(self, hello: Message, is_wanted: Callable[[], bool]) -> Message | None:
        """Exchange greetings; sends the agent first where there is none.

        Args:
            hello: what this side says.
            is_wanted: asked again and again, empties `wake`; once it says no, this returns.

        Returns:
            The agent's greeting; None when it is not wanted any more.

        Raises:
            Ended: there is no agent, or one of another protocol.
        """
        deadline = time.monotonic() + self._timing.greeting
        self._waiting += wire.greeting(wire.CLIENT, hello)
        unread, seen, loaded = b"", 0, False
        while is_wanted():
            left = deadline - time.monotonic()
            if left <= 0:
                raise Ended(self._no_answer())
            data = self._poll(left)
            if data is None:
                if self._error_bytes > _MOST_ERRORS:
                    raise Ended(self._no_agent())
                continue
            if not data:
                raise Ended(self._ended(unread))
            seen += len(data)
            *lines, unread = (unread + data).split(b"\n")
            for number, line in enumerate(lines):
                if not loaded and wire.LOADER in line:
                    loaded = True
                    self._load(line[line.index(wire.LOADER) :])
                elif wire.AGENT in line:
                    self._early = b"\n".join([*lines[number + 1 :], unread])
                    return self._greeted(line[line.index(wire.AGENT) :])
            if seen > wire.NOISE_LIMIT:
                raise Ended(self._no_agent())
        return None

    def _load(self, line: bytes) -> None:
        """Answer the loader with the agent."""
        _read(line, wire.LOADER)
        source = bootstrap.source()
        self._waiting += b"%d\n" % len(source) + source

    def _greeted(self, line: bytes) -> Message:
        found = _read(line, wire.AGENT)
        said = found.get("protocol")
        theirs = said if type(said) is int and 0 <= said < 10**6 else None
        if theirs != wire.PROTOCOL:
            where = "here" if theirs is not None and theirs > wire.PROTOCOL else f"on {self._host.name}"
            raise Ended(
                Cause(
                    Step.LVMTUI,
                    f"it speaks version {'?' if theirs is None else theirs} of the protocol, "
                    f"this lvmtui version {wire.PROTOCOL}",
                    f"Update lvmtui {where}.",
                )
            )
        self._is_greeted = True
        self._errors = b""  # what was said on the way explains nothing that happens from now on
        return found

    def _no_agent(self) -> Cause:
        return Cause(
            Step.LVMTUI,
            "what answers there is not lvmtui",
            f"`ssh {plain(self._host.destination)} true` should print nothing.",
        )

    def _no_answer(self) -> Cause:
        cause = ssh.diagnose(self._errors, None, self._host) if self._errors.strip() else None
        if cause is not None and cause.step is not Step.LVMTUI:
            return cause
        return Cause(
            Step.PORT,
            f"no answer within {self._timing.greeting:.0f} s",
            f"It may be asleep or hang: `ssh {plain(self._host.destination)} true` should return at once.",
        )

    # --- messages

    def send(self, *messages: Message) -> None:
        """Have messages sent as soon as ssh takes them; none may be larger than a message may be.

        Raises:
            WireError: one is too large; none was sent.
        """
        if messages:
            self._sender.send(*messages)

    @property
    def has_room(self) -> bool:
        """Whether more should be sent now."""
        return len(self._waiting) < WRITE_LIMIT

    @property
    def received(self) -> int:
        """Bytes that have come in, as they are on the wire within ssh."""
        return self._receiver.received

    @property
    def gives_up(self) -> float:
        """When `receive` takes the connection for dead unless something comes (monotonic clock)."""
        return min(min(self.heard, self._taken) + self._timing.silence, self._proof_due)

    def doubt(self, seconds: float) -> None:
        """Take it for dead in so many seconds unless `trust` is called."""
        self._proof_due = time.monotonic() + seconds

    def trust(self) -> None:
        """The other side has answered to something that was said just now."""
        self._proof_due = math.inf

    def receive(self, seconds: float) -> Iterator[Message]:
        """The messages that come next, waiting for them for at most so long.

        Raises:
            Ended: the connection is over, or nothing has come for too long.
            WireError: what comes in makes no sense.
        """
        data, self._early = self._early, b""
        data = data or self._poll(seconds) or self._when_over()
        if not data:
            return
        yield from self._receiver.feed(data)
        if self._receiver.received - self._acknowledged >= ACK_BYTES:
            self._acknowledged = self._receiver.received
            self.send({"m": "ack", "bytes": self._acknowledged})

    def _when_over(self) -> bytes:
        if self._stdout.closed:
            raise Ended(self._ended(b""))
        now = time.monotonic()
        if now >= self.gives_up:
            is_deaf = self._taken < self.heard and self._proof_due > now
            seconds = f"{now - (self._taken if is_deaf else self.heard):.0f} s"
            what = (
                f"it takes nothing in for {seconds}" if is_deaf else f"nothing has come from it for {seconds}"
            )
            raise Ended(Cause(Step.PORT, what, "It may be asleep, or the connection hangs."))
        return b""

    # --- pipes

    def _poll(self, seconds: float) -> bytes | None:
        """What the other side has sent: None nothing, `b""` it has ended."""
        if self._stdout.closed:
            return b""
        self._write()
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.fileobj == self._stderr:
                self._read_errors()
            elif key.fileobj == self._stdout:
                data = _read_some(self._stdout)
                if data is None:
                    continue
                self.heard = time.monotonic()
                if not data:
                    self._selector.unregister(self._stdout)
                    self._stdout.close()
                return data
        return None

    def _write(self) -> None:
        """Hand over what ssh takes now; ask to be woken when it takes more."""
        is_registered = self._stdin in self._selector.get_map()
        while self._waiting and not self._stdin.closed:
            try:
                written = os.write(self._stdin.fileno(), self._waiting[:READ_BYTES])
            except BlockingIOError:
                break
            except OSError:  # it has ended; its output says so, and its errors why
                self._waiting.clear()
            else:
                del self._waiting[:written]
                self._taken = time.monotonic()
        if not self._waiting:
            self._taken = time.monotonic()
        if bool(self._waiting) != is_registered:
            if is_registered:
                self._selector.unregister(self._stdin)
            else:
                self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def _read_errors(self) -> None:
        data = _read_some(self._stderr)
        if data == b"":
            self._selector.unregister(self._stderr)
            self._stderr.close()
        self._errors = (self._errors + (data or b""))[-_STDERR_LIMIT:]
        self._error_bytes += len(data or b"")

    def _ended(self, said: bytes) -> Cause:
        """Why, once ssh has ended: what it wrote as errors, else what was said instead of a greeting."""
        code = ssh.exit_code(self._process, _EXIT_SECONDS)
        while not self._stderr.closed and (data := _read_some(self._stderr)):
            self._errors = (self._errors + data)[-_STDERR_LIMIT:]
        errors = self._errors if self._errors.strip() else said
        if self._is_greeted and code == 255 and not errors:
            return Cause(Step.PORT, "the connection broke off")
        return ssh.diagnose(errors, code, self._host)

    def close(self) -> None:
        """End ssh; takes a second at most."""
        self._write()
        self._selector.close()
        ssh.end(self._process)


def _read_some(pipe: Any) -> bytes | None:
    """What is in a pipe: None nothing now, `b""` nothing ever."""
    try:
        return os.read(pipe.fileno(), READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _read(line: bytes, prefix: bytes) -> Message:
    try:
        return wire.read_greeting(line, prefix)
    except WireError as error:
        raise Ended(nonsense(error)) from error


def nonsense(error: WireError) -> Cause:
    """What to say where the other side does not keep to the protocol."""
    return Cause(
        Step.LVMTUI,
        f"what it says makes no sense: {plain(str(error))[:200]}",
        "If that comes again, update lvmtui on both sides.",
    )
