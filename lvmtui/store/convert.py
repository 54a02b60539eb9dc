"""Rows to records and back; what is not finite becomes NULL here."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

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
_RUN_FIELDS = tuple(name for name in Run.__dataclass_fields__ if name != "origin")
_PROGRESS = _RUN_FIELDS.index("progress")
RUN_COLUMNS = (*_RUN_FIELDS[:_PROGRESS], *_PROGRESS_FIELDS, *_RUN_FIELDS[_PROGRESS + 1 :])
"""Columns of a run's row in the order in which `run_of` takes them."""
_STATUS, _RESULT = RUN_COLUMNS.index("status"), RUN_COLUMNS.index("result")
_OBJECTS = tuple(map(RUN_COLUMNS.index, ("overrides", "targets", "versions")))
_TRUTHS = tuple(map(RUN_COLUMNS.index, ("held", "pinned", "archived")))

SCORE_COLUMNS = tuple(
    column
    for name in Evaluation.__dataclass_fields__
    if name != "ranks"
    for column in (
        (name.replace("interval", "low"), name.replace("interval", "high"))
        if name.endswith("_interval")
        else (name,)
    )
)
"""Columns of an evaluation without its ranks, which are large."""
_INTERVALS = SCORE_COLUMNS.index("hit1_low")

Row = Mapping[str, Any]
"""One row: column name -> value. JSON may be text still, and a truth 0 or 1."""


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


@lru_cache(maxsize=512)
def _parsed(text: str) -> Any:
    # Thousands of runs share a few versions and targets; records hold mappings, which nobody writes to.
    return json.loads(text)


def to_object(value: Any) -> Mapping[str, Any]:
    """A stored JSON object; empty where something else stands in its place.

    Args:
        value: the text, or what a driver has made of it already.

    Raises:
        json.JSONDecodeError: the text is no JSON.
    """
    found = _parsed(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else {}


def progress_columns(progress: Progress) -> dict[str, Any]:
    """Column values of a run's progress."""
    return {name: jsonable(getattr(progress, name)) for name in _PROGRESS_FIELDS}


def to_run(row: Row) -> Run:
    return run_of([row[name] for name in RUN_COLUMNS])


def run_of(values: Sequence[Any], origin: str = "") -> Run:
    """A run from the values of `RUN_COLUMNS`, and where it comes from."""
    columns = [*values, origin]
    columns[_STATUS] = Status(columns[_STATUS])
    columns[_RESULT] = Result(columns[_RESULT]) if columns[_RESULT] else None
    for place in _OBJECTS:
        columns[place] = to_object(columns[place])
    for place in _TRUTHS:
        columns[place] = bool(columns[place])
    end = _PROGRESS + len(_PROGRESS_FIELDS)
    columns[_PROGRESS:end] = [Progress(*columns[_PROGRESS:end])]
    return Run(*columns)


def metric_columns(run_id: int, point: MetricPoint) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "key": point.key,
        "step": point.step,
        "epoch": point.epoch,
        "time": point.time,
        "value": finite(point.value),
    }


def to_evaluation(row: Row) -> Evaluation:
    found = score_of([row[name] for name in SCORE_COLUMNS])
    return replace(found, ranks=row["ranks"]) if "ranks" in row else found


def score_of(values: Sequence[Any]) -> Evaluation:
    """An evaluation without ranks from the values of `SCORE_COLUMNS`."""
    before, after = values[:_INTERVALS], values[_INTERVALS + 2 * len(_HITS) :]
    bounds = values[_INTERVALS : _INTERVALS + 2 * len(_HITS)]
    intervals = [
        None if low is None or high is None else Interval(low, high)
        for low, high in zip(bounds[::2], bounds[1::2], strict=True)
    ]
    method, loss, cosine, copyness, baseline, context, details, run_id, key = after
    last = [method, loss, cosine, copyness, b"", baseline, context, to_object(details), run_id, key]
    return Evaluation(*[*before, *intervals, *last])


def evaluation_columns(evaluation: Evaluation, run_id: int | None) -> dict[str, Any]:
    values = {name: getattr(evaluation, name) for name in Evaluation.__dataclass_fields__ if name != "id"}
    for hit in _HITS:
        interval: Interval | None = values.pop(f"{hit}_interval")
        values[f"{hit}_low"] = interval.low if interval else None
        values[f"{hit}_high"] = interval.high if interval else None
    values = {name: value if name == "ranks" else jsonable(value) for name, value in values.items()}
    values["run_id"] = run_id
    return values


def to_latency(row: Row) -> Latency:
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


def to_checkpoint(row: Row) -> Checkpoint:
    truths = {"is_best": bool(row["is_best"]), "is_last": bool(row["is_last"])}
    return Checkpoint(**dict(row) | truths)


def checkpoint_columns(checkpoint: Checkpoint, run_id: int) -> dict[str, Any]:
    values = asdict(checkpoint)
    del values["id"]
    return values | {"run_id": run_id, "value": finite(checkpoint.value)}


def to_event(row: Row) -> Event:
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


def to_promotion(row: Row) -> Promotion:
    return Promotion(**dict(row) | {"gates": to_object(row["gates"])})


def to_protocol(row: Row) -> Protocol:
    return Protocol(**dict(row) | {"spec": to_object(row["spec"])})


def to_query_fact(row: Row) -> QueryFact:
    return QueryFact(row["name"], row["packed"], to_object(row["meta"]))


def to_metric(row: Row) -> MetricPoint:
    return MetricPoint(**dict(row))


def to_device_sample(row: Row) -> DeviceSample:
    return DeviceSample(**dict(row))


def to_control(row: Row) -> Control:
    return Control(**dict(row) | {"kind": ControlKind(row["kind"])})
