"""Round numbers for axes: where ticks stand and what they say. Standard library only."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from lvmtui import format as fmt

_SPANS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Round steps of time, in seconds."""


def nice_step(span: float, count: int, least: float = 0.0) -> float:
    """1, 2 or 5 times a power of ten that divides `span` into about `count` steps, rather fewer."""
    raw = max(span / max(count, 1), least, 1e-300)
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 5.0, 10.0):
        if factor * power >= raw * 0.75:
            return factor * power
    return 10.0 * power


def nice_ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Round numbers in [low, high], at most about `count`; integers only where `whole`."""
    if not (math.isfinite(low) and math.isfinite(high)) or high < low:
        return []
    step = nice_step(high - low, count, least=1.0 if whole else 0.0)
    return _multiples(low, high, step)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    if last - first > 1000:
        return []
    return [k * step for k in range(first, last + 1)]


def time_ticks(low: float, high: float, count: int) -> list[float]:
    """Round times in [low, high] seconds."""
    raw = (high - low) / max(count, 1)
    if raw <= 1:
        return nice_ticks(low, high, count)
    step = next((span for span in _SPANS if span >= raw), 0) or 86400 * nice_step(raw / 86400, 1, least=1.0)
    return _multiples(low, high, float(step))


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers in [low, high] for a logarithmic axis; `low` > 0."""
    if not 0 < low <= high < math.inf:
        return []
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1.0, 2.0, 5.0), (1.0,)):
        ticks = [f * 10.0**e for e in exponents for f in factors if low <= f * 10.0**e <= high]
        if 2 <= len(ticks) <= count:
            return ticks
    if len(ticks) > count:
        return ticks[:: math.ceil(len(ticks) / count)]
    return nice_ticks(low, high, count)


def log_label(value: float) -> str:
    """A round positive number, short: `0.05`, `2`, `500`, `20k`, `1e7`."""
    if 1e4 <= value < 1e6:
        return f"{value / 1000:g}k"
    return f"{value:g}" if 1e-4 <= value < 1e4 else _scientific(value)


def tick_labels(ticks: Sequence[float], *, percent: bool = False) -> list[str]:
    """What the ticks say, with as many decimals as tell them apart."""
    values = [100 * tick if percent else tick for tick in ticks]
    if not values:
        return []
    largest = max(abs(value) for value in values)
    gap = min((abs(b - a) for a, b in pairwise(values)), default=largest)
    if largest >= 1e6 or (0 < largest < 1e-4):
        return [_scientific(value) for value in values]
    if largest >= 10_000 and all(abs(value / 1000 - round(value / 1000, 1)) < 1e-6 for value in values):
        return [f"{value / 1000:g}k".replace("-", "−") if value else "0" for value in values]
    decimals = 0
    while decimals < 8 and any(abs(v - round(v, decimals)) > 1e-3 * (gap or 1) for v in values):
        decimals += 1
    return [f"{value + 0.0:.{decimals}f}".replace("-", "−") for value in values]


def _scientific(value: float) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")


def duration_labels(ticks: Sequence[float]) -> list[str]:
    """Times as spans without empty small units: `10m`, `1h`, `1h30m`."""

    def label(seconds: float) -> str:
        text = fmt.duration(seconds)
        return (
            text.removesuffix("00s")
            if "m" in text and text.endswith("m00s")
            else text.replace("h00m", "h").replace("d00h", "d")
        )

    return ["0" if tick == 0 else label(tick) for tick in ticks]


def x_ticks(
    name: str, low: float, high: float, count: int, *, log: bool = False
) -> tuple[list[float], list[str]]:
    """Ticks and labels of an x axis called `epoch`, `step` (integers) or `time` (seconds).

    With `log`, the range and the ticks are powers of ten.
    """
    if log:
        values = log_ticks(10.0**low, 10.0**high, count)
        return [math.log10(value) for value in values], [log_label(value) for value in values]
    labels: Callable[[Sequence[float]], list[str]] = tick_labels
    if name == "time":
        ticks, labels = time_ticks(low, high, count), duration_labels
    else:
        ticks = nice_ticks(low, high, count, whole=True)
    return ticks, labels(ticks)


def x_label(name: str, value: float, *, log: bool = False) -> str:
    """One place on an x axis, as exactly as neighbours differ: `12`, `12.4`, `1 200`, `1h03m`."""
    if log:
        value = 10.0**value
    if name == "time":
        return fmt.duration(value)
    return fmt.thousands(value) if abs(value) >= 1000 else f"{round(value, 2):g}".replace("-", "−")
