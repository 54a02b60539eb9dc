"""Messages over a pair of pipes: a greeting each way, then JSON lines in a zlib stream. See docs/agent.md.

Both sides use it. Whatever comes in is bounded in size before it is looked at.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

PROTOCOL = 1
"""Version of the protocol; both sides must speak the same."""

AGENT = b"lvmtui-agent "
CLIENT = b"lvmtui-client "
LOADER = b"lvmtui-loader "
"""What the first line of each side begins with. The loader stands where lvmtui is not installed."""

MESSAGE_LIMIT = 1 << 20
"""Bytes of one message, at most."""

NOISE_LIMIT = 1 << 16
"""Bytes that a login shell may print before the greeting."""

GREETING_LIMIT = 1 << 14
"""Bytes of a greeting, at most."""

_SAMPLE = 2048
"""Bytes by which is judged how well a batch can be compressed."""

Message = dict[str, Any]
"""One message: `m` names its kind."""


class WireError(Exception):
    """The other side does not keep to the protocol."""


def greeting(prefix: bytes, content: Message) -> bytes:
    """The first line that a side sends."""
    return prefix + _dump(content) + b"\n"


def read_greeting(line: bytes, prefix: bytes) -> Message:
    """What a first line says.

    Raises:
        WireError: it is none, or too long.
    """
    if not line.startswith(prefix) or len(line) > GREETING_LIMIT:
        raise WireError("the greeting is not one of lvmtui's")
    return _load(line[len(prefix) :])


class Sender:
    """Turns messages into bytes."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        """
        Args:
            write: writes all of what it is given.
        """
        self._write = write
        self._compress = zlib.compressobj(6)
        # Refers to nothing that went before, so that it may stand in for the other at any time.
        self._count = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, 8, zlib.Z_HUFFMAN_ONLY)
        self._is_counting = False
        self.sent = 0
        """Bytes so far."""

    def send(self, *messages: Message) -> None:
        """Write messages so that the other side has all of them.

        Raises:
            WireError: one is too large.
        """
        lines = [_dump(message) + b"\n" for message in messages]
        if any(len(line) > MESSAGE_LIMIT for line in lines):
            raise WireError(f"a message is larger than {MESSAGE_LIMIT} bytes")
        data = self._packed(b"".join(lines))
        self.sent += len(data)
        self._write(data)

    def _packed(self, data: bytes) -> bytes:
        """The next bytes of the stream. Base64 of what repeats nothing is only coded by how often each
        character occurs: five times as fast, and no larger."""
        if not _is_dense(data):
            self._is_counting = False
            return self._compress.compress(data) + self._compress.flush(zlib.Z_SYNC_FLUSH)
        # What comes after this counts its references back from another place.
        first = b"" if self._is_counting else self._compress.flush(zlib.Z_FULL_FLUSH)
        self._is_counting = True
        return first + self._count.compress(data) + self._count.flush(zlib.Z_SYNC_FLUSH)


class Receiver:
    """Turns bytes into messages."""

    def __init__(self) -> None:
        self._decompress = zlib.decompressobj()
        self._line: list[bytes] = []
        self._length = 0
        self.received = 0
        """Bytes so far."""

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that end in `data`. Take them all before the next call; no more than one is in memory.

        Raises:
            WireError: what came in is no stream of messages, or one is too large.
        """
        self.received += len(data)
        while data:
            try:
                plain = self._decompress.decompress(data, MESSAGE_LIMIT)
            except zlib.error as error:
                raise WireError(f"what came in is not compressed as agreed: {error}") from error
            data = self._decompress.unconsumed_tail
            if self._decompress.eof:
                raise WireError("the stream of messages was ended from the other side")
            yield from self._lines(plain)

    def _lines(self, plain: bytes) -> Iterator[Message]:
        first, *more = plain.split(b"\n")
        self._take(first)
        for part in more:
            line = b"".join(self._line)
            self._line, self._length = [], 0
            yield _load(line)
            self._take(part)

    def _take(self, part: bytes) -> None:
        self._length += len(part)
        if self._length > MESSAGE_LIMIT:
            raise WireError(f"a message is larger than {MESSAGE_LIMIT} bytes")
        if part:
            self._line.append(part)


def _is_dense(data: bytes) -> bool:
    """Whether looking for repetitions would not be worth its time."""
    middle = data[len(data) // 2 :][:_SAMPLE]
    return len(data) > 8 * _SAMPLE and len(zlib.compress(middle, 1)) > 0.75 * len(middle)


def _dump(message: Message) -> bytes:
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace")


def _load(line: bytes) -> Message:
    """One message.

    Raises:
        WireError: it is none.
    """
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a message is no JSON: {str(error)[:200]}") from error
    if not isinstance(message, dict) or not isinstance(message.get("m"), str):
        raise WireError("a message does not say what it is")
    return message


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")
