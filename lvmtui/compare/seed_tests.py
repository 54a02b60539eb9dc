"""Recipes compared over their seeds: a recipe is more than the one model that a seed made of it.

Two things vary by chance: which documents are asked about, and which seed trained. The variance of a
difference of means is taken as the sum of both (Bouthillier and others, "Accounting for Variance in Machine
Learning Benchmarks", MLSys 2021), with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). The
sum counts what seeds and documents do together twice, so it errs on the side of no verdict.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from lvmtui.checks.comparing import LEAST_SEEDS
from lvmtui.compare.contest import Entry, Measure, RecipeTest, SeedGroup, SeedScore, SeedTest
from lvmtui.store.records import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def seed_groups(runs: Sequence[Entry], measures: Sequence[Measure]) -> tuple[SeedGroup, ...]:
    """Runs put together by recipe, in the order in which the recipes come first."""
    by_recipe: dict[str, list[Entry]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe_hash, []).append(run)
    return tuple(_group(members, measures) for members in by_recipe.values())


def _group(members: Sequence[Entry], measures: Sequence[Measure]) -> SeedGroup:
    ordered = sorted(members, key=lambda run: (run.created, run.run_id or 0))
    counting = list({run.seed: run for run in ordered if not run.copy_of}.values())
    counting.sort(key=lambda run: (run.created, run.run_id or 0))
    numbers = " ".join(run.label for run in counting)
    return SeedGroup(
        name=f"{counting[0].phase} {numbers}",
        recipe_hash=counting[0].recipe_hash,
        runs=tuple(counting),
        left_out=tuple(run for run in ordered if run not in counting),
        scores={measure.key: _score(counting, measure.key) for measure in measures},
    )


def _score(runs: Sequence[Entry], key: str) -> SeedScore:
    values = [run.scores[key].value for run in runs]
    bounds = [item for run in runs if (item := run.scores[key].interval) is not None]
    around = None
    if len(bounds) == len(runs):
        low, high = (statistics.fmean(ends) for ends in zip(*((b.low, b.high) for b in bounds), strict=True))
        around = Interval(low, high)
    return SeedScore(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, around)


def recipe_tests(
    groups: Sequence[SeedGroup],
    values: Mapping[str, Floats],
    documents: NDArray[np.uint32],
    measures: Sequence[Measure],
) -> tuple[RecipeTest, ...]:
    """Each two recipes.

    Args:
        groups: in the order in which they are named.
        values: name of a run -> its scores (n, measures).
        documents: (n,) document of each query; empty where that is not known.
        measures: the columns of `values`.
    """
    return tuple(
        RecipeTest(
            first,
            second,
            {
                measure.key: _test(first, second, values, documents, column, measure.key)
                for column, measure in enumerate(measures)
            },
        )
        for first, second in combinations(groups, 2)
    )


def _test(
    first: SeedGroup,
    second: SeedGroup,
    values: Mapping[str, Floats],
    documents: NDArray[np.uint32],
    column: int,
    key: str,
) -> SeedTest:
    one, other = first.scores[key], second.scores[key]
    bare = SeedTest(one.mean - other.mean, _overlap(one.interval, other.interval))
    if min(len(first.runs), len(second.runs)) < LEAST_SEEDS:
        return bare
    ours, theirs = ([values[run.name][:, column] for run in group.runs] for group in (first, second))
    if any(len(column) != len(documents) for column in [*ours, *theirs]) or not len(documents):
        return bare
    found = compare_seeds(ours, theirs, documents)
    return bare if found is None else SeedTest(bare.difference, bare.overlap, *found)


def _overlap(one: Interval | None, other: Interval | None) -> bool:
    return one is None or other is None or (one.low <= other.high and other.low <= one.high)


def compare_seeds(
    first: Sequence[Floats], second: Sequence[Floats], documents: NDArray[np.uint32]
) -> tuple[Interval, float] | None:
    """95 % interval and two-sided p of the difference of two recipes' means.

    Args:
        first: per-query scores (n,) of each seed of the one, two or more.
        second: of the other.
        documents: (n,) document of each query.

    Returns:
        None with a single document.
    """
    import numpy as np

    from lvmtui.stats import CONFIDENCE
    from lvmtui.stats.resampling import group_sums
    from lvmtui.stats.student import NORMAL, normal_from_t, t_from_normal

    gains = np.mean(first, axis=0) - np.mean(second, axis=0)
    difference = float(gains.mean())
    if len(np.unique(documents)) < 2:
        return None
    sums, counts = group_sums(gains[:, None], documents)
    # Variance of a ratio of sums over clusters (Cochran, "Sampling Techniques", 1977, section 6.3).
    clusters = len(counts)
    spread = float(((sums[:, 0] - difference * counts) ** 2).sum())
    parts = [(clusters / (clusters - 1) * spread / len(gains) ** 2, clusters - 1)]
    for seeds in (first, second):
        means = [float(scores.mean()) for scores in seeds]
        parts.append((statistics.variance(means) / len(means), len(means) - 1))
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return Interval(difference, difference), 1.0 if difference == 0 else 0.0
    degrees = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    error = math.sqrt(variance)
    half = t_from_normal(NORMAL.inv_cdf((1 + CONFIDENCE) / 2), degrees) * error
    p = 2 * NORMAL.cdf(-normal_from_t(abs(difference) / error, degrees))
    return Interval(difference - half, difference + half), min(p, 1.0)
