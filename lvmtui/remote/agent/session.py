"""The agent's conversation with one client: what comes in is taken at once, what goes out waits for room."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from lvmtui.remote.agent.watch import Watch
from lvmtui.remote.agent.wire import Message, Receiver, Sender, WireError

CREDIT, MOST_CREDIT = 256 * 1024, 8 * 1024 * 1024
"""Bytes of the stream that may be on their way; and where the client says that it takes more."""

ENOUGH = 32 * 1024
"""With so many bytes waiting to be written, nothing more is read of the store: it would only grow old."""

SILENCE_SECONDS = 30.0
"""A client that says nothing for so long is gone."""

BEAT_SECONDS = 4.0
"""Between two signs of life."""

LOOK_SECONDS, REST_SECONDS = 0.05, 0.2
"""Between two looks at the store; and where nothing runs in it."""

PIECES_SECONDS = 0.02
"""How long pieces are read before the client is listened to."""

READ_BYTES, WRITE_BYTES = 1 << 16, 1 << 15

MOST_WAITING = 16 * 1024 * 1024
"""Bytes that may wait to be written. More is asked for only by a client that takes nothing in."""


class Service(Protocol):
    """Something more that an installed agent can do."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of messages that it takes."""

    def take(self, message: Message) -> None:
        """Take in a message of one of `kinds`, without waiting for anything."""

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to send."""

    def messages(self, room: int) -> list[Message]:
        """What is to be sent now: about `room` bytes at most. Called when the descriptor is readable, which
        it stays as long as there is more."""

    def close(self) -> None:
        """Be done: the conversation is over."""


class Session:
    """One conversation: both pipes, and what waits to be sent."""

    def __init__(
        self, read_fd: int, write_fd: int, watch: Watch, services: Sequence[Service], window: object = None
    ) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._watch = watch
        self._services = services
        self._credit = min(max(CREDIT, window), MOST_CREDIT) if isinstance(window, int) else CREDIT
        self._receiver = Receiver()
        self._waiting = bytearray()
        """Bytes that are to be written, as the client makes room."""
        self._sender = Sender(self._waiting.extend)
        self._written = self._acknowledged = 0
        """Bytes of the stream that were written, and that the client has taken in."""
        self._heard = self._beaten = time.monotonic()
        self._is_over = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def end(self) -> None:
        """Have `run` come back; from a signal's handler as well."""
        self._is_over = True
        with suppress(OSError):
            os.write(self._wake_write, b".")

    def close(self) -> None:
        """Let go of everything."""
        for service in self._services:
            service.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def say_first(self, line: bytes) -> None:
        """Write the first line, before the stream begins."""
        left = memoryview(line)
        while left and not self._is_over:
            select.select([self._wake_read], [self._write_fd], [], SILENCE_SECONDS)
            with suppress(BlockingIOError):
                left = left[os.write(self._write_fd, left) :]

    def run(self) -> None:
        """Talk until the client goes, or is silent for long.

        Raises:
            WireError: it does not keep to the protocol.
            ConnectionError: it is gone.
        """
        self._tell()
        while not self._is_over:
            readable = self._wait()
            if self._read_fd in readable and not self._hear():
                return
            if time.monotonic() - self._heard > SILENCE_SECONDS:
                return
            for service in self._services:
                if service.fileno() in readable:
                    self._send(service.messages(ENOUGH))
            self._tell()
            if self._waiting and self._room > 0:
                self._write()

    @property
    def _room(self) -> int:
        """Bytes that may be written until the client has taken in more."""
        return self._acknowledged + self._credit - self._written

    def _wait(self) -> list[int]:
        """Wait for something to do; the descriptors that can be read."""
        has_space = len(self._waiting) < ENOUGH
        reads = [self._read_fd, self._wake_read]
        if has_space:
            reads += [service.fileno() for service in self._services]
        writes = [self._write_fd] if self._waiting and self._room > 0 else []
        seconds = REST_SECONDS if self._watch.is_at_rest else LOOK_SECONDS
        if has_space and self._watch.has_more:
            seconds = 0.0
        return select.select(reads, writes, [], seconds)[0]

    def _hear(self) -> bool:
        """Take in what has come; False: the client is gone."""
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        self._heard = time.monotonic()
        return all(self._take(message) for message in self._receiver.feed(data))

    def _take(self, message: Message) -> bool:
        """Do what a message asks for; False: it ends the conversation."""
        kind = message["m"]
        if kind == "ack" and type(message.get("bytes")) is int:
            self._acknowledged = min(max(self._acknowledged, message["bytes"]), self._written)
        elif kind == "ping":
            sent = message.get("time")
            self._beat({"echo": sent} if isinstance(sent, (int, float)) else {})
        elif kind == "want":
            self._watch.want(message, self._acknowledged)
        elif kind == "zoom":
            self._watch.zoom(message)
        elif kind == "fetch":
            self._watch.fetch(message)
        takers = [service for service in self._services if kind in service.kinds]
        for service in takers:
            service.take(message)
        if kind == "do" and not takers:
            self._refuse(message)
        return bool(kind != "bye")

    def _refuse(self, message: Message) -> None:
        answer = {"ok": False, "words": "the agent there is read-only", "hint": "", "data": {}}
        self._send([{"m": "answer", "id": message.get("id"), **answer}])

    def _beat(self, more: Message) -> None:
        self._beaten = time.monotonic()
        self._send([{"m": "beat", "time": round(time.time(), 3), **more}])

    def _tell(self) -> None:
        """Put what is new into the stream, and pieces of what is wanted."""
        if time.monotonic() - self._beaten >= BEAT_SECONDS:
            self._beat({})
        if len(self._waiting) >= ENOUGH:
            return
        self._send(self._watch.news())
        begun = time.monotonic()
        while self._watch.has_more and len(self._waiting) < ENOUGH:
            self._send(self._watch.piece())
            if time.monotonic() - begun > PIECES_SECONDS:
                return

    def _send(self, messages: Sequence[Message]) -> None:
        if messages:
            self._sender.send(*messages)
            if len(self._waiting) > MOST_WAITING:
                raise WireError("the client asks for more than it takes in")
            self._watch.sent(self._sender.sent)

    def _write(self) -> None:
        part = bytes(self._waiting[: min(self._room, WRITE_BYTES)])
        with suppress(BlockingIOError):
            written = os.write(self._write_fd, part)
            self._written += written
            del self._waiting[:written]
