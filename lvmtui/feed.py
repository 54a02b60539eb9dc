"""Wakes on changes of the store, reads what is new and hands out frozen snapshots. No Textual.

SQLite in WAL mode changes `runs.db-wal`, not `runs.db`, so the *folder* is watched; `PRAGMA data_version` on
the one long-lived connection then tells whether anything was committed. A slow timer stands in where the
file system reports nothing, and finds runs whose process has died.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from lvmtui.errors import LvmtuiError, StoreMissing
from lvmtui.snapshot import CloseUp, Snapshot
from lvmtui.store.location import Location

TIMER_SECONDS = 1.0
"""The slow timer: liveness, the log's new lines, file systems that report no changes."""

LEAST_SECONDS = 0.08
"""Between two readings, so that many writers do not keep the reader busy."""

FIRST_PIECE_SECONDS = 0.02
PIECE_SECONDS = 0.4
"""Long histories are shown piece by piece: how long is read until the first, and until each further one."""

WATCH_STEP_MS = 50
WATCH_DEBOUNCE_MS = 100
"""Changes are reported after one quiet step, or after the debounce at the latest."""

SETTLE_SECONDS = 10.0
"""After the last change of a store in which nothing runs, only the store itself is still watched: by then
the last lines of its logs are read and its device readings are stale."""

BUSY_SECONDS = 1.0
"""How long a reading waits for somebody who has locked the whole file, before that is said."""

RETRY_SECONDS = 5.0
"""Between two attempts to open a store that could not be read and has not changed."""


LAST_READING = "this is the last reading of it"


class _OpenStore:
    """An open store and what was read of it."""

    def __init__(self, target: str, *, mirror: bool = False) -> None:
        # Imported here: the first paint does not wait for them.
        from lvmtui.merge import Merge
        from lvmtui.store.reader import Reader
        from lvmtui.store.sqlite import open_reader

        self._reader: Reader
        if mirror:
            from lvmtui.remote.mirrors.reader import open_mirror

            self._reader = open_mirror(target, busy_seconds=BUSY_SECONDS)
        else:
            self._reader = Reader(open_reader(target, busy_seconds=BUSY_SECONDS))
        self._source = self._reader.database
        self._merge = Merge(self._reader)
        self._history = self._reader.history_mark()
        self._version: int | None = None
        self._looked_at: tuple[int, ...] = ()
        self._glanced_at: frozenset[int] = frozenset()
        self._guesses = not mirror
        self._guess: tuple[int, ...] = ()
        """Runs that will be looked at first, as long as nobody has said."""
        self._moved = 0.0
        self._snapshot: Snapshot | None = None
        self._close_up: CloseUp | None = None
        self.has_more = False
        """Whether something that is wanted is left to read."""

    def snapshot(
        self,
        looked_at: tuple[int, ...],
        close_up: CloseUp | None,
        now: float,
        glanced_at: frozenset[int] = frozenset(),
    ) -> Snapshot:
        """Everything that could be read in a moment; the same object as before when nothing has changed."""
        # Asked before reading, so that what is committed meanwhile is seen the next time.
        version = self._source.data_version()
        moved = version is None or version != self._version
        looked_at = looked_at or self._guess
        turned = looked_at != self._looked_at or glanced_at != self._glanced_at
        self._glanced_at = glanced_at
        closer = close_up != self._close_up or (close_up is not None and (turned or self.has_more))
        if self._snapshot is None:
            self._moved = time.monotonic()
            return self._first(looked_at, now)
        if not (moved or turned or closer or self.has_more) and self._at_rest():
            return self._snapshot
        if moved:
            self._moved = time.monotonic()
            self._notice_other_contents()
            self._merge.read(now)
        if moved or turned:
            self._merge.read_details(looked_at)
        seconds = FIRST_PIECE_SECONDS if turned else PIECE_SECONDS
        whole = not (moved or turned or self.has_more) or self._merge.read_curves(
            looked_at, seconds, glanced_at
        )
        closer |= close_up is not None and self._merge.is_close_up_old
        if closer and whole:
            self._merge.read_close_up(looked_at, close_up)
            self._close_up = close_up
        self._version, self._looked_at = version, looked_at
        return self._build(looked_at, now, has_more=not whole)

    def _notice_other_contents(self) -> None:
        """Begin anew where a copy, or another store, was written over the file."""
        from lvmtui.merge import Merge

        made, revision = self._reader.history_mark()
        if made != self._history[0] or revision < self._history[1]:
            self._merge = Merge(self._reader)
        self._history = made, revision

    def _first(self, looked_at: tuple[int, ...], now: float) -> Snapshot:
        """The list of runs, with a beginning of the curves that are wanted or will be."""
        self._merge.read(now, quickly=True)
        runs = self._merge.build((), now, is_whole=False)
        wanted = tuple(run_id for run_id in looked_at if runs.view(run_id))
        if not wanted and runs.first_choice is not None and self._guesses:
            wanted = self._guess = (runs.first_choice,)
        self._looked_at = wanted
        self._merge.read_details(wanted)
        self._merge.read_curves(wanted, FIRST_PIECE_SECONDS, self._glanced_at)
        return self._build(wanted, now, has_more=True)

    def _build(self, looked_at: tuple[int, ...], now: float, *, has_more: bool) -> Snapshot:
        self.has_more = has_more
        self._snapshot = self._merge.build(looked_at, now, is_whole=not has_more, glanced_at=self._glanced_at)
        return self._snapshot

    def _at_rest(self) -> bool:
        return not self._merge.has_unfinished and time.monotonic() - self._moved > SETTLE_SECONDS

    def close(self) -> None:
        """Close the connection."""
        self._source.close()


class Feed:
    """Reads one store in a thread of its own until it is stopped."""

    def __init__(
        self,
        store_target: str,
        on_snapshot: Callable[[Snapshot], None],
        *,
        clock: Callable[[], float] = time.time,
        mirror: bool = False,
    ) -> None:
        """
        Args:
            store_target: path or URL; need not exist yet.
            on_snapshot: called in the feed's thread, once at the start and then whenever something changed.
            clock: seconds since the epoch, by the clock of the machine whose store it is.
            mirror: it is a host's mirror (`lvmtui.remote.mirrors`): who writes it calls `refresh`, so its
                folder is not watched.
        """
        self._is_mirror = mirror
        self._target = store_target
        self._on_snapshot = on_snapshot
        self._clock = clock
        self._path = Location.parse(store_target).path
        self._looked_at: tuple[int, ...] = ()
        self._glanced_at: frozenset[int] = frozenset()
        self._close_up: CloseUp | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._turned = threading.Event()
        """Something else is looked at: that is read at once."""
        self._begun = threading.Event()
        """Set when the first snapshot is out."""
        self._threads: list[threading.Thread] = []
        self._store: _OpenStore | None = None
        self._identity: tuple[int, int] | None = None
        """Device and inode of the file that is open."""
        self._failure: tuple[float, object] | None = None
        """When the store could not be read, and how its file looked then."""
        self._shown: Snapshot | None = None
        self.readings = 0
        """How often the store was looked at."""

    def start(self) -> None:
        """Begin to read."""
        for name, work in (("feed", self._run), ("feed-watch", self._watch)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop reading and close the store."""
        self._stop.set()
        self._turned.set()
        self._wake.set()
        self._begun.set()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def set_looked_at(self, run_ids: Collection[int], *, glanced_at: Collection[int] = ()) -> None:
        """Say which runs' curves, events and logs are wanted.

        Args:
            run_ids: the runs, the most wanted first.
            glanced_at: those of which only `lvmtui.history.OVERLAID_KEYS` are wanted: reading all metrics of
                fifty runs takes a second.
        """
        wanted, glanced = tuple(dict.fromkeys(run_ids)), frozenset(glanced_at)
        if wanted != self._looked_at or glanced != self._glanced_at:
            self._looked_at, self._glanced_at = wanted, glanced
            self._turned.set()
            self._wake.set()

    def set_close_up(self, close_up: CloseUp | None) -> None:
        """Say which stretch of the x axis is enlarged; None: the whole axis is shown."""
        if close_up != self._close_up:
            self._close_up = close_up
            self._wake.set()

    def refresh(self) -> None:
        """Look at the store now."""
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                self._turned.clear()
                snapshot = self._read()
                if snapshot is not self._shown:
                    self._shown = snapshot
                    self._on_snapshot(snapshot)
                self.readings += 1
                self._begun.set()
                if self._store is None or not self._store.has_more:
                    self._turned.wait(LEAST_SECONDS)
                    self._wake.wait(TIMER_SECONDS)
        finally:
            self._close()

    def _read(self) -> Snapshot:
        """The snapshot of the moment; the one shown when nothing has changed."""
        try:
            identity = _identity(self._path) if self._path else (0, 0)
            if self._store is not None and identity != self._identity:
                self._close()
            if identity is None:
                return self._without_store()
            if self._store is None:
                if self._shown is not None and self._just_failed():
                    return self._shown
                self._store = _OpenStore(self._target, mirror=self._is_mirror)
                self._identity = identity
                self._failure = None
            return self._store.snapshot(self._looked_at, self._close_up, self._clock(), self._glanced_at)
        except StoreMissing:
            return self._without_store()
        except Exception as error:
            # Whatever the driver makes of a file that is damaged or taken away under its hands.
            if _is_locked(error):
                return self._with_problem(f"{self._where} is locked by another program; {LAST_READING}")
            if isinstance(error, LvmtuiError):
                return self._failed(str(error))
            return self._failed(f"{self._where} cannot be read: {getattr(error, 'orig', None) or error}")

    def _without_store(self) -> Snapshot:
        self._close()
        self._failure = None
        if self._shown is not None and self._shown.runs:
            what = "is empty now" if self._path and self._path.exists() else "was removed"
            return self._with_problem(f"{self._where} {what}; {LAST_READING}")
        if self._shown is not None and not self._shown.problem:
            return self._shown
        return Snapshot(store=self._where, taken=self._clock())

    def _failed(self, message: str) -> Snapshot:
        self._close()
        self._failure = (time.monotonic(), _signature(self._path))
        return self._with_problem(message)

    def _just_failed(self) -> bool:
        if self._failure is None:
            return False
        when, signature = self._failure
        return time.monotonic() - when < RETRY_SECONDS and signature == _signature(self._path)

    def _with_problem(self, message: str) -> Snapshot:
        shown = self._shown or Snapshot(store=self._where, taken=self._clock())
        return shown if shown.problem == message else replace(shown, problem=message, taken=self._clock())

    @property
    def _where(self) -> str:
        return str(self._path) if self._path else self._target

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = self._identity = None

    def _watch(self) -> None:
        """Wake the reader when a file of the store changes; runs in a thread of its own."""
        if self._path is None or self._is_mirror:
            return
        self._begun.wait()
        # Takes its time, so neither at the top nor before there is something on the screen.
        from watchfiles import watch

        folder = self._path.parent
        names = {self._path.name, f"{self._path.name}-wal"}
        while not self._stop.is_set():
            self._wake.set()  # What was written before the folder was watched is found now.
            watched = _identity(folder)
            try:
                for changes in watch(
                    folder,
                    watch_filter=lambda _, path: os.path.basename(path) in names,
                    debounce=WATCH_DEBOUNCE_MS,
                    step=WATCH_STEP_MS,
                    stop_event=self._stop,
                    yield_on_timeout=True,
                    raise_interrupt=False,
                    recursive=False,
                ):
                    if changes:
                        self._wake.set()
                    elif _identity(folder) != watched:
                        break
            except (OSError, RuntimeError):
                # No such folder (yet), or no more watches to be had: the timer goes on alone.
                pass
            self._stop.wait(TIMER_SECONDS)


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None where there is nothing, or an empty file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_size else None


def _is_locked(error: BaseException | None) -> bool:
    """Whether SQLite gave up waiting for somebody who has locked the whole file."""
    while error is not None:
        if isinstance(error, sqlite3.OperationalError):
            return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        error = error.__cause__
    return False


def _signature(path: Path | None) -> object:
    """How the store's files look from outside; None when there is nothing to see."""
    if path is None:
        return None
    found: list[object] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
