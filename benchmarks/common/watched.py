"""A program in a pseudo-terminal whose processor time, memory and output are watched."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence

import psutil
from common.terminal import Terminal

BRAILLE = re.compile(rb"\xe2[\xa0-\xa3][\x80-\xbf]")
"""A braille character in UTF-8: the sign of a curve."""
ANSWERS = {
    b"\x1b[c": b"\x1b[?62;4c",
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b]10;?": b"\x1b]10;rgb:dddd/dddd/dddd\x1b\\",
    b"\x1b]11;?": b"\x1b]11;rgb:1111/1111/1111\x1b\\",
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",
    b"\x1b[?2048$p": b"\x1b[?2048;0$y",
}
"""Question of a program -> what xterm answers: kind, cursor, colours, modes."""
BLANK = b"\xe2\xa0\x80"


class Watched(Terminal):
    """Measures from outside, the same for every program: bytes that it writes, processor time, memory."""

    def __init__(self, argv: Sequence[str], *, cols: int = 180, rows: int = 50) -> None:
        super().__init__(argv, cols=cols, rows=rows)
        self._process = psutil.Process(self.pid)

    def _take(self) -> bool:
        """Answer what programs ask a terminal; some wait for it before they draw."""
        before = len(self.output)
        alive = super()._take()
        new = self.output[before:]
        for question, answer in ANSWERS.items():
            if question in new:
                os.write(self._fd, answer)
        return alive

    def processes(self) -> list[psutil.Process]:
        """The program and all that it has started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self._process, *self._process.children(recursive=True)]
        return []

    def cpu_seconds(self) -> float:
        """Processor time that they have used."""
        used = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used += times.user + times.system
        return used

    def memory(self) -> float:
        """Bytes that they hold in memory together."""
        held = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                held += process.memory_info().rss
        return held

    def first_chart(self, seconds: float = 60.0) -> float:
        """Seconds from the start to the first braille character."""
        self.wait_for(lambda output: any(found != BLANK for found in BRAILLE.findall(output)), seconds)
        return time.perf_counter() - self.started

    def at_rest(self, *, quiet: float = 1.0, seconds: float = 120.0, share: float = 0.03) -> float:
        """Seconds from the start to the last moment of activity before `quiet` seconds in which nothing was
        written and less than `share` of a processor was used.

        Raises:
            TimeoutError: it did not come to rest.
        """
        begin = last = time.perf_counter()
        used = self.cpu_seconds()
        while time.perf_counter() - last < quiet:
            if time.perf_counter() - begin > seconds:
                raise TimeoutError(f"not at rest after {seconds} s")
            wrote = bool(self.read(0.1))
            now = self.cpu_seconds()
            if wrote or now - used > 0.1 * share + 0.011:  # the kernel counts hundredths of a second
                last = time.perf_counter()
            used = now
        return last - self.started

    def key_ms(self, keys: Sequence[str], repeats: int = 20) -> float:
        """Median time from a key to the first byte written after it, in milliseconds."""
        found = []
        for number in range(repeats):
            self.read(0.12)
            before = len(self.output)
            begin = time.perf_counter()
            self.send(keys[number % len(keys)])
            self.wait_for(lambda output, at=before: len(output) > at, 5.0)
            found.append((time.perf_counter() - begin) * 1000)
        return statistics.median(found)

    def idle(self, seconds: float = 10.0) -> tuple[float, int]:
        """Share of a processor, and bytes written, while nothing happens."""
        before, used = len(self.output), self.cpu_seconds()
        begin = time.perf_counter()
        self.read(seconds)
        took = time.perf_counter() - begin
        return (self.cpu_seconds() - used) / took, len(self.output) - before


def median(measure: Callable[[], float], repeats: int) -> float:
    """The median of some measurements."""
    return statistics.median(measure() for _ in range(repeats))
