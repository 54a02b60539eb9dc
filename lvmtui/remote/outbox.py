"""What hosts were asked for and have not answered yet: one SQLite file a host, in the user's state folder.

It outlives the dashboard, and several dashboards share it. A request is sent until it is answered; the agent
does it once, however often it comes. What was not sent yet can be withdrawn.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmtui.errors import LvmtuiError
from lvmtui.format import plain
from lvmtui.store.foreign import clean_value

if TYPE_CHECKING:
    from lvmtui.remote.hosts import Host

KEPT_SECONDS = 7 * 86_400.0
"""How long an answer is kept for a dashboard that was not open when it came."""

LONGEST_TEXT = 1000
"""Characters of an answer's words that are taken: they are shown as a whole."""

MOST_WAITING = 1000
"""Requests that may wait for a host: more is a mistake."""

BUSY_SECONDS = 5.0

_REPEATABLE = frozenset({"launch", "move", "fill"})
"""Asked twice, these are meant twice."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    ok: bool
    words: str
    """What was done, or why not; numbers of runs as they are called here: `#17@gpu1`."""
    hint: str = ""
    """What to do about a refusal."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What more an operation tells, see `lvmtui.operations`; numbers of runs as they are there."""

    def __str__(self) -> str:
        return f"{self.words}\n{self.hint}" if self.hint else self.words


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that waits for its answer."""

    id: str
    what: str
    arguments: Mapping[str, Any]
    words: str
    """What was asked: `stop phase-3 #17@gpu1`."""
    run_id: int | None
    """The run it is about, by its id here; None: the host as a whole."""
    made: float
    sent: bool
    """It is on its way, or was when the connection broke: it cannot be withdrawn."""


def outbox_file(host: Host) -> Path:
    """Where the requests to a host wait. Another destination or store by the same name has another file."""
    import platformdirs

    which = hashlib.sha256(f"{host.destination}\0{host.store}".encode()).hexdigest()[:16]
    folder = Path(platformdirs.user_state_dir("lvmtui", appauthor=False)) / "outbox"
    return folder / f"{host.name}-{which}.db"


def read_answer(message: Mapping[str, Any], host: str) -> Answer:
    """The answer in a message of an agent, which may say anything.

    Args:
        message: of the kind `answer`.
        host: what the host is called here.
    """
    data = message.get("data")
    return Answer(
        ok=message.get("ok") is True,
        words=located(_text(message.get("words")), host),
        hint=located(_text(message.get("hint")), host),
        data=clean_value(data) if isinstance(data, dict) else {},
    )


def located(words: str, host: str) -> str:
    """Words of another machine, with its name behind the numbers of runs: `#17` is `#17@gpu1` here."""
    words = re.sub(r"#(\d+)\b(?!@)", rf"#\1@{host}", words)
    words = re.sub(r"(`lvmtui (?:queue )?[a-z]+ )(\d+)\b(?!@)", rf"\1\2@{host}", words)
    return re.sub(r"`lvmtui (ls|queue|trash)`", rf"`lvmtui \1 --host {host}`", words)


def _text(value: Any) -> str:
    """A text from outside: no control characters, no end of it too far away."""
    return "\n".join(map(plain, value[:LONGEST_TEXT].split("\n"))) if isinstance(value, str) else ""


class Outbox:
    """The requests to one host. Safe to use from several threads and processes."""

    def __init__(self, file: str | os.PathLike[str]) -> None:
        """
        Args:
            file: made, with its folder, at the first request.
        """
        self._file = Path(file)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def put(self, what: str, arguments: Mapping[str, Any], words: str, run_id: int | None) -> str:
        """Keep a request until it is answered.

        Returns:
            Its id; of what waits already where that is the same.

        Raises:
            LvmtuiError: it cannot be kept, or too much waits.
        """
        with self._changing() as connection:
            waiting = _unanswered(connection)
            same = _same(waiting, what, arguments, run_id)
            if same is not None:
                return same
            if len(waiting) >= MOST_WAITING:
                raise LvmtuiError(
                    f"{len(waiting)} requests wait for this host already", "Withdraw some of them (key 6)."
                )
            made, request = time.time(), uuid.uuid4().hex
            connection.execute(
                "INSERT INTO request (id, what, arguments, words, run_id, made) VALUES (?, ?, ?, ?, ?, ?)",
                (request, what, json.dumps(dict(arguments)), words, run_id, made),
            )
            connection.execute("DELETE FROM request WHERE answered < ?", (made - KEPT_SECONDS,))
            return request

    def unanswered(self) -> list[Entry]:
        """All that waits, in the order in which it was asked."""
        with self._reading() as connection:
            return _unanswered(connection) if connection is not None else []

    def mark_sent(self, request: str) -> bool:
        """Call this before sending a request, each time.

        Returns:
            Whether to send it; not when it was withdrawn or answered meanwhile.
        """
        with self._changing() as connection:
            marked = connection.execute(
                "UPDATE request SET sent = 1 WHERE id = ? AND answered IS NULL", (request,)
            )
            return marked.rowcount > 0

    def done(self, request: str, answer: Answer | None = None) -> None:
        """The host has answered. A second answer to the same request changes nothing.

        Args:
            answer: kept for whoever asked, and may look for it later.
        """
        kept = {"ok": False, "words": ""} if answer is None else _as_json(answer)
        with self._changing() as connection:
            connection.execute(
                "UPDATE request SET answered = ?, answer = ?, told = ? WHERE id = ? AND answered IS NULL",
                (time.time(), json.dumps(kept), answer is None, request),
            )

    def withdraw(self, request: str) -> bool:
        """Take back what was not sent yet.

        Returns:
            Whether it could be.
        """
        with self._changing() as connection:
            sql = "DELETE FROM request WHERE id = ? AND sent = 0 AND answered IS NULL"
            return connection.execute(sql, (request,)).rowcount > 0

    def answer(self, request: str) -> Answer | None:
        """What came of a request; it counts as told then. None: not answered yet, or withdrawn."""
        with self._changing() as connection:
            sql = "UPDATE request SET told = 1 WHERE id = ? AND answered IS NOT NULL RETURNING answer"
            found = connection.execute(sql, (request,)).fetchall()
            return _from_json(found[0][0]) if found else None

    def untold(self) -> list[tuple[Entry, Answer]]:
        """Answers that nobody has seen, oldest first; they count as told then, in all dashboards."""
        with self._reading() as connection:
            if connection is None or not connection.execute(_UNTOLD).fetchall():
                return []
        with self._changing() as connection:
            rows = connection.execute(_UNTOLD).fetchall()
            connection.executemany("UPDATE request SET told = 1 WHERE id = ?", [row[:1] for row in rows])
            return [(_entry(row[:-1]), _from_json(row[-1])) for row in rows]

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The file, if there is one."""
        with self._lock, self._explained():
            yield self._open() if self._connection is not None or self._file.exists() else None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone with the file."""
        with self._lock, self._explained():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LvmtuiError(
                f"requests cannot be kept in {self._file}: {error}",
                "Check the free disk space and the permissions; a damaged file may be deleted.",
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(
                self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute(_TABLE)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


_TABLE = """CREATE TABLE IF NOT EXISTS request (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, what TEXT NOT NULL,
    arguments TEXT NOT NULL, words TEXT NOT NULL, run_id INTEGER, made REAL NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, answered REAL, answer TEXT, told INTEGER NOT NULL DEFAULT 0)"""
_COLUMNS = "id, what, arguments, words, run_id, made, sent"
_UNTOLD = f"SELECT {_COLUMNS}, answer FROM request WHERE answered IS NOT NULL AND NOT told ORDER BY number"


def _unanswered(connection: sqlite3.Connection) -> list[Entry]:
    sql = f"SELECT {_COLUMNS} FROM request WHERE answered IS NULL ORDER BY number"
    return [_entry(row) for row in connection.execute(sql).fetchall()]


def _entry(row: tuple[Any, ...]) -> Entry:
    request, what, arguments, words, run_id, made, sent = row
    return Entry(request, what, json.loads(arguments), words, run_id, made, bool(sent))


def _same(waiting: list[Entry], what: str, arguments: Mapping[str, Any], run_id: int | None) -> str | None:
    """Id of the last request about this run, where it is this very one. Notes stand beside all others."""
    if what in _REPEATABLE:
        return None
    for entry in reversed(waiting):
        if entry.run_id != run_id:
            continue
        if (entry.what, entry.arguments) == (what, dict(arguments)):
            return entry.id
        if entry.what != "annotate":
            return None
    return None


def _as_json(answer: Answer) -> dict[str, Any]:
    return {"ok": answer.ok, "words": answer.words, "hint": answer.hint, "data": dict(answer.data)}


def _from_json(text: str) -> Answer:
    found = json.loads(text)
    return Answer(found["ok"], found["words"], found.get("hint", ""), found.get("data", {}))
