"""Progress of long data jobs: a callback, and two ways to show it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Progress = Callable[[str, int, int], None]
"""Called with the stage in words, steps done and steps in all; 0 in all: not known how many."""

_LINE_SECONDS = 5.0


def silent(stage: str, done: int, total: int) -> None:
    """Show nothing."""


@contextmanager
def terminal_progress(stream: TextIO | None = None) -> Iterator[Progress]:
    """A progress bar on a terminal, else a plain line for each stage and every five seconds.

    Args:
        stream: where to write; standard error unless given, so that piped output stays clean.
    """
    target = stream if stream is not None else sys.stderr
    if not target.isatty():
        yield _PlainLines(target)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=target), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for task in tasks.values():
                    bars.stop_task(task)
                tasks[stage] = bars.add_task(stage, total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield show


class _PlainLines:
    """Progress as lines of text, few enough for a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage = ""
        self._written = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._written < _LINE_SECONDS:
            return
        counts = f" {done}/{total}" if total and done else ""
        self._stream.write(f"{stage}{counts}\n")
        self._stream.flush()
        self._stage, self._written = stage, now
