"""Leaderboards and runs as CSV, JSON and Markdown. Every number goes out with what it is worth; what has no
interval, a training loss say, has none."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

from lvmtui.errors import LvmtuiError, UsageError
from lvmtui.export.records import (
    Protocols,
    evaluation_record,
    latency_record,
    leaderboard_record,
    metric_records,
    row_keys,
    row_record,
    run_record,
    without,
)
from lvmtui.format import plain
from lvmtui.leaderboard.ranking import Group
from lvmtui.snapshot import RunView
from lvmtui.store.records import Checkpoint, Evaluation, Event, Latency, MetricPoint

__all__ = [
    "FORMATS",
    "Format",
    "leaderboard_record",
    "leaderboard_text",
    "row_keys",
    "run_record",
    "run_text",
    "to_csv",
    "to_json",
    "write",
]

Format = Literal["csv", "json", "md"]
FORMATS: tuple[str, ...] = get_args(Format)


def leaderboard_text(groups: Sequence[Group], protocols: Protocols, kind: Format) -> str:
    """The leaderboard in one of the formats, ending in a line break."""
    if kind == "json":
        return to_json(leaderboard_record(groups, protocols))
    if kind == "csv":
        rows = [row_record(row, protocols, group.looks) for group in groups for row in group.rows]
        return to_csv(rows, row_keys())
    from lvmtui.export.markdown import leaderboard_markdown

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
    latencies: Sequence[Latency] = (),
    looks: int | None = None,
) -> str:
    """A run with its recipe, metrics, evaluations, checkpoints and events, ending in a line break.

    CSV is one long table: a row for each number, the column `record` says what it is. Markdown is for
    reading: what is wrong comes first, and of each metric it has the first, last, lowest and highest value.

    Args:
        looks: how often the test split of the run's data was looked at; None where that is not known.
    """
    if kind == "csv":
        from lvmtui.export.csv_rows import LONG_KEYS, long_rows

        return to_csv(long_rows(view, protocols, evaluations, metrics, events, latencies, looks), LONG_KEYS)
    if kind == "md":
        from lvmtui.export.markdown import run_markdown

        return run_markdown(view, protocols, evaluations, metrics, events, latencies, looks)
    record = run_record(view, protocols) | {"test_looks": looks}
    record["recipe"] = json.loads(view.run.recipe)
    record["evaluations"] = [evaluation_record(item, protocols) for item in evaluations]
    record["metrics"] = metric_records(view, protocols, evaluations, metrics)
    record["latencies"] = [without(latency_record(item), "run_id") for item in latencies]
    record["checkpoints"] = [without(asdict(item), "id", "run_id") for item in checkpoints]
    record["events"] = [without(asdict(item), "id", "run_id") for item in events]
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
        return "" if isinstance(value, float) and not math.isfinite(value) else value
    text = plain(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
