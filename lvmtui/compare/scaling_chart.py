"""The curves of a scaling chart. numpy is imported when there is something to draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from lvmtui.charts.figure import Axes, Look
from lvmtui.compare.contest import Measure
from lvmtui.compare.scaling import HITS, Point, Scaling, Series
from lvmtui.format import plain
from lvmtui.store.records import Interval

if TYPE_CHECKING:
    from lvmtui.charts.figure import Curve

MARGIN = 1.3
"""Factor by which the axis goes on beyond the contexts, so that bars stand free."""

STROKE = 1.03
"""Factor by which the stroke at a score reaches to both sides."""

Drawn = tuple[float, Interval | None]
"""A score and its interval."""


def axes_of(scaling: Scaling) -> Axes:
    """Context on a logarithmic axis, Hit@K in percent."""
    contexts = [point.context for item in scaling.series for point in item.line]
    zoom = (min(contexts) / MARGIN, max(contexts) * MARGIN) if contexts and min(contexts) > 0 else None
    return Axes(x="context", percent=True, from_zero=True, log_x=True, zoom=zoom)


def curves_of(scaling: Scaling, measure: Measure, look: Look) -> tuple[Curve, ...]:
    """The lines with their intervals as bars, the measure on top.

    One series has all of `HITS`, unless its scores were moved from unequal pools: then the measure as judged
    is drawn beside it. Several series have the measure each. Points that do not compare are not joined.
    """
    if len(scaling.series) == 1:
        return tuple(_of_one(scaling.series[0], measure, look))
    return tuple(_of_several(scaling.series, measure, look))


def _of_one(series: Series, measure: Measure, look: Look) -> Iterator[Curve]:
    first = f"@{measure.k}"
    if series.moved and len(set(series.own_pools)) > 1:
        pool = series.line[0].pool
        yield from _line(f"{first} in a pool of {pool}", series, _scored(measure), look.colour(0))
        judged = _curve(f"{first} as judged", series.line, _as_judged(measure), look.colour(1), joined=True)
        yield from judged
    else:
        for place, item in enumerate([measure, *(item for item in HITS if item != measure)]):
            yield from _line(f"@{item.k}", series, _scored(item), look.colour(place))
    yield from _line(f"{first} best baseline", series, _of_baseline(measure), look.level)


def _of_several(series: Sequence[Series], measure: Measure, look: Look) -> Iterator[Curve]:
    for place, item in enumerate(series):
        yield from _line(plain(item.name), item, _scored(measure), look.colour(place))


def _scored(measure: Measure) -> Callable[[Point], Drawn | None]:
    def found(point: Point) -> Drawn | None:
        score = point.scores[measure.key]
        return score.mean, score.interval

    return found


def _as_judged(measure: Measure) -> Callable[[Point], Drawn | None]:
    return lambda point: (point.judged[measure.key], None)


def _of_baseline(measure: Measure) -> Callable[[Point], Drawn | None]:
    return lambda point: (point.baseline.scores[measure.key].value, None) if point.baseline else None


def _line(label: str, series: Series, of: Callable[[Point], Drawn | None], colour: str) -> Iterator[Curve]:
    yield from _curve(label, series.line, of, colour, joined=series.comparable)


def _curve(
    label: str,
    line: Sequence[Point],
    of: Callable[[Point], Drawn | None],
    colour: str,
    *,
    joined: bool,
) -> Iterator[Curve]:
    """One curve; none where there is nothing to draw."""
    import numpy as np

    from lvmtui.charts.figure import Curve

    at: list[float] = []
    value: list[float] = []
    for point in line:
        found = of(point)
        if found is None or not math.isfinite(found[0]):
            continue
        middle, span = found
        if value and not joined:
            at.append(at[-1])
            value.append(math.nan)
        # A short stroke at the score, and from its middle up and down the interval and back.
        ends = [middle, span.low, span.high, middle] if span else [middle]
        at += [point.context / STROKE, *([float(point.context)] * len(ends)), point.context * STROKE]
        value += [middle, *ends, middle]
    if value:
        yield Curve(label, np.array(at), np.array(value), colour)
