"""What context length does to Hit@K: points, lines, and whether there is a slope. Pure records.

`lvmtui.compare.judged_scaling` makes them of runs in a store, `lvmtui.compare.published_scaling` of scores
without ranks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from lvmtui.checks.comparing import LEAST_SEEDS
from lvmtui.compare.contest import Measure, Score, SeedScore, SeedTest
from lvmtui.store.records import Interval

HITS = (Measure(5), Measure(10), Measure(1))
"""What is shown, the first at first."""

SMALLEST = 0
"""As a pool: the fewest candidates that any of the queries had."""


class How(StrEnum):
    """Where the scores of a point come from."""

    JUDGED = "as judged"
    RANKS = "equated from ranks"
    FORECAST = "forecast: a pool larger than a query had"
    ESTIMATED = "estimated from Hit@1/5/10"
    UNKNOWN = "not known on this pool"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The strongest baseline, by Hit@5, that looks at no more than a point's context."""

    name: str
    context: int
    scores: Mapping[str, Score]
    """By the measure's key, on the point's pool."""


@dataclass(frozen=True, slots=True)
class Point:
    """The seeds of one recipe at one context length."""

    name: str
    """`phase-1 #4 #5 #6`."""
    context: int
    protocol_id: str
    """Empty where it is not known."""
    n: int
    own_pool: int
    """Candidates that it was judged with."""
    pool: int
    """Candidates that `scores` are for."""
    how: How
    scores: Mapping[str, SeedScore]
    """By the measure's key; NaN where they cannot be known. The interval is that of the mean over seeds, by
    bootstrap over documents."""
    judged: Mapping[str, float]
    """The same, as judged."""
    run_ids: tuple[int, ...] = ()
    """The runs that count, oldest first: of several with one seed the newest."""
    repeated: tuple[int, ...] = ()
    """Runs that do not count."""
    seeds: int = 1
    baseline: Baseline | None = None
    gains: Mapping[str, SeedTest] = field(default_factory=dict)
    """Above `baseline` over the same queries, by the measure's key; empty where there is none."""
    possible: Mapping[str, Interval] = field(default_factory=dict)
    """What Hit@1/5/10 leave open, where that is all that is known."""
    recipe: str = ""
    """As the store keeps it; empty for a published score."""
    recipe_hash: str = ""

    @property
    def key(self) -> str:
        """Tells points apart."""
        return f"{self.context}:{self.protocol_id}:{self.recipe_hash or self.name}"

    @property
    def is_known(self) -> bool:
        """Whether it has scores on its pool."""
        return self.how is not How.UNKNOWN


@dataclass(frozen=True, slots=True)
class Slope:
    """The longest context of a line against the shortest."""

    first: Point
    last: Point
    paired: bool
    """Over the same queries."""
    tests: Mapping[str, SeedTest]
    """Longest minus shortest, by the measure's key; without an interval where it cannot be told."""

    @property
    def seeds(self) -> tuple[int, int]:
        """Of the longest, of the shortest."""
        return self.last.seeds, self.first.seeds

    @property
    def enough(self) -> bool:
        """Whether there are seeds enough for a verdict though intervals overlap."""
        return min(self.seeds) >= LEAST_SEEDS


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together: of one protocol, or of windows of several lengths."""

    name: str
    """`doc-v1 on demo`."""
    points: tuple[Point, ...]
    """Shortest context first; those of one context, the line's first."""
    data: str = ""
    """Fingerprint."""
    slope: Slope | None = None
    """None with fewer than two known points on the line."""
    horizon: str = ""
    """What the audit says of how far back the data have signal, in a sentence."""
    reach: int | None = None
    """The last lag at which they have; None where that is not known, or beyond what was measured."""

    @property
    def line(self) -> tuple[Point, ...]:
        """One point a context."""
        return line_of(self.points)

    @property
    def contexts(self) -> tuple[int, ...]:
        """Shortest first."""
        return tuple(point.context for point in self.line)

    @property
    def own_pools(self) -> tuple[int, ...]:
        """Of the line, shortest context first."""
        return tuple(point.own_pool for point in self.line)

    @property
    def comparable(self) -> bool:
        """Whether the line's points may be joined: one protocol, or one pool."""
        line = [point for point in self.line if point.is_known]
        one_protocol = len({point.protocol_id for point in line}) == 1 and bool(line[0].protocol_id)
        return one_protocol or len({point.pool for point in line}) == 1

    @property
    def moved(self) -> bool:
        """Whether any score is not what was judged."""
        return any(point.how not in {How.JUDGED, How.UNKNOWN} for point in self.points)


@dataclass(frozen=True, slots=True)
class Scaling:
    """What context length does."""

    series: tuple[Series, ...] = ()
    """Most points first."""
    pool: int | None = None
    """What scores were put on; None: as judged."""
    notes: tuple[str, ...] = ()
    """What was left out and why, in sentences."""

    @property
    def points(self) -> tuple[Point, ...]:
        """All of them."""
        return tuple(point for item in self.series for point in item.points)


def line_of(points: Iterable[Point]) -> tuple[Point, ...]:
    """The first point of each context."""
    first: dict[int, Point] = {}
    for point in points:
        first.setdefault(point.context, point)
    return tuple(first.values())


def put_together(name: str, points: Sequence[Point], *, data: str = "", best: bool = False) -> Series:
    """Points as a series without a slope.

    Args:
        best: of several points of one context the line takes that with the highest Hit@5 as judged;
            otherwise that with most seeds, then the newest, whatever it scored.
    """

    def order(point: Point) -> tuple[Any, ...]:
        preferred = (-point.judged["hit5"],) if best else (-point.seeds, -max(point.run_ids, default=0))
        return (point.context, *preferred, point.name)

    return Series(name, tuple(sorted(points, key=order)), data)


def with_slope(series: Series, paired: Mapping[str, SeedTest] | None = None) -> Series:
    """The series with its slope.

    Args:
        paired: longest minus shortest over the same queries; None: taken from the points' own intervals,
            which takes them as independent.
    """
    line = [point for point in series.line if point.is_known]
    if len(line) < 2 or not series.comparable:
        return series
    first, last = line[0], line[-1]
    if paired is not None:
        return replace(series, slope=Slope(first, last, True, paired))
    tests = {item.key: unpaired(last.scores[item.key], first.scores[item.key]) for item in HITS}
    return replace(series, slope=Slope(first, last, False, tests))


def unpaired(one: SeedScore, other: SeedScore) -> SeedTest:
    """The difference of two scores of different queries, its interval by squaring and adding the distances
    to the ends of theirs (Newcombe, Statistics in Medicine 17, 1998, method 10)."""
    difference = one.mean - other.mean
    a, b = one.interval, other.interval
    if a is None or b is None or not math.isfinite(difference):
        return SeedTest(difference, True)
    low = difference - math.hypot(one.mean - a.low, b.high - other.mean)
    high = difference + math.hypot(a.high - one.mean, other.mean - b.low)
    return SeedTest(difference, overlap(a, b), Interval(low, high))


def overlap(one: Interval | None, other: Interval | None) -> bool:
    """Whether two intervals do; those that are not known may."""
    return one is None or other is None or (one.low <= other.high and other.low <= one.high)


def differing_fields(points: Sequence[Point]) -> tuple[str, ...]:
    """Fields, context and name aside, in which the points' recipes differ, in the order of their names."""
    recipes = [_flat(point.recipe) for point in points if point.recipe]
    keys = sorted({key for recipe in recipes for key in recipe})
    return tuple(key for key in keys if len({repr(recipe.get(key)) for recipe in recipes}) > 1)


_LOSE = ("published.", "targets.")
_APART = {"data.context", "name", "description", "train.seed"}


def _flat(recipe: str) -> dict[str, Any]:
    try:
        content = json.loads(recipe)
    except ValueError:
        return {}
    flat: dict[str, Any] = {}
    for section, fields in content.items() if isinstance(content, dict) else ():
        values = fields if isinstance(fields, dict) else {"": fields}
        flat |= {f"{section}.{field}".rstrip("."): value for field, value in values.items()}
    return {key: value for key, value in flat.items() if key not in _APART and not key.startswith(_LOSE)}
