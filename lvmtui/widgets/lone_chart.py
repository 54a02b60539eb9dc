"""A chart of the dashboard: it follows the screen's state and has a cursor and a zoom of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.text import Text

from lvmtui.config import ViewOptions
from lvmtui.host_words import asking, awaited
from lvmtui.snapshot import RunView, Series, Snapshot, State
from lvmtui.widgets import curves
from lvmtui.widgets.chart_grid import FRAME_SECONDS
from lvmtui.widgets.chart_kinds import Chart
from lvmtui.widgets.chart_sources import Drawing, ManyRuns, OneRun, Source
from lvmtui.widgets.curve_pane import CurvePane, ZoomPane, axes_of
from lvmtui.widgets.x_moves import XMoves
from lvmtui.widgets.x_range import Range

TALL = 16
"""Lines from which on every baseline of a single run is drawn, not just the strongest and copy-last."""


class LoneChart(XMoves, ZoomPane):
    """One chart of the focused run, or one metric of the marked runs over each other.

    A click puts the cursor, the wheel and dragging zoom, a second click takes both away.
    """

    DEFAULT_CSS = """
    LoneChart { height: 1fr; padding: 0 1; }
    """

    def __init__(
        self,
        alone: Chart,
        overlaid: Chart,
        missing: str,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """
        Args:
            alone: what is shown of a single run.
            overlaid: what is shown of several.
            missing: what a run without it waits for, in words.
            id: as of every widget.
            classes: as of every widget.
        """
        super().__init__(alone, id=id, classes=classes)
        self._alone, self._overlaid, self._missing = alone, overlaid, missing
        self._cache = curves.CurveCache()
        self._source: Source | None = None
        self._drawn = 0.0
        self._late = False
        self.at: float | None = None
        """Where the cursor is on x."""
        self.zoom: Range | None = None
        """Range of x that is shown; None: all."""

    def chart_alone(self, series: Mapping[str, Series]) -> Chart:  # noqa: ARG002
        """What is shown of a single run with these metrics."""
        return self._alone

    def overlay(self) -> list[RunView]:
        """The runs that are drawn over each other, if any."""
        return curves.overlaid(self.snapshot, self.focused, self.marked) if self.snapshot else []

    def watch_snapshot(self) -> None:
        """Draw what is new, together with what else comes at this moment."""
        wait = FRAME_SECONDS - (time.monotonic() - self._drawn)
        if wait <= 0:
            self._redraw_late()
        elif not self._late:
            self._late = True
            self.set_timer(wait, self._redraw_late)

    def _redraw_late(self) -> None:
        self._late = False
        self._drawn = time.monotonic()
        self.redraw()

    def watch_options(self, before: ViewOptions, now: ViewOptions) -> None:  # type: ignore[override]
        """Draw again; another x axis has other numbers, so cursor and zoom go."""
        if before.axis != now.axis or before.log_x != now.log_x:
            self.at = self.zoom = None
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Text]:
        overlay, view, detail = self.overlay(), self.view, self.detail
        chart = self._overlaid if overlay else self.chart_alone(detail.series if detail else {})
        self.empty = why_empty(self.snapshot, view, self._missing)
        source: Source | None = None
        if overlay and self.snapshot is not None:
            source = ManyRuns(overlay, self.snapshot, self._cache, on_top=self.focused, charts=(chart,))
        elif view is not None and detail is not None and self.snapshot is not None:
            self._cache.keep([view.run.id])
            source = OneRun(view, detail, self.snapshot, self._cache)
        if source is not None and self._source is not None and source.name != self._source.name:
            self.at = self.zoom = None
        self._source = source
        axis, every = self.options.axis, height >= TALL and not overlay
        self.prepare(
            chart,
            source.drawing(chart, axis, self.look, every_level=every) if source else Drawing(),
            axes_of(self.options, chart, zoom=self.zoom, at=self.at, from_zero=chart.percent and not overlay),
        )
        return super().draw(width, height)

    def shown_x(self) -> Range | None:
        """The range that is zoomed to; None: all."""
        return self.zoom

    def show_x(self, zoom: Range | None) -> None:
        """Zoom to a range; None: all."""
        self.zoom = zoom
        self.redraw()

    def log_x(self) -> bool:
        """Whether the axis is logarithmic."""
        return self.options.log_x

    def whole_x(self) -> Range | None:
        """Everything that there is on x."""
        source = self._source
        return source.extent(self.options.axis, log=self.options.log_x) if source is not None else None

    def on_curve_pane_pointed(self, message: CurvePane.Pointed) -> None:
        """Put the cursor on the nearest value; twice: take cursor and zoom away."""
        message.stop()
        if message.twice:
            self.at = self.zoom = None
        elif message.x is not None:
            self.at = self.stop_at(message.x)
        self.redraw()


def why_empty(snapshot: Snapshot | None, view: RunView | None, missing: str) -> str:
    """Why there is no curve, and the key that helps."""
    if snapshot is None:
        return "reading the store…"
    if view is None:
        return "choose a run to see its curves" if snapshot.runs else "no runs yet · n launches one"
    detail = snapshot.details.get(view.run.id)
    if detail is None:
        return asking(view, snapshot) or "reading…"
    if awaits := awaited(view, detail, snapshot):
        return awaits
    if view.state is State.QUEUED:
        return "queued: curves appear once it runs"
    if view.state.is_active:
        return f"waiting for {missing}"
    return f"ended without {missing}" + (" · r resume" if view.state.is_resumable else "")
