"""Reads a run's log piece by piece, safe to print."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from lvmtui.reading import clean_line

TAIL_BYTES = 4096
"""So much of what was read last is looked for in a file that has taken the place of another."""


class LogReader:
    """Reads on in a log. The log of a watched host's run is another file now and then, with the same end in
    it; nothing is read twice then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: tuple[int, int] | None = None
        """Device and number of the file that was read last."""
        self._position = 0
        self._tail = b""

    def skip(self) -> None:
        """Take all that is there now as read."""
        self.read()

    def read(self, *, whole_lines: bool = False) -> list[str]:
        """The lines that are new; none when there is no file.

        Args:
            whole_lines: leave an unfinished last line for the next call.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) != self._file or status.st_size < self._position:
                self._file = status.st_dev, status.st_ino
                self._position = self._known_part(file)
            file.seek(self._position)
            data = file.read()
        if whole_lines:
            data = data[: data.rfind(b"\n") + 1]
        if not data:
            return []
        self._position += len(data)
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        return _lines(data)

    def before(self, whole: Path) -> list[str]:
        """The lines of another file that has all of the log, up to where this reader goes on."""
        data = whole.read_bytes()
        place = data.rfind(self._tail)
        return _lines(data if place < 0 else data[: place + len(self._tail)])

    def _known_part(self, file: BinaryIO) -> int:
        """Where what is new begins in another file."""
        if not self._tail:
            return 0
        place = file.read().rfind(self._tail)
        return 0 if place < 0 else place + len(self._tail)


def _lines(data: bytes) -> list[str]:
    texts = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    return [clean_line(text) for text in texts]
