"""The agent's acting half: does what `do` asks for (`lvmtui.operations`), one thing after another in a thread
of its own, each once however often it is asked for.

What is slow to load is loaded in that thread, when something is first asked for.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmtui.errors import LvmtuiError
from lvmtui.remote.agent.wire import Message

if TYPE_CHECKING:
    from lvmtui.store.database import Database
    from lvmtui.store.journal import Taken

MOST_WAITING = 200
"""Requests that are taken on at once; each may be long."""

MOST_ANSWERS = 5_000
"""That a client did not take in yet."""

CLOSE_SECONDS = 60.0
"""What is being done when the connection ends is ended within this time."""

OTHER_SECONDS = 60.0
"""How long another agent that has taken the same request on is waited for."""

LOOK_SECONDS = 0.1

QUEUE_SECONDS = 5.0
"""Time between two looks at whether a run that waits may start and nothing else starts it."""

QUEUE_RETRY_SECONDS = 60.0
"""The same after a start has failed: what is wrong seldom mends itself at once."""

_WAITS = "SELECT 1 FROM run WHERE status = 'queued' AND pid IS NULL AND trashed IS NULL AND NOT held LIMIT 1"
_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


class Actor:
    """A service of the agent's (`lvmtui.remote.agent.serving.Service`)."""

    kinds = frozenset({"do"})

    def __init__(self, store: str, *, why_readonly: str = "") -> None:
        """
        Args:
            store: full path of the store; made for a first launch.
            why_readonly: why nothing may be changed; empty: it may.
        """
        self._store = store
        self._why_readonly = why_readonly
        self._requests: queue.SimpleQueue[tuple[str, str, dict[str, Any]] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._wake, self._bell = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._bell, False)
        self._closed = False
        self._next_look = 0.0
        """When the queue is looked at again, by the monotonic clock."""
        self._thread: threading.Thread | None = None
        if not why_readonly:
            self._thread = threading.Thread(target=self._work, name="actor", daemon=True)
            self._thread.start()

    def take(self, message: Message) -> None:
        """Have a request done; the answer comes with `messages`."""
        request = message.get("id")
        if not isinstance(request, str) or not _ID.fullmatch(request):
            return  # an answer would find nobody
        what, arguments = message.get("what"), message.get("arguments")
        if not isinstance(what, str) or not isinstance(arguments, dict):
            self._answer(request, _refusal("a request says what is wanted, and how"))
        elif self._why_readonly:
            hint = "Ask whoever allowed you in, or change it there."
            self._answer(request, _refusal(f"nothing can be changed here: {self._why_readonly}", hint))
        elif self._requests.qsize() >= MOST_WAITING:
            self._answer(request, _refusal("too much is asked for at once", "Ask again in a moment."))
        else:
            self._requests.put((request, what, arguments))

    def fileno(self) -> int:
        """Readable when there are answers."""
        return self._wake

    def messages(self, room: int) -> list[Message]:  # noqa: ARG002
        """The answers there are; they are small."""
        with suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass
        found = []
        with suppress(queue.Empty):
            while True:
                found.append(self._answers.get_nowait())
        return found

    def close(self) -> None:
        """End what is being done, and begin nothing else: what is not answered is asked for again."""
        self._closed = True
        if self._thread is not None:
            self._requests.put(None)
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                return  # it would ring a bell that is another file by then
        for end in (self._wake, self._bell):
            with suppress(OSError):
                os.close(end)

    def _answer(self, request: str, answer: Mapping[str, Any]) -> None:
        if self._answers.qsize() >= MOST_ANSWERS:
            return  # it is asked for again
        self._answers.put({"m": "answer", "id": request, **answer})
        with suppress(BlockingIOError):
            os.write(self._bell, b"!")

    def _work(self) -> None:
        # As for somebody who works where the store is: paths that a recipe names, and `./phases`.
        with suppress(OSError):
            os.chdir(Path(self._store).parent)
        while True:
            try:
                item = self._requests.get(timeout=QUEUE_SECONDS)
            except queue.Empty:
                self._look_after_queue()
                continue
            if item is None or self._closed:
                return
            self._answer(item[0], self._try(partial(self._once, *item)))

    def _look_after_queue(self) -> None:
        """Start what waits and may start, where no engine is left to do so: as an open dashboard does."""
        now = time.monotonic()
        if now < self._next_look or not _something_waits(self._store):
            return
        from lvmtui import launcher, waiting
        from lvmtui.store.queue import undecided

        try:
            with launcher.open_store(self._store) as database:
                runs = undecided(database, time.time() - waiting.HAND_OVER_SECONDS)
                if waiting.stalled(runs, time.time()):
                    launcher.fill(database)
        except Exception:  # what could not be started is recorded with its run; the agent goes on
            self._next_look = now + QUEUE_RETRY_SECONDS

    def _try(self, do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer that a request gives, or why there is none."""
        try:
            return do()
        except LvmtuiError as error:
            return _refusal(error.message, error.hint)
        except OSError as error:
            return _refusal(f"{error.strerror or error}: {error.filename or self._store}")
        except Exception as error:  # the agent goes on, whatever happens to one request
            return _refusal(
                f"it failed: {type(error).__name__}: {str(error)[:500]}", "See `lvmtui doctor` there."
            )

    def _once(self, request: str, what: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Do a request, or say what came of it before."""
        from lvmtui import operations
        from lvmtui.launcher import open_store
        from lvmtui.store import journal

        if what in operations.ASKS:
            return self._do(what, arguments)
        if what == "launch" and not Path(self._store).exists():
            operations.check_launch(arguments)  # no store is made for what cannot be launched
        with open_store(self._store, create=what == "launch") as database:
            taken = journal.begin(database, request, what, arguments, this_process())
            if taken is not None:
                return self._known(database, request, taken)
            answer = self._try(partial(self._do, what, arguments))
            journal.end(database, request, answer)
            return answer

    def _do(self, what: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        from lvmtui import operations

        outcome = operations.perform(self._store, what, arguments)
        return {
            "ok": True,
            "words": outcome.words,
            "hint": "",
            "data": {**outcome.data, "run": outcome.run},
        }

    def _known(self, database: Database, request: str, taken: Taken) -> dict[str, Any]:
        """The answer to a request that was taken on before."""
        from lvmtui.store import journal

        end = time.monotonic() + OTHER_SECONDS
        while taken.answer is None and _lives(taken.agent) and not self._closed:
            if time.monotonic() > end:
                return _refusal("another connection is still at it", "Look at the run in a moment.")
            time.sleep(LOOK_SECONDS)
            taken = journal.find(database, request) or taken
        if taken.answer is None:
            # It may have been answered between the two looks.
            taken = journal.find(database, request) or taken
        if taken.answer is not None:
            return dict(taken.answer)
        answer = _refusal(
            "whether it took effect is not known: the agent that began it has died",
            "Look at the run before you ask again.",
        )
        journal.end(database, request, answer)
        return answer


def this_process() -> str:
    """What tells this process from all others, here and elsewhere, now and later."""
    from lvmtui.liveness import process_start_time

    return f"{os.getpid()} {process_start_time(os.getpid()) or 0:.2f} {socket.gethostname()}"


def _something_waits(store: str) -> bool:
    """Whether a run waits for its turn, at the cost of a query; SQLAlchemy is not loaded for that."""
    try:
        with closing(sqlite3.connect(f"{Path(store).as_uri()}?mode=rw", uri=True, timeout=0.1)) as connection:
            return connection.execute(_WAITS).fetchone() is not None
    except sqlite3.Error:
        return False  # no store yet, an older one, or a busy one: there is time


def _lives(agent: str) -> bool:
    """Whether the process that took a request on may still be at it."""
    from lvmtui.liveness import START_TOLERANCE, process_start_time

    pid, started, host = agent.split(" ", 2)
    if host != socket.gethostname():
        return True
    if agent == this_process():
        return False  # this one does one thing after another: it was interrupted
    found = process_start_time(int(pid))
    return found is not None and abs(found - float(started)) <= START_TOLERANCE


def _refusal(words: str, hint: str = "") -> dict[str, Any]:
    return {"ok": False, "words": words, "hint": hint, "data": {}}
