"""Scaling of a store's runs: the seeds of each recipe together, beside the best baseline of their context.

Runs of one protocol answer the same queries, so what differs is paired. Windows of several lengths
(`window-v0`) are other queries in another pool at each length: a series of several protocols, whose scores
compare only once they are put on one pool. numpy is imported when it is needed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lvmtui.checks.comparing import LEAST_SEEDS
from lvmtui.compare.contest import Contender, Score, SeedScore, SeedTest
from lvmtui.compare.query_scores import QueryScores
from lvmtui.compare.scaling import (
    HITS,
    SMALLEST,
    Baseline,
    Point,
    Scaling,
    Series,
    overlap,
    put_together,
    with_slope,
)
from lvmtui.compare.scaling_words import horizon_of
from lvmtui.compare.seed_tests import compare_seeds
from lvmtui.errors import UsageError
from lvmtui.findings import Finding
from lvmtui.format import plain, thousands
from lvmtui.leaderboard.equating import LEAST_POOL, Judged, judged_of
from lvmtui.leaderboard.protocols import difference
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Evaluation, Interval, Protocol, Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lvmtui.store.reader import Reader

    Floats = NDArray[np.float64]

COLUMNS_AT_ONCE = 240
"""Scores that are resampled together: their resamples take 20 MB."""

PUBLISHED_POOL = 115
"""Candidates behind the highest published score: what runs of one protocol are put on unless told."""

_LEGACY = "window-v0"
"""The protocol that leaks."""

KEYS = tuple(measure.key for measure in HITS)


@dataclass(frozen=True, slots=True)
class Known:
    """What a store knows of one protocol."""

    protocol: Protocol | None
    baselines: Sequence[Evaluation]
    """Ranks included."""
    judged: Judged | None
    """Its queries' candidates and documents."""


@dataclass(frozen=True, slots=True)
class _Rival:
    """A baseline on the pool."""

    baseline: Baseline
    rows: Floats | None
    """(n, 3), query by query; None without ranks."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A point, and its scores query by query."""

    point: Point
    seeds: tuple[Floats, ...]
    """(n, 3) of each seed, in the order of `HITS`; none without ranks."""
    baseline: Floats | None
    """(n, 3)."""


def read_scaling(
    reader: Reader, runs: Sequence[Run], *, pool: int | None = None, protocol: str = ""
) -> Scaling:
    """`scaling_of` for runs of a store.

    Raises:
        StoreError: the store cannot be read, or stored ranks are damaged.
    """
    from lvmtui.audits import EVENT_KINDS, Audits

    contenders = [Contender(run, best) for run in runs if (best := reader.best_evaluation(run)) is not None]
    judged = {item.evaluation.protocol_id for item in contenders}
    protocols = {item.id: item for item in reader.protocols() if item.id in judged}
    known = {
        key: Known(
            protocols.get(key),
            [item for item in reader.baselines(key) if item.split == "validation"],
            judged_of(reader, protocols[key]) if key in protocols else None,
        )
        for key in judged
    }
    audits = Audits()
    audits.add(reader.events_of_kind(*EVENT_KINDS))
    return scaling_of(runs, contenders, known, audits.data, pool=pool, protocol=protocol)


def scaling_of(
    runs: Sequence[Run],
    contenders: Sequence[Contender],
    known: Mapping[str, Known],
    audits: Mapping[str, Sequence[Finding]],
    *,
    pool: int | None = None,
    protocol: str = "",
) -> Scaling:
    """Group runs by context length.

    Args:
        runs: all that were asked for.
        contenders: those that have been evaluated.
        known: protocol id -> what is known of it.
        audits: data fingerprint -> its newest audit.
        pool: candidates to put every score on; `SMALLEST`; None: as judged, and then only the series with
            most runs, one of the legacy protocol only if there is no other.
        protocol: id (or its beginning) or name of the only protocol to show.

    Raises:
        UsageError: a pool that says nothing, or a protocol that no run was judged by.
        StoreCorrupt: stored ranks are damaged.
    """
    judged = {item.run.id for item in contenders}
    notes = [f"{plain(run.name)} has no evaluation yet." for run in runs if run.id not in judged]
    if len(notes) > 3:
        notes = [f"{thousands(len(notes))} runs have no evaluation yet."]
    chosen = [item for item in contenders if _fits(item.evaluation.protocol_id, known, protocol)]
    if contenders and not chosen:
        names = ", ".join(sorted(_protocol_name(key, item) for key, item in known.items()))
        raise UsageError(f"none of these runs was judged by {protocol!r}", f"There are: {names}.")
    families: dict[str, list[Contender]] = {}
    for item in chosen:
        families.setdefault(_family(item, known), []).append(item)
    names_in_order = sorted(families, key=lambda name: (_leaks(name), -len(families[name])))
    ordered = [families[name] for name in names_in_order]
    put_on = _put_on(pool, [item for items in ordered for item in items], known)
    if put_on is None:
        notes += [_left_out(items, ordered[0], known) for items in ordered[1:]]
        ordered = ordered[:1]
    notes += _unfinished([item.run for items in ordered for item in items])
    series = [_series_of(items, known, audits, put_on, notes) for items in ordered]
    return Scaling(tuple(item for item in series if item.points), put_on, tuple(notes))


def _unfinished(runs: Sequence[Run]) -> list[str]:
    names = [plain(run.name) for run in runs if run.result not in {Result.COMPLETED, Result.EARLY_STOPPED}]
    if not names:
        return []
    said = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return [f"Not trained to the end, so perhaps better than shown: {said}."]


def _put_on(pool: int | None, items: Sequence[Contender], known: Mapping[str, Known]) -> int | None:
    """
    Raises:
        UsageError: the pool says nothing.
    """
    if pool is None or not items:
        return None
    put_on = pool
    if pool == SMALLEST:
        judged = {item.evaluation.protocol_id for item in items}
        fewest = [int(found.candidates.min()) for key in judged if (found := known[key].judged) is not None]
        put_on = min([*fewest, *([PUBLISHED_POOL] if len(judged) == 1 else [])], default=PUBLISHED_POOL)
    if put_on < LEAST_POOL:
        raise UsageError(
            f"a pool of {put_on} says nothing: Hit@10 is 100 % whatever is predicted",
            f"Choose {LEAST_POOL} or more.",
        )
    return put_on


def _fits(protocol_id: str, known: Mapping[str, Known], wanted: str) -> bool:
    about = known[protocol_id].protocol if protocol_id in known else None
    return not wanted or protocol_id.startswith(wanted) or (about is not None and about.name == wanted)


def _protocol_name(protocol_id: str, known: Known) -> str:
    return f"{known.protocol.name} {protocol_id}" if known.protocol else protocol_id


def _family(item: Contender, known: Mapping[str, Known]) -> str:
    """What keeps series apart: the protocol, or of windows, whose protocol changes with the context, data
    and split."""
    protocol_id = item.evaluation.protocol_id
    protocol = known[protocol_id].protocol if protocol_id in known else None
    if protocol is None or protocol.name != _LEGACY:
        return protocol_id
    return f"{protocol.name}:{protocol.data_fingerprint}:{protocol.split}"


def _leaks(family: str) -> bool:
    return family.startswith(f"{_LEGACY}:")


def _left_out(items: Sequence[Contender], shown: Sequence[Contender], known: Mapping[str, Known]) -> str:
    names = [plain(item.run.name) for item in items]
    said = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    here, there = (known[group[0].evaluation.protocol_id].protocol for group in (items, shown))
    why = difference(here, there).replace(
        "Not comparable with the first group", "not comparable with the others"
    )
    return f"Left out: {said}, {why}" if why else f"Left out: {said}."


def _series_of(
    items: Sequence[Contender],
    known: Mapping[str, Known],
    audits: Mapping[str, Sequence[Finding]],
    pool: int | None,
    notes: list[str],
) -> Series:
    by_protocol: dict[str, list[Contender]] = {}
    for item in items:
        by_protocol.setdefault(item.evaluation.protocol_id, []).append(item)
    drawn: dict[str, _Drawn] = {}
    for key, members in by_protocol.items():
        made, unknown = _of_protocol(members, known[key], pool)
        drawn |= {item.point.key: item for item in made}
        if unknown:
            names = ", ".join(plain(name) for name in unknown[:3]) + (" …" if len(unknown) > 3 else "")
            notes.append(
                f"Left out: {names}: ranks or candidates are not stored or do not fit, so no pool can be "
                "equated."
            )
    newest = max(items, key=_age)
    about = known[newest.evaluation.protocol_id].protocol
    data = about.data_fingerprint if about else newest.run.data_fingerprint or ""
    name = f"{about.name if about else 'unknown protocol'} on {plain(newest.run.data)}"
    series = put_together(name, [item.point for item in drawn.values()], data=data)
    said, reach = horizon_of(audits.get(data, ()), series.contexts)
    series = replace(series, horizon=said, reach=reach)
    line = series.line
    if len(line) < 2:
        return series
    return with_slope(series, _paired(drawn[line[-1].key], drawn[line[0].key], known))


def _of_protocol(
    members: Sequence[Contender], known: Known, pool: int | None
) -> tuple[list[_Drawn], list[str]]:
    """The points of one protocol, and the names of runs that cannot be put on the pool."""
    cut = QueryScores(known.judged, pool, [*known.baselines, *(item.evaluation for item in members)])
    baselines = [_rival(item, cut) for item in known.baselines]
    by_recipe: dict[tuple[int, str], list[Contender]] = {}
    unknown = []
    for item in members:
        if pool is not None and cut(item.evaluation) is None:
            unknown.append(item.run.name)
            continue
        by_recipe.setdefault((item.run.context, item.run.recipe_hash), []).append(item)
    drawn = [_drawn(runs, baselines, cut) for runs in by_recipe.values()]
    return _resampled(drawn, known.judged), unknown


def _age(item: Contender) -> tuple[float, int]:
    """What puts runs of several stores in order, the oldest first."""
    return item.run.created, item.run.id


def _drawn(runs: Sequence[Contender], baselines: Sequence[_Rival], cut: QueryScores) -> _Drawn:
    """The seeds of a recipe together; intervals are still those of the evaluations."""
    ordered = sorted(runs, key=_age)
    counting = sorted({item.run.seed: item for item in ordered}.values(), key=_age)
    ids = tuple(item.run.id for item in counting)
    seeds = tuple(table for item in counting if (table := cut(item.evaluation)) is not None)
    seeds = seeds if len(seeds) == len(counting) else ()
    newest = counting[-1]
    best = _strongest(baselines, newest.run.context)
    first = newest.evaluation
    point = Point(
        name=f"{newest.run.phase} {' '.join(item.run.label for item in counting)}",
        context=newest.run.context,
        protocol_id=first.protocol_id,
        n=first.n,
        own_pool=first.pool,
        pool=first.pool if cut.pool is None else cut.pool,
        how=cut.how,
        scores={key: _score(counting, seeds, place, key) for place, key in enumerate(KEYS)},
        judged={key: statistics.fmean(getattr(item.evaluation, key) for item in counting) for key in KEYS},
        run_ids=ids,
        repeated=tuple(item.run.id for item in ordered if item.run.id not in ids),
        seeds=len(counting),
        baseline=best.baseline if best else None,
        recipe=newest.run.recipe,
        recipe_hash=newest.run.recipe_hash,
    )
    return _Drawn(point, seeds, best.rows if best else None)


def _score(counting: Sequence[Contender], seeds: Sequence[Floats], place: int, key: str) -> SeedScore:
    if seeds:
        values = [float(table[:, place].mean()) for table in seeds]
    else:
        values = [float(getattr(item.evaluation, key)) for item in counting]
    bounds = [getattr(item.evaluation, f"{key}_interval") for item in counting]
    around = None
    if all(item is not None for item in bounds):
        low, high = (statistics.fmean(ends) for ends in zip(*((b.low, b.high) for b in bounds), strict=True))
        around = Interval(low, high)
    return SeedScore(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, around)


def _rival(item: Evaluation, cut: QueryScores) -> _Rival:
    rows, as_judged = cut(item), cut.pool is None
    if rows is not None:
        means = rows.mean(axis=0).tolist()
    else:
        means = [getattr(item, key) if as_judged else math.nan for key in KEYS]
    bounds = [getattr(item, f"{key}_interval") if as_judged else None for key in KEYS]
    scores = {key: Score(*pair) for key, *pair in zip(KEYS, means, bounds, strict=True)}
    return _Rival(Baseline(item.baseline or "baseline", item.context, scores), rows)


def _strongest(baselines: Sequence[_Rival], context: int) -> _Rival | None:
    """The strongest by Hit@5 that looks at no more than this context."""
    found = [
        item
        for item in baselines
        if item.baseline.context <= context and math.isfinite(item.baseline.scores["hit5"].value)
    ]
    return max(found, key=lambda item: item.baseline.scores["hit5"].value, default=None)


def _resampled(drawn: Sequence[_Drawn], judged: Judged | None) -> list[_Drawn]:
    """The points with intervals of the mean over seeds, and of the gain over their baseline."""
    import numpy as np

    from lvmtui import stats

    if judged is None or len(np.unique(judged.groups)) < 2:
        return [_with_bare_gain(item) for item in drawn]
    done = []
    step = COLUMNS_AT_ONCE // (2 * len(KEYS))
    for start in range(0, len(drawn), step):
        part = drawn[start : start + step]
        known = [item for item in part if item.seeds]
        means = [np.mean(item.seeds, axis=0) for item in known]
        bounds = iter(stats.bootstrap_intervals(np.hstack(means), judged.groups) if means else ())
        gains = [
            mean - item.baseline for item, mean in zip(known, means, strict=True) if item.baseline is not None
        ]
        zero = np.zeros(len(judged.groups))
        tests = iter(stats.paired_bootstraps(zero, -np.hstack(gains), judged.groups) if gains else ())
        for item in part:
            made = item
            if item.seeds:
                around = {key: replace(item.point.scores[key], interval=next(bounds)) for key in KEYS}
                made = replace(item, point=replace(item.point, scores=around))
            made = _with_bare_gain(made)
            if item.seeds and item.baseline is not None:
                sure = {key: _sure(made.point.gains[key], next(tests)) for key in KEYS}
                made = replace(made, point=replace(made.point, gains=sure))
            done.append(made)
    return done


def _sure(bare: SeedTest, found: object) -> SeedTest:
    from lvmtui.stats import Comparison

    assert isinstance(found, Comparison)
    return replace(bare, difference=found.difference, interval=found.interval, p=found.p)


def _with_bare_gain(item: _Drawn) -> _Drawn:
    """The gain over the baseline without its chance."""
    point = item.point
    if point.baseline is None:
        return item
    gains = {}
    for key in KEYS:
        ours, theirs = point.scores[key], point.baseline.scores[key]
        gains[key] = SeedTest(ours.mean - theirs.value, overlap(ours.interval, theirs.interval))
    return replace(item, point=replace(point, gains=gains))


def _paired(last: _Drawn, first: _Drawn, known: Mapping[str, Known]) -> dict[str, SeedTest] | None:
    """Longest minus shortest over the same queries; None where the queries differ or are not known."""
    import numpy as np

    from lvmtui import stats

    judged = known[first.point.protocol_id].judged
    if first.point.protocol_id != last.point.protocol_id or judged is None:
        return None
    if not first.seeds or not last.seeds or len(np.unique(judged.groups)) < 2:
        return None
    tests = {}
    for place, key in enumerate(KEYS):
        ours, theirs = ([table[:, place] for table in item.seeds] for item in (last, first))
        both = overlap(last.point.scores[key].interval, first.point.scores[key].interval)
        means = np.mean(ours, axis=0), np.mean(theirs, axis=0)
        bare = SeedTest(float(means[0].mean() - means[1].mean()), both)
        if min(len(ours), len(theirs)) >= LEAST_SEEDS:
            found = compare_seeds(ours, theirs, judged.groups)
        else:
            paired = stats.paired_bootstrap(*means, judged.groups)
            found = paired.interval, paired.p
        tests[key] = bare if found is None else SeedTest(bare.difference, both, *found)
    return tests
