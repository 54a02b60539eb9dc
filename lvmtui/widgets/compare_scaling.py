"""Does a longer context pay? Hit@K by context length, with intervals and the best baseline at each length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from lvmtui import commands
from lvmtui.charts.figure import Curve, Look
from lvmtui.compare import scaling_words
from lvmtui.compare.contest import Measure
from lvmtui.compare.scaling import HITS, Point, Scaling
from lvmtui.compare.scaling_chart import axes_of, curves_of
from lvmtui.format import percent, plain, plain_lines, thousands
from lvmtui.widgets.cells import FAINT, MUTED, with_interval
from lvmtui.widgets.chart_kinds import Chart
from lvmtui.widgets.compare_tests import STYLES
from lvmtui.widgets.curve_pane import CurvePane
from lvmtui.widgets.look import chart_look
from lvmtui.widgets.row_table import Column, Line, RowTable

LOW = 26
"""Lines below which the chart gets most of them."""


class Pools(Enum):
    """What pool scores are shown on."""

    JUDGED = "as judged"
    EQUAL = "on one pool"
    PUBLISHED = "as published, on one pool"


class ScalingChart(CurvePane):
    """Hit@K by context length."""

    def __init__(self) -> None:
        super().__init__(Chart("Hit@K by context", ("",), percent=True))
        self.title = self.chart.title

    def heading(self) -> str:
        return self.title


class ScalingView(Vertical):
    """The chart, its numbers, the verdict, and what keeps it from meaning much."""

    DEFAULT_CSS = """
    ScalingView {
        & > ScalingChart { height: 1fr; min-height: 6; }
        & > RowTable { height: auto; max-height: 30%; }
        & > VerticalScroll { height: auto; max-height: 35%; padding: 0 1; scrollbar-size-vertical: 1; }
        & > VerticalScroll > Static { height: auto; }
        &.-low > RowTable { max-height: 6; }
        &.-low > VerticalScroll { max-height: 4; }
    }
    """
    BINDINGS = [*commands.bindings("sideways", "scaling")]

    place: reactive[int] = reactive(0, repaint=False)
    """Which of `HITS` is looked at."""
    pools: reactive[Pools] = reactive(Pools.JUDGED, repaint=False)

    @dataclass
    class PoolsChosen(Message):
        """Other scores are wanted."""

        pools: Pools

    def __init__(self) -> None:
        super().__init__(id="scaling-view")
        self._shown: Scaling | None = None
        self._problem = ""
        self._drawn: tuple[Scaling, int, Look] | None = None
        self._curves: tuple[Curve, ...] = ()

    def compose(self) -> ComposeResult:
        yield ScalingChart()
        yield RowTable(self._columns(Scaling()), empty="Nothing to show yet.", id="scaling-table")
        with VerticalScroll():
            yield Static("", id="scaling-words", markup=False)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show())

    def on_resize(self) -> None:
        low = self.size.height < LOW
        if low != self.has_class("-low"):
            self.set_class(low, "-low")
            self._show()

    @property
    def measure(self) -> Measure:
        """What is looked at."""
        return HITS[self.place]

    @property
    def scaling(self) -> Scaling | None:
        """What is shown."""
        return self._shown

    def show_scaling(self, scaling: Scaling | None, problem: str = "") -> None:
        """Show what was found; None while it is being read, or where `problem` says why it cannot be."""
        if scaling is self._shown and problem == self._problem and scaling is not None:
            return
        self._shown, self._problem = scaling, problem
        self._show()

    def watch_place(self) -> None:
        self._show()

    def watch_pools(self) -> None:
        if self.is_mounted:
            self.post_message(self.PoolsChosen(self.pools))

    def action_cursor_left(self) -> None:
        """Take the measure before."""
        self.place = (self.place - 1) % len(HITS)

    def action_cursor_right(self) -> None:
        """Take the next measure."""
        self.place = (self.place + 1) % len(HITS)

    def action_pools(self) -> None:
        """Show scores as judged, on one pool, or what was published."""
        every = list(Pools)
        self.pools = every[(every.index(self.pools) + 1) % len(every)]

    def _show(self) -> None:
        if not self.is_mounted:
            return
        found = self._shown or Scaling()
        look = chart_look(self)
        if self._drawn is None or self._drawn[0] is not found or self._drawn[1:] != (self.place, look):
            # Charts are cached by the identity of their arrays.
            self._curves = curves_of(found, self.measure, look)
            self._drawn = found, self.place, look
        chart = self.query_one(ScalingChart)
        chart.title = self._title(found)
        chart.set_curves(self._curves, (), axes_of(found))
        table = self.query_one(RowTable)
        table.columns = self._columns(found)
        lines = list(self._lines(found))
        table.show(lines)
        table.styles.height = len(lines) + 1
        static = self.query_one("#scaling-words", Static)
        words = Content("\n").join(self._words(found))
        if not (isinstance(static.content, Content) and words.is_same(static.content)):
            static.update(words)

    def _title(self, found: Scaling) -> str:
        if len(found.series) == 1:
            return scaling_words.heading(found.series[0], self.measure, found.pool)
        return f"{self.measure.name} by context, {self.pools.value}"

    def _columns(self, found: Scaling) -> tuple[Column, ...]:
        """Those that have something to say."""
        first, *others = [self.measure, *(item for item in HITS if item != self.measure)]
        every = (
            Column("context", "context", right=True),
            Column("runs", "runs", priority=7, shrinks=True),
            Column("main", f"{first.name} [95 %]", right=True),
            Column("sd", "± sd", right=True, priority=4),
            *(
                column
                for place, item in enumerate(others)
                for column in (
                    Column(item.key, item.name, right=True, priority=5 + place),
                    Column(f"{item.key}_wide", f"{item.name} [95 %]", True, 9 + place, wider_than=item.key),
                )
            ),
            Column("baseline", "best baseline", priority=1),
            Column("gain", "gain", right=True, priority=2),
            Column("gain_wide", "gain [95 %]", right=True, priority=8, wider_than="gain"),
            Column("pool", "pool", right=True, priority=3),
            Column("judged", "judged", right=True, priority=3),
        )
        absent: set[str] = set()
        if all(point.seeds == 1 for point in found.points):
            absent.add("sd")
        if not any(point.baseline for point in found.points):
            absent |= {"baseline", "gain", "gain_wide"}
        if not any(series.moved for series in found.series):
            absent.add("judged")
        return tuple(column for column in every if column.key not in absent)

    def _lines(self, found: Scaling) -> Iterator[Line]:
        for series in found.series:
            if len(found.series) > 1:
                yield Line(f"series:{series.name}", heading=Content.styled(plain(series.name), "bold"))
            for point in series.points:
                yield Line(f"{series.name}:{point.key}", self._cells(point))

    def _cells(self, point: Point) -> dict[str, Content]:
        measure = self.measure
        score, gain = point.scores[measure.key], scaling_words.gain_said(point, measure)
        style = STYLES[gain.tone]
        cells = {
            "context": Content(thousands(point.context)),
            "runs": Content(scaling_words.runs_words(point)),
            "main": with_interval(score.mean, score.interval, "bold"),
            "sd": Content.styled(scaling_words.spread(score, measure) or "one seed", MUTED),
            "baseline": Content(scaling_words.baseline_words(point, measure)),
            "gain": Content.styled(
                f"{gain.glyph} {scaling_words.gain_words(point, measure, wide=False)}".strip(), style
            ),
            "gain_wide": Content.styled(
                f"{gain.glyph} {scaling_words.gain_words(point, measure)}".strip(), style
            ),
            "pool": Content.styled(thousands(point.own_pool), MUTED),
            "judged": Content.styled(percent(point.judged[measure.key]), MUTED),
        }
        for item in HITS:
            other = point.scores[item.key]
            cells[item.key] = Content(percent(other.mean))
            cells[f"{item.key}_wide"] = with_interval(other.mean, other.interval)
        return cells

    def _words(self, found: Scaling) -> Sequence[Content]:
        if self._problem:
            return [Content.styled(line, "$error") for line in plain_lines(f"✖ {self._problem}")]
        if self._shown is None:
            return [Content("reading…")]
        said = []
        for series in found.series:
            verdict = scaling_words.slope_said(series, self.measure)
            head = f"{plain(series.name)}: " if len(found.series) > 1 else ""
            if verdict is not None:
                text = f"{verdict.glyph} {head}{plain(verdict.words)}"
                said.append(Content.styled(text, STYLES[verdict.tone]))
        hint = Content.styled("← → other measure   c as judged, on one pool, as published", FAINT)
        more = [Content.styled(plain(text), MUTED) for text in scaling_words.sentences(found, self.measure)]
        # Where one has to scroll for them, the keys come first.
        return [*said, hint, *more] if self.has_class("-low") else [*said, *more, hint]
