"""Measured latencies: which one stands for a run, and how they are written. Shared with the engine."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from lvmtui.format import MISSING, counted, thousands
from lvmtui.store.records import Evaluation, Latency

Precision = Literal["fp32", "bf16", "fp16", "int8"]
"""The arithmetic of a loaded model: see `engine.infer.precision`."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

REFERENCE = "fp32"
"""The precision that others are compared with."""

STREAM, ENCODE = "stream", "encode"
"""Modes of a `Latency`."""

MODES = {STREAM: "streaming", ENCODE: "re-encoding"}
"""Mode -> how it is called."""


def headline(latencies: Iterable[Latency], best: Evaluation | None) -> Latency | None:
    """What a run's latency is when one figure is asked for: streaming in fp32 with the checkpoint of its best
    evaluation, from its newest bench; of several context lengths the slowest. None where that was not
    measured."""
    if best is None:
        return None
    fitting = [
        item
        for item in latencies
        if (item.mode, item.precision) == (STREAM, REFERENCE)
        and (item.epoch, item.step) == (best.epoch, best.step)
        and item.p95 is not None
    ]
    newest = max((item.time for item in fitting), default=None)
    of_newest = (item for item in fitting if item.time == newest)
    return max(of_newest, key=lambda item: item.p95 or 0.0, default=None)


def milliseconds(seconds: float | None) -> str:
    """A time in milliseconds, to three digits and no unit: `1.93`, `306`; `–` where there is none."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    value = 1000 * seconds
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:.{digits}f}"


def short_place(latency: Latency) -> str:
    """Where it was measured, in a few letters: `cpu×2` (two threads), `cuda:0`."""
    device = latency.device.partition(" ")[0]
    return f"{device}×{latency.threads}" if device == "cpu" else device


def place(latency: Latency) -> str:
    """Where it was measured: device, threads and host."""
    device = f"cpu {latency.device_name}".rstrip() if latency.device == "cpu" else latency.device
    return f"{device}, {counted(latency.threads, 'thread')}, on {latency.host}"


def places(latencies: Iterable[Latency]) -> list[str]:
    """The different places that something was measured at, in order of appearance."""
    return list(dict.fromkeys(place(item) for item in latencies))


def footnote(latencies: Sequence[Latency]) -> str:
    """What must be said of a column of latencies; empty for none."""
    if not latencies:
        return ""
    searched = {f"the {item.top} nearest of {thousands(item.pool)}" for item in latencies}
    what = searched.pop() if len(searched) == 1 else "the nearest of each run's own pool"
    said = f"p95: milliseconds from one more vector to {what}, streaming in fp32, measured"
    found = places(latencies)
    if len(found) == 1:
        return f"{said} on {found[0]}."
    beside = "; ".join(dict.fromkeys(f"{short_place(item)}: {place(item)}" for item in latencies))
    return f"{said} at different places, so these figures are not comparable. {beside}."


def benches(latencies: Iterable[Latency]) -> list[list[Latency]]:
    """The measurements bench by bench, the newest first; within one as they were stored."""
    found: dict[tuple[float, str], list[Latency]] = {}
    for item in latencies:
        found.setdefault((item.time, place(item)), []).append(item)
    return sorted(found.values(), key=lambda items: -items[0].time)


def circumstances(bench: Sequence[Latency]) -> str:
    """What all measurements of one bench share, in a line: where, which checkpoint, what was searched, and
    how busy the machine was with other things."""
    first = bench[0]
    busy = "" if first.load is None else f"; load before {first.load:.1f}"
    searched = f"top {first.top} of {thousands(first.pool)}"
    return f"{place(first)}{busy}; checkpoint of epoch {first.epoch}; {searched}"


def refusals(latencies: Iterable[Latency]) -> list[str]:
    """The precisions that are not offered, each with the reason; of several benches the newest counts."""
    newest = {item.precision: item for item in latencies}
    return [f"{item.precision} refused: {item.refused}" for item in newest.values() if item.refused]
