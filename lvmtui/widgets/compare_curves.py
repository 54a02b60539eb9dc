"""The curves of several runs over each other: a chart a metric, a colour and a sign a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lvmtui.figure import Curve, Level
from lvmtui.format import plain
from lvmtui.leaderboard.verdicts import one_of_each
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.widgets.curve_grid import CurveGrid
from lvmtui.widgets.curve_pane import CHARTS, Chart, RunCurves
from lvmtui.widgets.look import chart_look

TITLES: Mapping[str, str] = {
    "val/hit1": "Hit@1 on validation",
    "val/hit5": "Hit@5 on validation",
    "val/hit10": "Hit@10 on validation",
    "val/loss": "loss on validation",
    "epoch/train_loss": "loss on training data",
    "val/cosine": "cosine to the target",
    "val/copyness": "cosine to the last vector",
}
"""Names of metrics that share a chart where a single run is shown."""

LEVELS = ("hit1", "hit5", "hit10", "mrr")
"""Metrics that baselines have."""

FIRST = ("val/hit5", "val/mrr", "val/hit1", "val/hit10")
"""Metrics that stand before the others."""


def overlays_of(keys: Iterable[str]) -> list[Chart]:
    """A chart for each of these metrics: the usual ones in their order, then the others by name."""
    present = set(keys)
    usual = [(key, chart) for chart in CHARTS for key in chart.keys]
    usual.sort(key=lambda item: FIRST.index(item[0]) if item[0] in FIRST else len(FIRST))
    known = [
        Chart(
            TITLES.get(key, chart.title),
            (key,),
            percent=chart.percent,
            levels=key.removeprefix("val/") if key.removeprefix("val/") in LEVELS else "",
        )
        for key, chart in usual
        if key in present
    ]
    others = sorted(present - {key for key, _ in usual})
    return known + [Chart(plain(key), (key,)) for key in others]


class OverlayGrid(CurveGrid):
    """Every metric of several runs."""

    def __init__(self) -> None:
        super().__init__()
        self._runs: tuple[tuple[RunView, RunDetail], ...] = ()
        self._curves_of: dict[int, RunCurves] = {}

    def show_runs(self, views: Sequence[RunView], snapshot: Snapshot) -> None:
        """Show the curves of these runs, as far as they are read; a run's place is its colour."""
        none = RunDetail()
        self._runs = tuple((view, snapshot.details.get(view.run.id, none)) for view in views)
        self._view, self._detail = self._runs[0]
        self._snapshot = snapshot
        self._curves_of = {view.run.id: self._curves_of.get(view.run.id, RunCurves()) for view in views}
        self._show_charts(overlays_of(key for _, detail in self._runs for key in detail.series))

    def _curves(self, chart: Chart, view: RunView, detail: RunDetail) -> list[Curve]:  # noqa: ARG002
        look = chart_look(self)
        key = chart.keys[0]
        made = []
        for place, (shown, read) in enumerate(self._runs):
            best = shown.run.progress.best_epoch if key == f"val/{shown.run.watch}" else None
            curve = self._curves_of[shown.run.id].of(
                read, key, plain(shown.run.name), self.options.axis, best
            )
            if curve is not None:
                made.append(replace(curve, colour=look.colour(place)))
        return made

    def _levels(self, chart: Chart) -> list[Level]:
        """The strongest baseline and copy-last, where all runs were judged alike."""
        protocols = {view.run.protocol_id or "" for view, _ in self._runs}
        if not chart.levels or len(protocols) != 1 or self._snapshot is None:
            return []
        known = one_of_each(self._snapshot.baselines.get(protocols.pop(), ()))
        shown = [item for item in known if item is known[-1] or item.baseline == "copy-last"]
        return [Level(plain(item.baseline or ""), getattr(item, chart.levels)) for item in shown]
