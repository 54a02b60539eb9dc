"""Watches one place where a store is, or will be: opens it, says what is there and what changes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lvmtui.remote.agent import liveness
from lvmtui.remote.agent.listing import Listing
from lvmtui.remote.agent.looking import Looking
from lvmtui.remote.agent.rows import Rows
from lvmtui.remote.agent.store import Store, StoreProblem
from lvmtui.remote.agent.wire import Message

LEAST_SECONDS = 0.16
"""Between two tellings of what is new, so that many small messages are few larger ones."""

CHECK_SECONDS = 1.0
"""Between two looks at processes, and at whether the file is still the same one."""

CURSOR_SECONDS = 3.0
"""Between two messages that only say how far everything was told."""

LOCKED_SECONDS = 1.5
"""A file that is locked for longer is a problem worth telling."""

MOST_SECONDS = 30.0
"""Between two attempts to read a store that is damaged."""

FIRST_BATCHES = 4
"""So many batches of runs are listed before anything that is wanted of single runs."""


class _OpenStore:
    """An open store and what was told of it."""

    def __init__(self, path: str, have: Mapping[str, Any], now: float) -> None:
        self.store = Store(path)
        try:
            made, revision = self.store.mark()
            self.is_other = bool(have) and (have.get("made") != made or _newer(have, revision))
            """Whether what the client has is of another store, or of an older state of it."""
            self.version = self.store.data_version()
            rows = Rows(self.store)
            self.listing = Listing(self.store, rows, {} if self.is_other else have, now)
            self.looking = Looking(self.store, rows, self.listing.rewinds, self.listing.again)
        except BaseException:
            self.store.close()
            raise
        self.batches = 0

    def news(self, now: float) -> list[Message]:
        """All that has changed, of one moment."""
        messages = self.listing.changes(now)
        self.looking.forget(self.listing.gone)
        # Before what is new: it would be forgotten with the rest.
        for run in self.listing.rewound():
            messages += self.looking.rewound(run)
        messages += self.listing.news()
        return messages + self.looking.news(self.listing.changed, self.listing.moved_best)


def _without_cursors(entries: Any) -> Any:
    """What is wanted of runs, as by a client that has nothing of them."""
    found = (
        [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, (list, tuple)) else []
    )
    return [{name: entry[name] for name in ("run", "level") if name in entry} for entry in found]


def _newer(have: Mapping[str, Any], revision: int) -> bool:
    known = have.get("revision")
    return not isinstance(known, int) or known > revision


class Watch:
    """All that a client is told of a store."""

    def __init__(
        self,
        path: str,
        have: Mapping[str, Any],
        problem: tuple[str, str] | None = None,
        *,
        guesses: bool = False,
    ) -> None:
        """
        Args:
            path: of the store.
            have: what the client has of it.
            problem: why it may not be read, and what to do; None: it may.
            guesses: tell of the run that will be looked at first before any is wanted.
        """
        self._guesses = guesses
        self._path = path
        self._have = have
        self._refused = problem
        self._open: _OpenStore | None = None
        self._wants: tuple[Any, int] = ((), 0)
        self._problem: str | None = None
        self._lost: dict[int, str] | None = None
        self._due_open = self._due_check = self._due_cursors = 0.0
        self._told = self._moved = 0.0
        self._locked_since: float | None = None
        self._failures = 0
        """How often the store could be opened but not be read to the end of the list."""
        self._has_running = True
        """Whether there may be a run at work."""
        self._reset: int | None = 0
        """Byte of the stream behind the last `reset`; None: it is on its way."""

    def want(self, message: Message, taken: int) -> None:
        """Take in which runs are looked at."""
        entries = message.get("runs")
        if self._guesses and not entries:
            return
        self._guesses = False
        if self._reset is None or taken < self._reset:
            entries = _without_cursors(entries)
        self._wants = entries, taken
        if self._open is not None:
            try:
                self._open.looking.want(*self._wants)
            except StoreProblem:
                self._leave()  # what is wrong shows when it is opened again

    def zoom(self, message: Message) -> None:
        """Take in which stretch is enlarged."""
        if self._open is not None:
            try:
                self._open.looking.zoom(message)
            except StoreProblem:
                self._leave()

    def fetch(self, message: Message) -> None:
        """Take in of which runs ranks are wanted."""
        if self._open is not None:
            self._open.looking.fetch(message.get("runs"))

    def close(self) -> None:
        """Be done."""
        if self._open is not None:
            self._open.store.close()
            self._open = None

    @property
    def has_more(self) -> bool:
        """Whether a piece of something that is wanted is left to tell."""
        return self._open is not None and (self._open.listing.has_more or self._open.looking.has_more)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing runs there, and nothing has changed for a while."""
        return time.monotonic() - self._moved > 10.0 and not self._has_running

    def piece(self) -> list[Message]:
        """The next piece of what is wanted."""
        opened = self._open
        if opened is None:
            return []
        try:
            is_first = opened.batches < FIRST_BATCHES or not opened.looking.has_more
            if opened.listing.has_more and is_first:
                opened.batches += 1
                messages = self._tell_problem("", "") + opened.listing.next()
                if self._guesses and (opened.batches == FIRST_BATCHES or not opened.listing.has_more):
                    self._guess(opened)
                if opened.listing.has_more:
                    return messages
                self._failures = 0
                # With the end of the list, so that no run is taken for one that runs.
                return [*self._lost_runs(), *messages]
            return opened.looking.next() if opened.looking.has_more else []
        except StoreProblem as problem:
            return self._failed(problem)

    def _guess(self, opened: _OpenStore) -> None:
        """Look at the newest run that runs, else the newest, once."""
        rows = opened.listing.unfinished(liveness.COLUMNS)
        now = time.time()
        run = max((row[0] for row in rows if not liveness.lost_reason(row[1:], now)), default=None)
        run = run or opened.store.one("SELECT id FROM run ORDER BY created DESC, id DESC LIMIT 1")
        if run is not None:
            opened.looking.guess(run)

    def sent(self, upto: int) -> None:
        """Take note that all that was told so far ends at this byte of the stream."""
        if self._reset is None:
            self._reset = upto
        if self._open is not None:
            self._open.looking.sent(upto)

    def news(self) -> list[Message]:
        """What is new; called many times a second."""
        now = time.monotonic()
        if self._refused is not None:
            return self._tell_problem(*self._refused)
        if self._open is None:
            return self._try(now)
        try:
            messages = self._checks(now)
            if self._open is not None and now - self._told >= LEAST_SECONDS:
                messages += self._news(now)
        except StoreProblem as problem:
            return self._failed(problem)
        return messages

    def _try(self, now: float) -> list[Message]:
        if now < self._due_open:
            return []
        self._due_open = now + CHECK_SECONDS
        try:
            opened = _OpenStore(self._path, self._have, time.time())
        except StoreProblem as problem:
            return self._failed(problem)
        self._open = opened
        self._moved = now
        self._lost = self._locked_since = None
        self._due_check = 0.0
        messages: list[Message] = []
        if opened.is_other:
            # What the client knows of runs, it knows of other ones.
            self._reset = None
            self._wants = _without_cursors(self._wants[0]), self._wants[1]
            messages.append({"m": "reset"})
        opened.looking.want(*self._wants)
        return messages

    def _failed(self, problem: StoreProblem) -> list[Message]:
        """What is told of a problem. A store that is only locked is gone on with later."""
        now = time.monotonic()
        if problem.is_locked and self._open is not None:
            if self._locked_since is None:
                self._locked_since = now
            if now - self._locked_since < LOCKED_SECONDS:
                return []
        else:
            if self._open is not None:
                self._failures += 1
            self._leave()
            self._due_open = now + min(CHECK_SECONDS * 2**self._failures, MOST_SECONDS)
        return self._tell_problem(problem.text, problem.hint)

    def _leave(self) -> None:
        """Close the store; what the client has of it is to be compared with what is found there next."""
        if self._open is not None:
            listing = self._open.listing
            # Half a list is of no use: a store that was made at no time is another one.
            self._have = {"made": None} if listing.has_more else listing.have()
            self._due_open = 0.0
            self.close()

    def _tell_problem(self, text: str, hint: str) -> list[Message]:
        if text == (self._problem or ""):
            return []
        self._problem = text
        return [{"m": "problem", "text": text, "hint": hint}]

    def _checks(self, now: float) -> list[Message]:
        assert self._open is not None
        if now < self._due_check:
            return self._open.looking.logs()
        self._due_check = now + CHECK_SECONDS
        if not self._open.store.is_in_place():
            self._leave()
            return []
        messages = self._lost_runs()
        if now >= self._due_cursors:
            self._due_cursors = now + CURSOR_SECONDS
            messages += self._open.looking.cursors() + self._open.listing.listed_again()
        return messages + self._open.looking.logs()

    def _lost_runs(self) -> list[Message]:
        """Which runs have lost their process, if that has changed. The reason stays while a run is lost: else
        it would count the seconds."""
        assert self._open is not None
        now, before = time.time(), self._lost or {}
        rows = self._open.listing.unfinished(liveness.COLUMNS)
        found = {row[0]: reason for row in rows if (reason := liveness.lost_reason(row[1:], now))}
        self._has_running = len(found) < len(rows)
        found = {run: before.get(run, reason) for run, reason in found.items()}
        if found == self._lost:
            return []
        self._lost = found
        return [{"m": "lost", "runs": {str(run): reason for run, reason in found.items()}}]

    def _news(self, now: float) -> list[Message]:
        opened = self._open
        assert opened is not None
        # Asked before reading, so that what is committed meanwhile is seen the next time.
        version = opened.store.data_version()
        if version == opened.version:
            self._locked_since = None
            return self._tell_problem("", "")
        with opened.store.moment():
            messages = None if opened.listing.is_other_store() else opened.news(time.time())
        if messages is None:
            self._leave()
            return []
        opened.version = version
        self._moved, self._locked_since = now, None
        if messages:
            self._told = now
        return self._tell_problem("", "") + messages
