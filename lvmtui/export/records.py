"""What leaderboards and runs are exported as: flat or nested records of plain values. A number goes out with
what it is worth: run, protocol, data fingerprint, queries, pool and interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lvmtui.leaderboard.protocols import flaws_of, protocol_words
from lvmtui.leaderboard.ranking import Group, Row
from lvmtui.leaderboard.seeds import PhaseSummary, by_phase
from lvmtui.leaderboard.verdicts import Worth, sentence, worth
from lvmtui.remote.hosts import number_of
from lvmtui.snapshot import RunView
from lvmtui.store.records import Evaluation, Interval, Latency, MetricPoint, Protocol, Severity, Versus
from lvmtui.versus import versus_of

Record = dict[str, Any]
Protocols = Mapping[str, Protocol]


SCORES = ("hit1", "hit5", "hit10", "mrr")
"""Scores with an interval, in an evaluation's record."""


def bounds_of(evaluation: Evaluation, score: str) -> Interval | None:
    """The 95 % interval of one of an evaluation's scores, where it has one."""
    if score == "mrr":
        kept = evaluation.details.get("mrr_interval")
        return Interval(*kept) if isinstance(kept, list) and len(kept) == 2 else None
    found: Interval | None = getattr(evaluation, f"{score}_interval", None)
    return found


def judged_on(evaluation: Evaluation, protocols: Protocols) -> Record:
    """What a score must go out with, its interval aside."""
    protocol = protocols.get(evaluation.protocol_id)
    return {
        "n": evaluation.n,
        "pool": evaluation.pool,
        "interval_method": evaluation.interval_method,
        "protocol_id": evaluation.protocol_id,
        "protocol": protocol.name if protocol else None,
        "flawed": bool(flaws_of(protocol)),
        "data_fingerprint": protocol.data_fingerprint if protocol else None,
    }


def evaluation_record(evaluation: Evaluation, protocols: Protocols) -> Record:
    """One evaluation: scores as fractions, 95 % intervals, and what they were measured on."""
    record: Record = {
        "run_id": number_of(evaluation.run_id),
        "epoch": evaluation.epoch,
        "step": evaluation.step,
    }
    record["split"] = evaluation.split
    for name in SCORES:
        bounds = bounds_of(evaluation, name)
        record[name] = getattr(evaluation, name)
        record[f"{name}_low"] = bounds.low if bounds else None
        record[f"{name}_high"] = bounds.high if bounds else None
    record |= {
        "cosine": evaluation.cosine,
        "copyness": evaluation.copyness,
        "loss": evaluation.loss,
        **judged_on(evaluation, protocols),
    }
    compared = [versus_record(item, evaluation, protocols) for item in versus_of(evaluation)]
    return record | {"versus": compared} if compared else record


def versus_record(item: Versus, evaluation: Evaluation, protocols: Protocols) -> Record:
    """A paired comparison with a baseline; differences are fractions."""
    return {
        "run_id": number_of(evaluation.run_id),
        "baseline": item.baseline,
        "baseline_context": item.context,
        "metric": item.metric,
        "difference": item.difference,
        "difference_low": item.interval.low,
        "difference_high": item.interval.high,
        "p": item.p,
        "detectable": item.detectable,
        **judged_on(evaluation, protocols),
        "interval_method": "paired bootstrap over documents",
    }


def worth_record(found: Worth) -> Record:
    """A verdict, with how it was reached."""
    return {
        "verdict": found.verdict.value,
        "judged_by": found.basis.value,
        "words": sentence(found),
        "baseline": found.baseline_name,
        "baseline_gain": found.gain,
        "skill": found.skill,
    }


def worth_of(view: RunView) -> Worth | None:
    """What a run's best evaluation is worth; None before the first."""
    return worth(view.best, view.baseline, view.run.targets) if view.best else None


def run_record(view: RunView, protocols: Protocols) -> Record:
    """Everything about a run but its history; scores as fractions, times in seconds since the epoch."""
    run = view.run
    record: Record = {"run_id": run.number, "run": run.name, "phase": run.phase, "state": view.state.value}
    record |= {"lost_reason": view.lost_reason or None, "stop_requested": view.stop_requested}
    kept = without(asdict(run), "id", "phase", "recipe", "revision", "progress")
    kept |= {"after": number_of(run.after), "origin": run.origin or None}
    record |= kept | asdict(run.progress) | {"aliases": list(view.aliases)}
    found = worth_of(view)
    record["findings"] = [finding.record() for finding in view.findings]
    record["worth"] = worth_record(found) if found else None
    scores = (("best", view.best), ("last", view.last), ("test", view.test), ("baseline", view.baseline))
    for name, evaluation in scores:
        record[name] = evaluation_record(evaluation, protocols) if evaluation else None
    if view.baseline is not None:
        record["baseline"]["name"] = view.baseline.baseline
    record["latency"] = latency_record(view.latency) if view.latency else None
    protocol = protocols.get((view.best.protocol_id if view.best else run.protocol_id) or "")
    record["protocol"] = list(protocol_words(protocol, view.best)) if protocol else []
    return record


def metric_records(
    view: RunView, protocols: Protocols, evaluations: Sequence[Evaluation], metrics: Sequence[MetricPoint]
) -> list[Record]:
    """A run's metric values. Scores on validation come with what the evaluation of their step says of them;
    training metrics have no queries, no pool and no interval."""
    run = view.run
    by_step = {item.step: item for item in evaluations if item.split == "validation"}
    nothing = dict.fromkeys(("low", "high", "n", "pool", "interval_method"))
    plain_run = {"protocol_id": run.protocol_id, "data_fingerprint": run.data_fingerprint}
    records = []
    for point in metrics:
        record: Record = {"run_id": run.number, "key": point.key, "step": point.step, "epoch": point.epoch}
        record |= {"time": point.time, "value": point.value} | nothing | plain_run
        judged = by_step.get(point.step) if point.key.startswith("val/") else None
        if judged is not None:
            bounds = bounds_of(judged, point.key.removeprefix("val/"))
            record |= without(judged_on(judged, protocols), "protocol", "flawed")
            record |= {"low": bounds.low if bounds else None, "high": bounds.high if bounds else None}
        records.append(record)
    return records


def latency_record(latency: Latency) -> Record:
    """One measurement: times in seconds, scores and changes as fractions."""
    return without(asdict(latency), "id")


LATENCY_KEYS = (
    *("p50", "p95", "p99", "mode", "precision", "context", "n", "pool", "top", "device", "device_name"),
    *("threads", "host", "load", "time"),
)

TEST_KEYS = (
    *("epoch", "hit5", "hit5_low", "hit5_high", "n", "pool", "interval_method"),
    *("protocol_id", "data_fingerprint"),
)


def row_record(row: Row, protocols: Protocols, looks: int | None = None) -> Record:
    """One row of a leaderboard, flat. Differences and skill are fractions."""
    compared = row.versus
    record: Record = {
        "rank": row.rank,
        "run_id": number_of(row.run_id),
        "origin": row.origin or None,
        "copy_of": row.copy_of or None,
        "name": row.name,
        "phase": row.phase,
        "state": row.state.value if row.state else None,
        "champion": row.champion,
        "tied": row.tied,
        "verdict": row.verdict,
        "judged_by": row.basis.value,
        "baseline": row.baseline,
        "baseline_gain": row.baseline_gain,
        "gain_low": compared.interval.low if compared else None,
        "gain_high": compared.interval.high if compared else None,
        "gain_p": compared.p if compared else None,
        "gain_detectable": compared.detectable if compared else None,
        "skill": row.skill,
        "errors": sum(finding.severity is Severity.ERROR for finding in row.findings),
        "warnings": sum(finding.severity is Severity.WARN for finding in row.findings),
        "context": row.context,
        "parameters": row.parameters,
        "epochs": row.epochs,
        "seconds": row.seconds,
        "seed": row.seed,
        "recipe_hash": row.recipe_hash,
        "own_pool": row.own_pool,
        "extrapolated": row.extrapolated,
    }
    record |= without(evaluation_record(row.evaluation, protocols), "run_id", "versus")
    test = evaluation_record(row.test, protocols) if row.test else {}
    measured = latency_record(row.latency) if row.latency else {}
    record |= {f"latency_{key}": measured.get(key) for key in LATENCY_KEYS}
    return record | {f"test_{key}": test.get(key) for key in TEST_KEYS} | {"test_looks": looks}


def row_keys() -> list[str]:
    """The keys of `row_record`, in order."""
    nothing = Evaluation("", "", 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)
    return list(row_record(Row(None, "", "", None, nothing), {}))


def leaderboard_record(groups: Sequence[Group], protocols: Protocols) -> list[Record]:
    """The groups of a leaderboard with their rows."""
    return [_group_record(group, protocols) for group in groups]


def _group_record(group: Group, protocols: Protocols) -> Record:
    protocol = protocols.get(group.protocol_id)
    return {
        "protocol_id": group.protocol_id or None,
        "heading": group.heading,
        "difference": group.difference,
        "flaws": list(group.flaws),
        "notes": list(group.notes),
        "protocol": list(protocol_words(protocol)) if protocol else [],
        "data_fingerprint": protocol.data_fingerprint if protocol else None,
        "test_looks": group.looks,
        "rows": [row_record(row, protocols, group.looks) for row in group.rows],
        "phases": [summary_record(item, protocols) for item in by_phase(group)],
    }


def summary_record(summary: PhaseSummary, protocols: Protocols) -> Record:
    """The seeds of one recipe. The interval is the mean of the seeds' own."""
    bounds = summary.interval
    return {
        "phase": summary.phase,
        "recipe_hash": summary.recipe_hash,
        "seeds": summary.seeds,
        "run_ids": list(map(number_of, summary.run_ids)),
        "hit5_mean": summary.mean,
        "hit5_sd": summary.sd,
        "hit5_low": bounds.low if bounds else None,
        "hit5_high": bounds.high if bounds else None,
        "skill": summary.skill,
        "tied": summary.tied,
        "beside_the_first": summary.order,
        "best_run_id": number_of(summary.best.run_id),
        **judged_on(summary.best.evaluation, protocols),
    }


def run_facts(view: RunView, protocols: Protocols) -> list[tuple[str, str]]:
    """The run's own record, scores aside, as dotted names and texts."""
    scores = ("best", "last", "baseline", "test", "worth", "latency", "best_value", "value_to_beat")
    return flat(without(run_record(view, protocols), *scores, "findings", "protocol"))


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as dotted names and texts."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            pairs.append((f"{prefix}{key}", ", ".join(map(str, value))))
        else:
            pairs.append((f"{prefix}{key}", "" if value is None else str(value)))
    return pairs


def without(record: Record, *keys: str) -> Record:
    return {key: value for key, value in record.items() if key not in keys}
