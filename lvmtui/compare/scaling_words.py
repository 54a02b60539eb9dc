"""What context length does, in words: is there a slope, and what keeps the answer from meaning much. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from lvmtui.audit_view import LAG_CURVE
from lvmtui.checks.comparing import LEAST_SEEDS
from lvmtui.compare.contest import Measure, SeedScore, SeedTest
from lvmtui.compare.scaling import How, Point, Scaling, Series, Slope, differing_fields
from lvmtui.compare.words import Said, Tone, around, change, change_around, margin
from lvmtui.findings import Finding
from lvmtui.format import counted, p_value, percent, plain, thousands
from lvmtui.leaderboard.seeds import seeds_words

MOST_FIELDS = 4
"""Fields that are named; of others only the number."""

CRUDE = 10
"""Times that a pool shrinks from which on an estimate without ranks is 8 to 14 points too low for good
predictors (`lvmtui.legacy.estimate_hit`)."""


def horizon_of(findings: Sequence[Finding], contexts: Sequence[int]) -> tuple[str, int | None]:
    """What the audit of the data says of how far back they have signal, and the last lag where they have.

    Args:
        findings: every outcome of the newest audit of the data.
        contexts: those that are shown.
    """
    found = next((item for item in findings if item.check == LAG_CURVE), None)
    lags = found.evidence.get("lags") if found else None
    if found is None or not isinstance(lags, Sequence) or not lags:
        return "", None
    horizon = found.evidence.get("horizon")
    if not isinstance(horizon, int):
        return "Lag curve: neighbours are no more alike than chance, so context carries nothing.", 0
    if horizon >= lags[-1]:
        return f"Lag curve: vectors are alike at every lag measured, up to {thousands(lags[-1])}.", None
    beyond = [thousands(context) for context in sorted(set(contexts)) if context > horizon]
    said = f"Lag curve: context beyond lag {thousands(horizon)} carries nothing"
    if beyond:
        said += f", so {', '.join(beyond)} {'has' if len(beyond) == 1 else 'have'} nothing more to use"
    return f"{said}.", horizon


def heading(series: Series, measure: Measure, pool: int | None) -> str:
    """What is drawn, in a line."""
    how = "as judged" if pool is None else f"on a pool of {thousands(pool)}"
    return f"{measure.name} by context, {how}: {series.name}"


def slope_said(series: Series, measure: Measure) -> Said | None:
    """Whether there is a slope; None where the scores cannot be compared, or there are none."""
    line, slope = [point for point in series.line if point.is_known], series.slope
    if len(line) == 1:
        only = thousands(line[0].context)
        return Said(
            "?", f"One context only, {only}: runs of other contexts show what length does.", Tone.NONE
        )
    if slope is None:
        return None
    test = slope.tests[measure.key]
    ends = f"{measure.name} at {thousands(slope.last.context)} against {thousands(slope.first.context)}"
    figures = f"{ends} is {_figures(test, measure)}, {_basis(slope)}"
    if test.interval is None:
        return Said("?", f"No verdict: {figures}; its chance is not known.", Tone.NONE)
    if test.interval.low <= 0 <= test.interval.high:
        more = "" if slope.enough or not slope.paired else f" {LEAST_SEEDS} seeds each would say more."
        return Said("≈", f"No gain from context shown: {figures}.{more}", Tone.UNSURE)
    if slope.paired and test.overlap and not slope.enough:
        verdict = f"No verdict on fewer than {LEAST_SEEDS} seeds, as the intervals overlap"
        return Said("?", f"{verdict}: {figures}.", Tone.NONE)
    if test.difference > 0:
        return Said("▲", f"A gain from context: {figures}.", Tone.GOOD)
    return Said("▼", f"No gain from context: a loss. {figures}.", Tone.BAD)


def _figures(test: SeedTest, measure: Measure) -> str:
    said = change(measure, test.difference)
    if test.interval is not None:
        said += f" {change_around(measure, test.interval)}"
    return f"{said}, {p_value(test.p)}" if test.p is not None else said


def _basis(slope: Slope) -> str:
    last, first = slope.seeds
    if slope.paired:
        seeds = f"{seeds_words(last)} each" if last == first else f"{last} and {seeds_words(first)}"
        return f"paired over the same {thousands(slope.first.n)} queries, {seeds}"
    if How.ESTIMATED in {slope.last.how, slope.first.how}:
        return "an estimate, other queries; the interval has chance only"
    return "other queries, so not paired"


def pool_words(series: Series, measure: Measure) -> str:
    """What unequal pools do to the scores; empty where the line's points were judged in equal ones."""
    line = [point for point in series.line if point.is_known]
    pools = [point.own_pool for point in line]
    if len(set(pools)) < 2:
        if len({point.protocol_id for point in line}) > 1 and not series.moved:
            return "Not comparable: each context was judged by rules of its own."
        return ""
    ends = f"from {thousands(pools[0])} to {thousands(pools[-1])} as the context grows"
    shrinks = all(a >= b for a, b in pairwise(pools))
    grows = all(a <= b for a, b in pairwise(pools))
    how = f"shrinks {ends}" if shrinks else f"grows {ends}" if grows else ""
    if series.moved:
        judged = f"As judged the pool {how}" if how else "As judged the pools differ"
        return f"{judged}; here all scores are on one of {thousands(line[0].pool)}."
    if not how:
        return f"Not comparable: pools differ ({', '.join(map(thousands, pools))})."
    rises = line[-1].judged[measure.key] > line[0].judged[measure.key]
    if shrinks == rises:
        return f"Not comparable: the pool {how}: the {'rise' if rises else 'fall'} shows nothing by itself."
    moves, alone = ("rise", "lower") if rises else ("fall", "raise")
    return f"Not comparable: the pool {how}, which alone would {alone} scores; and yet they {moves}."


def estimate_words(series: Series) -> str:
    """What scores on another pool are worth; empty where they are as judged."""
    found = {point.how for point in series.line}
    if How.ESTIMATED in found:
        known = [point for point in series.line if point.how is How.ESTIMATED]
        crude = any(point.own_pool >= CRUDE * point.pool for point in known)
        much = " and, from a pool ten times as large, up to 14 points too low" if crude else ""
        return f"Estimates from Hit@1/5/10 alone: without ranks they are rough{much}."
    if How.FORECAST in found:
        return "Estimates: a pool larger than a query had is a forecast, a few points too high as a rule."
    if How.RANKS in found:
        other = "; queries of different protocols remain different" if _protocols(series) > 1 else ""
        return f"Estimates in closed form from the stored ranks{other}."
    return ""


def _protocols(series: Series) -> int:
    return len({point.protocol_id for point in series.line})


def recipe_words(series: Series) -> str:
    """In what but context the line's recipes differ, and what else there is of a context."""
    said = []
    fields = differing_fields(series.line)
    if fields:
        more = len(fields) - MOST_FIELDS
        named = ", ".join(map(plain, fields[:MOST_FIELDS])) + (f" and {more} more" if more > 0 else "")
        said.append(f"Recipes differ in more than context: {named}.")
    several = {point.context for point in series.points if point not in series.line}
    if several:
        at = ", ".join(thousands(context) for context in sorted(several)[:4])
        at += " …" if len(several) > 4 else ""
        rule = "with most seeds" if any(point.run_ids for point in series.points) else "that scored highest"
        said.append(f"Several recipes at {at}: the line takes the one {rule}.")
    return " ".join(said)


def seed_words(series: Series) -> str:
    """How the seeds of a point were put together; empty for published scores."""
    line = [point for point in series.line if point.run_ids]
    if not line:
        return ""
    few = min(point.seeds for point in line)
    if max(point.seeds for point in line) == 1:
        return "One seed each: what another seed would score is not known."
    said = "Mean ± sd over seeds; intervals of the mean by bootstrap over documents"
    return f"{said}." if few > 1 else f"{said}; a single seed has no sd."


def sentences(scaling: Scaling, measure: Measure) -> Iterator[str]:
    """All that stands below the numbers, but the verdicts on slopes."""
    several = len(scaling.series) > 1
    for series in scaling.series:
        head = f"{plain(series.name)}: " if several else ""
        for said in (
            pool_words(series, measure),
            estimate_words(series),
            series.horizon,
            recipe_words(series),
            seed_words(series),
        ):
            if said:
                yield f"{head}{said}"
    yield from scaling.notes


def spread(score: SeedScore, measure: Measure) -> str:
    """`±0.3`, the standard deviation over seeds; empty for one seed."""
    return margin(measure, score.sd) if score.sd is not None else ""


def interval_words(score: SeedScore, measure: Measure) -> str:
    """`[28.1, 31.4]`; empty where it is not known."""
    return around(measure, score.interval)


def gain_words(point: Point, measure: Measure, *, wide: bool = True) -> str:
    """`+0.6 [+0.1, +1.1]` over the baseline; empty where there is none."""
    test = point.gains.get(measure.key)
    if test is None:
        return ""
    said = change(measure, test.difference)
    bounds = f" {change_around(measure, test.interval)}" if wide and test.interval else ""
    return f"{said}{bounds}"


def gain_said(point: Point, measure: Measure) -> Said:
    """A point beside its baseline."""
    test = point.gains.get(measure.key)
    if test is None:
        return Said("", "", Tone.NONE)
    if test.interval is None:
        return Said("?", "its chance is not known", Tone.NONE)
    if test.interval.low > 0:
        return Said("↑", "above it", Tone.GOOD)
    if test.interval.high < 0:
        return Said("▼", "below it", Tone.BAD)
    return Said("≈", "within noise of it", Tone.UNSURE)


def baseline_words(point: Point, measure: Measure) -> str:
    """`29.8 ewm-whitened`; empty where none is stored."""
    best = point.baseline
    return f"{percent(best.scores[measure.key].value)} {plain(best.name)}" if best else ""


def runs_words(point: Point) -> str:
    """The point's runs, and those that do not count."""
    if not point.repeated:
        return plain(point.name)
    return f"{plain(point.name)} ({counted(len(point.repeated), 'repeat')} left out)"
