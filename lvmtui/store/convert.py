"""Rows to records and back; what is not finite becomes NULL here."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping

from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import (
    Checkpoint,
    Control,
    ControlKind,
    DeviceSample,
    Evaluation,
    Event,
    Interval,
    Latency,
    MetricPoint,
    Progress,
    Promotion,
    Protocol,
    QueryFact,
    Run,
    Severity,
)

_PROGRESS_FIELDS = tuple(Progress.__dataclass_fields__)
_HITS = ("hit1", "hit5", "hit10")


def finite(value: float | None) -> float | None:
    """The value, or None where it is NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None


def jsonable(value: Any) -> Any:
    """A copy with every number that JSON cannot hold as None."""
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def to_object(value: Any) -> dict[str, Any]:
    """A stored JSON object; empty where something else stands in its place."""
    return value if isinstance(value, dict) else {}


def progress_columns(progress: Progress) -> dict[str, Any]:
    """Column values of a run's progress."""
    return {name: jsonable(getattr(progress, name)) for name in _PROGRESS_FIELDS}


def to_run(row: RowMapping) -> Run:
    values = dict(row)
    progress = Progress(**{name: values.pop(name) for name in _PROGRESS_FIELDS})
    values["status"] = Status(values["status"])
    values["result"] = Result(values["result"]) if values["result"] else None
    return Run(progress=progress, **values)


def metric_columns(run_id: int, point: MetricPoint) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "key": point.key,
        "step": point.step,
        "epoch": point.epoch,
        "time": point.time,
        "value": finite(point.value),
    }


def to_evaluation(row: RowMapping) -> Evaluation:
    values = dict(row)
    for hit in _HITS:
        low, high = values.pop(f"{hit}_low"), values.pop(f"{hit}_high")
        values[f"{hit}_interval"] = None if low is None or high is None else Interval(low, high)
    values["details"] = to_object(values["details"])
    return Evaluation(**values)


def evaluation_columns(evaluation: Evaluation, run_id: int | None) -> dict[str, Any]:
    values = {name: getattr(evaluation, name) for name in Evaluation.__dataclass_fields__ if name != "id"}
    for hit in _HITS:
        interval: Interval | None = values.pop(f"{hit}_interval")
        values[f"{hit}_low"] = interval.low if interval else None
        values[f"{hit}_high"] = interval.high if interval else None
    values = {name: value if name == "ranks" else jsonable(value) for name, value in values.items()}
    values["run_id"] = run_id
    return values


def to_latency(row: RowMapping) -> Latency:
    values = dict(row)
    for hit in _HITS:
        low, high = values.pop(f"{hit}_change_low"), values.pop(f"{hit}_change_high")
        values[f"{hit}_change_interval"] = None if low is None or high is None else Interval(low, high)
    values["versions"] = to_object(values["versions"])
    return Latency(**values)


def latency_columns(latency: Latency, run_id: int) -> dict[str, Any]:
    values = {name: getattr(latency, name) for name in Latency.__dataclass_fields__ if name != "id"}
    for hit in _HITS:
        interval: Interval | None = values.pop(f"{hit}_change_interval")
        values[f"{hit}_change_low"] = interval.low if interval else None
        values[f"{hit}_change_high"] = interval.high if interval else None
    return {name: jsonable(value) for name, value in values.items()} | {"run_id": run_id}


def to_checkpoint(row: RowMapping) -> Checkpoint:
    return Checkpoint(**dict(row))


def checkpoint_columns(checkpoint: Checkpoint, run_id: int) -> dict[str, Any]:
    values = asdict(checkpoint)
    del values["id"]
    return values | {"run_id": run_id, "value": finite(checkpoint.value)}


def to_event(row: RowMapping) -> Event:
    read = {"severity": Severity(row["severity"]), "evidence": to_object(row["evidence"])}
    return Event(**dict(row) | read)


def event_columns(event: Event, run_id: int | None) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "kind": event.kind,
        "severity": event.severity.value,
        "message": event.message,
        "time": event.time,
        "evidence": jsonable(event.evidence),
    }


def to_promotion(row: RowMapping) -> Promotion:
    return Promotion(**dict(row))


def to_protocol(row: RowMapping) -> Protocol:
    return Protocol(**dict(row) | {"spec": to_object(row["spec"])})


def to_query_fact(row: RowMapping) -> QueryFact:
    return QueryFact(row["name"], row["packed"], to_object(row["meta"]))


def to_metric(row: RowMapping) -> MetricPoint:
    return MetricPoint(**dict(row))


def to_device_sample(row: RowMapping) -> DeviceSample:
    return DeviceSample(**dict(row))


def to_control(row: RowMapping) -> Control:
    return Control(**dict(row) | {"kind": ControlKind(row["kind"])})
