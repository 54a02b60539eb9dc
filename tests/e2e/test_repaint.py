"""What stands on a real terminal after only what changed was written to it is what was meant."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from tests.tui import stores

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux, a terminal that can be read"),
]


QUIET_SECONDS = 0.7
"""The screen is at rest when nothing has changed for so long."""


class Tmux:
    """A program in a tmux server of its own."""

    def __init__(self, argv: list[str], size: tuple[int, int]) -> None:
        self._name = f"lvmtui-test-{uuid.uuid4().hex[:8]}"
        words = ["-x", str(size[0]), "-y", str(size[1]), shlex.join(argv)]
        self.run("-f", os.devnull, "new-session", "-d", *words)

    def run(self, *words: str) -> str:
        command = ["tmux", "-L", self._name, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def press(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def screen(self) -> str:
        """Characters and colours of every cell."""
        return self.run("capture-pane", "-p", "-e", "-N")

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.run("kill-server")


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    store = tmp_path / "runs.db"
    database = Database.open(store)
    for phase, final in (("phase-1", 0.14), ("phase-2", 0.17), ("phase-3", 0.18)):
        stores.new_run(database, phase, final).start().train(12).finish(Result.EARLY_STOPPED)
    database.close()
    # What a shell has exported about another terminal is not believed.
    argv = ["env", "COLUMNS=80", "LINES=24", sys.executable, "-P", "-m", "lvmtui"]
    argv += ["--store", str(store), "--readonly"]
    made = Tmux(argv, (110, 32))
    yield made
    made.close()


def at_rest(tmux: Tmux, wait_until: Callable[..., None]) -> str:
    """The screen once it stays the same for a while."""
    shown, since = tmux.screen(), time.monotonic()

    def quiet() -> bool:
        nonlocal shown, since
        now = tmux.screen()
        if now != shown:
            shown, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_SECONDS

    wait_until(quiet, "the screen to come to rest")
    return shown


def test_writing_all_of_it_again_changes_nothing(tmux: Tmux, wait_until: Callable[..., None]) -> None:
    wait_until(lambda: "phase-3" in tmux.screen(), "the runs")
    for keys in (("Down", "Down", "Up"), ("Enter",), ("y", "plus"), ("Escape", "2"), ("5",), ("1", "Space")):
        tmux.press(*keys)
        before = at_rest(tmux, wait_until)
        tmux.press("C-l")
        assert at_rest(tmux, wait_until) == before, f"after {keys}"


def test_another_size(tmux: Tmux, wait_until: Callable[..., None]) -> None:
    wait_until(lambda: "phase-3" in tmux.screen(), "the runs")
    for size in (("70", "20"), ("150", "40")):
        tmux.run("resize-window", "-x", size[0], "-y", size[1])
        before = at_rest(tmux, wait_until)
        tmux.press("C-l")
        assert at_rest(tmux, wait_until) == before, f"at {size}"
