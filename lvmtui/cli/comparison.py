"""A comparison of runs as tables and sentences on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lvmtui.cli.session import line, terminal_width, write
from lvmtui.cli.tables import Column, make_console, print_table
from lvmtui.compare import words
from lvmtui.compare.contest import Entry, Equated, Measure, Pair, PairTest, ProtocolGroup, RecipeTest, Report
from lvmtui.compare.side_by_side import SideBySide
from lvmtui.compare.words import Said, Tone
from lvmtui.findings import Finding
from lvmtui.format import MISSING, p_value, plain, wrap
from lvmtui.leaderboard.protocols import heading
from lvmtui.leaderboard.verdicts import Verdict
from lvmtui.store.records import Severity

STYLES = {Tone.GOOD: "green", Tone.UNSURE: "yellow", Tone.BAD: "red", Tone.NONE: ""}
SEVERITIES = {Severity.ERROR: "red", Severity.WARN: "yellow", Severity.INFO: ""}

LEAST_WIDTH = 40
MATRIX_CELLS = 7
"""Cells that a column of the matrix takes."""


def print_comparison(compared: SideBySide) -> None:
    """Print everything that was found."""
    report = compared.report
    data = {run.id: run.data for run in compared.runs}
    for number, group in enumerate(report.groups):
        if number:
            line()
        _print_group(group, report.measure, data.get(group.runs[0].run_id or 0, ""))
    if report.pool is not None:
        _print_equated(report)
    _print_recipes(compared)
    _print_findings(compared.findings)


def _title(text: str) -> None:
    line()
    line(text)


def _said(said: Said) -> Text:
    return Text(str(said), STYLES[said.tone])


def _sentence(text: str) -> None:
    for part in wrap(text, max(LEAST_WIDTH, terminal_width() or 110), 20):
        line(part)


def _print_group(group: ProtocolGroup, measure: Measure, data: str) -> None:
    _sentence(heading(group.protocol_id, group.protocol, data))
    if group.difference:
        _sentence(group.difference)
    _print_scores(group, measure)
    if group.pairs:
        _title("who beats whom")
        _print_pairs(group.pairs, measure)
    if len(group.runs) > 2:
        _title(f"{measure.name}, row minus column (* more than chance)")
        _print_matrix(group, measure)
    if len(group.runs) > 1:
        _print_seeds(group, measure)
    line()
    for text in (words.detectable_words(group, measure), *words.method_words(group, measure)):
        if text:
            _sentence(text)


def _print_scores(group: ProtocolGroup, measure: Measure) -> None:
    columns = [
        Column("run"),
        Column("seed", "right", drop=3),
        Column("ctx", "right", drop=4),
        Column(measure.name, "right"),
        Column("[95 %]", drop=2),
    ]
    for place, baseline in enumerate(group.baselines):
        reached = words.value(measure, baseline.scores[measure.key].value)
        columns.append(Column(f"vs {plain(baseline.name)} {reached}", "right", drop=place))
        columns.append(Column("", drop=5 + place))
    columns.append(Column("verdict", shrinks=True))
    print_table(columns, [_score_cells(group, run, measure) for run in group.runs])


def _score_cells(group: ProtocolGroup, run: Entry, measure: Measure) -> list[str | Text]:
    score = run.scores[measure.key]
    cells: list[str | Text] = [run.name, str(run.seed), str(run.context)]
    cells += [words.value(measure, score.value), words.around(measure, score.interval)]
    against = [pair for pair in group.against if pair.first is run]
    for pair in against:
        test = pair.tests.get(measure.key)
        cells += [words.change(measure, test.difference), p_value(test.p)] if test else [MISSING, ""]
    cells.append(_said(words.against_said(against[0], measure)) if against else Verdict.NONE.value)
    return cells


def _print_pairs(pairs: Sequence[Pair], measure: Measure) -> None:
    columns = [
        Column("better"),
        Column("than"),
        Column(f"{measure.name}", "right"),
        Column("[95 %]", drop=1),
        Column("p", "right"),
        Column("corrected", "right", drop=2),
        Column("McNemar", drop=4),
        Column("detectable", "right", drop=3),
        Column("verdict", shrinks=True),
    ]
    print_table(columns, [_pair_cells(pair.better_first(measure), measure) for pair in pairs])


def _pair_cells(pair: Pair, measure: Measure) -> list[str | Text]:
    test = pair.tests.get(measure.key)
    cells: list[str | Text] = [pair.first.name, pair.second.name]
    if test is None:
        cells += [MISSING, "", "", "", "", ""]
    else:
        cells += [words.change(measure, test.difference), words.change_around(measure, test.interval)]
        cells += [p_value(test.p), p_value(test.adjusted), words.mcnemar_words(test)]
        cells.append(words.margin(measure, test.detectable))
    return [*cells, _said(words.pair_said(pair, measure))]


def _print_matrix(group: ProtocolGroup, measure: Measure) -> None:
    entries, found = group.runs, words.matrix(group, measure)
    short = words.short_names(entries)
    needed = MATRIX_CELLS * (len(entries) + 1)
    if (terminal_width() or needed) < needed:
        line(f"It needs {needed} columns; the pairs above say the same.")
        return
    columns = [Column(""), *(Column(short[entry.name], "right") for entry in entries)]
    rows = [
        [short[row.name], *(_matrix_cell(found.get((row.name, other.name)), measure) for other in entries)]
        for row in entries
    ]
    print_table(columns, rows)


def _matrix_cell(test: PairTest | None, measure: Measure) -> str | Text:
    if test is None:
        return "·"
    if not test.is_clear:
        return f"{words.change(measure, test.difference)} "
    return Text(f"{words.change(measure, test.difference)}*", "green" if test.difference > 0 else "red")


def _print_seeds(group: ProtocolGroup, measure: Measure) -> None:
    _title("recipes, over their seeds")
    columns = [Column("recipe"), Column("seeds"), Column(f"{measure.name} ± sd", "right"), Column("[95 %]")]
    rows = [
        [item.name, words.seeds_of(item), words.spread(item, measure), words.mean_around(item, measure)]
        for item in group.seeds
    ]
    print_table(columns, rows)
    verdicts: dict[str, list[RecipeTest]] = {}
    for tested in group.recipes:
        verdicts.setdefault(words.recipe_said(tested, measure).words, []).append(tested)
    for said, members in verdicts.items():
        if len(members) == 1:
            _sentence(words.recipe_sentence(members[0], measure))
        else:
            both = "; ".join(f"{item.first.name} against {item.second.name}" for item in members)
            _sentence(f"{said}: {both}")


def _print_equated(report: Report) -> None:
    _title(words.equated_heading(report))
    leader = next((item for item in report.equated if item.value is not None), None)
    columns = [
        Column("run"),
        Column(report.measure.name, "right"),
        Column("[95 %]"),
        Column("n", "right", drop=2),
        Column("own pool", "right", drop=1),
        Column("protocol", drop=3),
        Column("", shrinks=True),
    ]
    print_table(columns, [_equated_cells(item, report.measure, leader) for item in report.equated])


def _equated_cells(item: Equated, measure: Measure, leader: Equated | None) -> list[str]:
    judged = item.evaluation
    score = words.value(measure, item.value) if item.value is not None else MISSING
    return [
        item.name,
        score,
        words.around(measure, item.interval),
        str(judged.n),
        str(judged.pool),
        judged.protocol_id[:12],
        words.equated_said(item, leader),
    ]


def _print_recipes(compared: SideBySide) -> None:
    if compared.problem:
        _title(f"recipes: {compared.problem}")
        return
    if not compared.differences:
        _title("The recipes are the same.")
        return
    _title("recipes: what differs")
    columns = [Column(""), *(Column(run.name, shrinks=True) for run in compared.runs)]
    print_table(columns, [[item.field, *item.values] for item in compared.differences])


def _print_findings(findings: Sequence[Finding]) -> None:
    if not findings:
        return
    _title("before you believe it")
    console = make_console(max(LEAST_WIDTH, terminal_width() or 110))
    for finding in findings:
        said = plain(" ".join(filter(None, [f"{finding.message}.", finding.advice])))
        head = f"{finding.glyph} {finding.severity.value}: "
        with console.capture() as capture:
            console.print(Text.assemble((head, SEVERITIES[finding.severity]), said))
        write(capture.get())
