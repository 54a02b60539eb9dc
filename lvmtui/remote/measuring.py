"""The agent's readings of this machine's sensors, while the client looks at devices."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from dataclasses import asdict

from lvmtui.remote.agent.wire import Message

SAMPLE_SECONDS = 1.0
"""Between two readings."""

MOST_WAITING = 5
"""Readings that wait to be sent, where the connection is slow: older ones are dropped."""


class Measuring:
    """Reads sensors in a thread of its own: some drivers take their time."""

    kinds = frozenset({"want"})

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._waiting: deque[Message] = deque(maxlen=MOST_WAITING)
        self._wanted = threading.Event()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, message: Message) -> None:
        """Begin or cease to read, as a `want` says."""
        if message.get("devices") is not True:
            self._wanted.clear()
            return
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._measure, name="sensors", daemon=True)
            self._thread.start()

    def fileno(self) -> int:
        """Readable when there is a reading."""
        return self._read_end

    def messages(self, _room: int) -> list[Message]:
        """The readings since the last time."""
        with suppress(BlockingIOError):
            os.read(self._read_end, 4096)
        found: list[Message] = []
        while self._waiting:
            found.append(self._waiting.popleft())
        return found if self._wanted.is_set() else []

    def close(self) -> None:
        """Cease to read."""
        self._is_over.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=SAMPLE_SECONDS)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._write_end)
        os.close(self._read_end)

    def _measure(self) -> None:
        from lvmtui.sensors import DeviceSampler

        sampler = DeviceSampler()
        while not self._is_over.wait(SAMPLE_SECONDS):
            self._wanted.wait()
            if self._is_over.is_set():
                return
            samples = [asdict(sample) for sample in sampler.sample()]
            self._waiting.append({"m": "devices", "samples": samples})
            with suppress(OSError):
                os.write(self._write_end, b".")
