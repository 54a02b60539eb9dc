"""What a comparison of runs says, in words. Colour and sign stand beside them; they carry it alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from lvmtui.compare.contest import (
    LEVEL,
    Entry,
    Equated,
    Measure,
    Pair,
    PairTest,
    ProtocolGroup,
    RecipeTest,
    Report,
    Score,
    SeedGroup,
)
from lvmtui.format import counted, interval, p_value, percent, plain, signed, small, thousands
from lvmtui.leaderboard.verdicts import GLYPHS, Verdict
from lvmtui.store.records import Interval


class Tone(Enum):
    """What a verdict's colour is to say."""

    GOOD = "good"
    UNSURE = "unsure"
    BAD = "bad"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict."""

    glyph: str
    words: str
    tone: Tone

    def __str__(self) -> str:
        return f"{self.glyph} {self.words}"


def value(measure: Measure, score: float | None) -> str:
    """A score as its measure is written: `31.4`, `.233`."""
    return percent(score) if measure.k else small(score)


def around(measure: Measure, bounds: Interval | None) -> str:
    """An interval of scores; empty where there is none."""
    if bounds is None:
        return ""
    if measure.k:
        return interval(bounds.low, bounds.high)
    return f"[{small(bounds.low)}, {small(bounds.high)}]"


def scored(measure: Measure, score: Score) -> str:
    """`31.4 [27.9, 35.6]`."""
    return f"{value(measure, score.value)} {around(measure, score.interval)}".rstrip()


def change(measure: Measure, difference: float) -> str:
    """A difference with its sign: in points, `+1.9`; of the MRR, `+.012`."""
    if measure.k:
        return signed(difference)
    text = small(abs(difference))
    return f"{'−' if difference < 0 and text.strip('.0') else '+'}{text}"


def change_around(measure: Measure, bounds: Interval) -> str:
    """The interval of a difference: `[+0.6, +3.1]`."""
    return f"[{change(measure, bounds.low)}, {change(measure, bounds.high)}]"


def margin(measure: Measure, size: float) -> str:
    """A size of differences: `±1.9`."""
    return f"±{change(measure, abs(size))[1:]}"


def mcnemar_words(test: PairTest) -> str:
    """`177 : 66, p<.001`; empty for the MRR."""
    if test.mcnemar is None:
        return ""
    return f"{test.only_first} : {test.only_second}, {p_value(test.mcnemar)}"


def pair_said(pair: Pair, measure: Measure) -> Said:
    """Who beats whom of two runs; the better one stands first."""
    test = pair.tests.get(measure.key)
    if test is None:
        return Said("?", f"not tested: {pair.problem}", Tone.NONE)
    if test.is_clear:
        return Said("▲", "better", Tone.GOOD)
    if test.p < LEVEL:
        return Said("≈", "not told apart once corrected", Tone.UNSURE)
    return Said("≈", "not told apart", Tone.UNSURE)


def pair_sentence(pair: Pair, measure: Measure) -> str:
    """`demo #5 beats demo #1 in Hit@5: +7.1 [+4.9, +9.3], p<.001`; the better one stands first."""
    test = pair.tests.get(measure.key)
    first, second = plain(pair.first.name), plain(pair.second.name)
    if test is None:
        return f"{first} and {second} cannot be tested: {pair.problem}"
    figures = f"{change(measure, test.difference)} {change_around(measure, test.interval)}, {p_value(test.p)}"
    if test.adjusted is not None and test.adjusted != test.p:
        figures += f" ({p_value(test.adjusted)} corrected)"
    if test.is_clear:
        return f"{first} beats {second} in {measure.name}: {figures}"
    return f"{first} and {second} are not told apart in {measure.name}: {figures}"


def against_verdict(pair: Pair, measure: Measure) -> Verdict:
    """What a run's paired difference to a baseline is worth."""
    test = pair.tests.get(measure.key)
    if test is None:
        return Verdict.NONE
    if test.interval.high < 0:
        return Verdict.BELOW
    if test.interval.low > 0:
        return Verdict.ABOVE
    return Verdict.NOISE if test.difference >= 0 else Verdict.UNDER


TONES = {
    Verdict.ABOVE: Tone.GOOD,
    Verdict.NOISE: Tone.UNSURE,
    Verdict.UNDER: Tone.UNSURE,
    Verdict.BELOW: Tone.BAD,
}


def against_said(pair: Pair, measure: Measure) -> Said:
    """A run beside a baseline, which is not always its best one."""
    verdict = against_verdict(pair, measure)
    if verdict is Verdict.NONE:
        return Said(GLYPHS[verdict], f"not tested: {pair.problem}", Tone.NONE)
    words = verdict.value.replace("its baseline", plain(pair.second.name))
    return Said(GLYPHS[verdict], words, TONES[verdict])


def seeds_of(group: SeedGroup) -> str:
    """`3 seeds`, and what does not count."""
    said = counted(len(group.runs), "seed")
    copies = [run for run in group.left_out if run.copy_of]
    repeated = [run for run in group.left_out if not run.copy_of]
    why = []
    if repeated:
        why.append(f"{', '.join(run.label for run in repeated)} left out: a newer run has the seed")
    if copies:
        why.append(", ".join(f"{run.label} left out: a copy of {run.copy_of}" for run in copies))
    return f"{said} ({'; '.join(why)})" if why else said


def spread(group: SeedGroup, measure: Measure) -> str:
    """`31.6 ±0.3`, mean and standard deviation over seeds."""
    score = group.scores[measure.key]
    around_it = margin(measure, score.sd) if score.sd is not None else "one seed"
    return f"{value(measure, score.mean)} {around_it}"


def mean_around(group: SeedGroup, measure: Measure) -> str:
    """The interval of the mean that the queries leave open."""
    return around(measure, group.scores[measure.key].interval)


def recipe_said(tested: RecipeTest, measure: Measure) -> Said:
    """Which of two recipes is ahead, if that can be said."""
    test = tested.tests[measure.key]
    first, second = tested.seeds
    on = f"{first} and {second}" + (" seeds" if max(first, second) > 1 else " seed")
    if not tested.enough and test.overlap:
        return Said(
            "?", f"too few seeds for a verdict: {first} and {second}; the intervals overlap", Tone.NONE
        )
    ahead = plain(tested.first.name if test.difference >= 0 else tested.second.name)
    if test.interval is None or test.p is None:
        if test.overlap:
            return Said("?", "not tested: the documents of the queries are not known", Tone.NONE)
        return Said("▲", f"{ahead} is ahead on {on}: the intervals lie apart", Tone.GOOD)
    figures = f"{change(measure, test.difference)} {change_around(measure, test.interval)}, {p_value(test.p)}"
    if test.p < LEVEL:
        return Said("▲", f"{ahead} is ahead over {on}: {figures}", Tone.GOOD)
    return Said("≈", f"no difference shown over {on}: {figures}", Tone.UNSURE)


def recipe_short(tested: RecipeTest, measure: Measure) -> str:
    """`recipe_said` for a narrow column."""
    test = tested.tests[measure.key]
    first, second = tested.seeds
    if not tested.enough and test.overlap:
        return f"too few seeds: {first} and {second}"
    if test.p is None:
        return "not tested" if test.overlap else f"{'first' if test.difference >= 0 else 'second'} ahead"
    if test.p < LEVEL:
        return f"{'first' if test.difference >= 0 else 'second'} ahead"
    return "no difference shown"


def recipe_sentence(tested: RecipeTest, measure: Measure) -> str:
    """Two recipes and the verdict on them."""
    both = f"{plain(tested.first.name)} against {plain(tested.second.name)}"
    return f"{both}: {recipe_said(tested, measure).words}"


def detectable_words(group: ProtocolGroup, measure: Measure) -> str:
    """What these queries are too few to show; empty where no pair tells."""
    found = group.detectable(measure)
    if found is None or group.protocol is None:
        return ""
    low, high = (margin(measure, size) for size in found)
    unit = " points" if measure.k else " MRR"
    size = f"{high}{unit}" if low == high else f"{low} to {high}{unit}, depending on the pair,"
    asked = f"{thousands(group.protocol.n)} queries"
    if group.protocol.documents:
        asked += f" in {counted(group.protocol.documents, 'document')}"
    return f"With these {asked} a true difference below {size} would probably go unseen (power 80 % at 5 %)."


def method_words(group: ProtocolGroup, measure: Measure) -> Iterator[str]:
    """How the tests were made."""
    tested = sum(bool(pair.tests) for pair in group.pairs)
    if tested or any(pair.tests for pair in group.against):
        drawn = "documents" if group.protocol is None or group.protocol.documents else "stretches"
        said = f"{measure.name}, first minus second, by paired bootstrap over {drawn} with 95 % intervals"
        if tested > 1:
            said += f"; p corrected over the {tested} pairs of runs (Holm 1979) decides"
        yield f"{said}."
    if tested and measure.k:
        yield (
            "McNemar: queries that only the one, only the other hits. It takes queries as independent, "
            "so its p is too small where hits come in clusters."
        )
    if tested:
        yield "A test tells two trained models apart on these queries; recipes need seeds."


def equated_heading(report: Report) -> str:
    """What scores on a common pool are, and are not."""
    protocols = {item.evaluation.protocol_id for item in report.equated}
    caution = "not the same queries: " if len(protocols) > 1 else ""
    return f"{report.measure.name} equated to pool {thousands(report.pool)}, {caution}unpaired intervals only"


def equated_said(item: Equated, leader: Equated | None) -> str:
    """How a score on the common pool stands to the first one."""
    if item.problem:
        return item.problem
    parts = ["forecast: the pool is larger than a query had"] if item.extrapolated else []
    if leader is not None and item is not leader and item.interval and leader.interval:
        apart = item.interval.high < leader.interval.low
        parts.append("interval below the first's" if apart else "interval overlaps the first's")
    return "; ".join(parts)


def matrix(group: ProtocolGroup, measure: Measure) -> dict[tuple[str, str], PairTest]:
    """For each two names of runs the test of the first against the second."""
    found: dict[tuple[str, str], PairTest] = {}
    for pair in group.pairs:
        if pair.tests:
            test = pair.tests[measure.key]
            found[pair.first.name, pair.second.name] = test
            found[pair.second.name, pair.first.name] = test.flipped()
    return found


def short_names(entries: Sequence[Entry]) -> dict[str, str]:
    """Names as short as can be told apart: `#5`."""
    return {entry.name: entry.label for entry in entries}
