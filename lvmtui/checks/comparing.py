"""What keeps several runs from being compared, or their order from meaning anything. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from lvmtui.findings import Finding, worst_first
from lvmtui.format import counted, interval, metric_name, plain, thousands
from lvmtui.store.records import Evaluation, Interval, Protocol, Run, Severity
from lvmtui.store.sources import copies_among

LEAST_SEEDS = 3
"""Seeds of a recipe below which overlapping intervals leave its rank open."""
_NAMED = 4
"""Runs or pairs that a message names at most."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One run of a comparison."""

    run: Run
    evaluation: Evaluation
    """The one that is compared; its ranks are not needed."""
    protocol: Protocol | None = None
    """How it was judged; None where that is not known."""
    looks: int = 0
    """How often the test split of the run's data was looked at."""


def check_comparison(items: Sequence[Compared], metric: str = "hit5") -> list[Finding]:
    """What must be said before these runs are compared, worst first; empty for fewer than two.

    Args:
        items: the runs, in any order.
        metric: what they are compared by: `hit1`, `hit5`, `hit10` or `mrr`.
    """
    if len(items) < 2:
        return []
    found = [*_judged_otherwise(items), *_looks(items), *_copies(items)]
    if not any(finding.severity is Severity.ERROR for finding in found):
        overlapping = _overlapping(items, metric)
        found += [*overlapping, *_seeds(items, overlap=bool(overlapping))]
    return list(worst_first(found))


def _judged_otherwise(items: Sequence[Compared]) -> list[Finding]:
    """One finding for each way in which the runs were not judged alike."""
    if len({item.evaluation.protocol_id for item in items}) == 1:
        return []
    aspects: dict[str, tuple[str, Callable[[Compared, Protocol], Mapping[str, Any]]]] = {
        "different-data": ("they were judged on different data", _data),
        "different-protocol": ("they were judged under different protocols", _name),
        "different-split": ("they were judged on different splits", _split),
        "different-pool": ("their targets were looked for in pools of different sizes", _pool),
        "different-filter": ("queries, candidates or contexts follow different rules", _rules),
    }
    found = {}
    for check, (words, facts_of) in aspects.items():
        facts = {item.run.name: facts_of(item, item.protocol) for item in items if item.protocol is not None}
        differing = _differing(facts)
        if differing:
            found[check] = _not_comparable(check, words, differing)
    unknown = [item.run.name for item in items if item.protocol is None]
    if (unknown or not found) and "different-protocol" not in found:
        ids = {item.run.name: item.evaluation.protocol_id for item in items}
        words = "they were judged under different protocols"
        if unknown:
            words += f", and how {_names(unknown)} was judged is not recorded"
        found["different-protocol"] = _not_comparable("different-protocol", words, ids)
    return list(found.values())


def _not_comparable(check: str, words: str, values: Mapping[str, str]) -> Finding:
    return Finding(
        check,
        f"{words}: {_listed(values)}",
        Severity.ERROR,
        "Do not rank them together; judge them on the same data under the same protocol. `lvmtui equate` "
        "puts scores on a common pool, which mends the pool's size and nothing else.",
        {"values": dict(values)},
    )


def _differing(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What is not the same for all, for each run in words; empty where everything is."""
    keys = sorted({key for values in facts.values() for key in values})
    wanted = [key for key in keys if len({_text(values.get(key)) for values in facts.values()}) > 1]
    if not wanted:
        return {}
    return {
        name: ", ".join(f"{key} {_text(values.get(key))}".strip() for key in wanted)
        for name, values in facts.items()
    }


def _data(_item: Compared, protocol: Protocol) -> Mapping[str, Any]:
    return {"fingerprint": protocol.data_fingerprint}


def _name(_item: Compared, protocol: Protocol) -> Mapping[str, Any]:
    return {"": protocol.name, "version": protocol.spec.get("version")}


def _split(_item: Compared, protocol: Protocol) -> Mapping[str, Any]:
    spec = protocol.spec.get("split")
    return {**(spec if isinstance(spec, Mapping) else {"by": spec}), "name": protocol.split}


def _pool(item: Compared, _protocol: Protocol) -> Mapping[str, Any]:
    return {"": f"{thousands(item.evaluation.pool)} for {thousands(item.evaluation.n)} queries"}


def _rules(_item: Compared, protocol: Protocol) -> Mapping[str, Any]:
    known = {"name", "version", "data", "split", "flaws"}
    return {key.replace("_", " "): value for key, value in protocol.spec.items() if key not in known}


def _text(value: Any) -> str:
    """A value in words; equal values have equal words."""
    if value is None:
        return "unknown"
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_text(value[key])}" for key in sorted(value)) + ")"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _looks(items: Sequence[Compared]) -> list[Finding]:
    """More than one look at a test split, where test scores are compared or may be."""
    worst = max(items, key=lambda item: item.looks)
    if worst.looks <= 1:
        return []
    tested = any(item.evaluation.split == "test" for item in items)
    return [
        Finding(
            "test-looks",
            f"the test split of these data was looked at {thousands(worst.looks)} times: the best of several "
            "looks is no unbiased score",
            Severity.WARN if tested else Severity.INFO,
            "Choose by validation alone. For a last word, judge once on documents that nobody has looked at: "
            "another evaluate.split_seed, or new text.",
            {"looks": worst.looks},
        )
    ]


def _copies(items: Sequence[Compared]) -> list[Finding]:
    """Runs that are there twice."""
    names = {item.run.id: item.run.name for item in items}
    copies = {names[key]: label for key, label in copies_among(item.run for item in items).items()}
    if not copies:
        return []
    said = _names([f"{name} is a copy of {label}" for name, label in copies.items()])
    return [
        Finding(
            "copies",
            f"{said}: the same run twice, which is no evidence more",
            Severity.WARN,
            "Leave the copies out: a p corrected for fewer pairs is smaller.",
            {"copies": copies},
        )
    ]


def _interval(evaluation: Evaluation, metric: str) -> Interval | None:
    if metric == "mrr":
        bounds = evaluation.details.get("mrr_interval")
        return Interval(float(bounds[0]), float(bounds[1])) if bounds else None
    interval_of: Interval | None = getattr(evaluation, f"{metric}_interval")
    return interval_of


def _overlapping(items: Sequence[Compared], metric: str) -> list[Finding]:
    pairs = []
    for first, second in combinations(items, 2):
        if first.run.recipe_hash == second.run.recipe_hash:
            continue  # Seeds of one recipe ought to overlap.
        a, b = _interval(first.evaluation, metric), _interval(second.evaluation, metric)
        if a is not None and b is not None and a.low <= b.high and b.low <= a.high:
            pairs.append((first.run.name, second.run.name))
    if not pairs:
        return []
    everyone = len(pairs) == len(items) * (len(items) - 1) // 2
    which = "all of them" if everyone and len(items) > 2 else _names([f"{a} and {b}" for a, b in pairs])
    shown = {
        item.run.name: interval(found.low, found.high)
        for item in items
        if (found := _interval(item.evaluation, metric)) is not None
    }
    return [
        Finding(
            "overlapping-intervals",
            f"the 95 % intervals of {metric_name(metric)} overlap for {which}: {_listed(shown)}",
            Severity.WARN,
            "Do not go by the order of these scores. The paired comparison over the same queries sees much "
            "smaller differences; where it finds none either, train more seeds or judge on more documents.",
            {"metric": metric, "pairs": [list(pair) for pair in pairs]},
        )
    ]


def _seeds(items: Sequence[Compared], *, overlap: bool) -> list[Finding]:
    """Recipes with too few seeds for a verdict."""
    by_recipe: dict[str, list[Compared]] = {}
    for item in items:
        by_recipe.setdefault(item.run.recipe_hash, []).append(item)
    if len(by_recipe) < 2:
        return []
    counts = {hashed: len({item.run.seed for item in of_recipe}) for hashed, of_recipe in by_recipe.items()}
    least = min(counts.values())
    if least > 1 and (least >= LEAST_SEEDS or not overlap):
        return []
    few = [by_recipe[hashed][0].run.name for hashed, count in counts.items() if count < LEAST_SEEDS]
    spread = "how far the seed alone moves a score is not known"
    return [
        Finding(
            "single-seed" if least == 1 else "few-seeds",
            f"{counted(least, 'seed')} of the recipe of {_names(few)}: {spread}",
            Severity.WARN,
            f"Train each recipe with {LEAST_SEEDS} seeds or more (-o train.seed=1, 2, …) before saying which "
            "is better; compare their mean and spread.",
            {"seeds": {by_recipe[hashed][0].run.name: count for hashed, count in counts.items()}},
        )
    ]


def _names(names: Sequence[str]) -> str:
    shown = [plain(name) for name in names[:_NAMED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _listed(values: Mapping[str, Any]) -> str:
    """`phase-1 #1: 1 148; phase-3 #2: 115`."""
    shown = [f"{plain(name)}: {plain(str(value))}" for name, value in list(values.items())[:_NAMED]]
    more = len(values) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
