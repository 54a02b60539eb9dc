"""Who beats whom: each pair of runs, each run beside baselines, each pair of recipes, with tests."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from lvmtui import commands
from lvmtui.compare import words as contest_words
from lvmtui.compare.contest import MEASURES, Entry, Measure, Pair, ProtocolGroup, RecipeTest
from lvmtui.compare.side_by_side import SideBySide
from lvmtui.compare.words import Said, Tone
from lvmtui.format import p_value, plain
from lvmtui.leaderboard.protocols import heading
from lvmtui.store.records import Severity
from lvmtui.widgets.cells import FAINT, MUTED
from lvmtui.widgets.row_table import Column, Line, RowTable

STYLES = {Tone.GOOD: "$success", Tone.UNSURE: "$warning", Tone.BAD: "$error", Tone.NONE: MUTED}
SEVERITIES = {Severity.ERROR: "$error", Severity.WARN: "$warning", Severity.INFO: MUTED}

COLUMNS = (
    Column("first", "first", shrinks=True),
    Column("second", "second", shrinks=True),
    Column("difference", "difference", right=True),
    Column("difference_wide", "difference [95 %]", right=True, priority=1, wider_than="difference"),
    Column("p", "p", right=True),
    Column("adjusted", "corrected", right=True, priority=2),
    Column("mcnemar", "McNemar", priority=4),
    Column("detectable", "detectable", right=True, priority=3),
    Column("verdict", "verdict"),
)

Shown = Pair | RecipeTest

LOW = 26
"""Lines below which the table gets most of them."""

WIDE = 110
"""Cells from which on scores are given with their intervals."""


class TestsTable(RowTable):
    """The tests."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__(COLUMNS, empty="Nothing is compared yet.", id="tests-table")


class TestsView(Vertical):
    """The table, and everything about its row at the cursor in sentences."""

    __test__ = False

    DEFAULT_CSS = """
    TestsView {
        & > TestsTable { height: 1fr; }
        & > VerticalScroll {
            height: 2fr;
            max-height: 16;
            border-top: solid $border-blurred;
            padding: 0 1;
            scrollbar-size-vertical: 1;
        }
        & > VerticalScroll:focus { border-top: solid $border; }
        & > VerticalScroll > Static { height: auto; }
        &.-low > VerticalScroll { height: 9; }
        &.-ascii > VerticalScroll { border-top: ascii $border-blurred; }
    }
    """
    BINDINGS = [*commands.bindings("sideways")]

    place: reactive[int] = reactive(MEASURES.index(Measure(5)), repaint=False)
    """Which of `MEASURES` is shown."""

    def __init__(self) -> None:
        super().__init__(id="tests-view")
        self._compared: SideBySide | None = None
        self._rows: dict[str, tuple[ProtocolGroup, Shown]] = {}

    def compose(self) -> ComposeResult:
        yield TestsTable()
        with VerticalScroll():
            yield Static("", id="tests-words", markup=False)

    def on_mount(self) -> None:
        self.set_class(bool(getattr(self.app, "ascii_only", False)), "-ascii")

    def on_resize(self) -> None:
        self.set_class(self.size.height < LOW, "-low")
        self._tell()

    @property
    def measure(self) -> Measure:
        """What is tested in the table."""
        return MEASURES[self.place]

    def show_comparison(self, compared: SideBySide) -> None:
        """Show what was found."""
        if compared is not self._compared:
            self._compared = compared
            self._show()

    def watch_place(self) -> None:
        self._show()

    def action_cursor_left(self) -> None:
        """Take the measure before."""
        self.place = (self.place - 1) % len(MEASURES)

    def action_cursor_right(self) -> None:
        """Take the next measure."""
        self.place = (self.place + 1) % len(MEASURES)

    def on_row_table_moved(self, message: RowTable.Moved) -> None:
        """Tell about the row under the cursor."""
        message.stop()
        self._tell()

    def _show(self) -> None:
        if self._compared is None:
            return
        self._rows = {}
        data = {run.id: run.data for run in self._compared.runs}
        lines: list[Line] = []
        for group in self._compared.report.groups:
            if len(self._compared.report.groups) > 1:
                about = heading(group.protocol_id, group.protocol, data.get(group.runs[0].run_id or 0, ""))
                lines.append(Line(f"group:{group.protocol_id}", heading=Content.styled(about, "bold")))
            lines += self._lines(group)
        table = self.query_one(TestsTable)
        table.show(lines)
        self._tell()

    def _lines(self, group: ProtocolGroup) -> Iterator[Line]:
        measure = self.measure
        if group.difference:
            different = Content.styled(plain(group.difference), "$warning")
            yield Line(f"different:{group.protocol_id}", heading=different)
        pairs = sorted(group.pairs, key=lambda pair: pair.unsureness(measure))
        parts: tuple[tuple[str, list[Shown]], ...] = (
            (f"{measure.name}: runs, the better one first", [pair.better_first(measure) for pair in pairs]),
            (f"{measure.name}: runs beside baselines", [*group.against]),
            (f"{measure.name}: recipes over their seeds", [*group.recipes]),
        )
        for title, shown in parts:
            if not shown:
                continue
            yield Line(f"section:{group.protocol_id}:{title}", heading=Content.styled(title, "bold $primary"))
            for item in shown:
                key = _key(item)
                self._rows[key] = group, item
                yield Line(key, _cells(item, measure))

    def _tell(self) -> None:
        static = self.query_one("#tests-words", Static)
        words = Content("\n").join(self._words())
        if not (isinstance(static.content, Content) and words.is_same(static.content)):
            static.update(words)

    def _words(self) -> Iterator[Content]:
        compared, measure = self._compared, self.measure
        if compared is None:
            return
        found = self._rows.get(self.query_one(TestsTable).cursor or "")
        if found is not None:
            group, item = found
            yield from _about(item, measure, wide=self.size.width >= WIDE)
            yield Content("")
            for text in (
                contest_words.detectable_words(group, measure),
                *contest_words.method_words(group, measure),
            ):
                if text:
                    yield Content.styled(text, MUTED)
        for left in compared.left_out:
            yield Content.styled(f"{plain(left.run.name)} is left out: {left.reason}.", "$warning")
        for finding in compared.findings:
            head = f"{finding.glyph} {finding.severity.value}: "
            body = plain(" ".join(filter(None, [f"{finding.message}.", finding.advice])))
            yield Content.assemble((head, SEVERITIES[finding.severity]), body)
        yield Content.styled("← → other measure", FAINT)


def _key(item: Shown) -> str:
    """The same whichever of two runs stands first."""
    if isinstance(item, RecipeTest):
        return f"recipes:{item.first.recipe_hash}:{item.second.recipe_hash}"
    first, second = sorted((item.first.name, item.second.name))
    return f"pair:{first}:{second}"


def _said(item: Shown, measure: Measure) -> Said:
    if isinstance(item, RecipeTest):
        return contest_words.recipe_said(item, measure)
    if item.second.run_id is None:
        return contest_words.against_said(item, measure)
    return contest_words.pair_said(item, measure)


def _cells(item: Shown, measure: Measure) -> dict[str, Content]:
    said = _said(item, measure)
    short = said.words
    cells = {"first": Content(plain(item.first.name)), "second": Content(plain(item.second.name))}
    test = item.tests.get(measure.key)
    if test is not None:
        difference = contest_words.change(measure, test.difference)
        cells["difference"] = Content(difference)
        around = f" {contest_words.change_around(measure, test.interval)}" if test.interval else ""
        cells["difference_wide"] = Content.assemble(difference, (around, MUTED))
        cells["p"] = Content(p_value(test.p) if test.p is not None else "")
    if isinstance(item, RecipeTest):
        short = contest_words.recipe_short(item, measure)
    elif (pair_test := item.tests.get(measure.key)) is not None:
        cells["adjusted"] = Content(p_value(pair_test.adjusted) if pair_test.adjusted is not None else "")
        cells["mcnemar"] = Content.styled(contest_words.mcnemar_words(pair_test), MUTED)
        cells["detectable"] = Content.styled(contest_words.margin(measure, pair_test.detectable), MUTED)
    cells["verdict"] = Content.styled(f"{said.glyph} {short}", STYLES[said.tone])
    return cells


def _about(item: Shown, shown: Measure, *, wide: bool) -> Iterator[Content]:
    """A row in sentences, every measure."""
    said = _said(item, shown)
    if isinstance(item, RecipeTest):
        yield Content.styled(contest_words.recipe_sentence(item, shown), STYLES[said.tone])
        for group in (item.first, item.second):
            scores = ", ".join(f"{m.name} {contest_words.spread(group, m)}" for m in MEASURES)
            yield Content(f"{plain(group.name)}: {contest_words.seeds_of(group)}; {scores}")
        return
    if item.second.run_id is None:
        sentence = f"{plain(item.first.name)} is {contest_words.against_said(item, shown).words}"
    else:
        sentence = contest_words.pair_sentence(item, shown)
    yield Content.styled(f"{said.glyph} {sentence}", STYLES[said.tone])
    for measure in MEASURES:
        test = item.tests.get(measure.key)
        if test is None:
            continue
        both = " against ".join(_scored(entry, measure, wide=wide) for entry in (item.first, item.second))
        figures = f"{contest_words.change(measure, test.difference):>6} {p_value(test.p)}"
        if test.adjusted is not None:
            figures += f", corrected {p_value(test.adjusted)}"
        mcnemar = contest_words.mcnemar_words(test) if wide else ""
        yield Content.assemble(
            (f"{measure.name:7}", "bold" if measure == shown else ""),
            f"{figures:32}  ",
            (f"{both:44}{f'McNemar {mcnemar}' if mcnemar else ''}".rstrip(), MUTED),
        )


def _scored(entry: Entry, measure: Measure, *, wide: bool) -> str:
    score = entry.scores[measure.key]
    return contest_words.scored(measure, score) if wide else contest_words.value(measure, score.value)
