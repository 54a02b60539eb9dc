"""All curves of a run as a grid of charts."""

from __future__ import annotations

from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.widgets.chart_grid import ChartGrid
from lvmtui.widgets.chart_sources import OneRun
from lvmtui.widgets.curves import CurveCache


class CurveGrid(ChartGrid):
    """Every metric of one run."""

    def __init__(self) -> None:
        super().__init__(id="curve-grid")
        self._cache = CurveCache()

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:
        """Show the curves of this run."""
        self._cache.keep([view.run.id])
        self.show_charts(OneRun(view, detail, snapshot, self._cache))
