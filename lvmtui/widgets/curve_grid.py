"""All curves of a run as a grid of charts that fits the size; one of them can be shown alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive

from lvmtui import commands
from lvmtui.config import ViewOptions
from lvmtui.figure import Axes, Curve, Level
from lvmtui.format import duration, plain, thousands
from lvmtui.leaderboard.verdicts import one_of_each
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.widgets.cells import FAINT
from lvmtui.widgets.curve_pane import Chart, CurvePane, RunCurves, charts_of

LEAST_WIDTH, LEAST_HEIGHT = 38, 7
"""Cells of a chart with its border; below that the grid scrolls."""

MOST_COLUMNS = 4

ZOOM_STEP = 2.0


def shape(width: int, height: int, count: int) -> tuple[int, int]:
    """Columns of the grid and lines of a chart, so that `count` charts fill the size where they can."""
    columns = max(1, min(MOST_COLUMNS, width // LEAST_WIDTH, count))
    rows = math.ceil(count / columns)
    while columns > 1 and math.ceil(count / (columns - 1)) == rows:
        columns -= 1
    return columns, max(LEAST_HEIGHT, height // rows)


class CurveGrid(VerticalScroll):
    """Every metric of one run."""

    DEFAULT_CSS = """
    CurveGrid { layout: grid; grid-gutter: 0; scrollbar-size-vertical: 1; }
    CurveGrid > .curve-grid--empty { display: none; }
    CurveGrid.-alone > CurvePane { display: none; }
    CurveGrid.-alone > CurvePane.-selected { display: block; }
    """
    BINDINGS = [
        *commands.bindings("list", "sideways", "zoom"),
        ("escape", "step_back", "Back"),
    ]

    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)
    selected: reactive[int] = reactive(0, repaint=False)
    alone: reactive[bool] = reactive(False, repaint=False, toggle_class="-alone")
    """Only the selected chart is shown."""
    at: reactive[float | None] = reactive[float | None](None, repaint=False)
    """Where the cursor is on x."""
    zoom: reactive[tuple[float, float] | None] = reactive[tuple[float, float] | None](None, repaint=False)
    """Range of x that is shown; None: all."""

    class Changed(Message):
        """Cursor, zoom or selection changed."""

    def __init__(self) -> None:
        super().__init__(id="curve-grid")
        self._view: RunView | None = None
        self._detail: RunDetail | None = None
        self._snapshot: Snapshot | None = None
        self._made = RunCurves()

    @property
    def panes(self) -> list[CurvePane]:
        """The charts in their order."""
        return list(self.query(CurvePane))

    @property
    def pane(self) -> CurvePane | None:
        """The selected chart."""
        panes = self.panes
        return panes[min(self.selected, len(panes) - 1)] if panes else None

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:
        """Show the curves of this run."""
        self._view, self._detail, self._snapshot = view, detail, snapshot
        self._show_charts(charts_of(detail.series))

    def _show_charts(self, charts: Sequence[Chart]) -> None:
        """Have a pane for each of these charts, in their order, and draw."""
        panes = self.panes
        if [pane.chart for pane in panes] != charts:
            kept = {pane.chart: pane for pane in panes}
            for chart, pane in kept.items():
                if chart not in charts:
                    pane.remove()
            before: CurvePane | None = None
            for chart in charts:
                pane = kept.get(chart) or CurvePane(chart)
                if chart not in kept:
                    self.mount(pane, after=before) if before else self.mount(pane, before=0)
                before = pane
            self.call_after_refresh(self._arrange)
        self._draw()

    def _draw(self) -> None:
        if self._view is None or self._detail is None:
            return
        base = Axes(
            x=self.options.axis,
            log_y=self.options.log_y,
            smoothing=self.options.smoothing,
            zoom=self.zoom,
            cursor=self.at,
        )
        for pane in self.panes:
            made = self._curves(pane.chart, self._view, self._detail)
            pane.set_curves(
                made,
                self._levels(pane.chart),
                replace(base, percent=pane.chart.percent, from_zero=pane.chart.percent),
            )

    def _curves(self, chart: Chart, view: RunView, detail: RunDetail) -> list[Curve]:
        labels = chart.labels or ("",) * len(chart.keys)
        best = view.run.progress.best_epoch
        made = [
            self._made.of(
                detail, key, label, self.options.axis, best if key == f"val/{view.run.watch}" else None
            )
            for key, label in zip(chart.keys, labels, strict=True)
        ]
        return [curve for curve in made if curve is not None]

    def _levels(self, chart: Chart) -> list[Level]:
        """The strongest baseline and copy-last, where the chart's metric has them."""
        view, snapshot = self._view, self._snapshot
        if not chart.levels or view is None or snapshot is None:
            return []
        known = one_of_each(snapshot.baselines.get(view.run.protocol_id or "", ()))
        shown = [item for item in known if item is known[-1] or item.baseline == "copy-last"]
        prefix = "@5 " if chart.percent else ""
        return [Level(f"{prefix}{plain(item.baseline or '')}", getattr(item, chart.levels)) for item in shown]

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        count = 1 if self.alone else len(self.panes)
        if not count or not self.size.width:
            return
        columns, lines = shape(self.size.width, self.size.height, count)
        self.styles.grid_size_columns = columns
        self.styles.grid_rows = f"{self.size.height if self.alone else lines}"
        for place, pane in enumerate(self.panes):
            pane.set_class(place == self.selected, "-selected")

    def watch_options(self, before: ViewOptions, now: ViewOptions) -> None:
        """Draw again; another x axis has other numbers, so cursor and zoom go."""
        if before.axis != now.axis:
            self.at = self.zoom = None
        self._draw()

    def watch_at(self) -> None:
        self._draw()
        self.post_message(self.Changed())

    def watch_zoom(self) -> None:
        self._draw()
        self.post_message(self.Changed())

    def watch_selected(self) -> None:
        self._arrange()
        pane = self.pane
        if pane is not None and not self.alone:
            pane.scroll_visible(animate=False)
        self.post_message(self.Changed())

    def watch_alone(self) -> None:
        self._arrange()
        self.post_message(self.Changed())

    def _select(self, by: int) -> None:
        self.selected = min(max(self.selected + by, 0), max(0, len(self.panes) - 1))

    def _columns(self) -> int:
        return 1 if self.alone else int(self.styles.grid_size_columns or 1)

    def action_cursor_up(self) -> None:
        """Select the chart above."""
        self._select(-self._columns())

    def action_cursor_down(self) -> None:
        """Select the chart below."""
        self._select(self._columns())

    def action_first(self) -> None:
        """Select the first chart."""
        self._select(-len(self.panes))

    def action_last(self) -> None:
        """Select the last chart."""
        self._select(len(self.panes))

    def action_open(self) -> None:
        """Show the selected chart alone, or all again."""
        self.alone = not self.alone

    def action_cursor_left(self) -> None:
        """Move the cursor to the value before."""
        self._walk(-1)

    def action_cursor_right(self) -> None:
        """Move the cursor to the next value."""
        self._walk(1)

    def _walk(self, direction: int) -> None:
        places = self._places()
        if not places:
            return
        if self.at is None:
            self.at = places[-1]
        elif direction > 0:
            self.at = next((x for x in places if x > self.at), places[-1])
        else:
            self.at = next((x for x in reversed(places) if x < self.at), places[0])

    def _places(self) -> list[float]:
        """Where the cursor stops: at each point of the selected chart, or in equal steps if they are many."""
        import numpy as np

        pane = self.pane
        shown = pane.x_range if pane else None
        if pane is None or shown is None:
            return []
        longest = max((curve.x for curve in pane.curves), key=len)
        inside = np.unique(longest[(longest >= shown[0]) & (longest <= shown[1])])
        if len(inside) > 2 * pane.content_size.width:
            inside = np.linspace(*shown, max(2, pane.content_size.width))
        places: list[float] = inside.tolist()
        return places

    def action_zoom_in(self) -> None:
        """Show half of the range, around the cursor."""
        self._zoom(1 / ZOOM_STEP)

    def action_zoom_out(self) -> None:
        """Show twice the range."""
        if self.zoom is not None:
            self._zoom(ZOOM_STEP)

    def _zoom(self, factor: float) -> None:
        whole = self._whole()
        if whole is None:
            return
        low, high = self.zoom or whole
        centre = self.at if self.at is not None and low <= self.at <= high else high
        span = min((high - low) * factor, whole[1] - whole[0])
        low = min(max(centre - span / 2, whole[0]), whole[1] - span)
        if span >= (whole[1] - whole[0]) * 0.999:
            self.zoom = None
        elif span > (whole[1] - whole[0]) / 1000:
            self.zoom = (low, low + span)

    def _whole(self) -> tuple[float, float] | None:
        ends = [(float(c.x[0]), float(c.x[-1])) for p in self.panes for c in p.curves if len(c.x)]
        return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Charts cannot be marked; there must be something to step back from."""
        if action == "step_back":
            return self.alone or self.at is not None or self.zoom is not None
        return action != "mark"

    def action_step_back(self) -> None:
        """Leave the single chart, then the zoom, then the cursor."""
        if self.alone:
            self.alone = False
        elif self.zoom is not None:
            self.zoom = None
        else:
            self.at = None

    def on_curve_pane_pointed(self, message: CurvePane.Pointed) -> None:
        """Select the chart and put the cursor there."""
        message.stop()
        self.focus()
        self.selected = self.panes.index(message.pane)
        if message.twice:
            self.alone = not self.alone
        elif message.x is not None:
            places = self._places()
            self.at = min(places, key=lambda place: abs(place - message.x)) if places else None  # type: ignore[operator]

    def status(self) -> Content:
        """How the curves are drawn, in a line."""
        axis = self.options.axis
        parts = [f"x: {axis}"]
        if self.at is not None:
            parts.append(f"cursor at {written(self.at, axis)}")
        if self.zoom is not None:
            parts.append(f"zoom {written(self.zoom[0], axis)} to {written(self.zoom[1], axis)}")
        if self.options.log_y:
            parts.append("log y")
        if self.options.smoothing:
            parts.append(f"smoothing {self.options.smoothing:g}")
        keys = "←→ cursor  z Z zoom  enter one chart  y log  + - smoothing  X axis"
        return Content.assemble(" · ".join(parts), "   ", (keys, FAINT))


def written(x: float, axis: str) -> str:
    """A place on the x axis as people write it."""
    if axis == "time":
        return duration(x)
    return f"step {thousands(x)}" if axis == "step" else f"epoch {round(x, 2):g}"
