"""Leaderboards as tables on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text

from lvmtui.cli.render import VERDICT_STYLES, badge_text
from lvmtui.cli.session import line, terminal_width
from lvmtui.cli.tables import Column, print_table
from lvmtui.format import MISSING, count, duration, interval, p_value, percent, signed, small
from lvmtui.latencies import milliseconds, short_place
from lvmtui.leaderboard.protocols import looks_words
from lvmtui.leaderboard.ranking import Group, Row, copies_words, judged_otherwise, latency_words
from lvmtui.leaderboard.seeds import PhaseSummary, by_phase
from lvmtui.leaderboard.verdicts import SHORT, Verdict
from lvmtui.store.records import Evaluation, Interval

Cell = str | Text

WIDE = 110
"""Columns of a terminal from which on verdicts are written in full: an interval is worth more."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column, and how a row is written in it."""

    column: Column
    write: Callable[[Row], Cell]
    shown: Callable[[Group], bool] = lambda _: True


def _score(name: str) -> Callable[[Row], Cell]:
    return lambda row: percent(getattr(row.evaluation, name))


def _around(name: str) -> Callable[[Row], Cell]:
    return lambda row: _interval(row.evaluation, name)


def _interval(evaluation: Evaluation, name: str) -> str:
    bounds: Interval | None = getattr(evaluation, f"{name}_interval")
    return interval(bounds.low, bounds.high) if bounds else ""


def _of_runs(write: Callable[[Row], Cell]) -> Callable[[Row], Cell]:
    return lambda row: "" if row.is_baseline else write(row)


def _rank(row: Row) -> str:
    if row.rank is None:
        return "-"
    return f"{row.rank}{'♛' if row.champion else ''}{'=' if row.tied else ''}"


def _name(row: Row) -> str:
    return f"{row.name} x" if row.extrapolated else row.name


def _verdict(row: Row) -> Text:
    if row.is_baseline:
        return Text("baseline", "dim")
    narrow = (terminal_width() or WIDE) < WIDE
    words = SHORT[Verdict(row.verdict)] if narrow else row.verdict
    return Text(f"{row.glyph} {words}", _style(row))


def _style(row: Row) -> str:
    return VERDICT_STYLES.get(Verdict(row.verdict), "")


def _against(row: Row) -> str:
    if row.versus is None:
        return signed(row.baseline_gain)
    bounds = row.versus.interval
    return f"{signed(row.baseline_gain)} [{signed(bounds.low)}, {signed(bounds.high)}]"


def _test(row: Row) -> str:
    return f"{percent(row.test.hit5)} {_interval(row.test, 'hit5')}".rstrip() if row.test else MISSING


def _latency(row: Row) -> str:
    return f"{milliseconds(row.latency.p95)} {short_place(row.latency)}" if row.latency else MISSING


FIELDS = (
    Field(Column("#", "right"), _rank),
    Field(Column("run"), _name),
    Field(Column("ctx", "right", drop=7), lambda row: str(row.context) if row.context else "-"),
    Field(Column("Hit@1", "right", drop=2), _score("hit1")),
    Field(Column("", drop=12), _around("hit1")),
    Field(Column("Hit@5", "right"), _score("hit5")),
    Field(Column("", drop=1), _around("hit5")),
    Field(Column("Hit@10", "right", drop=5), _score("hit10")),
    Field(Column("", drop=13), _around("hit10")),
    Field(Column("MRR", "right", drop=6), lambda row: small(row.evaluation.mrr)),
    Field(Column("skill", "right"), _of_runs(lambda row: Text(signed(row.skill), _style(row)))),
    Field(Column("vs baseline", "right", drop=4), _of_runs(_against)),
    Field(
        Column("p", drop=8),
        _of_runs(lambda row: p_value(row.versus.p) if row.versus else MISSING),
        lambda group: any(row.versus for row in group.rows),
    ),
    Field(
        Column("p95 ms", drop=7),
        _of_runs(_latency),
        lambda group: any(row.latency for row in group.rows),
    ),
    Field(Column("params", "right", drop=10), _of_runs(lambda row: count(row.parameters))),
    Field(Column("epochs", "right", drop=11), _of_runs(lambda row: f"{row.best_epoch}/{row.epochs}")),
    Field(Column("cost", "right", drop=9), _of_runs(lambda row: duration(row.seconds))),
    Field(Column("test Hit@5", drop=3), _of_runs(_test), lambda group: any(row.test for row in group.rows)),
    Field(
        Column("found", drop=5),
        lambda row: badge_text(row.findings),
        lambda group: any(row.findings for row in group.rows),
    ),
    Field(Column("protocol"), lambda row: row.evaluation.protocol_id, lambda group: not group.protocol_id),
    Field(Column("verdict", shrinks=True), _verdict),
)


def print_group(group: Group, *, phases: bool = False) -> None:
    """One protocol's part of the leaderboard, or all scores on a common pool."""
    line(group.heading)
    if group.difference:
        line(group.difference)
    for flaw in group.flaws:
        line(f"! {flaw}")
    if group.looks is not None:
        line(looks_words(group.looks))
    if phases:
        _print_phases(group)
        return
    fields = [field for field in FIELDS if field.shown(group)]
    rows = [[field.write(row) for field in fields] for row in group.rows]
    print_table([field.column for field in fields], rows)
    if any(row.tied for row in group.rows):
        line("= : its interval overlaps that of #1; the order between them may be chance")
    for words in (
        copies_words(group.rows),
        judged_otherwise(group.rows),
        latency_words(group.rows),
        *group.notes,
    ):
        if words:
            line(words)


def _print_phases(group: Group) -> None:
    columns = [
        Column("phase"),
        Column("recipe", drop=2),
        Column("seeds", "right"),
        Column("Hit@5", "right"),
        Column("± sd", "right"),
        Column("skill", "right", drop=4),
        Column("best run", drop=3),
        Column("its Hit@5", "right", drop=5),
        Column("its verdict", drop=6),
        Column("beside the first recipe", shrinks=True),
    ]
    print_table(columns, [_phase_cells(item) for item in by_phase(group)])


def _phase_cells(item: PhaseSummary) -> list[Cell]:
    spread = f"±{percent(item.sd)}" if item.sd is not None else "one seed"
    best = item.best
    scores = [percent(item.mean), spread, signed(item.skill), best.name, percent(best.evaluation.hit5)]
    return [item.phase, item.recipe_hash, str(item.seeds), *scores, _verdict(best), item.order]
