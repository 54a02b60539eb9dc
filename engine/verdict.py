"""An evaluation beside its strongest baseline, in words. Needs no torch."""

from collections.abc import Sequence

from lvmtui.store.records import Evaluation, Interval
from lvmtui.versus import versus_of

UNPAIRED = "unpaired"
"""Where an evaluation's details say why there are no paired comparisons."""
_NAMES = {"hit1": "Hit@1", "hit5": "Hit@5", "hit10": "Hit@10", "mrr": "MRR"}


def score_name(metric: str) -> str:
    """The usual name of a watched metric."""
    return _NAMES[metric]


def score_text(metric: str, value: float, digits: int = 2) -> str:
    """A score as people write it: Hit@K in percent without the sign (`37.98`), the MRR as a fraction
    (`.2628`)."""
    if metric == "mrr":
        return f"{value:.{digits + 2}f}".removeprefix("0")
    return f"{100 * value:.{digits}f}"


def verdict(best: Evaluation | None, baselines: Sequence[Evaluation], metric: str) -> str:
    """The best evaluation beside the strongest baseline, in words: by the paired comparison (of Hit@5) that
    it came with, or else by the interval of the watched metric.

    Args:
        baselines: under its protocol.
        metric: the watched one.
    """
    if best is None:
        return "never evaluated"
    line = f"{score_name(metric)} {_with_unit(metric, getattr(best, metric))} at epoch {best.epoch}"
    if not baselines:
        return line
    paired = next(iter(versus_of(best)), None)
    if paired is None:
        return f"{line}: {_by_interval(best, baselines, metric)}"
    hit5 = "" if metric == "hit5" else f"Hit@5 {100 * best.hit5:.1f} % "
    low, high = paired.interval.low, paired.interval.high
    words = _words(paired.difference, noise=low <= 0 <= high, named=f"its best baseline {paired.baseline}")
    figures = f"{100 * paired.difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    bar = 100 * (best.hit5 - paired.difference)
    return f"{line}: {hit5}{words} ({bar:.1f} %, {figures} over the same queries)"


def _by_interval(best: Evaluation, baselines: Sequence[Evaluation], metric: str) -> str:
    """`verdict` where nothing was compared query by query."""
    score: float = getattr(best, metric)
    strongest = max(baselines, key=lambda baseline: getattr(baseline, metric))
    bar: float = getattr(strongest, metric)
    interval: Interval | None = getattr(best, f"{metric}_interval", None)
    noise = interval is not None and interval.low <= bar <= interval.high
    named = f"its best baseline {strongest.baseline} ({_with_unit(metric, bar)})"
    reason = best.details.get(UNPAIRED)
    return _words(score - bar, noise=noise, named=named) + (f"; not paired: {reason}" if reason else "")


def _with_unit(metric: str, value: float) -> str:
    return score_text(metric, value, 1) + ("" if metric == "mrr" else " %")


def _words(difference: float, *, noise: bool, named: str) -> str:
    if difference < 0:
        return f"below {named}{', within noise' if noise else ''}"
    return f"{'within noise of' if noise else 'above'} {named}"
