"""A program in tmux, where what stands on the screen can be asked for: a program that repaints only the cells
that changed leaves no whole words in its output."""

import shlex
import subprocess
import time
import uuid
from collections.abc import Sequence


class TmuxScreen:
    """Runs a program in a tmux server of its own."""

    def __init__(self, argv: Sequence[str], *, cols: int = 180, rows: int = 50) -> None:
        self._socket = f"bench-{uuid.uuid4().hex[:8]}"
        size = ["-x", str(cols), "-y", str(rows)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, shlex.join(argv))

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    def text(self) -> str:
        """What stands on the screen."""
        return self._tmux("capture-pane", "-p", "-N")

    def wait_for(self, word: str, seconds: float) -> float:
        """Seconds until a word stands on the screen, looked at every 20 ms.

        Raises:
            TimeoutError: it did not in time.
        """
        begin = time.perf_counter()
        while word not in self.text():
            if time.perf_counter() - begin > seconds:
                raise TimeoutError(f"{word!r} not shown in {seconds} s")
            time.sleep(0.02)
        return time.perf_counter() - begin

    def close(self) -> None:
        """End the program."""
        self._tmux("kill-server")
