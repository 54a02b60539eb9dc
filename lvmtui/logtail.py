"""Follows the log of one run, reading only what is new."""

from __future__ import annotations

import os
import stat
from collections import deque
from pathlib import Path

from lvmtui.reading import LOG_BYTES, LOG_LINES, clean_line, log_path
from lvmtui.store.records import Run

LINE_CHARACTERS = 2000
"""More of a line than this is not kept."""


class LogTail:
    """The last lines of a run's log, safe to show."""

    def __init__(self, root: Path, run: Run, lines: int = LOG_LINES) -> None:
        self._root = root
        self._path = log_path(root, run)
        self._folder = root / run.folder
        self._lines: deque[str] = deque(maxlen=lines)
        self._partial = b""
        self._offset = 0
        self._file: tuple[int, int] | None = None
        self._shown: tuple[str, ...] = ()

    def read(self) -> tuple[str, ...]:
        """The last lines now; the same object as before when nothing was written."""
        new = self._new_bytes()
        if new is None:
            return self._shown
        *whole, self._partial = (self._partial + new).split(b"\n")
        self._partial = self._partial[-LOG_BYTES:]
        self._lines.extend(map(_text, whole))
        unfinished = (_text(self._partial),) if self._partial.strip() else ()
        self._shown = (*self._lines, *unfinished)
        return self._shown

    def _new_bytes(self) -> bytes | None:
        """What was appended since; None when nothing was. Starts over when the file was replaced or cut."""
        descriptor = self._open()
        if descriptor is None:
            return None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            identity = (status.st_dev, status.st_ino)
            if identity != self._file or status.st_size < self._offset:
                self._lines.clear()
                self._file, self._offset, self._partial = identity, 0, b""
            elif status.st_size == self._offset:
                return None
            skipped = max(0, status.st_size - LOG_BYTES - self._offset)
            file.seek(self._offset + skipped)
            data = file.read(LOG_BYTES)
            self._offset = file.tell()
        if skipped:
            self._partial = b""
            data = data.partition(b"\n")[2]
        return data

    def _open(self) -> int | None:
        """The log opened for reading, if it is a plain file inside the run's own folder.

        The folder's name comes from the store, and the store may come from somebody else.
        """
        try:
            folder = self._folder.resolve(strict=True)
            path = self._path.resolve(strict=True)
            inside = folder.is_relative_to(self._root.resolve()) and path.is_relative_to(folder)
            if not inside or not stat.S_ISREG(path.stat().st_mode):
                return None
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (OSError, RuntimeError):
            return None


def _text(line: bytes) -> str:
    return clean_line(line[-4 * LINE_CHARACTERS :].decode("utf-8", "replace"))[:LINE_CHARACTERS]
