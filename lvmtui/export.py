"""Leaderboards and runs as CSV, JSON and Markdown. Every score goes out with what it is worth: run, protocol,
data fingerprint, queries, pool and interval."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

from lvmtui.errors import LvmtuiError, UsageError
from lvmtui.format import plain
from lvmtui.ranking import Group, PhaseSummary, Row
from lvmtui.snapshot import RunView
from lvmtui.store.records import Checkpoint, Evaluation, Event, Interval, MetricPoint, Protocol

Format = Literal["csv", "json", "md"]
FORMATS: tuple[str, ...] = get_args(Format)

Record = dict[str, Any]
Protocols = Mapping[str, Protocol]


def leaderboard_text(groups: Sequence[Group], protocols: Protocols, kind: Format) -> str:
    """The leaderboard in one of the formats, ending in a line break."""
    if kind == "json":
        return to_json(leaderboard_record(groups, protocols))
    if kind == "csv":
        rows = [row_record(row, protocols) for group in groups for row in group.rows]
        return to_csv(rows, row_keys())
    from lvmtui.export_markdown import leaderboard_markdown

    return leaderboard_markdown(groups, protocols)


def run_text(
    view: RunView,
    protocols: Protocols,
    kind: Format,
    *,
    evaluations: Sequence[Evaluation] = (),
    metrics: Sequence[MetricPoint] = (),
    events: Sequence[Event] = (),
    checkpoints: Sequence[Checkpoint] = (),
) -> str:
    """A run with its recipe, metrics, evaluations, checkpoints and events, ending in a line break.

    CSV is one long table: a row for each number, the column `record` says what it is. Markdown is for
    reading: of each metric it has the first, last, lowest and highest value.
    """
    if kind == "csv":
        return to_csv(_long_rows(view, protocols, evaluations, metrics, events), LONG_KEYS)
    if kind == "md":
        from lvmtui.export_markdown import run_markdown

        return run_markdown(view, protocols, evaluations, metrics, events)
    record = run_record(view, protocols)
    record["recipe"] = json.loads(view.run.recipe)
    record["evaluations"] = [evaluation_record(item, protocols) for item in evaluations]
    record["metrics"] = [
        {"key": p.key, "step": p.step, "epoch": p.epoch, "time": p.time, "value": p.value} for p in metrics
    ]
    record["checkpoints"] = [_without(asdict(item), "id", "run_id") for item in checkpoints]
    record["events"] = [_without(asdict(item), "id", "run_id") for item in events]
    return to_json(record)


def write(path: Path, text: str, *, force: bool = False) -> None:
    """Put an export into a file, whole or not at all.

    Raises:
        UsageError: the file exists and `force` is not set.
        LvmtuiError: it cannot be written.
    """
    from lvmtui.paths import write_atomically

    if path.is_dir():
        raise UsageError(f"{path} is a folder", "Name a file in it.")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already", "Pass --force to replace it, or name another file.")
    try:
        write_atomically(path, text)
    except OSError as error:
        raise LvmtuiError(
            f"cannot write {path}: {error.strerror}",
            "Check its permissions and the free disk space.",
        ) from error


def evaluation_record(evaluation: Evaluation, protocols: Protocols) -> Record:
    """One evaluation: scores as fractions, 95 % intervals, and what they were measured on."""
    protocol = protocols.get(evaluation.protocol_id)
    record: Record = {"epoch": evaluation.epoch, "step": evaluation.step, "split": evaluation.split}
    for name in ("hit1", "hit5", "hit10"):
        bounds: Interval | None = getattr(evaluation, f"{name}_interval")
        record[name] = getattr(evaluation, name)
        record[f"{name}_low"] = bounds.low if bounds else None
        record[f"{name}_high"] = bounds.high if bounds else None
    return record | {
        "mrr": evaluation.mrr,
        "cosine": evaluation.cosine,
        "copyness": evaluation.copyness,
        "loss": evaluation.loss,
        "n": evaluation.n,
        "pool": evaluation.pool,
        "interval_method": evaluation.interval_method,
        "protocol_id": evaluation.protocol_id,
        "data_fingerprint": protocol.data_fingerprint if protocol else None,
    }


def run_record(view: RunView, protocols: Protocols) -> Record:
    """Everything about a run but its history; scores as fractions, times in seconds since the epoch."""
    run = view.run
    record: Record = {"run_id": run.id, "run": run.name, "phase": run.phase, "state": view.state.value}
    record |= {"lost_reason": view.lost_reason or None, "stop_requested": view.stop_requested}
    kept = _without(asdict(run), "id", "phase", "recipe", "revision", "progress")
    record |= kept | asdict(run.progress) | {"aliases": list(view.aliases)}
    for name, evaluation in (("best", view.best), ("last", view.last), ("baseline", view.baseline)):
        record[name] = evaluation_record(evaluation, protocols) if evaluation else None
    if view.baseline is not None:
        record["baseline"]["name"] = view.baseline.baseline
    return record


def row_record(row: Row, protocols: Protocols) -> Record:
    """One row of a leaderboard, flat."""
    record: Record = {
        "rank": row.rank,
        "run_id": row.run_id,
        "name": row.name,
        "phase": row.phase,
        "state": row.state.value if row.state else None,
        "champion": row.champion,
        "tied": row.tied,
        "verdict": row.verdict,
        "baseline": row.baseline,
        "baseline_gain": row.baseline_gain,
        "skill": row.skill,
        "context": row.context,
        "parameters": row.parameters,
        "epochs": row.epochs,
        "seconds": row.seconds,
        "seed": row.seed,
        "recipe_hash": row.recipe_hash,
    }
    return record | evaluation_record(row.evaluation, protocols)


def row_keys() -> list[str]:
    """The keys of `row_record`, in order."""
    nothing = Evaluation("", "", 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)
    return list(row_record(Row(None, "", "", None, nothing), {}))


def leaderboard_record(groups: Sequence[Group], protocols: Protocols) -> list[Record]:
    """The groups of a leaderboard with their rows."""
    return [
        {
            "protocol_id": group.protocol_id,
            "heading": group.heading,
            "difference": group.difference,
            "rows": [row_record(row, protocols) for row in group.rows],
        }
        for group in groups
    ]


def summary_record(summary: PhaseSummary) -> Record:
    """The seeds of one recipe."""
    return {
        "phase": summary.phase,
        "recipe_hash": summary.recipe_hash,
        "seeds": summary.seeds,
        "hit5_mean": summary.mean,
        "hit5_sd": summary.sd,
        "best_run_id": summary.best.run_id,
    }


def to_json(value: Any) -> str:
    """JSON with every number that it cannot hold as null."""
    from lvmtui.store.convert import jsonable

    return json.dumps(jsonable(value), indent=2, allow_nan=False) + "\n"


def to_csv(rows: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> str:
    """CSV with a heading. Texts that a spreadsheet would run as a formula get a leading apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(keys)
    writer.writerows([_cell(row.get(key)) for key in keys] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


LONG_KEYS = (
    *("record", "run_id", "run", "protocol_id", "data_fingerprint", "key", "epoch", "step", "time", "value"),
    *("low", "high", "n", "pool", "text"),
)


def _long_rows(
    view: RunView,
    protocols: Protocols,
    evaluations: Sequence[Evaluation],
    metrics: Sequence[MetricPoint],
    events: Sequence[Event],
) -> list[Record]:
    run = view.run
    base: Record = {"run_id": run.id, "run": run.name, "protocol_id": run.protocol_id}
    base["data_fingerprint"] = run.data_fingerprint
    facts = run_facts(view, protocols)
    rows = [base | {"record": "run", "key": key, "text": text} for key, text in facts]
    rows += [
        base | {"record": "recipe", "key": key, "text": text} for key, text in flat(json.loads(run.recipe))
    ]
    for evaluation in evaluations:
        scores = evaluation_record(evaluation, protocols)
        rows += [
            base
            | {
                name: scores[name]
                for name in ("epoch", "step", "n", "pool", "protocol_id", "data_fingerprint")
            }
            | {"record": "evaluation", "key": f"{evaluation.split}/{key}", "time": evaluation.time}
            | {"value": scores[key], "low": scores.get(f"{key}_low"), "high": scores.get(f"{key}_high")}
            for key in ("hit1", "hit5", "hit10", "mrr", "cosine", "copyness", "loss")
        ]
    rows += [
        base
        | {
            "record": "metric",
            "key": p.key,
            "epoch": p.epoch,
            "step": p.step,
            "time": p.time,
            "value": p.value,
        }
        for p in metrics
    ]
    rows += [base | {"record": "event", "key": e.kind, "time": e.time, "text": e.message} for e in events]
    return rows


def run_facts(view: RunView, protocols: Protocols) -> list[tuple[str, str]]:
    """The run's own record, scores aside, as dotted names and texts."""
    return flat(_without(run_record(view, protocols), "best", "last", "baseline"))


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


def _without(record: Record, *keys: str) -> Record:
    return {key: value for key, value in record.items() if key not in keys}
