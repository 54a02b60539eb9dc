"""The agent's half of copies: gives a run that is asked for, takes one that is offered, in a thread of its
own.

What is slow to load is loaded in that thread, when the first copy is asked for.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from contextlib import suppress

from lvmtui.errors import LvmtuiError, RemoteError
from lvmtui.remote.agent.wire import Message
from lvmtui.remote.copies.copying import (
    CHUNK_BYTES,
    KINDS,
    MOST_FILES,
    WINDOW_BYTES,
    expect,
    give,
    hear_offer,
)

AHEAD_BYTES = 1 << 18
"""That wait to be sent, at most; more is read of files as these go."""

MOST_WAITING = MOST_FILES
"""Messages that have come in and were not looked at yet, at most."""

LONGEST_NAME = 500
"""Characters that name a run, at most."""

CLOSE_SECONDS = 10.0


class Files:
    """A service of the agent's (`lvmtui.remote.agent.serving.Service`)."""

    kinds = KINDS

    def __init__(self, store: str, *, why_readonly: str = "") -> None:
        """
        Args:
            store: full path of the store; made when the first run is pushed to it.
            why_readonly: why nothing may be changed; empty: it may. Runs can be taken from here all the same.
        """
        self._store = store
        self._why_readonly = why_readonly
        self._incoming: queue.Queue[Message | None] = queue.Queue()
        self._unread = 0
        """Characters of files in `_incoming`."""
        self._outgoing: deque[Message] = deque()
        self._size = 0
        """Bytes in `_outgoing`, about."""
        self._changed = threading.Condition()
        self._wake, self._bell = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._bell, False)
        self._thread: threading.Thread | None = None
        self._closed = False

    # --- for the agent

    def take(self, message: Message) -> None:
        """Take in a message about a copy."""
        size = _length(message)
        if self._incoming.qsize() > MOST_WAITING or self._unread + size > 2 * WINDOW_BYTES:
            return  # a client that sends so much does not keep to what was agreed, and waits in vain
        with self._changed:
            self._unread += size
        self._incoming.put(message)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="files", daemon=True)
            self._thread.start()

    def fileno(self) -> int:
        """Readable when there is something to send."""
        return self._wake

    def messages(self, room: int) -> list[Message]:
        """What is to be sent next."""
        found: list[Message] = []
        with self._changed:
            while self._outgoing and room > 0:
                message = self._outgoing.popleft()
                room -= _size(message)
                self._size -= _size(message)
                found.append(message)
            if not self._outgoing:
                with suppress(BlockingIOError):
                    while os.read(self._wake, 4096):
                        pass
            self._changed.notify_all()
        return found

    def close(self) -> None:
        """Break off what is being copied: the next try goes on from there."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._incoming.put(None)
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                return  # it would ring a bell that is another file by then
        for end in (self._wake, self._bell):
            with suppress(OSError):
                os.close(end)

    # --- for the thread, as a channel

    def send(self, message: Message) -> None:
        """Have a message sent, once there is room."""
        with self._changed:
            while self._size > AHEAD_BYTES and not self._closed:
                self._changed.wait()
            if self._closed:
                raise RemoteError("the connection is over")
            self._outgoing.append(message)
            self._size += _size(message)
            with suppress(BlockingIOError):
                os.write(self._bell, b"!")

    def receive(self) -> Message:
        """What the client says next.

        Raises:
            RemoteError: it has gone.
        """
        message = self._incoming.get()
        if message is None:
            raise RemoteError("the connection is over")
        with self._changed:
            self._unread -= _length(message)
        return message

    def _work(self) -> None:
        while not self._closed:
            try:
                first = expect(self, "copy", "offer")
                if first["m"] == "copy":
                    self._give(first)
                else:
                    self._take(first)
            except LvmtuiError as error:
                self._refuse(error.message, error.hint)
            except OSError as error:
                self._refuse(f"{error.strerror or error}: {error.filename or self._store}", "")
            except Exception as error:  # the agent goes on, whatever happens to one copy
                self._refuse(f"it failed: {type(error).__name__}: {str(error)[:300]}", "")

    def _refuse(self, text: str, hint: str) -> None:
        """Say why a copy is over, and pass over what the client said before it could know."""
        with suppress(LvmtuiError):
            self.send({"m": "refused", "text": text, "hint": hint})
            while not self._closed and self.receive()["m"] not in {"copied", "refused"}:
                pass

    def _give(self, asked: Message) -> None:
        from lvmtui.remote.copies.giving import giving, giving_log

        wanted = asked.get("run")
        if not isinstance(wanted, str) or len(wanted) > LONGEST_NAME:
            raise RemoteError("a copy says of which run")
        how = giving_log if asked.get("only") == "log" else giving
        with how(self._store, wanted) as given:
            give(self, given.offer, given.open_piece)

    def _take(self, first: Message) -> None:
        from lvmtui.remote.copies.taking import take

        if self._why_readonly:
            raise RemoteError(
                f"nothing can be changed here: {self._why_readonly}", "Copy it from the other side instead."
            )
        outcome = take(self._store, self, hear_offer(self, first))
        found = {"run": outcome.run.id, "name": outcome.run.name, "again": outcome.again}
        self.send({"m": "copied", **found, "rows": outcome.rows, "size": outcome.size})


def _length(message: Message) -> int:
    """About how much room it takes."""
    if message["m"] == "chunk":
        data = message.get("data")
        return len(data) if isinstance(data, str) else 0
    return len(str(message))


def _size(message: Message) -> int:
    return CHUNK_BYTES * 4 // 3 if message["m"] == "chunk" else 200
