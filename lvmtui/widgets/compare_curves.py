"""The curves of several runs over each other: a chart a metric, a colour and a sign a run."""

from __future__ import annotations

from collections.abc import Sequence

from lvmtui.snapshot import RunView, Snapshot
from lvmtui.widgets.chart_grid import ChartGrid
from lvmtui.widgets.chart_sources import ManyRuns
from lvmtui.widgets.curves import CurveCache


class OverlayGrid(ChartGrid):
    """Every metric of several runs."""

    def __init__(self) -> None:
        super().__init__(id="overlay-grid")
        self._cache = CurveCache()

    def show_runs(self, views: Sequence[RunView], snapshot: Snapshot, on_top: int | None = None) -> None:
        """Show the curves of these runs, as far as they are read; a run's place is its colour and sign.

        Args:
            views: the runs.
            snapshot: what was read of them.
            on_top: id of the run that is drawn over the others.
        """
        self.show_charts(ManyRuns(views, snapshot, self._cache, on_top=on_top))
