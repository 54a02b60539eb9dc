"""Scaling of scores without ranks: what recipes say was published, and published training histories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui.compare.contest import SeedScore
from lvmtui.compare.scaling import HITS, SMALLEST, How, Point, Scaling, put_together, with_slope
from lvmtui.errors import DataError, LvmtuiError, UsageError
from lvmtui.format import thousands
from lvmtui.leaderboard.equating import LEAST_POOL
from lvmtui.store.records import Interval

if TYPE_CHECKING:
    from lvmtui.recipe import Recipe

DIGITS = 4
"""Behind the point, that published fractions were rounded to."""


@dataclass(frozen=True, slots=True)
class Published:
    """Scores of one source at one context; the queries were the candidates."""

    name: str
    context: int
    hits: Mapping[int, float]
    """K -> Hit@K, fractions, for 1, 5 and 10."""
    pool: int


def published_by_phases() -> list[Published]:
    """What the recipes' `[published]` sections say, shipped and own ones; equal scores once, under the
    shortest of their names. Recipes that are wrong or say nothing are passed over. Imports pydantic."""
    from lvmtui import recipe as recipes

    found: dict[tuple[object, ...], list[Published]] = {}
    for path in recipes.recipe_files().values():
        try:
            item = _published(recipes.load_file(path))
        except LvmtuiError:
            continue
        if item is not None:
            key = (item.context, item.pool, *item.hits.values())
            found.setdefault(key, []).append(item)
    return [min(items, key=lambda item: (len(item.name), item.name)) for items in found.values()]


def _published(recipe: Recipe) -> Published | None:
    from lvmtui.legacy import whole_counts

    said = recipe.published
    if said.hit1 is None or said.hit5 is None or said.hit10 is None or said.pool is None:
        return None
    if not said.hit1 <= said.hit5 <= said.hit10 or said.pool < LEAST_POOL:
        return None
    hits = {1: said.hit1, 5: said.hit5, 10: said.hit10}
    if whole_counts(hits, said.pool, DIGITS):
        hits = {k: round(value * said.pool) / said.pool for k, value in hits.items()}
    return Published(recipe.name, recipe.data.context, hits, said.pool)


def published_by_files(paths: Iterable[Path]) -> tuple[list[Published], list[str]]:
    """Published training histories at their best epochs, and what does not fit together in them. Files that
    only describe data are passed over.

    Raises:
        DataError: a file cannot be read, or does not give away its pool or its context.
    """
    from lvmtui.legacy import History, read_published

    found, notes = [], []
    for path in paths:
        item = read_published(path)
        notes += [f"{item.name}: {text}" for text in item.notes]
        if not isinstance(item, History):
            continue
        if item.queries is None:
            raise DataError(
                f"{item.name} does not give away its number of queries: its scores are no multiples of 1/n",
                "`lvmtui equate --hits` takes scores, n and pool.",
            )
        if item.context is None:
            raise DataError(
                f"{item.name} does not say which context it is of",
                "Its `args` should name it in `output_dir` or `data`, as in `1000ctx`.",
            )
        name = item.name.removesuffix(".json")
        found.append(Published(name, item.context, item.hits, item.queries.n))
        notes.append(f"{item.name}: context {thousands(item.context)}, as its paths say")
    return found, notes


def published_scaling(items: Sequence[Published], name: str, pool: int | None = None) -> Scaling:
    """Scores by context, as judged or put on one pool.

    Args:
        items: in any order.
        name: of the series.
        pool: candidates; `SMALLEST`; None: as judged.

    Raises:
        UsageError: a pool in which Hit@10 says nothing.
    """
    if not items:
        return Scaling()
    put_on = min(item.pool for item in items) if pool == SMALLEST else pool
    if put_on is not None and put_on < LEAST_POOL:
        raise UsageError(
            f"a pool of {put_on} says nothing: Hit@10 is 100 % whatever is predicted",
            f"Choose {LEAST_POOL} or more.",
        )
    points = [_point(item, put_on) for item in items]
    series = put_together(name, points, best=True)
    notes = [
        f"{point.name} is not on a pool of {thousands(put_on)}: its own is smaller, and there are no ranks."
        for point in points
        if not point.is_known
    ]
    return Scaling((with_slope(series),), put_on, tuple(notes))


def _point(item: Published, pool: int | None) -> Point:
    put_on = item.pool if pool is None else pool
    judged = {measure.key: item.hits[measure.k] for measure in HITS}
    how = How.JUDGED if put_on == item.pool else How.ESTIMATED if put_on < item.pool else How.UNKNOWN
    bare = Point(item.name, item.context, "", item.pool, item.pool, put_on, how, {}, judged)
    if how is How.UNKNOWN:
        unknown = SeedScore(math.nan, None, None)
        return replace(bare, scores={measure.key: unknown for measure in HITS})
    scores, possible = _scores(item, put_on)
    return replace(bare, scores=scores, possible=possible)


def _scores(item: Published, pool: int) -> tuple[dict[str, SeedScore], dict[str, Interval]]:
    from lvmtui.legacy import estimate_hit
    from lvmtui.stats import wilson_interval

    scores: dict[str, SeedScore] = {}
    possible: dict[str, Interval] = {}
    for measure in HITS:
        value, low, high = item.hits[measure.k], 0.0, 0.0
        if pool < item.pool:
            value, low, high = estimate_hit(item.hits, item.pool, pool, measure.k)
        bounds = wilson_interval(round(value * item.pool), item.pool)
        scores[measure.key] = SeedScore(value, None, bounds)
        if high - low > 1e-9:
            possible[measure.key] = Interval(low, high)
    return scores, possible


def both(one: Scaling, other: Scaling) -> Scaling:
    """Two scalings as one."""
    return Scaling((*one.series, *other.series), one.pool or other.pool, (*one.notes, *other.notes))
