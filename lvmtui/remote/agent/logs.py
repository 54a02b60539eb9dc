"""The log of one run, from its end on as it grows."""

from __future__ import annotations

import os
import stat

from lvmtui.remote.agent.wire import Message

LOG_NAME = "run.log"

END_BYTES = 48 * 1024
"""Bytes at the end of a log that are sent at first: the lines that a dashboard keeps."""

PIECE_BYTES = 32 * 1024
"""Bytes in one message."""


class Log:
    """What was sent of a log, and what is to be sent."""

    def __init__(self, root: str, folder: str, run: int, size: int) -> None:
        """
        Args:
            root: folder of the store.
            folder: of the run, as the store has it.
            run: id of the run.
            size: bytes of the log that the client has; 0: none.
        """
        self._root, self._folder = root, folder
        self._run = run
        self._at = size
        """Where what the client has ends."""
        self._file: tuple[int, int] | None = None
        self._seen: tuple[int, int, int] | None = None
        """Which file it was when it was read to its end, and its size."""

    def read(self) -> list[Message]:
        """What is new: nothing, or one message."""
        path = os.path.join(self._root, self._folder, LOG_NAME)
        try:
            status = os.stat(path)
            looks = (status.st_dev, status.st_ino, status.st_size)
            if looks == self._seen:
                return []
            data, fresh, at = self._new_bytes(self._open(path))
        except (OSError, ValueError):
            return []
        if not data and not fresh:
            self._seen = looks
            return []
        self._at = at + len(data)
        text = data.decode("utf-8", "replace")
        message = {"m": "log", "run": self._run, "at": at, "size": self._at, "text": text, "fresh": fresh}
        return [message]

    def _open(self, path: str) -> int:
        """The log opened for reading, if it is a plain file inside the run's own folder.

        The folder's name comes from the store, and the store may come from somebody else.

        Raises:
            OSError: it is not to be read.
        """
        root = os.path.realpath(self._root)
        folder = os.path.realpath(os.path.join(self._root, self._folder))
        inside = os.path.realpath(path) == os.path.join(folder, LOG_NAME)
        if not inside or os.path.commonpath([root, folder]) != root:
            raise OSError("the log is not in the run's folder")
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)

    def _new_bytes(self, descriptor: int) -> tuple[bytes, bool, int]:
        """What is to be sent, whether it stands in place of what was sent before, and where it begins."""
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError("the log is no plain file")
            which = (status.st_dev, status.st_ino)
            size = status.st_size
            replaced = self._file not in (None, which) or size < self._at
            self._file = which
            if replaced or size - self._at > END_BYTES or (self._at == 0 and size):
                begin = max(0, size - END_BYTES)
                file.seek(begin)
                data = file.read(END_BYTES)
                cut = data.find(b"\n") + 1 if begin else 0
                return _whole(data[cut:]), True, begin + cut
            file.seek(self._at)
            return _whole(file.read(PIECE_BYTES)), False, self._at


def _whole(data: bytes) -> bytes:
    """The data without the beginning of a character at its end."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return data[:-back] if length > back else data
    return data
