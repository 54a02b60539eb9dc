"""The newest reading of each device and its recent past, kept as readings come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lvmtui.snapshot import DeviceView
from lvmtui.store.records import DeviceSample

if TYPE_CHECKING:
    from lvmtui.store.reader import Reader

DEVICE_READINGS = 180
"""Readings of a device that are kept."""

DEVICE_STALE_SECONDS = 5.0
"""After that long without a reading, nothing measures a device any more."""

DEVICE_PAST_SECONDS = 180.0
"""How far back device readings are taken up at the start."""

SAME_READING_SECONDS = 0.6
"""Two runs on one host both sample its devices; readings closer than this are one."""


class Devices:
    """Every device that a run has measured lately."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str], deque[DeviceSample]] = {}
        self._last_sample = 0
        self._views: tuple[DeviceView, ...] = ()

    def read(self, reader: Reader, now: float) -> None:
        """Take in what is new."""
        since = now - DEVICE_PAST_SECONDS if not self._last_sample else 0.0
        samples = reader.device_samples(after=self._last_sample, since=since)
        self.add(samples)
        if samples:
            self._last_sample = samples[-1].id

    def add(self, samples: Iterable[DeviceSample]) -> None:
        """Take in readings, each device's in order."""
        for sample in samples:
            held = self._samples.setdefault((sample.host, sample.device), deque(maxlen=DEVICE_READINGS))
            same = held and sample.time - held[-1].time < SAME_READING_SECONDS
            if not (same and sample.run_id != held[-1].run_id):
                held.append(sample)

    def views(self, now: float) -> tuple[DeviceView, ...]:
        """The devices by host and name; the same object as before when nothing changed."""
        views = tuple(
            DeviceView(
                sample=held[-1],
                history=tuple(sample.utilisation for sample in held),
                stale=now - held[-1].time > DEVICE_STALE_SECONDS,
                recent=tuple(held),
            )
            for _, held in sorted(self._samples.items())
        )
        if views != self._views:
            self._views = views
        return self._views
