"""What an agent says about itself and its machine, made harmless."""

from __future__ import annotations

from typing import Any

from lvmtui.format import plain
from lvmtui.remote.agent.wire import Message
from lvmtui.remote.mirrors.checks import tables
from lvmtui.store.records import DeviceSample

MOST_DEVICES = 64
_LATEST = 1e11
"""Seconds since the epoch: a clock beyond that is not believed."""


def text(message: Message, key: str, longest: int = 300) -> str:
    """A text on one line; empty where there is none."""
    value = message.get(key)
    return plain(value[: 4 * longest])[:longest].strip() if isinstance(value, str) else ""


def moment(message: Message, key: str) -> float | None:
    """Seconds since the epoch; None where it is something else."""
    value: Any = message.get(key)
    return float(value) if type(value) in (int, float) and 0 <= value <= _LATEST else None


def device_samples(message: Message, slot: int) -> tuple[DeviceSample, ...]:
    """The readings in a message of the kind `devices`; those that are none left out.

    Args:
        slot: of the host, for ids of runs.
    """
    samples: Any = message.get("samples")
    found = []
    for sample in samples[:MOST_DEVICES] if isinstance(samples, list) else ():
        if isinstance(sample, dict):
            values = tables(slot)["device_sample"].values({**sample, "id": None})
            if {"host", "device", "name", "time"} <= values.keys():
                found.append(DeviceSample(**values))
    return tuple(found)
