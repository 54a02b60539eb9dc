"""Requests to a host, from the side that asks: kept in its outbox until they are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from lvmtui.operations import ASKS
from lvmtui.remote.agent.wire import Message
from lvmtui.remote.hosts import Host
from lvmtui.remote.outbox import Answer, Outbox, read_answer
from lvmtui.snapshot import PendingRequest


class Pending:
    """A request that was made."""

    def __init__(self, request_id: str, asking: Asking) -> None:
        self.id = request_id
        self._asking = asking

    def wait(self, seconds: float) -> Answer | None:
        """What came of it; None: it was not answered in time, or was withdrawn."""
        return self._asking.wait(self.id, seconds)


class Asking:
    """The requests to one host. Safe to use from several threads."""

    def __init__(self, host: Host, outbox: Outbox | None) -> None:
        """
        Args:
            host: who is asked.
            outbox: keeps the requests; None: they are forgotten with this process.
        """
        self._host = host
        self._outbox = outbox if outbox is not None else Outbox(":memory:")
        self._changed = threading.Condition()
        self._answers = 0
        """How many have come."""
        self._sent: set[str] = set()
        """What was sent over this connection."""

    def put(self, what: str, arguments: Mapping[str, Any], words: str, run_id: int | None) -> Pending:
        """Keep a request.

        Raises:
            LvmtuiError: it cannot be kept.
        """
        return Pending(self._outbox.put(what, arguments, words, run_id), self)

    def withdraw(self, request_id: str) -> bool:
        """Take back what was not sent yet; whether it could be.

        Raises:
            LvmtuiError: the outbox cannot be changed.
        """
        return self._outbox.withdraw(request_id)

    def forget(self, request_id: str) -> None:
        """Do not wait for an answer any more.

        Raises:
            LvmtuiError: the outbox cannot be changed.
        """
        self._outbox.done(request_id)

    def waiting(self) -> tuple[PendingRequest, ...]:
        """What was asked to be done and has no answer yet, oldest first. Whoever only wants to know something
        waits for it, or has left: that is nothing to show.

        Raises:
            LvmtuiError: the outbox cannot be read.
        """
        return tuple(
            PendingRequest(entry.id, entry.words, entry.run_id, entry.made, entry.sent)
            for entry in self._outbox.unanswered()
            if entry.what not in ASKS
        )

    def connected(self) -> None:
        """Whatever has no answer is to be sent anew."""
        self._sent.clear()

    def due(self, most: int) -> list[Message]:
        """Messages of requests that were not sent over this connection; they count as sent from now on.

        Raises:
            LvmtuiError: the outbox cannot be read or changed.
        """
        found: list[Message] = []
        for entry in self._outbox.unanswered():
            if len(found) >= most:
                break
            if entry.id not in self._sent and self._outbox.mark_sent(entry.id):
                self._sent.add(entry.id)
                found.append(
                    {"m": "do", "id": entry.id, "what": entry.what, "arguments": dict(entry.arguments)}
                )
        return found

    def take(self, message: Message) -> None:
        """Keep an answer of the host.

        Raises:
            LvmtuiError: the outbox cannot be changed.
        """
        request_id = message.get("id")
        if isinstance(request_id, str) and request_id in self._sent:
            self._sent.discard(request_id)
            self._answered(request_id, read_answer(message, self._host.name))

    def refuse(self, request_id: str, why: str) -> None:
        """Answer a request in place of the host.

        Raises:
            LvmtuiError: the outbox cannot be changed.
        """
        self._answered(request_id, Answer(False, why))

    def refuse_all(self, why: str) -> None:
        """Answer all that waits in place of the host.

        Raises:
            LvmtuiError: the outbox cannot be read or changed.
        """
        for entry in self._outbox.unanswered():
            self.refuse(entry.id, why)

    def _answered(self, request_id: str, answer: Answer) -> None:
        self._outbox.done(request_id, answer)
        with self._changed:
            self._answers += 1
            self._changed.notify_all()

    def wait(self, request_id: str, seconds: float) -> Answer | None:
        """See `Pending.wait`."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self._answers
            answer = self._outbox.answer(request_id)
            left = deadline - time.monotonic()
            if answer is not None or left <= 0:
                return answer
            with self._changed:
                if self._answers == seen:
                    self._changed.wait(left)

    def close(self) -> None:
        """Close the outbox."""
        self._outbox.close()
