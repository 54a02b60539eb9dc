"""A program in a pseudo-terminal, with the time at which each piece of its output came."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Sequence


class Terminal:
    """Runs a program as in a terminal of the given size and collects what it writes."""

    def __init__(self, argv: Sequence[str], *, cols: int = 120, rows: int = 36) -> None:
        self.output = b""
        self.started = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            # An installed program has its bytecode: pip compiles it. Here the first start does, once.
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
            os.execvp(argv[0], list(argv))
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self, seconds: float) -> bytes:
        """What is written within the given time."""
        end = time.perf_counter() + seconds
        before = len(self.output)
        while (left := end - time.perf_counter()) > 0:
            if select.select([self._fd], [], [], left)[0] and not self._take():
                break
        return self.output[before:]

    def wait_for(self, seen: Callable[[bytes], bool], seconds: float = 20.0) -> float:
        """Seconds until `seen(output so far)` holds.

        Raises:
            TimeoutError: it did not in time.
        """
        begin = time.perf_counter()
        while not seen(self.output):
            if time.perf_counter() - begin > seconds:
                raise TimeoutError(f"not seen in {seconds} s; the end of the output: {self.output[-300:]!r}")
            if select.select([self._fd], [], [], 0.05)[0] and not self._take():
                raise TimeoutError(f"the program ended; its output: {self.output[-300:]!r}")
        return time.perf_counter() - begin

    def _take(self) -> bool:
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.output += data
        return bool(data)

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    def close(self) -> None:
        """End the program."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)
