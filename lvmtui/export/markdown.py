"""Leaderboards and runs as Markdown, for reading: what is wrong comes first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from lvmtui.export.records import SCORES, Protocols, bounds_of, flat, run_facts, worth_of
from lvmtui.format import (
    MISSING,
    interval,
    metric_name,
    metric_value,
    number,
    p_value,
    percent,
    plain,
    signed,
    small,
    stamp,
    thousands,
)
from lvmtui.latencies import MODES, milliseconds, place, refusals, short_place
from lvmtui.leaderboard.protocols import flaws_of, looks_words, protocol_words
from lvmtui.leaderboard.ranking import Group, Row, copies_words, judged_otherwise, latency_words
from lvmtui.leaderboard.seeds import PhaseSummary, by_phase
from lvmtui.leaderboard.verdicts import GLYPHS, Verdict, sentence
from lvmtui.remote.hosts import number_of
from lvmtui.snapshot import RunView
from lvmtui.store.records import Evaluation, Event, Latency, MetricPoint
from lvmtui.versus import versus_of

_JUDGED_ON = ("n", "pool", "interval method", "protocol id", "data fingerprint")

_METRICS_ON = ("n", "pool", "protocol id", "data fingerprint")

_LEADERBOARD_TITLES = (
    *("#", "run", "run id", "phase", "ctx", "Hit@1", "Hit@5", "Hit@10", "MRR", "skill", "vs baseline"),
    *("epoch", "verdict", "judged", "findings", "test Hit@5", "p95 ms"),
    *_JUDGED_ON,
)

_PHASE_TITLES = (
    *("phase", "recipe", "seeds", "run ids", "Hit@5", "sd", "95 % interval", "skill", "beside the first"),
    *_JUDGED_ON,
)


def _hit(evaluation: Evaluation, name: str) -> str:
    bounds = bounds_of(evaluation, name)
    if name == "mrr":
        around = f" [{small(bounds.low)}, {small(bounds.high)}]" if bounds else ""
        return f"{small(evaluation.mrr)}{around}"
    spread = f" {interval(bounds.low, bounds.high)}" if bounds else ""
    return f"{percent(getattr(evaluation, name))}{spread}"


def _judged_on(evaluation: Evaluation, protocols: Protocols) -> tuple[str, ...]:
    protocol = protocols.get(evaluation.protocol_id)
    return (
        thousands(evaluation.n),
        thousands(evaluation.pool),
        evaluation.interval_method or "none",
        evaluation.protocol_id,
        protocol.data_fingerprint if protocol else "not recorded",
    )


def leaderboard_markdown(groups: Sequence[Group], protocols: Protocols) -> str:
    """The groups as a table each, and one of their recipes where a recipe has several seeds."""
    parts = [
        "# Leaderboard\n\nHit@K, gain and skill in percent, with 95 % intervals; best evaluation of each "
        "run. Only rows of one table can be compared.\n"
    ]
    for group in groups:
        parts.append(f"\n## {escape(group.heading)}\n\n")
        parts += [f"{escape(words)}\n\n" for words in _remarks(group)]
        parts.append(
            markdown_table(_LEADERBOARD_TITLES, (_markdown_row(row, protocols) for row in group.rows))
        )
        protocol = protocols.get(group.protocol_id)
        if protocol is not None:
            parts.append("\nHow it was judged:\n\n")
            parts += [f"- {escape(words)}\n" for words in protocol_words(protocol)]
        recipes = by_phase(group)
        if any(item.seeds > 1 for item in recipes):
            parts.append("\nBy recipe, over seeds:\n\n")
            parts.append(markdown_table(_PHASE_TITLES, (_phase_row(item, protocols) for item in recipes)))
    return "".join(parts)


def _remarks(group: Group) -> Iterator[str]:
    """What must be said over a table, the worst first."""
    yield from (f"Wrong with this protocol: {flaw}" for flaw in group.flaws)
    for verdict in (Verdict.BELOW, Verdict.UNDER):
        below = [row for row in group.rows if row.verdict == verdict]
        names = ", ".join(f"{row.name} ({row.baseline})" for row in below)
        if below:
            yield f"{_capital(verdict.value)}, which needs no training: {names}."
    if group.difference:
        yield group.difference
    if group.looks is not None:
        yield looks_words(group.looks)
    if any(row.tied for row in group.rows):
        yield "Tied: its interval overlaps that of #1; the order between them may be chance."
    said = (copies_words(group.rows), judged_otherwise(group.rows), latency_words(group.rows))
    yield from (words for words in (*said, *group.notes) if words)


def _markdown_row(row: Row, protocols: Protocols) -> tuple[str, ...]:
    scores = row.evaluation
    rank = "-" if row.rank is None else f"{row.rank}{' (tied)' if row.tied else ''}"
    marks = (" (champion)" if row.champion else "") + (" (extrapolated)" if row.extrapolated else "")
    marks += f" (copy of {row.copy_of})" if row.copy_of else ""
    verdict = f"{row.glyph} {row.verdict}" if row.verdict else "baseline"
    return (
        rank,
        f"{row.name}{marks}",
        "-" if row.run_id is None else str(number_of(row.run_id)),
        row.phase,
        str(row.context or "-"),
        *(_hit(scores, name) for name in ("hit1", "hit5", "hit10", "mrr")),
        "-" if row.skill is None else signed(row.skill),
        _gain(row),
        "-" if row.best_epoch is None else f"{row.best_epoch}/{row.epochs}",
        verdict,
        row.basis.value or "-",
        _found(row),
        _test(row, protocols),
        f"{milliseconds(row.latency.p95)} ({short_place(row.latency)})" if row.latency else MISSING,
        *_judged_on(scores, protocols),
    )


def _gain(row: Row) -> str:
    if row.baseline_gain is None:
        return "-"
    words = signed(row.baseline_gain)
    if row.versus is not None:
        bounds = row.versus.interval
        words += f" [{signed(bounds.low)}, {signed(bounds.high)}] {p_value(row.versus.p)}"
    return f"{words} ({row.baseline})"


def _found(row: Row) -> str:
    return "; ".join(f"{item.severity.value}: {item.check}" for item in row.findings) or "-"


def _test(row: Row, protocols: Protocols) -> str:
    if row.test is None:
        return "-"
    n, pool, _, protocol_id, _ = _judged_on(row.test, protocols)
    return f"{_hit(row.test, 'hit5')} (n {n}, pool {pool}, protocol {protocol_id})"


def _phase_row(item: PhaseSummary, protocols: Protocols) -> tuple[str, ...]:
    bounds = item.interval
    return (
        item.phase,
        item.recipe_hash,
        str(item.seeds),
        ", ".join(map(str, map(number_of, item.run_ids))),
        percent(item.mean),
        percent(item.sd) if item.sd is not None else "one seed",
        interval(bounds.low, bounds.high) if bounds else "-",
        signed(item.skill),
        item.order,
        *_judged_on(item.best.evaluation, protocols),
    )


def run_markdown(
    view: RunView,
    protocols: Protocols,
    evaluations: Sequence[Evaluation],
    metrics: Sequence[MetricPoint],
    events: Sequence[Event],
    latencies: Sequence[Latency],
    looks: int | None,
) -> str:
    """The run part by part; of each metric only the first, last, lowest and highest value."""
    run, best = view.run, view.best
    titles = (
        *("run id", "split", "epoch", "step", "Hit@1", "Hit@5", "Hit@10", "MRR", "loss"),
        *_JUDGED_ON,
    )
    shown = [*evaluations, *([view.test] if view.test and view.test not in evaluations else [])]
    happened = [(stamp(item.time), item.severity.value, item.kind, item.message) for item in events]
    protocol = protocols.get((best.protocol_id if best else run.protocol_id) or "")
    judged = protocol_words(protocol, best) if protocol else ["It is recorded at the first evaluation."]
    return "\n".join(
        [
            f"# {escape(run.name)}\n",
            "## What is wrong\n",
            "".join(f"- {escape(words)}\n" for words in _wrong(view, protocols)),
            "## What it is worth\n",
            "".join(f"- {escape(words)}\n" for words in _worth(view, protocols, looks)),
            "## How it was judged\n",
            "".join(f"- {escape(words)}\n" for words in judged),
            "## Against baselines\n\nDifferences over the same queries, in points.\n",
            _versus_table(shown, run.number, protocols),
            "## Evaluations\n\nHit@K in percent with 95 % intervals.\n",
            markdown_table(titles, [_evaluation_row(item, run.number, protocols) for item in shown]),
            *_latency_parts(latencies),
            "## The run\n",
            markdown_table(("fact", "value"), run_facts(view, protocols)),
            "## Metrics\n\nHit@K and MRR stand under Evaluations.\n",
            markdown_table(
                ("run id", "metric", "values", "first", "last", "lowest", "highest", *_METRICS_ON),
                _metric_rows(view, metrics),
            ),
            "## Recipe\n",
            markdown_table(("field", "value"), flat(json.loads(run.recipe))),
            "## Events\n",
            markdown_table(("time", "severity", "kind", "message"), happened),
        ]
    )


def _wrong(view: RunView, protocols: Protocols) -> Iterator[str]:
    """What is wrong with the run, its score and its protocol; or that nothing was found."""
    found = worth_of(view)
    flaws = flaws_of(protocols.get(view.best.protocol_id)) if view.best else ()
    if not (view.findings or flaws or view.run.error or (found and found.verdict.is_below)):
        yield "Nothing was found."
    if view.run.error:
        yield f"Failed: {view.run.error.strip().splitlines()[0]}"
    if found is not None and found.verdict.is_below:
        better = "Without training one does better" if found.verdict is Verdict.BELOW else "It may be chance"
        yield f"{GLYPHS[found.verdict]} {_capital(sentence(found))}. {better}."
    yield from (f"The protocol: {flaw}" for flaw in flaws)
    for finding in view.findings:
        yield f"{finding.severity.value} ({finding.check}): {finding.text}"


def _worth(view: RunView, protocols: Protocols, looks: int | None) -> Iterator[str]:
    """The best score, its verdict, its skill, the score on the test split."""
    best, found = view.best, worth_of(view)
    if best is None or found is None:
        yield "No evaluation yet."
        return
    yield f"Run {view.run.number}, best evaluation, epoch {best.epoch}: {_score_words(best, protocols)}"
    yield f"Verdict: {GLYPHS[found.verdict]} {sentence(found)}."
    if found.skill is not None:
        yield f"Skill: {signed(found.skill)} % of what {found.baseline_name} leaves to gain in Hit@5."
    if found.versus is not None and found.versus.detectable:
        smallest = percent(found.versus.detectable)
        yield f"These queries show a true difference of {smallest} points with a power of 80 %."
    if view.test is not None:
        test = view.test
        yield f"Run {view.run.number}, test split, epoch {test.epoch}: {_score_words(test, protocols)}"
    if looks is not None:
        yield looks_words(looks)


def _score_words(item: Evaluation, protocols: Protocols) -> str:
    hits = ", ".join(f"{metric_name(name)} {_hit(item, name)}" for name in ("hit1", "hit5", "hit10", "mrr"))
    n, pool, method, protocol_id, fingerprint = _judged_on(item, protocols)
    return f"{hits}; n {n}, pool {pool}, {method}, protocol {protocol_id}, data {fingerprint}."


_LATENCY_TITLES = (
    *("mode", "precision", "context", "P50 ms", "P95 ms", "P99 ms", "queries", "pool", "top", "load"),
    *("where", "Hit@5", "minus fp32", "epoch"),
)


def _latency_parts(latencies: Sequence[Latency]) -> Iterator[str]:
    """What was measured of the run's checkpoints; nothing where nothing was."""
    if not latencies:
        return
    yield "## Latency\n\nMilliseconds a query. Only what was measured at one place can be compared.\n"
    yield from (f"{escape(words)}.\n" for words in refusals(latencies))
    timed = [item for item in latencies if not item.refused]
    yield markdown_table(_LATENCY_TITLES, map(_latency_row, timed))


def _latency_row(item: Latency) -> tuple[str, ...]:
    bounds = item.hit5_change_interval
    around = f" [{signed(bounds.low)}, {signed(bounds.high)}]" if bounds else ""
    return (
        MODES.get(item.mode, item.mode),
        item.precision,
        str(item.context),
        *(milliseconds(value) for value in (item.p50, item.p95, item.p99)),
        str(item.n),
        thousands(item.pool),
        str(item.top),
        number(item.load, 2),
        place(item),
        percent(item.hit5),
        f"{signed(item.hit5_change)}{around}" if item.hit5_change is not None else MISSING,
        str(item.epoch),
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _versus_table(evaluations: Sequence[Evaluation], run_id: int, protocols: Protocols) -> str:
    rows = list(_versus_rows(evaluations, run_id, protocols))
    titles = ("run id", "split", "epoch", "metric", "minus", "difference", "p", "detectable", *_JUDGED_ON)
    return markdown_table(titles, rows) if rows else "None is stored.\n"


def _versus_rows(
    evaluations: Sequence[Evaluation], run_id: int, protocols: Protocols
) -> Iterator[tuple[str, ...]]:
    for item in evaluations:
        for compared in versus_of(item):
            bounds = compared.interval
            yield (
                str(run_id),
                item.split,
                str(item.epoch),
                metric_name(compared.metric),
                f"{compared.baseline} (context {compared.context})",
                f"{signed(compared.difference)} [{signed(bounds.low)}, {signed(bounds.high)}]",
                p_value(compared.p),
                percent(compared.detectable) if compared.detectable is not None else MISSING,
                *_judged_on(item, protocols),
            )


def _evaluation_row(evaluation: Evaluation, run_id: int, protocols: Protocols) -> tuple[str, ...]:
    hits = [_hit(evaluation, name) for name in ("hit1", "hit5", "hit10", "mrr")]
    place = (str(run_id), evaluation.split, str(evaluation.epoch), str(evaluation.step))
    return (*place, *hits, number(evaluation.loss), *_judged_on(evaluation, protocols))


def _metric_rows(view: RunView, metrics: Sequence[MetricPoint]) -> list[tuple[str, ...]]:
    """Training metrics have no queries and no pool."""
    run, best = view.run, view.best
    by_key: dict[str, list[float]] = {}
    for point in metrics:
        values = by_key.setdefault(point.key, [])
        if point.value is not None:
            values.append(point.value)
    counts = (thousands(best.n), thousands(best.pool)) if best else ("-", "-")
    judged_on = (run.protocol_id or "-", run.data_fingerprint or "-")
    return [
        (
            *(str(run.number), metric_name(key), str(len(values))),
            *(metric_value(key, value) for value in _extent(values)),
            *(counts if key.startswith("val/") else ("-", "-")),
            *judged_on,
        )
        for key, values in sorted(by_key.items())
        if key.removeprefix("val/") not in SCORES
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
