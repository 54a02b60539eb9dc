"""A comparison of runs as JSON. Every number goes out with its runs, protocol, data, n, pool and interval."""

from __future__ import annotations

from typing import Any

from lvmtui.compare.contest import Entry, Equated, Measure, Pair, ProtocolGroup, RecipeTest, SeedGroup
from lvmtui.compare.side_by_side import SideBySide
from lvmtui.compare.words import (
    against_verdict,
    detectable_words,
    equated_heading,
    pair_said,
    recipe_said,
)
from lvmtui.findings import Finding
from lvmtui.remote.hosts import number_of
from lvmtui.store.records import Evaluation, Interval, Protocol

Record = dict[str, Any]


def comparison_record(compared: SideBySide) -> Record:
    """Everything that was found; scores and differences as fractions."""
    report = compared.report
    protocols = {group.protocol_id: group.protocol for group in report.groups if group.protocol}
    return {
        "measure": report.measure.key,
        "runs": [
            {"run_id": run.number, "origin": run.origin or None, "run": run.name} for run in compared.runs
        ],
        "groups": [_group(group, report.measure, report.measures) for group in report.groups],
        "equated": [_equated(item, report.measure, report.pool, protocols) for item in report.equated],
        "equated_note": equated_heading(report) if report.pool is not None else None,
        "left_out": [
            {"run_id": item.run.number, "run": item.run.name, "reason": item.reason}
            for item in compared.left_out
        ],
        "recipe_differences": [
            {"field": item.field, "values": dict(zip(_ids(compared), item.values, strict=True))}
            for item in compared.differences
        ],
        "recipe_problem": compared.problem or None,
        "findings": [_finding(item) for item in compared.findings],
    }


def _ids(compared: SideBySide) -> list[str]:
    return [run.label.removeprefix("#") for run in compared.runs]


def _finding(finding: Finding) -> Record:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "message": finding.message,
        "advice": finding.advice,
        "evidence": dict(finding.evidence),
    }


def _group(group: ProtocolGroup, measure: Measure, measures: tuple[Measure, ...]) -> Record:
    judged = judged_on(group)
    return {
        **judged,
        "protocol": group.protocol.name if group.protocol else None,
        "difference": group.difference or None,
        "runs": [_entry(entry, measures) | judged for entry in group.runs],
        "baselines": [_entry(entry, measures) | judged for entry in group.baselines],
        "pairs": [_pair(pair, measure) | judged for pair in group.pairs],
        "against_baselines": [
            _pair(pair, measure) | {"verdict": against_verdict(pair, measure).value} | judged
            for pair in group.against
        ],
        "recipes": [_seeds(item, measures) | judged for item in group.seeds],
        "recipe_tests": [_recipe_test(item, measure) | judged for item in group.recipes],
        "detectable": _ends(group.detectable(measure)),
        "detectable_words": detectable_words(group, measure) or None,
    }


def judged_on(group: ProtocolGroup) -> Record:
    """What stands beside every number of a group."""
    judged = group.runs[0].evaluation
    return {
        "protocol_id": group.protocol_id,
        "data_fingerprint": group.protocol.data_fingerprint if group.protocol else None,
        "split": judged.split,
        "n": judged.n,
        "pool": judged.pool,
        "documents": group.protocol.documents if group.protocol else None,
    }


def _interval(bounds: Interval | None) -> Record:
    return {"low": bounds.low if bounds else None, "high": bounds.high if bounds else None}


def _ends(ends: tuple[float, float] | None) -> Record | None:
    return {"least": ends[0], "greatest": ends[1]} if ends else None


def _entry(entry: Entry, measures: tuple[Measure, ...]) -> Record:
    return {
        "run_id": number_of(entry.run_id),
        "name": entry.name,
        "seed": entry.seed,
        "recipe_hash": entry.recipe_hash or None,
        "context": entry.context,
        "epoch": entry.evaluation.epoch,
        "scores": {
            measure.key: {"value": score.value, **_interval(score.interval)}
            for measure in measures
            for score in (entry.scores[measure.key],)
        },
    }


def _pair(pair: Pair, measure: Measure) -> Record:
    return {
        "first_run_id": number_of(pair.first.run_id),
        "second_run_id": number_of(pair.second.run_id),
        "first": pair.first.name,
        "second": pair.second.name,
        "verdict": pair_said(pair.better_first(measure), measure).words,
        "better_run_id": _better(pair, measure),
        "problem": pair.problem or None,
        "tests": {
            key: {
                "difference": test.difference,
                **_interval(test.interval),
                "p": test.p,
                "p_holm": test.adjusted,
                "detectable": test.detectable,
                "only_first": test.only_first,
                "only_second": test.only_second,
                "p_mcnemar": test.mcnemar,
            }
            for key, test in pair.tests.items()
        },
    }


def _better(pair: Pair, measure: Measure) -> int | None:
    """The run that is better beyond chance."""
    test = pair.tests.get(measure.key)
    if test is None or not test.is_clear:
        return None
    return number_of(pair.better_first(measure).first.run_id)


def _seeds(group: SeedGroup, measures: tuple[Measure, ...]) -> Record:
    return {
        "recipe_hash": group.recipe_hash,
        "name": group.name,
        "run_ids": [number_of(run.run_id) for run in group.runs],
        "seeds": [run.seed for run in group.runs],
        "repeated_run_ids": list(map(number_of, group.repeated)),
        "copies": {run.label: run.copy_of for run in group.left_out if run.copy_of},
        "scores": {
            measure.key: {"mean": score.mean, "sd": score.sd, **_interval(score.interval)}
            for measure in measures
            for score in (group.scores[measure.key],)
        },
    }


def _recipe_test(tested: RecipeTest, measure: Measure) -> Record:
    return {
        "first_recipe": tested.first.recipe_hash,
        "second_recipe": tested.second.recipe_hash,
        "first_run_ids": [number_of(run.run_id) for run in tested.first.runs],
        "second_run_ids": [number_of(run.run_id) for run in tested.second.runs],
        "seeds": list(tested.seeds),
        "verdict": recipe_said(tested, measure).words,
        "tests": {
            key: {
                "difference": test.difference,
                **_interval(test.interval),
                "p": test.p,
                "intervals_overlap": test.overlap,
            }
            for key, test in tested.tests.items()
        },
    }


def _equated(item: Equated, measure: Measure, pool: int | None, protocols: dict[str, Protocol]) -> Record:
    judged: Evaluation = item.evaluation
    protocol = protocols.get(judged.protocol_id)
    return {
        "run_id": number_of(item.run_id),
        "name": item.name,
        "measure": measure.key,
        "value": item.value,
        **_interval(item.interval),
        "equated_pool": pool,
        "extrapolated": item.extrapolated,
        "problem": item.problem or None,
        "protocol_id": judged.protocol_id,
        "data_fingerprint": protocol.data_fingerprint if protocol else None,
        "split": judged.split,
        "n": judged.n,
        "pool": judged.pool,
    }
