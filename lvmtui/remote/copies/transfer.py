"""Copies of runs from and to hosts, from the side that asks: over a connection of its own, taken up again
where it broke off."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lvmtui.errors import LvmtuiError, RemoteError, StoreError
from lvmtui.format import plain
from lvmtui.reading import LOG_NAME
from lvmtui.remote import ssh
from lvmtui.remote.agent.wire import PROTOCOL, Message, WireError
from lvmtui.remote.connection import Connection, Ended, Timing, nonsense
from lvmtui.remote.copies.copying import KINDS, WINDOW_BYTES, Refused, ask_for, give, hear_offer
from lvmtui.remote.hosts import Host
from lvmtui.remote.outbox import located
from lvmtui.remote.ssh import Cause

Done = TypeVar("Done")

RETRIES = 5
"""How often a connection that broke off is made anew without anything having come over it."""

WRITE_SECONDS = 0.005
"""How long the other side is listened to while there is something to write: that may be all gone at once."""

PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0)
"""Seconds before each of them."""

__all__ = ["Copied", "fetch_log", "pull", "push"]


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy that was made."""

    run: int
    """Its number in the store that took it."""
    name: str
    again: bool
    """Whether an older copy was brought up to date."""
    rows: int
    """Rows that were not there before."""
    size: int
    """Bytes that were sent."""
    state: str
    """What the run was where it is from, if it was not over: `running`, …."""
    left_out: Sequence[tuple[str, str]] = ()
    """Files that were not copied, and why."""


class _Broken(Exception):
    """The connection broke off; it can be made again."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.reason)
        self.cause = cause


class _Line:
    """A connection to an agent as a channel for one copy."""

    def __init__(self, connection: Connection, timing: Timing) -> None:
        self._connection = connection
        self._timing = timing
        self._heard: deque[Message] = deque()
        self._pinged = 0.0
        self.moved = False
        """Whether any part of a file has come or gone."""

    def send(self, message: Message) -> None:
        """Send a message; waits while ssh takes no more."""
        self._connection.send(message)
        self.moved = self.moved or message["m"] == "chunk"
        while not self._connection.has_room:
            self._listen(WRITE_SECONDS)

    def receive(self) -> Message:
        """The next message about the copy."""
        while not self._heard:
            self._listen(1.0)
        message = self._heard.popleft()
        self.moved = self.moved or message["m"] == "chunk"
        return message

    def _listen(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._pinged >= self._timing.ping:
            self._pinged = now
            self._connection.send({"m": "ping", "time": time.time()})
        try:
            for message in self._connection.receive(seconds):
                if message["m"] in KINDS:
                    self._heard.append(message)
        except Ended as ended:
            raise _Broken(ended.cause) from ended
        except WireError as error:
            cause = nonsense(error)
            raise RemoteError(cause.reason, cause.hint) from error


@contextmanager
def _connected(host: Host, words: Sequence[str], timing: Timing, *, push: bool) -> Iterator[_Line]:
    """An agent that can copy.

    Raises:
        _Broken: it cannot be reached.
        RemoteError: lvmtui is not installed there.
    """
    from lvmtui import __version__

    wake, writing = os.pipe()
    connection = None
    try:
        connection = Connection(host, words, wake=wake, timing=timing)
        hello = {"m": "hello", "protocol": PROTOCOL, "version": __version__, "store": host.store, "have": {}}
        only = {"readonly": not push, "lists": False, "window": WINDOW_BYTES}
        found = connection.greet({**hello, **only}, lambda: True)
        assert found is not None
        if not found.get("version"):
            why = plain(str(found.get("why") or "lvmtui is not installed there"))[:200]
            raise RemoteError(
                f"{host.name} cannot copy runs: {why}", "Install lvmtui there: pip install lvmtui."
            )
        yield _Line(connection, timing)
    except Ended as ended:
        raise _Broken(ended.cause) from ended
    finally:
        if connection is not None:
            connection.close()
        os.close(wake)
        os.close(writing)


def _again_and_again(
    host: Host,
    words: Sequence[str],
    timing: Timing,
    do: Callable[[_Line], Done],
    *,
    push: bool,
    on_pause: Callable[[str, float], object],
) -> Done:
    """Do a copy over a connection, and over another one when that breaks off.

    Raises:
        RemoteError: nothing comes through any more, or the host cannot be reached at all.
    """
    failures, was_there = 0, False
    while True:
        line = None
        try:
            with _connected(host, words, timing, push=push) as line:
                return do(line)
        except Refused as refused:
            # Of a run that is pushed it may speak, too, by its number here.
            said, hint = (
                text if push else located(text, host.name) for text in (refused.message, refused.hint)
            )
            raise RemoteError(f"{host.name}: {said}", hint) from None
        except _Broken as broken:
            was_there = was_there or line is not None
            failures = 1 if line is not None and line.moved else failures + 1
            if not was_there or failures > RETRIES or broken.cause.step in ssh.NEEDS_USER:
                hint = broken.cause.hint
                kept = "What was copied is kept: the same command goes on from there." if was_there else ""
                raise RemoteError(
                    f"{host.name}: {broken.cause.reason}", " ".join(filter(None, [hint, kept]))
                ) from None
            pause = PAUSES[min(failures, len(PAUSES)) - 1]
            on_pause(broken.cause.reason, pause)
            time.sleep(pause)


def pull(
    host: Host,
    run: str,
    store: str | os.PathLike[str],
    words: Sequence[str] = (),
    *,
    timing: Timing | None = None,
    on_offer: Callable[[Any], object] = lambda _: None,
    on_progress: Callable[[Any], object] = lambda _: None,
    on_pause: Callable[[str, float], object] = lambda *_: None,
) -> Copied:
    """Copy a run of a host into a store here, or bring its copy up to date.

    Args:
        host: where it is.
        run: the run there, as users name it: `17`, `phase-3 #17`, `last`.
        store: path or URL of the store it goes to.
        words: how ssh is called; empty: as usual.
        timing: how long what may take.
        on_offer: told of the `Offer` before anything is sent.
        on_progress: told now and then how far it is (`taking.Progress`).
        on_pause: told why the connection is made again, and in how many seconds.

    Raises:
        RemoteError: the host cannot be reached, or refuses.
        StoreError: the store here cannot be written, or the disk has no room.
        IllegalTransition: the run is of this store, or its copy here went on by itself.
    """
    from lvmtui.remote.copies.taking import take

    def do(line: _Line) -> Copied:
        line.send({"m": "copy", "run": run})
        offer = hear_offer(line)
        on_offer(offer)
        try:
            found = take(
                store, line, offer, on_progress=on_progress, when_here=lambda: line.send({"m": "copied"})
            )
        except LvmtuiError:
            line.send({"m": "refused", "text": "the other side has given up"})
            raise
        made = found.run
        return Copied(made.id, made.name, found.again, found.rows, found.size, found.state, found.left_out)

    return _again_and_again(host, words, timing or Timing(), do, push=False, on_pause=on_pause)


def fetch_log(
    host: Host, run: str, target: Path, words: Sequence[str] = (), *, timing: Timing | None = None
) -> None:
    """Fetch all of the log of a host's run.

    Args:
        host: where it is.
        run: the run there, as users name it.
        target: the file that is written.
        words: how ssh is called; empty: as usual.
        timing: how long what may take.

    Raises:
        RemoteError: the host cannot be reached, or has no log of the run, or copies nothing.
        StoreError: the file cannot be written.
    """

    def do(line: _Line) -> None:
        line.send({"m": "copy", "run": run, "only": "log"})
        piece = next((item for item in hear_offer(line).files if item.name == LOG_NAME), None)
        if piece is None:
            raise RemoteError(f"{run} has no log on {host.name}")
        begin = min(target.stat().st_size if target.exists() else 0, piece.size)
        try:
            with target.open("ab") as file:
                file.truncate(begin)
                for message in ask_for(line, [(piece, begin)]):
                    if message["m"] == "chunk":
                        file.write(message["data"])
        except OSError as error:
            raise StoreError(f"cannot write {target}: {error.strerror}", "Check the free space.") from error
        line.send({"m": "copied"})

    _again_and_again(host, words, timing or Timing(), do, push=False, on_pause=lambda *_: None)


def push(
    host: Host,
    run: str,
    store: str | os.PathLike[str],
    words: Sequence[str] = (),
    *,
    timing: Timing | None = None,
    on_offer: Callable[[Any], object] = lambda _: None,
    on_progress: Callable[[Any], object] = lambda _: None,
    on_pause: Callable[[str, float], object] = lambda *_: None,
) -> Copied:
    """Copy a run of a store here to a host; the arguments are those of `pull`.

    Raises:
        RemoteError: the host cannot be reached, or refuses.
        RunNotFound: there is no such run here.
    """
    from lvmtui.remote.copies.giving import giving
    from lvmtui.remote.copies.taking import Progress

    def do(line: _Line) -> Copied:
        with giving(store, run) as given:
            on_offer(given.offer)
            progress = Progress(size=given.offer.size)
            done = give(_Watched(line, progress, on_progress), given.offer, given.open_piece)
        made, name = done.get("run"), done.get("name")
        if type(made) is not int or not isinstance(name, str):
            raise RemoteError("the copy was made, and nobody said which it is", "See `lvmtui ls` there.")
        rows, size = (value if type(value) is int else 0 for value in (done.get("rows"), done.get("size")))
        state = str(given.offer.about["state"])
        again = done.get("again") is True
        return Copied(made, plain(name)[:200], again, rows, size, state, given.offer.left_out)

    return _again_and_again(host, words, timing or Timing(), do, push=True, on_pause=on_pause)


class _Watched:
    """A channel that tells how far what is given is."""

    def __init__(self, line: _Line, progress: Any, tell: Callable[[Any], object]) -> None:
        self._line, self._progress, self._tell = line, progress, tell

    def send(self, message: Message) -> None:
        self._line.send(message)
        if message["m"] == "chunk":
            progress = self._progress
            progress.name = message["name"]
            progress.done += len(message["data"]) * 3 // 4
            self._tell(progress)

    def receive(self) -> Message:
        message = self._line.receive()
        if message["m"] == "part" and type(message.get("at")) is int:
            self._progress.here += message["at"]
            self._progress.done += message["at"]
        return message
