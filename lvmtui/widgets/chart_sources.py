"""What the charts of one run, or of several runs over each other, consist of. No widgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lvmtui.charts.figure import Curve, Level, Look
from lvmtui.format import plain
from lvmtui.leaderboard.verdicts import one_of_each
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.widgets.chart_kinds import Chart, charts_of, overlays_of
from lvmtui.widgets.curves import CurveCache

MOST_BANDS = 2
"""Runs over each other up to which each has its confidence band; of more, only the one on top."""

MOST_NAMES = 8
"""Runs over each other up to which each is named as everywhere else."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What is drawn in one chart."""

    curves: tuple[Curve, ...] = ()
    """The first is on top."""
    levels: tuple[Level, ...] = ()
    window: tuple[float, float] | None = None
    """See `lvmtui.charts.figure.Axes.window`."""

    def same(self, other: Drawing) -> bool:
        """Whether the very same curves, levels and window are drawn."""
        return (
            len(self.curves) == len(other.curves)
            and all(map(_is, self.curves, other.curves))
            and self.levels == other.levels
            and self.window == other.window
        )


def _is(one: object, other: object) -> bool:
    return one is other


class Source(Protocol):
    """Whose charts are shown."""

    @property
    def name(self) -> str:
        """What the zoom of these charts is remembered under; without blanks."""

    @property
    def charts(self) -> tuple[Chart, ...]:
        """The charts that there are, in order."""

    def drawing(self, chart: Chart, axis: str, look: Look, *, every_level: bool = False) -> Drawing:
        """What a chart shows; `every_level`: all baselines, not just the strongest and copy-last."""

    def extent(self, axis: str, *, log: bool = False) -> tuple[float, float] | None:
        """Least and greatest x of all curves, above zero if `log`; None without a point."""


class OneRun:
    """The charts of one run: metrics that belong together over each other."""

    def __init__(self, view: RunView, detail: RunDetail, snapshot: Snapshot, cache: CurveCache) -> None:
        self.view, self.detail, self.snapshot = view, detail, snapshot
        self.name = str(view.run.id)
        self.charts = charts_of(detail.series)
        self._made = cache.of_run(view.run.id)

    def drawing(self, chart: Chart, axis: str, look: Look, *, every_level: bool = False) -> Drawing:  # noqa: ARG002
        """The run's metrics, with its baselines, target and patience."""
        watched = f"val/{self.view.run.watch}"
        best = self.view.run.progress.best_epoch
        labels = chart.labels or ("",) * len(chart.keys)
        made = [
            self._made.of(
                self.detail, key, axis, label=label, best_epoch=best if key == watched else None, band=True
            )
            for key, label in zip(chart.keys, labels, strict=True)
        ]
        return Drawing(
            tuple(curve for curve in made if curve is not None),
            levels_of(chart, (self.view,), self.snapshot, every=every_level, named=bool(chart.labels)),
            self._patience() if watched in chart.keys else None,
        )

    def extent(self, axis: str, *, log: bool = False) -> tuple[float, float] | None:
        """Least and greatest x of all metrics."""
        return self._made.extent(self.detail, axis, log=log)

    def _patience(self) -> tuple[float, float] | None:
        """From the best epoch to the newest evaluation: what patience counts."""
        curve = self._made.last(f"val/{self.view.run.watch}")
        if not self.view.run.progress.patience or curve is None or curve.best_x is None:
            return None
        now = float(curve.x[-1])
        return (curve.best_x, now) if now > curve.best_x else None


class ManyRuns:
    """The charts of several runs: a metric each, a run's curve of one colour and sign in all of them."""

    def __init__(
        self,
        views: Sequence[RunView],
        snapshot: Snapshot,
        cache: CurveCache,
        *,
        on_top: int | None = None,
        charts: tuple[Chart, ...] | None = None,
    ) -> None:
        """
        Args:
            views: the runs; a run's place is its colour and sign.
            snapshot: what was read of them.
            cache: keeps their curves.
            on_top: id of the run that is drawn over the others.
            charts: None: every metric that two of the runs have, or what there is as long as one is read.
        """
        none = RunDetail()
        self.views, self.snapshot = tuple(views), snapshot
        self.name = "compare"
        self._runs = [(place, v, snapshot.details.get(v.run.id, none)) for place, v in enumerate(views)]
        self._runs.sort(key=lambda item: item[1].run.id != on_top)
        self._cache = cache
        cache.keep(view.run.id for view in views)
        if charts is None:
            having = Counter(key for _, _, detail in self._runs for key in detail.series)
            least = min(2, sum(bool(detail.series) for _, _, detail in self._runs))
            charts = overlays_of(key for key, count in having.items() if count >= least)
        self.charts = charts

    def drawing(self, chart: Chart, axis: str, look: Look, *, every_level: bool = False) -> Drawing:
        """One metric of every run that has it."""
        made = []
        for order, (place, view, detail) in enumerate(self._runs):
            key = next((key for key in chart.keys if key in detail.series), chart.keys[0])
            curve = self._cache.of_run(view.run.id).of(
                detail,
                key,
                axis,
                label=self._label(view),
                best_epoch=view.run.progress.best_epoch if key == f"val/{view.run.watch}" else None,
                colour=look.colour(place),
                marker=look.marker(place),
                band=not order or len(self._runs) <= MOST_BANDS,
            )
            if curve is not None:
                made.append(curve)
        levels = levels_of(chart, self.views, self.snapshot, every=every_level, named=False)
        return Drawing(tuple(made), levels)

    def _label(self, view: RunView) -> str:
        """The run's name; of many, with what tells them apart in front, because there is little room."""
        few = len(self._runs) <= MOST_NAMES
        return plain(view.run.name if few else f"{view.run.label} {view.run.phase}")

    def extent(self, axis: str, *, log: bool = False) -> tuple[float, float] | None:
        """Least and greatest x of all metrics of all runs."""
        found = [self._cache.of_run(v.run.id).extent(d, axis, log=log) for _, v, d in self._runs]
        ends = [end for end in found if end is not None]
        return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def levels_of(
    chart: Chart, views: Sequence[RunView], snapshot: Snapshot, *, every: bool, named: bool
) -> tuple[Level, ...]:
    """The target and the baselines, where all runs have the same.

    Args:
        chart: what they are wanted for.
        views: the runs that it shows.
        snapshot: what is known of their protocol.
        every: all baselines, the strongest first; else that and copy-last.
        named: with the metric's name before each.
    """
    if not chart.levels:
        return ()
    prefix = f"@{chart.levels.removeprefix('hit')} " if named and chart.levels.startswith("hit") else ""
    targets = {view.run.targets.get(chart.levels) for view in views}
    target = targets.pop() if len(targets) == 1 else None
    levels = [] if target is None else [Level(f"target {prefix}".rstrip(), target, target=True)]
    protocols = {view.run.protocol_id or "" for view in views}
    if len(protocols) == 1:
        known = list(reversed(one_of_each(snapshot.baselines.get(protocols.pop(), ()))))
        shown = [item for item in known if every or item is known[0] or item.baseline == "copy-last"]
        named_so = [f"{prefix}{plain(item.baseline or '')}" for item in shown]
        values = [getattr(item, chart.levels) for item in shown]
        levels += [Level(name, value) for name, value in zip(named_so, values, strict=True)]
    return tuple(levels)
