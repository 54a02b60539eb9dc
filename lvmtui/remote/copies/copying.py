"""Copies of runs between two stores: what both sides say and check, whichever of them is asked. One side
gives, the other takes. See docs/agent.md."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from lvmtui.errors import RemoteError
from lvmtui.format import plain
from lvmtui.remote.agent.wire import Message

KINDS = frozenset({"copy", "offer", "part", "chunk", "file", "got", "copied", "refused"})
"""Kinds of messages about copies."""

CHUNK_BYTES = 64 << 10
"""Of a file in one message."""

WINDOW_BYTES = 4 << 20
"""Bytes of files that may be on their way."""

MOST_FILES = 10_000
OFFERED_AT_ONCE = 1000
LARGEST_FILE = 1 << 44

ROWS = ""
"""Name under which the rows are sent, as no file has."""

_SHA = re.compile(r"[0-9a-f]{64}")
_DEEPEST = 8


class Refused(RemoteError):
    """The other side refuses; message and hint are its own words."""


class Channel(Protocol):
    """A conversation with the other side."""

    def send(self, message: Message) -> None:
        """Say something; may wait until there is room for it."""

    def receive(self) -> Message:
        """What the other side says next of `KINDS`, waited for.

        Raises:
            LvmtuiError: it has gone.
        """


@dataclass(frozen=True, slots=True)
class Piece:
    """A file that is given."""

    name: str
    """Relative to the run's folder, `/` between; `ROWS` for the rows."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A run that is given."""

    about: Mapping[str, Any]
    """`host`, `store`, `made`, `number`, `created`, `revision`, `attempt`, `state`, `time` as
    `lvmtui.store.copies.Source`; `name`; `of`, where it is a copy itself: the identity of the first one."""
    rows: Piece
    files: Sequence[Piece] = field(default_factory=tuple)
    left_out: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """Names of files that are not given, and why."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All that is sent, the rows last: they are the newest where a file had to be waited for."""
        return (*self.files, self.rows)

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(piece.size for piece in self.pieces)


def is_safe_name(name: object) -> bool:
    """Whether a text names a file below a folder, whatever that is: no way up, no root, nothing hidden."""
    if not isinstance(name, str) or not name.isprintable() or "\\" in name or len(name) > 1000:
        return False
    parts = name.split("/")
    return len(parts) <= _DEEPEST and all(
        part and not part.startswith(".") and len(part.encode()) <= 200 for part in parts
    )


# --- offers as messages


def say_offer(channel: Channel, offer: Offer) -> None:
    """Send an offer, in as many messages as it takes."""
    lists = [
        [[item.name, item.size, item.sha256] for item in offer.files[begin : begin + OFFERED_AT_ONCE]]
        for begin in range(0, len(offer.files), OFFERED_AT_ONCE)
    ] or [[]]
    for number, files in enumerate(lists):
        channel.send(
            {
                "m": "offer",
                "about": dict(offer.about),
                "rows": [offer.rows.size, offer.rows.sha256],
                "files": files,
                "left_out": [list(item) for item in offer.left_out[:100]],
                "more": number + 1 < len(lists),
            }
        )


def hear_offer(channel: Channel, first: Message | None = None) -> Offer:
    """The offer that the other side sends.

    Args:
        channel: the conversation.
        first: its first message, where that was received already.

    Raises:
        RemoteError: it refuses, or the offer makes no sense.
    """
    files: dict[str, Piece] = {}
    while True:
        message = first or expect(channel, "offer")
        first = None
        about, rows, given = (message.get(key) for key in ("about", "rows", "files"))
        if not isinstance(about, dict) or not isinstance(rows, list) or not isinstance(given, list):
            raise nonsense("an offer is not whole")
        for item in given:
            piece = _piece(item)
            if not is_safe_name(piece.name):
                raise nonsense(f"it gives a file called {plain(piece.name)[:80]!r}")
            files[piece.name] = piece
        if len(files) > MOST_FILES:
            raise nonsense(f"it gives more than {MOST_FILES} files")
        if message.get("more") is not True:
            return Offer(_about(about), _piece([ROWS, *rows]), _no_folders(files), _left_out(message))


def _no_folders(files: Mapping[str, Piece]) -> tuple[Piece, ...]:
    for name in files:
        above = name
        while "/" in above:
            above = above.rpartition("/")[0]
            if above in files:
                raise nonsense(f"{plain(above)[:80]!r} is a file and a folder")
    return tuple(files.values())


def _piece(item: object) -> Piece:
    if not isinstance(item, list) or len(item) != 3:
        raise nonsense("a file of the offer is not whole")
    name, size, sha256 = item
    if type(size) is not int or not 0 <= size < LARGEST_FILE or not isinstance(name, str):
        raise nonsense("a file of the offer has no size")
    if not isinstance(sha256, str) or not _SHA.fullmatch(sha256):
        raise nonsense("a file of the offer has no sha256")
    return Piece(name, size, sha256)


_ABOUT: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("host", "store", "state", "name"), (str,)),
    **dict.fromkeys(("made", "created", "time"), (int, float)),
    **dict.fromkeys(("number", "revision", "attempt"), (int,)),
}


def _about(values: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, kinds in _ABOUT.items():
        value = values.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise nonsense(f"the offer does not tell its {name}")
        if isinstance(value, str):
            kept[name] = plain(value)[:500]
        elif isinstance(value, int | float) and abs(value) < 1 << 53:
            kept[name] = value
        else:
            raise nonsense(f"the offer's {name} is out of range")
    first = values.get("of")
    if isinstance(first, list) and len(first) == 3 and all(type(item) in (int, float) for item in first):
        kept["of"] = tuple(first)
    return kept


def _left_out(message: Message) -> tuple[tuple[str, str], ...]:
    found = message.get("left_out")
    items = found if isinstance(found, list) else []
    return tuple(
        (plain(item[0])[:200], plain(item[1])[:200])
        for item in items[:100]
        if isinstance(item, list) and len(item) == 2 and all(isinstance(text, str) for text in item)
    )


# --- giving


def give(channel: Channel, offer: Offer, open_piece: Callable[[Piece], BinaryIO]) -> Message:
    """Send an offer and whatever of it is asked for, until the other side has all it wants.

    Args:
        channel: the conversation.
        offer: what there is.
        open_piece: gives a piece's bytes, from its beginning; closed by this.

    Returns:
        What the other side said at the end, of the kind `copied`.

    Raises:
        RemoteError: it refuses, or asks for something else.
        OSError: a file cannot be read.
    """
    say_offer(channel, offer)
    known = {piece.name: piece for piece in offer.pieces}
    flow = _Flow(channel)
    while True:
        message = flow.next()
        if message["m"] == "copied":
            return message
        piece, at = known.get(str(message.get("name"))), message.get("at")
        if message["m"] != "part" or piece is None or type(at) is not int or not 0 <= at <= piece.size:
            raise nonsense("it asks for what was not offered")
        with open_piece(piece) as file:
            _send_piece(flow, piece, file, at)


class _Flow:
    """Counts what is on its way, and waits while that is too much."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._sent = self._got = 0
        self._asked: list[Message] = []

    def next(self) -> Message:
        """What the other side wants next."""
        while not self._asked:
            self._listen()
        return self._asked.pop(0)

    def send(self, message: Message, size: int = 0) -> None:
        while self._sent + size - self._got > WINDOW_BYTES:
            self._listen()
        self._sent += size
        self._channel.send(message)

    def _listen(self) -> None:
        message = expect(self._channel, "part", "got", "copied")
        if message["m"] != "got":
            if len(self._asked) > MOST_FILES:
                raise nonsense("it asks for more than there is")
            self._asked.append(message)
            return
        got = message.get("bytes")
        if type(got) is not int or not self._got <= got <= self._sent:
            raise nonsense("it got more than was sent")
        self._got = got


def _send_piece(flow: _Flow, piece: Piece, file: BinaryIO, at: int) -> None:
    """The bytes from `at` on, and what all of them come to: what is not sent is read for that, too."""
    digest = hashlib.sha256()
    place = 0
    while place < piece.size:
        data = file.read(min(CHUNK_BYTES, piece.size - place))
        if not data:
            break
        digest.update(data)
        place += len(data)
        if place > at:
            part = data[-(place - at) :] if place - len(data) < at else data
            text = base64.b64encode(part).decode("ascii")
            flow.send({"m": "chunk", "name": piece.name, "at": place - len(part), "data": text}, len(part))
    flow.send({"m": "file", "name": piece.name, "size": place, "sha256": digest.hexdigest()})


# --- taking


def ask_for(channel: Channel, wanted: Sequence[tuple[Piece, int]], ahead: int = 64) -> Iterator[Message]:
    """Ask for pieces, each from some byte on, and give the messages that they come in: of each its `chunk`s
    in order, then its `file`. Says what has come whenever the next one is asked for.

    Raises:
        RemoteError: something else comes.
    """
    got, told, asked = 0, 0, 0
    for number, (piece, begin) in enumerate(wanted):
        while asked < min(len(wanted), number + ahead):
            channel.send({"m": "part", "name": wanted[asked][0].name, "at": wanted[asked][1]})
            asked += 1
        place = begin
        while True:
            message = expect(channel, "chunk", "file")
            if message.get("name") != piece.name:
                raise nonsense("a file comes that it was not the turn of")
            if message["m"] == "file":
                yield message
                break
            data = _bytes(message)
            if message.get("at") != place or place + len(data) > piece.size:
                raise nonsense("a part of a file does not fit")
            place += len(data)
            got += len(data)
            yield {**message, "data": data}
            if got - told >= WINDOW_BYTES // 8:
                told = got
                channel.send({"m": "got", "bytes": got})


def _bytes(message: Message) -> bytes:
    try:
        data = base64.b64decode(message["data"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise nonsense("a part of a file is not as agreed") from error
    if not data:
        raise nonsense("a part of a file is empty")
    return data


def expect(channel: Channel, *kinds: str) -> Message:
    """The next message, which has to be of one of some kinds.

    Raises:
        RemoteError: the other side refuses, or says something else.
    """
    message = channel.receive()
    if message["m"] == "refused":
        text, hint = (str(message.get(key) or "")[:500] for key in ("text", "hint"))
        raise Refused(plain(text) or "the other side refuses", plain(hint))
    if message["m"] not in kinds:
        raise nonsense(f"{message['m'][:20]!r} was not to be said now")
    return message


def nonsense(why: str) -> RemoteError:
    """The other side does not keep to what was agreed."""
    return RemoteError(f"the copy broke off: {why}", "Update lvmtui on both sides.")
