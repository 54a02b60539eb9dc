"""Comparisons with baselines, as an evaluation keeps them. Standard library and records only; shared with
the engine, which makes them when it judges: ranks are at hand then, and lists need not read them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lvmtui.store.records import Evaluation, Interval, Versus

KEY = "versus"
"""Where an evaluation's details hold them."""


def as_details(comparisons: Iterable[Versus]) -> list[dict[str, Any]]:
    """Comparisons as JSON, for `Evaluation.details[KEY]`."""
    return [
        {
            "baseline": item.baseline,
            "context": item.context,
            "metric": item.metric,
            "difference": item.difference,
            "low": item.interval.low,
            "high": item.interval.high,
            "p": item.p,
            "detectable": item.detectable,
        }
        for item in comparisons
    ]


def versus_of(evaluation: Evaluation) -> tuple[Versus, ...]:
    """The comparisons that an evaluation came with: the strongest baseline's first. Empty where it was
    judged without (by an earlier version, or with a single document)."""
    try:
        return tuple(map(_versus, _kept(evaluation)))
    except (KeyError, TypeError, ValueError):
        return ()


def against(evaluation: Evaluation, baseline: Evaluation | None) -> Versus | None:
    """The stored comparison of an evaluation with this very baseline."""
    if baseline is None:
        return None
    # Lists ask for this one of each run: only it is read.
    wanted = (baseline.baseline, baseline.context)
    try:
        for item in _kept(evaluation):
            if (item["baseline"], item["context"]) == wanted:
                return _versus(item)
    except (KeyError, TypeError, ValueError):
        pass
    return None


def _kept(evaluation: Evaluation) -> Sequence[Any]:
    kept = evaluation.details.get(KEY, ())
    return kept if isinstance(kept, Sequence) else ()


def _versus(item: Mapping[str, Any]) -> Versus:
    """
    Raises:
        KeyError, TypeError, ValueError: it is not what `as_details` makes.
    """
    return Versus(
        baseline=str(item["baseline"]),
        difference=float(item["difference"]),
        interval=Interval(float(item["low"]), float(item["high"])),
        p=float(item["p"]),
        metric=str(item["metric"]),
        context=int(item["context"]),
        detectable=None if item["detectable"] is None else float(item["detectable"]),
    )
