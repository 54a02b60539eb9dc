"""Ranges of a chart's x axis: magnified, moved, remembered. On a logarithmic axis, in its own measure."""

from __future__ import annotations

import math
from collections.abc import Iterable

Range = tuple[float, float]

SMALLEST = 1e-3
"""Share of the whole axis that can be shown at least."""

REMEMBERED = 20
"""Zooms that are remembered of a store."""


def _measure(shown: Range, *, log: bool) -> Range:
    return (math.log10(shown[0]), math.log10(shown[1])) if log else shown


def _back(shown: Range, *, log: bool) -> Range:
    return (10.0 ** shown[0], 10.0 ** shown[1]) if log else shown


def _inside(low: float, span: float, whole: Range) -> Range | None:
    """A range of this length within the whole; None where it is as long as that."""
    length = whole[1] - whole[0]
    if not length > 0 or span >= length * 0.999:
        return None
    low = min(max(low, whole[0]), whole[1] - span)
    return low, low + span


def magnified(shown: Range, whole: Range, factor: float, centre: float, *, log: bool = False) -> Range | None:
    """`factor` times the range that is shown, with `centre` where it was on the screen.

    Returns None where that is the whole. Ranges and centre are above zero if `log`.
    """
    (low, high), ends = _measure(shown, log=log), _measure(whole, log=log)
    middle = _measure((centre, centre), log=log)[0]
    span = max((high - low) * factor, (ends[1] - ends[0]) * SMALLEST)
    share = (middle - low) / (high - low) if high > low else 0.5
    found = _inside(middle - share * span, span, ends)
    return found and _back(found, log=log)


def moved(shown: Range, whole: Range, share: float, *, log: bool = False) -> Range | None:
    """The range moved right by a share of its length, as far as the whole goes; None where it is that."""
    (low, high), ends = _measure(shown, log=log), _measure(whole, log=log)
    found = _inside(low + share * (high - low), high - low, ends)
    return found and _back(found, log=log)


def between(one: float, other: float, whole: Range, *, log: bool = False) -> Range | None:
    """The range from one place to another, at least the smallest; None where it is the whole."""
    (low, high), ends = _measure((min(one, other), max(one, other)), log=log), _measure(whole, log=log)
    span = max(high - low, (ends[1] - ends[0]) * SMALLEST)
    found = _inside(low, span, ends)
    return found and _back(found, log=log)


def recalled(zooms: Iterable[str], name: str, axis: str) -> Range | None:
    """The zoom that is remembered for these charts on this axis, if any."""
    for entry in zooms:
        match entry.split(" "):
            case [who, what, low, high] if (who, what) == (name, axis):
                try:
                    found = float(low), float(high)
                except ValueError:
                    return None
                return found if all(map(math.isfinite, found)) and found[0] < found[1] else None
    return None


def remembered(zooms: Iterable[str], name: str, axis: str, zoom: Range | None) -> tuple[str, ...]:
    """The memory with this zoom in it, or without one for these charts on this axis."""
    others = [entry for entry in zooms if entry.split(" ")[:2] != [name, axis]]
    if zoom is not None:
        others.append(f"{name} {axis} {zoom[0]!r} {zoom[1]!r}")
    return tuple(others[-REMEMBERED:])
