"""Leaderboards and runs as Markdown, for reading."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from lvmtui.export import Protocols, flat, run_facts
from lvmtui.format import (
    interval,
    metric_name,
    metric_value,
    number,
    percent,
    plain,
    signed,
    small,
    stamp,
    thousands,
)
from lvmtui.ranking import Group, Row
from lvmtui.snapshot import RunView
from lvmtui.store.records import Evaluation, Event, Interval, MetricPoint


def _hit(evaluation: Evaluation, name: str) -> str:
    bounds: Interval | None = getattr(evaluation, f"{name}_interval")
    spread = f" {interval(bounds.low, bounds.high)}" if bounds else ""
    return f"{percent(getattr(evaluation, name))}{spread}"


_LEADERBOARD_TITLES = ("#", "run", "run id", "phase", "ctx", "Hit@1", "Hit@5", "Hit@10", "MRR", "n", "pool")


def leaderboard_markdown(groups: Sequence[Group], protocols: Protocols) -> str:
    """The groups as one table each."""
    parts = ["# Leaderboard\n\nHit@K in percent with 95 % intervals, best evaluation of each run.\n"]
    for group in groups:
        protocol = protocols.get(group.protocol_id)
        fingerprint = protocol.data_fingerprint if protocol else "not recorded"
        parts.append(f"\n## {escape(group.heading)}\n\n")
        parts.append(f"Protocol id {escape(group.protocol_id)}, data fingerprint {escape(fingerprint)}.\n")
        parts.append(f"{escape(group.difference)}\n\n" if group.difference else "\n")
        titles = (*_LEADERBOARD_TITLES, "vs baseline", "epoch", "verdict")
        parts.append(markdown_table(titles, map(_markdown_row, group.rows)))
    return "".join(parts)


def _markdown_row(row: Row) -> tuple[str, ...]:
    scores = row.evaluation
    rank = "-" if row.rank is None else f"{row.rank}{' (tied)' if row.tied else ''}"
    return (
        rank,
        f"{row.name}{' (champion)' if row.champion else ''}",
        "-" if row.run_id is None else str(row.run_id),
        row.phase,
        str(row.context or "-"),
        _hit(scores, "hit1"),
        _hit(scores, "hit5"),
        _hit(scores, "hit10"),
        small(scores.mrr),
        thousands(scores.n),
        thousands(scores.pool),
        "-" if row.baseline_gain is None else f"{signed(row.baseline_gain)} ({row.baseline})",
        "-" if row.best_epoch is None else f"{row.best_epoch}/{row.epochs}",
        row.verdict or "-",
    )


def run_markdown(
    view: RunView,
    protocols: Protocols,
    evaluations: Sequence[Evaluation],
    metrics: Sequence[MetricPoint],
    events: Sequence[Event],
) -> str:
    """The run part by part; of each metric only the first, last, lowest and highest value."""
    facts = run_facts(view, protocols)
    titles = (
        *("run id", "epoch", "step", "Hit@1", "Hit@5", "Hit@10", "MRR", "loss", "n", "pool"),
        *("protocol id", "data fingerprint"),
    )
    scores = [_evaluation_row(item, view.run.id, protocols) for item in evaluations]
    happened = [(stamp(item.time), item.severity.value, item.kind, item.message) for item in events]
    return "\n".join(
        [
            f"# {escape(view.run.name)}\n",
            markdown_table(("fact", "value"), facts),
            "## Evaluations\n\nHit@K in percent with 95 % intervals.\n",
            markdown_table(titles, scores),
            "## Metrics\n",
            markdown_table(("metric", "values", "first", "last", "lowest", "highest"), _metric_rows(metrics)),
            "## Recipe\n",
            markdown_table(("field", "value"), flat(json.loads(view.run.recipe))),
            "## Events\n",
            markdown_table(("time", "severity", "kind", "message"), happened),
        ]
    )


def _evaluation_row(evaluation: Evaluation, run_id: int, protocols: Protocols) -> tuple[str, ...]:
    protocol = protocols.get(evaluation.protocol_id)
    hits = [_hit(evaluation, name) for name in ("hit1", "hit5", "hit10")]
    counts = (thousands(evaluation.n), thousands(evaluation.pool), evaluation.protocol_id)
    fingerprint = protocol.data_fingerprint if protocol else "not recorded"
    place = (str(run_id), str(evaluation.epoch), str(evaluation.step))
    return (*place, *hits, small(evaluation.mrr), number(evaluation.loss), *counts, fingerprint)


def _metric_rows(metrics: Sequence[MetricPoint]) -> list[tuple[str, ...]]:
    by_key: dict[str, list[float]] = {}
    for point in metrics:
        values = by_key.setdefault(point.key, [])
        if point.value is not None:
            values.append(point.value)
    return [
        (metric_name(key), str(len(values)), *(metric_value(key, v) for v in _extent(values)))
        for key, values in sorted(by_key.items())
    ]


def _extent(values: Sequence[float]) -> tuple[float | None, ...]:
    return (values[0], values[-1], min(values), max(values)) if values else (None,) * 4


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are plain text, so what Markdown or HTML would interpret is escaped."""
    lines = [titles, ["---"] * len(titles), *rows]
    escaped = [[cell if index == 1 else escape(cell) for cell in line] for index, line in enumerate(lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in "\\|`*_[]#~" else letter for letter in text)
