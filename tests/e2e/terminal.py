"""A program in a real pseudo-terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Terminal:
    """What runs in it, and what it wrote so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process = process
        self.output = ""
        self._master = master

    def read_for(self, seconds: float) -> str:
        """What the program writes in this time."""
        end, data = time.monotonic() + seconds, b""
        while (left := end - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                try:
                    data += os.read(self._master, 65_536)
                except OSError:
                    break  # the other end is closed
        text = data.decode(errors="replace")
        self.output += text
        return text

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Wait until the program has written a text."""
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert time.monotonic() < deadline, f"{text!r} not in {self.output[-500:]!r}"
            self.read_for(0.02)

    def press(self, keys: str) -> None:
        """Type keys."""
        os.write(self._master, keys.encode())


@contextmanager
def terminal(argv: Sequence[str], *, cols: int = 120, rows: int = 36) -> Iterator[Terminal]:
    """Run `python -P ARGV` in a terminal of its own session, as a login shell would."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-P", *argv],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LVMTUI_REPAINT": "full"},
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _take_terminal() -> None:
    """Make the terminal the session's controlling one: its end then hangs the session up."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
