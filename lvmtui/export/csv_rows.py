"""A run as one long CSV table: a row for each number and each text."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lvmtui.export.records import (
    SCORES,
    Protocols,
    Record,
    evaluation_record,
    flat,
    judged_on,
    metric_records,
    run_facts,
    without,
    worth_of,
)
from lvmtui.latencies import place
from lvmtui.leaderboard.protocols import protocol_words
from lvmtui.leaderboard.verdicts import Worth, sentence
from lvmtui.snapshot import RunView
from lvmtui.store.records import Evaluation, Event, Latency, MetricPoint
from lvmtui.versus import versus_of

LONG_KEYS = (
    *("record", "run_id", "run", "protocol_id", "data_fingerprint", "key", "epoch", "step", "time", "value"),
    *("low", "high", "p", "detectable", "n", "pool", "interval_method", "severity", "text"),
)


def long_rows(
    view: RunView,
    protocols: Protocols,
    evaluations: Sequence[Evaluation],
    metrics: Sequence[MetricPoint],
    events: Sequence[Event],
    latencies: Sequence[Latency],
    looks: int | None,
) -> list[Record]:
    """The rows, with the keys of `LONG_KEYS`: what is wrong first, then the run, its scores, its history."""
    run = view.run
    base: Record = {"run_id": run.number, "run": run.name, "protocol_id": run.protocol_id}
    base["data_fingerprint"] = run.data_fingerprint
    rows = [
        base | {"record": "finding", "key": item.check, "severity": item.severity.value} | {"text": item.text}
        for item in view.findings
    ]
    found = worth_of(view)
    if view.best is not None and found is not None:
        rows += _worth_rows(base | _judged(view.best, protocols), found)
    facts = [*run_facts(view, protocols), ("test_looks", "" if looks is None else str(looks))]
    rows += [base | {"record": "run", "key": key, "text": text} for key, text in facts]
    protocol = protocols.get(run.protocol_id or "")
    words = protocol_words(protocol, view.best) if protocol else ()
    rows += [base | {"record": "protocol", "text": text} for text in words]
    recipe = flat(json.loads(run.recipe))
    rows += [base | {"record": "recipe", "key": key, "text": text} for key, text in recipe]
    for evaluation in evaluations:
        rows += _evaluation_rows(base, evaluation, protocols)
    for latency in latencies:
        rows += _latency_rows(base, latency)
    rows += [
        base | {"record": "metric"} | record
        for record in metric_records(view, protocols, evaluations, metrics)
    ]
    rows += [
        base
        | {"record": "event", "key": event.kind, "severity": event.severity.value}
        | {"time": event.time, "text": event.message}
        for event in events
    ]
    return rows


def _judged(evaluation: Evaluation, protocols: Protocols) -> Record:
    return without(judged_on(evaluation, protocols), "protocol", "flawed") | {
        "epoch": evaluation.epoch,
        "step": evaluation.step,
        "time": evaluation.time,
    }


def _worth_rows(base: Record, found: Worth) -> list[Record]:
    """The verdict on the best evaluation, in words and as skill."""
    rows = [base | {"record": "verdict", "key": "verdict", "text": sentence(found)}]
    if found.skill is not None:
        against = f"Hit@5 over {found.baseline_name}"
        rows.append(base | {"record": "verdict", "key": "skill", "value": found.skill, "text": against})
    return rows


def _evaluation_rows(base: Record, evaluation: Evaluation, protocols: Protocols) -> list[Record]:
    """One row a score, then one a comparison with a baseline."""
    scores = evaluation_record(evaluation, protocols)
    own = base | _judged(evaluation, protocols)
    rows = []
    for key in (*SCORES, "cosine", "copyness", "loss"):
        row = own | {"record": "evaluation", "key": f"{evaluation.split}/{key}", "value": scores[key]}
        row |= {"low": scores.get(f"{key}_low"), "high": scores.get(f"{key}_high")}
        rows.append(row if key in SCORES else row | {"interval_method": None})
    for item in versus_of(evaluation):
        rows.append(
            own
            | {"record": "versus", "key": f"{evaluation.split}/{item.metric}", "value": item.difference}
            | {"low": item.interval.low, "high": item.interval.high, "p": item.p}
            | {"detectable": item.detectable, "interval_method": "paired bootstrap over documents"}
            | {"text": f"minus {item.baseline}, context {item.context}"}
        )
    return rows


def _latency_rows(base: Record, latency: Latency) -> list[Record]:
    """One row a percentile, in seconds; then one a score, one a change against fp32. A refusal says why."""
    what = f"{latency.mode}/{latency.precision}"
    own = base | {"record": "latency", "epoch": latency.epoch, "step": latency.step, "time": latency.time}
    text = f"seconds after {latency.context} vectors, top {latency.top}, {place(latency)}"
    timed = own | {"n": latency.n, "pool": latency.pool, "text": text}
    rows = [
        timed | {"key": f"{what}/{key}", "value": getattr(latency, key)}
        for key in ("p50", "p95", "p99")
        if getattr(latency, key) is not None
    ]
    if latency.refused:
        rows.append(own | {"key": f"{what}/refused", "text": latency.refused})
    judged = own | {"protocol_id": latency.protocol_id, "n": latency.judged}
    for score in ("hit1", "hit5", "hit10"):
        rows.append(judged | {"key": f"{what}/{score}", "value": getattr(latency, score)})
        bounds, change = getattr(latency, f"{score}_change_interval"), getattr(latency, f"{score}_change")
        if change is not None:
            row = judged | {"key": f"{what}/{score}_change", "value": change, "text": "minus fp32"}
            row |= {"low": bounds.low if bounds else None, "high": bounds.high if bounds else None}
            rows.append(row)
    return rows
