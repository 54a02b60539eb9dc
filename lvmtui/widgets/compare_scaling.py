"""Does a longer context pay? Hit@K by context length, with intervals and the best baseline at each length."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from lvmtui.figure import Axes, Curve
from lvmtui.format import MISSING, counted, percent, plain, signed, thousands
from lvmtui.leaderboard.protocols import difference
from lvmtui.leaderboard.verdicts import strongest
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.store.records import Evaluation, Interval
from lvmtui.widgets.cells import MUTED, with_interval
from lvmtui.widgets.curve_pane import Chart, CurvePane
from lvmtui.widgets.look import chart_look
from lvmtui.widgets.row_table import Column, Line, RowTable

HITS = ("hit5", "hit10", "hit1")
"""Drawn in this order, the first on top."""

COLUMNS = (
    Column("context", "context", right=True),
    Column("runs", "runs", priority=6, shrinks=True),
    Column("hit1", "Hit@1", right=True, priority=4),
    Column("hit1_wide", "Hit@1 [95 %]", right=True, priority=8, wider_than="hit1"),
    Column("hit5", "Hit@5 [95 %]", right=True),
    Column("hit10", "Hit@10", right=True, priority=3),
    Column("hit10_wide", "Hit@10 [95 %]", right=True, priority=7, wider_than="hit10"),
    Column("baseline", "best baseline", priority=1),
    Column("gain", "gain", right=True, priority=2),
    Column("words", "", priority=5),
)


MARGIN = 1.3
"""Factor by which the axis goes on beyond the contexts, so that bars stand free."""


@dataclass(frozen=True, slots=True)
class Point:
    """The runs of one context length."""

    context: int
    runs: tuple[RunView, ...]
    baseline: Evaluation | None
    """The strongest that looks at no more than this context; None where none is stored."""

    def mean(self, name: str) -> float:
        """Mean over the runs' best evaluations."""
        return statistics.fmean(getattr(view.best, name) for view in self.runs)

    def span(self, name: str) -> Interval | None:
        """From the lowest end of the runs' 95 % intervals to the highest."""
        bounds = [getattr(view.best, f"{name}_interval") for view in self.runs]
        known = [item for item in bounds if item is not None]
        return Interval(min(i.low for i in known), max(i.high for i in known)) if known else None


@dataclass(frozen=True, slots=True)
class Scaling:
    """What context length does, under one protocol."""

    points: tuple[Point, ...]
    """Shortest context first."""
    left_out: tuple[str, ...]
    """Which runs are not in it and why, in sentences."""


def scaling_of(views: Sequence[RunView], snapshot: Snapshot) -> Scaling:
    """Group runs by context length, under the protocol that most of them were judged by."""
    judged = [view for view in views if view.best is not None]
    protocols = [view.best.protocol_id for view in judged if view.best is not None]
    chosen = max(protocols, key=protocols.count, default="")
    left_out = [f"{plain(view.run.name)} has no evaluation yet." for view in views if view.best is None]
    for other in dict.fromkeys(item for item in protocols if item != chosen):
        names = ", ".join(plain(v.run.name) for v in judged if v.best and v.best.protocol_id == other)
        why = difference(snapshot.protocols.get(other), snapshot.protocols.get(chosen))
        why = why.replace("Not comparable with the first group", "not comparable with the others")
        left_out.append(f"Left out: {names}, {why}" if why else f"Left out: {names}.")
    known = snapshot.baselines.get(chosen, ())
    by_context: dict[int, list[RunView]] = {}
    for view in judged:
        if view.best is not None and view.best.protocol_id == chosen:
            by_context.setdefault(view.run.context, []).append(view)
    points = tuple(
        Point(context, tuple(runs), strongest([item for item in known if item.context == context]))
        for context, runs in sorted(by_context.items())
    )
    return Scaling(points, tuple(left_out))


class ScalingChart(CurvePane):
    """Hit@K by context length."""

    def __init__(self) -> None:
        super().__init__(Chart("Hit@K by context, best evaluations, 95 % intervals", ("",), percent=True))


class ScalingView(Vertical):
    """The chart, its numbers, and what was left out."""

    DEFAULT_CSS = """
    ScalingView {
        & > ScalingChart { height: 3fr; min-height: 8; }
        & > RowTable { height: auto; max-height: 40%; }
        & > Static { height: auto; padding: 0 1; color: $text-muted; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="scaling-view")
        self._shown: Scaling | None = None
        self._curves: tuple[Curve, ...] = ()

    def compose(self) -> ComposeResult:
        yield ScalingChart()
        yield RowTable(COLUMNS, empty="No run is evaluated yet.", id="scaling-table")
        yield Static("", id="scaling-words", markup=False)

    def show_runs(self, views: Sequence[RunView], snapshot: Snapshot) -> None:
        """Show these runs."""
        scaling = scaling_of(views, snapshot)
        if scaling != self._shown:
            self._shown = scaling
            self._curves = tuple(self._make_curves(scaling.points))
        ends = [point.context for point in scaling.points]
        zoom = (min(ends) / MARGIN, max(ends) * MARGIN) if ends and min(ends) > 0 else None
        axes = Axes(x="context", percent=True, from_zero=True, log_x=True, zoom=zoom)
        self.query_one(ScalingChart).set_curves(self._curves, (), axes)
        table = self.query_one(RowTable)
        table.show([_line(point) for point in scaling.points])
        table.styles.height = len(scaling.points) + 1
        words = Content("\n".join(_words(scaling)))
        static = self.query_one("#scaling-words", Static)
        if str(static.content) != words.plain:
            static.update(words)

    def _make_curves(self, points: Sequence[Point]) -> Iterator[Curve]:
        import numpy as np

        look = chart_look(self)
        for place, name in enumerate(HITS):
            at: list[float] = []
            value: list[float] = []
            for point in points:
                # Up and down the interval and back: the line through the means carries its bars.
                middle, span = point.mean(name), point.span(name)
                ends = [middle, span.low, span.high, middle] if span else [middle]
                at += [float(point.context)] * len(ends)
                value += ends
            if value:
                label = f"@{name.removeprefix('hit')}"
                yield Curve(label, np.array(at), np.array(value), look.colour(place))
        with_baseline = [(point.context, point.baseline.hit5) for point in points if point.baseline]
        if with_baseline:
            contexts, scores = (
                np.array(column, dtype=np.float64) for column in zip(*with_baseline, strict=True)
            )
            yield Curve("@5 best baseline", contexts, scores, look.level)


def _line(point: Point) -> Line:
    baseline = point.baseline
    gain = point.mean("hit5") - baseline.hit5 if baseline else None
    cells = {
        "context": Content(thousands(point.context)),
        "runs": Content(", ".join(plain(view.run.name) for view in point.runs)),
        "hit1": Content(percent(point.mean("hit1"))),
        "hit1_wide": with_interval(point.mean("hit1"), point.span("hit1")),
        "hit5": with_interval(point.mean("hit5"), point.span("hit5"), "bold"),
        "hit10": Content(percent(point.mean("hit10"))),
        "hit10_wide": with_interval(point.mean("hit10"), point.span("hit10")),
        "baseline": Content(
            f"{percent(baseline.hit5)} {plain(baseline.baseline or '')}" if baseline else MISSING
        ),
        "gain": Content.styled(signed(gain), "" if gain is None else "$error" if gain < 0 else "$success"),
        "words": Content.styled(_against(gain), MUTED),
    }
    return Line(f"context:{point.context}", cells)


def _against(gain: float | None) -> str:
    if gain is None:
        return ""
    return "below it" if gain < 0 else "above it" if gain > 0 else "level with it"


def _words(scaling: Scaling) -> Iterator[str]:
    points = scaling.points
    if len(points) == 1:
        only = thousands(points[0].context)
        yield f"One context only, {only}: mark runs of other contexts to see what length does."
    elif points:
        several = [point for point in points if len(point.runs) > 1]
        means = ", ".join(f"{counted(len(p.runs), 'run')} at {thousands(p.context)}" for p in several)
        if means:
            yield f"Mean of {means}; the bar spans their intervals."
        apart = all(
            a.high < b.low or b.high < a.low
            for a, b in [(points[0].span("hit5"), points[-1].span("hit5"))]
            if a and b
        )
        ends = f"{thousands(points[0].context)} and {thousands(points[-1].context)}"
        yield (
            f"Hit@5 at {ends}: the intervals {'lie apart' if apart else 'overlap'}. "
            "Runs may differ in more than context: see Recipe."
        )
    yield from scaling.left_out
