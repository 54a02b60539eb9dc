"""Wakes on changes of the store, reads what is new and hands out frozen snapshots. No Textual.

SQLite in WAL mode changes `runs.db-wal`, not `runs.db`, so the *folder* is watched; `PRAGMA data_version` on
the one long-lived connection then tells whether anything was committed. A slow timer stands in where the
file system reports nothing, and finds runs whose process has died.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from lvmtui.errors import LvmtuiError
from lvmtui.snapshot import Snapshot

TIMER_SECONDS = 1.0
"""The slow timer: liveness, the log's new lines, file systems that report no changes."""

LEAST_SECONDS = 0.08
"""Between two readings, so that many writers do not keep the reader busy."""

WATCH_STEP_MS = 50
WATCH_DEBOUNCE_MS = 100
"""Changes are reported after one quiet step, or after the debounce at the latest."""

SETTLE_SECONDS = 10.0
"""After the last change of a store in which nothing runs, only the store itself is still watched: by then
the last lines of its logs are read and its device readings are stale."""

RETRY_SECONDS = 5.0
"""Between two attempts to open a store that could not be read and has not changed."""


class _OpenStore:
    """An open store and what was read of it."""

    def __init__(self, target: str) -> None:
        # Imported here: they load sqlmodel and numpy, which the first paint must not wait for.
        from lvmtui.merge import Merge
        from lvmtui.store.database import Database
        from lvmtui.store.reader import Reader

        self._database = Database.open(target, create=False, read_only=True)
        self._merge = Merge(Reader(self._database))
        self._version: int | None = None
        self._looked_at: tuple[int, ...] = ()
        self._moved = 0.0
        self._snapshot: Snapshot | None = None

    def snapshot(self, looked_at: tuple[int, ...], now: float) -> Snapshot:
        """Everything at this moment; the same object as before when nothing has changed."""
        # Asked before reading, so that what is committed meanwhile is seen the next time.
        version = self._database.data_version()
        moved = version is None or version != self._version
        turned = looked_at != self._looked_at
        if moved:
            self._moved = time.monotonic()
            self._merge.read(now)
        elif not turned and self._snapshot is not None and self._at_rest():
            return self._snapshot
        if moved or turned:
            self._merge.read_details(looked_at)
        self._version, self._looked_at = version, looked_at
        self._snapshot = self._merge.build(looked_at, now)
        return self._snapshot

    def _at_rest(self) -> bool:
        return not self._merge.has_unfinished and time.monotonic() - self._moved > SETTLE_SECONDS

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


class Feed:
    """Reads one store in a thread of its own until it is stopped."""

    def __init__(
        self,
        store_target: str,
        on_snapshot: Callable[[Snapshot], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            store_target: path or URL; need not exist yet.
            on_snapshot: called in the feed's thread, once at the start and then whenever something changed.
            clock: seconds since the epoch.
        """
        self._target = store_target
        self._on_snapshot = on_snapshot
        self._clock = clock
        self._path = _file_of(store_target)
        self._looked_at: tuple[int, ...] = ()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._store: _OpenStore | None = None
        self._identity: tuple[int, int] | None = None
        """Device and inode of the file that is open."""
        self._failure: tuple[float, object] | None = None
        """When the store could not be read, and how its file looked then."""
        self._shown: Snapshot | None = None

    def start(self) -> None:
        """Begin to read."""
        for name, work in (("feed", self._run), ("feed-watch", self._watch)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop reading and close the store."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def set_looked_at(self, run_ids: Collection[int]) -> None:
        """Say which runs' curves, events and logs are wanted."""
        wanted = tuple(dict.fromkeys(run_ids))
        if wanted != self._looked_at:
            self._looked_at = wanted
            self._wake.set()

    def refresh(self) -> None:
        """Look at the store now."""
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                snapshot = self._read()
                if snapshot is not self._shown:
                    self._shown = snapshot
                    self._on_snapshot(snapshot)
                self._stop.wait(LEAST_SECONDS)
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
                self._store = _OpenStore(self._target)
                self._identity = identity
                self._failure = None
            return self._store.snapshot(self._looked_at, self._clock())
        except LvmtuiError as error:
            return self._failed(str(error))
        except Exception as error:
            # Whatever the driver makes of a file that is damaged or taken away under its hands.
            return self._failed(f"{self._where} cannot be read: {getattr(error, 'orig', None) or error}")

    def _without_store(self) -> Snapshot:
        self._failure = None
        if self._shown is not None and self._shown.runs:
            return self._with_problem(f"{self._where} was removed; this is the last reading of it")
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
        if self._path is None:
            return
        # Costs 0.1 s, so not at the top.
        from watchfiles import watch

        folder = self._path.parent
        names = {self._path.name, f"{self._path.name}-wal"}
        while not self._stop.is_set():
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


def _file_of(target: str) -> Path | None:
    """The store's file; None when it is not a file. As `store.database.Location`, which is slow to import."""
    text = target.removeprefix("sqlite:///")
    return None if "://" in text else Path(text).expanduser().absolute()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


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
