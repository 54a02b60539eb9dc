"""What a score is worth beside the strongest baseline: verdict, skill, and how that was judged. Pure.

The one place for a verdict's words and signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lvmtui import versus
from lvmtui.findings import Finding
from lvmtui.format import p_value, plain, signed
from lvmtui.store.records import Evaluation, Interval, Severity, Versus


class Verdict(StrEnum):
    """What a run's best score is worth. The baseline is judged before the target: a target that the baseline
    reaches as well proves nothing."""

    EXCEEDS = "exceeds target"
    MEETS = "meets target"
    ABOVE = "above its baseline"
    NOISE = "within noise of its baseline"
    UNDER = "below its baseline, within noise"
    BELOW = "below its baseline"
    NONE = "no baseline to compare with"

    @property
    def is_below(self) -> bool:
        """Whether something that needs no training scores higher, surely or perhaps by chance."""
        return self in {Verdict.BELOW, Verdict.UNDER}


GLYPHS: Mapping[Verdict, str] = {
    Verdict.EXCEEDS: "▲",
    Verdict.MEETS: "✔",
    Verdict.ABOVE: "↑",
    Verdict.NOISE: "≈",
    Verdict.UNDER: "▽",
    Verdict.BELOW: "▼",
    Verdict.NONE: "?",
}
"""The sign beside each verdict's words."""

SHORT: Mapping[Verdict, str] = {
    Verdict.EXCEEDS: "exceeds target",
    Verdict.MEETS: "meets target",
    Verdict.ABOVE: "above baseline",
    Verdict.NOISE: "within noise",
    Verdict.UNDER: "below by chance?",
    Verdict.BELOW: "below baseline",
    Verdict.NONE: "no baseline",
}
"""The verdicts for where there is no room for their full words."""


class Basis(StrEnum):
    """How a verdict was reached."""

    PAIRED = "paired over the same queries"
    """The interval of the difference, by paired bootstrap, holds 0 or does not."""
    INTERVAL = "by the score's own interval"
    """No paired comparison with this baseline is stored: the score's interval holds the baseline's score, or
    does not. It sees large differences only."""
    SCORE = "by the bare score"
    """There is no interval either."""
    NONE = ""


@dataclass(frozen=True, slots=True)
class Worth:
    """What one evaluation is worth beside the strongest baseline of its protocol."""

    verdict: Verdict
    baseline: Evaluation | None = None
    """The strongest, by Hit@5."""
    versus: Versus | None = None
    """The stored comparison with it over the same queries."""
    gain: float | None = None
    """Hit@5 above the baseline's, as a fraction."""
    skill: float | None = None
    """See `skill`."""
    basis: Basis = Basis.NONE

    @property
    def baseline_name(self) -> str:
        """Name of the baseline; empty when there is none."""
        return (self.baseline.baseline or "") if self.baseline else ""


def score(evaluation: Evaluation) -> tuple[float, float]:
    """What is ranked by: Hit@5, then MRR."""
    return evaluation.hit5, evaluation.mrr


def skill(value: float, baseline: float) -> float | None:
    """Share of what a baseline leaves that is gained: (value - baseline) / (1 - baseline). Below 0 where the
    baseline is better; None where it leaves nothing."""
    return (value - baseline) / (1 - baseline) if baseline < 1 else None


def strongest(
    baselines: Sequence[Evaluation], metric: str = "hit5", *, split: str = "validation"
) -> Evaluation | None:
    """The baseline with the highest value of a metric (`hit1`, `hit5`, `hit10` or `mrr`), then of the MRR."""
    candidates = [item for item in baselines if item.split == split]
    return max(candidates, key=lambda item: (float(getattr(item, metric)), item.mrr), default=None)


def one_of_each(baselines: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
    """The baselines of the validation split, each name once at its best (a baseline is stored for every
    context it was tuned for), weakest first by Hit@5."""
    best: dict[str, Evaluation] = {}
    for evaluation in baselines:
        name = evaluation.baseline
        if name is None or evaluation.split != "validation":
            continue
        if name not in best or score(evaluation) > score(best[name]):
            best[name] = evaluation
    return tuple(sorted(best.values(), key=score))


def judge(best: Evaluation, baseline: Evaluation | None, targets: Mapping[str, float]) -> Verdict:
    """What a best evaluation is worth against the strongest baseline and the phase's targets.

    Args:
        best: the run's best evaluation.
        baseline: the strongest baseline under the same protocol.
        targets: metric name -> fraction to reach.
    """
    return worth(best, baseline, targets).verdict


def worth(best: Evaluation, baseline: Evaluation | None, targets: Mapping[str, float]) -> Worth:
    """`judge`, with the figures behind it.

    The paired comparison that the evaluation came with decides: its interval lies above 0, below it, or holds
    it. Only where none with this baseline is stored does the score's own interval.
    """
    if baseline is None:
        return Worth(_targeted(best, targets) or Verdict.NONE)
    compared = versus.against(best, baseline)
    if compared is not None:
        around, basis = compared.interval, Basis.PAIRED
    else:
        own = best.hit5_interval or Interval(best.hit5, best.hit5)
        around = Interval(own.low - baseline.hit5, own.high - baseline.hit5)
        basis = Basis.INTERVAL if best.hit5_interval else Basis.SCORE
    gain = best.hit5 - baseline.hit5
    if around.high < 0:
        verdict = Verdict.BELOW
    elif around.low <= 0:
        verdict = Verdict.NOISE if gain >= 0 else Verdict.UNDER
    else:
        verdict = _targeted(best, targets) or Verdict.ABOVE
    return Worth(verdict, baseline, compared, gain, skill(best.hit5, baseline.hit5), basis)


def _targeted(best: Evaluation, targets: Mapping[str, float]) -> Verdict | None:
    """Whether every target is reached, and by the lower end of the interval; None where one is not."""
    if not targets or any(float(getattr(best, name)) < target for name, target in targets.items()):
        return None
    beyond = all(_low(best, name) > target for name, target in targets.items())
    return Verdict.EXCEEDS if beyond else Verdict.MEETS


def _low(evaluation: Evaluation, metric: str) -> float:
    interval: Interval | None = getattr(evaluation, f"{metric}_interval", None)
    return interval.low if interval else float(getattr(evaluation, metric))


def overlap(first: Evaluation, second: Evaluation) -> bool:
    """Whether the 95 % intervals of two Hit@5 overlap; equal values count where one has no interval."""
    a, b = (item.hit5_interval or Interval(item.hit5, item.hit5) for item in (first, second))
    return a.low <= b.high and b.low <= a.high


def gain_words(worth: Worth) -> str:
    """The gain in points, with what is known of its chance: `+1.2 [+0.4, +2.0], p<.001`, or `+1.2`."""
    if worth.versus is None:
        return signed(worth.gain)
    bounds = worth.versus.interval
    around = f"[{signed(bounds.low)}, {signed(bounds.high)}]"
    return f"{signed(worth.versus.difference)} {around}, {p_value(worth.versus.p)}"


def sentence(worth: Worth) -> str:
    """The verdict with its figures and how it was reached: `below its baseline: Hit@5 −1.2 [−2.0, −0.4],
    p<.001 against ewm-whitened, paired over the same queries`."""
    if worth.baseline is None:
        return worth.verdict.value
    against = f"Hit@5 {gain_words(worth)} against {plain(worth.baseline_name)}"
    return f"{worth.verdict.value}: {against}, {worth.basis.value}"


def badge(findings: Sequence[Finding]) -> tuple[tuple[Severity, str], ...]:
    """How much the audits found, worst first: `✖1`, `!2`; empty where there is nothing to worry about."""
    found = []
    for severity in (Severity.ERROR, Severity.WARN):
        alike = [finding for finding in findings if finding.severity is severity]
        if alike:
            found.append((severity, f"{alike[0].glyph}{len(alike)}"))
    return tuple(found)
