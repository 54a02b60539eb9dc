"""Charts in a grid with pages; one of them can be shown alone. All share the cursor and the zoom of x."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive

from lvmtui import commands
from lvmtui.config import ViewOptions
from lvmtui.format import joined
from lvmtui.messages import OptionsChanged, StretchEnlarged
from lvmtui.snapshot import CloseUp
from lvmtui.widgets import x_range
from lvmtui.widgets.cells import FAINT
from lvmtui.widgets.chart_kinds import Chart
from lvmtui.widgets.chart_page import GRIDS, Charts, ChartStatus, shape, written
from lvmtui.widgets.chart_sources import Drawing, Source
from lvmtui.widgets.curve_pane import CurvePane, ZoomPane, axes_of
from lvmtui.widgets.look import chart_look
from lvmtui.widgets.x_moves import XMoves
from lvmtui.widgets.x_range import Range

ZOOM_STEP, PAN_STEP = 0.5, 0.25
"""Share of the range that is left after a key's zoom, and by which it moves."""

FRAME_SECONDS = 0.1
"""Data that arrives faster than this is drawn together."""

FOLLOWERS = 6
"""Charts on a page from which on those that are not selected follow the cursor a frame later."""

REMEMBER_SECONDS = 0.5
"""A zoom is remembered once it has been left alone for this long."""


class ChartGrid(XMoves, Vertical, can_focus=True):
    """The charts of a source. Only those of the page in front are drawn, and only when they changed."""

    DEFAULT_CSS = """
    ChartGrid { height: 1fr; }
    """
    BINDINGS = [
        *commands.bindings("list", "sideways", "zoom"),
        ("escape", "step_back", "Back"),
    ]

    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)
    alone: reactive[bool] = reactive(False, repaint=False)
    """Only the selected chart is shown."""
    at: reactive[float | None] = reactive[float | None](None, repaint=False)
    """Where the cursor is on x."""
    zoom: reactive[Range | None] = reactive[Range | None](None, repaint=False)
    """Range of x that is shown; None: all."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.note = Content("")
        """Stands under the line that says how the charts are drawn."""
        self._source: Source | None = None
        self._chosen: Chart | None = None
        self._drawings: dict[Chart, Drawing] = {}
        """What the charts seen so far show, until there is new data."""
        self._shape = (1, 1)
        self._styled: object = None
        self._drawn = 0.0
        self._drawing_due = self._remembering = self._following = False

    def compose(self) -> ComposeResult:
        yield Charts()
        yield ChartStatus()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw(afresh=True))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All charts, in order."""
        return self._source.charts if self._source is not None else ()

    @property
    def panes(self) -> list[ZoomPane]:
        """The charts of the page in front, in order."""
        return [pane for pane in self.query(ZoomPane) if pane.display]

    @property
    def selected(self) -> int:
        """Place of the selected chart among all."""
        charts = self.charts
        return charts.index(self._chosen) if self._chosen in charts else 0

    @property
    def pane(self) -> ZoomPane | None:
        """The selected chart."""
        return next((pane for pane in self.panes if pane.has_class("-selected")), None)

    @property
    def page(self) -> tuple[int, int]:
        """Number of the page in front, from 0, and how many there are."""
        room = self._shape[0] * self._shape[1]
        return self.selected // room, max(1, math.ceil(len(self.charts) / room))

    def show_charts(self, source: Source) -> None:
        """Show what is new; another source starts with its own zoom and without a cursor."""
        before, self._source = self._source, source
        if before is None or before.name != source.name:
            self._chosen = None
            self.set_reactive(ChartGrid.at, None)
            self.set_reactive(ChartGrid.zoom, self._recalled())
            self._look_closer()
            self._set_out()
        elif before.charts != source.charts:
            self._set_out()
        else:
            self._draw_soon()

    def _recalled(self) -> Range | None:
        """The zoom that is remembered, where there is something to be seen in it."""
        if self._source is None:
            return None
        found = x_range.recalled(self.options.zooms, self._source.name, self.options.axis)
        whole = self.whole_x()
        return found if found and whole and found[0] < whole[1] and found[1] > whole[0] else None

    def on_resize(self) -> None:
        self._set_out()

    def _set_out(self, *, afresh: bool = True) -> None:
        """Have a pane for each chart of the page in front, and draw them; `afresh`: as for `_draw`."""
        holder = self.query_one(Charts)
        width, height = holder.size
        charts = self.charts
        if not charts or not width or not height:
            return
        self._shape = (1, 1) if self.alone else shape(width, height, len(charts), self.options.grid)
        columns, rows = self._shape
        if self._styled != self._shape:
            self._styled = self._shape
            holder.styles.grid_size_columns, holder.styles.grid_size_rows = columns, rows
        selected = self.selected
        first = selected // (columns * rows) * columns * rows
        shown = charts[first : first + columns * rows]
        panes = list(self.query(ZoomPane))
        more = [ZoomPane(chart) for chart in shown[len(panes) :]]
        for pane in more:
            pane.options = self.options
        if more:
            holder.mount(*more)
        panes += more
        for place, pane in enumerate(panes):
            pane.display = place < len(shown)
            if pane.display:
                pane.wanted = shown[place]
            pane.set_class(place == selected - first, "-selected")
        self._draw(afresh=afresh, panes=panes[: len(shown)])

    def _draw_soon(self) -> None:
        """Draw what is new in the data, together with what else comes at this moment."""
        if self._drawing_due:
            return
        wait = FRAME_SECONDS - (time.monotonic() - self._drawn)
        if wait <= 0:
            self._draw(afresh=True)
        else:
            self._drawing_due = True
            self.set_timer(wait, self._draw_late)

    def _draw_late(self) -> None:
        self._drawing_due = False
        self._draw(afresh=True)

    def _draw(self, *, afresh: bool = False, panes: list[ZoomPane] | None = None) -> None:
        """Draw the charts of the page in front; `afresh`: what they show may have changed."""
        source = self._source
        if source is None:
            return
        look = chart_look(self) if afresh else None
        if afresh:
            self._drawings.clear()
            self._drawn = time.monotonic()
        for pane in self.panes if panes is None else panes:
            chart = pane.wanted
            drawing = self._drawings.get(chart)
            if drawing is None:
                look = look or chart_look(self)
                drawing = self._drawings[chart] = source.drawing(chart, self.options.axis, look)
            pane.set_drawing(chart, drawing, axes_of(self.options, chart, zoom=self.zoom, at=self.at))
        self._tell()

    def watch_options(self, before: ViewOptions, now: ViewOptions) -> None:
        """Draw again; another x axis has other numbers, so its own zoom comes and the cursor goes."""
        if before.axis != now.axis or before.log_x != now.log_x:
            self.at = None
            self.zoom = self._recalled()
        if self._source is None:
            return
        if before.grid != now.grid:
            self._set_out()
        elif before.axis != now.axis:
            self._draw(afresh=True)
        elif replace(before, zooms=()) != replace(now, zooms=()):
            self._draw_selected_first()

    def watch_at(self) -> None:
        self._draw_selected_first()

    def _draw_selected_first(self) -> None:
        """Draw the chart that is looked at, and the others once it is on the screen: a key is answered at
        once, and while one is held down the others leave out what they cannot keep up with."""
        pane = self.pane
        if pane is None or len(self.panes) < FOLLOWERS:
            self._draw()
            return
        self._draw(panes=[pane])
        if not self._following:
            self._following = True
            self.call_after_refresh(self._follow)

    def _follow(self) -> None:
        self._following = False
        self._draw()

    def _look_closer(self) -> None:
        stretch = self.zoom and CloseUp(self.options.axis, *self.zoom)
        self.app.post_message(StretchEnlarged(stretch))

    def watch_zoom(self) -> None:
        self._look_closer()
        self._draw_selected_first()
        if not self._remembering and self._source is not None:
            self._remembering = True
            self.set_timer(REMEMBER_SECONDS, self._remember)

    def on_unmount(self) -> None:
        """A zoom is remembered also when the screen is left at once."""
        self.app.post_message(StretchEnlarged(None))
        if self._remembering:
            self._remember()

    def _remember(self) -> None:
        self._remembering = False
        if self._source is not None:
            axis = self.options.axis
            zooms = x_range.remembered(self.options.zooms, self._source.name, axis, self.zoom)
            self.app.post_message(OptionsChanged(replace(self.options, zooms=zooms)))

    def watch_alone(self) -> None:
        self._set_out()

    def _select(self, place: int) -> None:
        """Select a chart, on whatever page it is."""
        charts = self.charts
        if not charts:
            return
        before = self.page[0], self.selected
        self._chosen = charts[min(max(place, 0), len(charts) - 1)]
        if self.page[0] != before[0]:
            self._set_out(afresh=False)
        elif self.selected != before[1]:
            room = self._shape[0] * self._shape[1]
            for position, pane in enumerate(self.panes):
                pane.set_class(position == self.selected % room, "-selected")

    def _turn(self, by: int) -> None:
        """Go to another page, to the same place on it."""
        page, pages = self.page
        if 0 <= page + by < pages:
            self._select(self.selected + by * self._shape[0] * self._shape[1])

    def action_cursor_up(self) -> None:
        """Select the chart above."""
        self._step(-self._shape[0])

    def action_cursor_down(self) -> None:
        """Select the chart below."""
        self._step(self._shape[0])

    def _step(self, by: int) -> None:
        """Go up or down a row; nothing lies above the first and below the last."""
        place = self.selected + by
        last = len(self.charts) - 1
        if place > last and self.selected // self._shape[0] < last // self._shape[0]:
            place = last
        if 0 <= place <= last:
            self._select(place)

    def action_cursor_left(self) -> None:
        """Select the chart to the left; with one chart in front, move its cursor."""
        if self.alone:
            self._walk(-1)
        else:
            self._select(self.selected - 1)

    def action_cursor_right(self) -> None:
        """Select the chart to the right; with one chart in front, move its cursor."""
        if self.alone:
            self._walk(1)
        else:
            self._select(self.selected + 1)

    def action_first(self) -> None:
        """Select the first chart."""
        self._select(0)

    def action_last(self) -> None:
        """Select the last chart."""
        self._select(len(self.charts) - 1)

    def action_previous_page(self) -> None:
        """Turn back a page."""
        self._turn(-1)

    def action_next_page(self) -> None:
        """Turn a page."""
        self._turn(1)

    def action_open(self) -> None:
        """Show the selected chart alone, or all again."""
        self.alone = not self.alone

    def action_grid(self) -> None:
        """Take the next number of charts on a page."""
        now = GRIDS.index(self.options.grid) if self.options.grid in GRIDS else 0
        self.post_message(OptionsChanged(replace(self.options, grid=GRIDS[(now + 1) % len(GRIDS)])))

    def action_crosshair_left(self) -> None:
        """Move the cursor to the value before."""
        self._walk(-1)

    def action_crosshair_right(self) -> None:
        """Move the cursor to the next value."""
        self._walk(1)

    def _walk(self, direction: int) -> None:
        """Move the cursor by one stop of the selected chart."""
        pane = self.pane
        places = pane.stops() if pane is not None else []
        if not places:
            return
        at = self.at
        if at is None:
            self.at = places[-1]
        elif direction > 0:
            self.at = next((x for x in places if x > at), places[-1])
        else:
            self.at = next((x for x in reversed(places) if x < at), places[0])

    def action_zoom_in(self) -> None:
        """Show half of the range, around the cursor."""
        self.magnify(ZOOM_STEP, self.at)

    def action_zoom_out(self) -> None:
        """Show twice the range."""
        self.magnify(1 / ZOOM_STEP, self.at)

    def action_pan_left(self) -> None:
        """Show what is before."""
        self.push(-PAN_STEP)

    def action_pan_right(self) -> None:
        """Show what comes after."""
        self.push(PAN_STEP)

    def shown_x(self) -> Range | None:
        """The range that is zoomed to; None: all."""
        return self.zoom

    def show_x(self, zoom: Range | None) -> None:
        """Zoom all charts to a range; None: all."""
        self.zoom = zoom

    def log_x(self) -> bool:
        """Whether the axis is logarithmic."""
        return self.options.log_x

    def whole_x(self) -> Range | None:
        """Everything that there is on x."""
        source = self._source
        return source.extent(self.options.axis, log=self.options.log_x) if source is not None else None

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
        """Select the chart and put the cursor on the nearest value; twice: show it alone."""
        message.stop()
        self.focus()
        self._select(self.charts.index(message.pane.chart))
        if message.twice:
            self.alone = not self.alone
        elif message.x is not None:
            self.at = message.pane.stop_at(message.x)

    def on_chart_status_turned(self, message: ChartStatus.Turned) -> None:
        """Turn a page."""
        message.stop()
        self._turn(message.by)

    def on_click(self, event: events.Click) -> None:
        """Take the keys."""
        self.focus()
        event.stop()

    def _tell(self) -> None:
        """Say how the charts are drawn."""
        status = self.query_one(ChartStatus)
        words = self.status()
        if self.note.plain:
            words = Content("\n").join([words, self.note])
        if not words.is_same(status.content):
            status.content = words

    def status(self) -> Content:
        """Page, axis, cursor and zoom, and the keys that change them."""
        axis, (page, pages) = self.options.axis, self.page
        counted = "chart" if self._shape == (1, 1) else "page"
        parts = [f"{counted} {page + 1}/{pages}"] if pages > 1 else []
        parts.append(f"x: {axis}")
        if self.at is not None:
            parts.append(f"cursor at {written(self.at, axis)}")
        if self.zoom is not None:
            parts.append(f"zoom {written(self.zoom[0], axis)} to {written(self.zoom[1], axis)}")
        keys = ["←→ cursor", "enter all"] if self.alone else ["enter one", "shift+←→ cursor"]
        keys += ["z Z zoom", "< > pan", *([f"pgup pgdn {counted}"] if pages > 1 else []), "f grid"]
        said = " · ".join(parts)
        return Content.assemble(said, "   ", (joined(keys, self.size.width - len(said) - 5, "  "), FAINT))
