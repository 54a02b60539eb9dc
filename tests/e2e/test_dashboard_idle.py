"""The dashboard in a real terminal that nothing happens in."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from tests.tui.stores import new_run


def read_for(master: int, seconds: float) -> bytes:
    """What the program writes in this time."""
    end, data = time.monotonic() + seconds, b""
    while (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            try:
                data += os.read(master, 65_536)
            except OSError:
                break  # the other end is closed
    return data


@pytest.mark.slow
def test_nothing_is_written_to_the_terminal_when_nothing_changes(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "runs.db")
    new_run(database, "phase-3").start().train(5).finish(Result.COMPLETED)
    database.close()
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    code = "import sys; from lvmtui.app import run_app; sys.exit(run_app(sys.argv[1]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "runs.db")],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        close_fds=True,
    )
    os.close(slave)
    try:
        start = b""
        deadline = time.monotonic() + 30
        while "phase-3 #1" not in start.decode(errors="replace") and time.monotonic() < deadline:
            start += read_for(master, 0.2)
        assert "phase-3 #1" in start.decode(errors="replace")
        read_for(master, 3.0)
        assert read_for(master, 3.0) == b""
        os.write(master, b"q")
        read_for(master, 2.0)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
