"""One chart: what is drawn in it, and what the mouse does on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text
from textual import events
from textual.message import Message

from lvmtui.charts.figure import Axes, Curve, Level, Look, Plot, message_lines
from lvmtui.config import ViewOptions
from lvmtui.format import thousands
from lvmtui.widgets.chart_kinds import Chart
from lvmtui.widgets.chart_sources import Drawing
from lvmtui.widgets.look import chart_look
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.x_range import Range

DRAG = 2
"""Columns from which on a press and release is a range, not a click."""

WHEEL_ZOOM, WHEEL_PAN = 0.8, 0.1
"""Share of the range that is left after a notch of the wheel, and by which it moves."""


def axes_of(
    options: ViewOptions,
    chart: Chart,
    *,
    zoom: Range | None = None,
    at: float | None = None,
    from_zero: bool | None = None,
) -> Axes:
    """How a chart is drawn with these options; percentages from zero on, unless said otherwise."""
    return Axes(
        x=options.axis,
        percent=chart.percent,
        log_y=options.log_y,
        log_x=options.log_x,
        smoothing=options.smoothing,
        zoom=zoom,
        from_zero=chart.percent if from_zero is None else from_zero,
        cursor=at,
        clip=options.clip,
        bands=options.bands,
    )


class CurvePane(Panel):
    """One chart."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    CurvePane { height: 100%; padding: 0; }
    CurvePane.-ascii.-selected { border: ascii $primary; }
    CurvePane.-selected { border: round $primary; border-title-color: $primary; border-title-style: bold; }
    """

    @dataclass
    class Pointed(Message):
        """A place on the chart was clicked."""

        pane: CurvePane
        x: float | None
        twice: bool

    def __init__(
        self,
        chart: Chart,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.chart = chart
        self.empty = "no value yet"
        """What stands where there is no curve."""
        self.plot: Plot | None = None
        """What was drawn last."""
        self._drawing = Drawing()
        self._axes = Axes()
        self._look: Look | None = None

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._forget_look())

    def _forget_look(self) -> None:
        self._look = None

    @property
    def look(self) -> Look:
        """The theme's colours, until it changes."""
        if self._look is None:
            self._look = chart_look(self)
        return self._look

    @property
    def curves(self) -> tuple[Curve, ...]:
        """What is drawn."""
        return self._drawing.curves

    def set_curves(self, made: Sequence[Curve], levels: Sequence[Level], axes: Axes) -> None:
        """What to draw."""
        self.set_drawing(self.chart, Drawing(tuple(made), tuple(levels)), axes)

    def set_drawing(self, chart: Chart, drawing: Drawing, axes: Axes) -> None:
        """Draw this chart, unless it is what is drawn already."""
        if self.prepare(chart, drawing, axes):
            self.redraw()

    def prepare(self, chart: Chart, drawing: Drawing, axes: Axes) -> bool:
        """What to draw next time; returns whether it is something else than before."""
        if drawing.window is not None:
            axes = replace(axes, window=drawing.window)
        same = chart == self.chart and axes == self._axes and drawing.same(self._drawing)
        self.chart, self._drawing, self._axes = chart, drawing, axes
        return not same

    def heading(self) -> str:
        how = drawn_how(self._axes, self.plot)
        return self.caption(self.size.width - 4 - len(how)) + how

    def caption(self, room: int) -> str:  # noqa: ARG002
        """What the chart shows, in about `room` cells: what stands after it must not be cut off."""
        return self.chart.title

    def drawn_axes(self) -> Axes:
        """The axes as they are drawn now."""
        return self._axes

    def draw(self, width: int, height: int) -> Sequence[Text]:
        if not self._drawing.curves:
            self.plot = None
            return message_lines(self.empty, width, height, self.look)
        from lvmtui.charts.drawing import plot_chart

        self.plot = plot_chart(
            self._drawing.curves,
            width=width,
            height=height,
            levels=self._drawing.levels,
            axes=self.drawn_axes(),
            look=self.look,
            empty=self.empty,
        )
        return self.plot.lines

    @property
    def x_range(self) -> Range | None:
        """The range of x that is shown."""
        return self.plot.x_range if self.plot else None

    def x_at(self, column: int, *, nearest: bool = False) -> float | None:
        """The x that a column of the content stands for; None beside the chart, or the nearest."""
        plot = self.plot
        if plot is None or not plot.columns:
            return None
        if nearest:
            column = min(max(column, plot.left), plot.left + plot.columns - 1)
        return plot.x_at(column)

    def stops(self) -> list[float]:
        """Where a cursor stops on x: at each point of the longest curve, or each column if they are fewer."""
        plot = self.plot
        if plot is None or plot.x_range is None:
            return []
        import numpy as np

        longest = max((curve.x for curve in self.curves), key=len)
        inside = longest[slice(*np.searchsorted(longest, plot.x_range).tolist())]
        last = float(longest[-1])
        if len(inside) <= 2 * plot.columns:
            return sorted({*inside.tolist(), *([last] if last <= plot.x_range[1] else [])})
        columns = range(plot.left, plot.left + plot.columns)
        return [x for column in columns if (x := plot.x_at(column)) is not None]

    def stop_at(self, x: float) -> float | None:
        """The stop that is nearest to a place; None without one."""
        return min(self.stops(), key=lambda stop: abs(stop - x), default=None)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor here; twice: show this chart alone."""
        offset = event.get_content_offset(self)
        x = self.x_at(offset.x) if offset is not None else None
        self.post_message(self.Pointed(self, x, event.chain >= 2))


class ZoomPane(CurvePane):
    """A chart that is zoomed by the wheel and by dragging, and moved by shift and the wheel."""

    @dataclass
    class Wheeled(Message):
        """The wheel asks for `factor` times the range, around x."""

        pane: ZoomPane
        x: float
        factor: float

    @dataclass
    class Pushed(Message):
        """The range is to move right by a share of its length."""

        pane: ZoomPane
        share: float

    @dataclass
    class Dragged(Message):
        """A range was chosen."""

        pane: ZoomPane
        low: float
        high: float

    def __init__(
        self,
        chart: Chart,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(chart, id=id, classes=classes)
        self.wanted = chart
        """What is to be shown here; drawn is still `chart`."""
        self._pressed: int | None = None
        """The column in which the button went down."""
        self._picked: Range | None = None
        """What has been dragged over so far."""
        self._was_drag = False

    def drawn_axes(self) -> Axes:
        """With the range that is being dragged over shaded."""
        return replace(self._axes, window=self._picked) if self._picked else self._axes

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A range may begin here."""
        self._was_drag = False
        offset = event.get_content_offset(self)
        if event.button == 1 and offset is not None and self.x_at(offset.x) is not None:
            self._pressed = offset.x
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Shade what is dragged over."""
        if self._pressed is None:
            return
        column = event.get_content_offset_capture(self).x
        one, other = (self.x_at(place, nearest=True) for place in (self._pressed, column))
        if one is None or other is None:
            return
        wide = abs(column - self._pressed) >= DRAG
        picked = (min(one, other), max(one, other)) if wide else None
        if picked != self._picked:
            self._picked = picked
            self.redraw()

    def on_mouse_up(self) -> None:
        """Zoom to what was dragged over."""
        if self._pressed is None:
            return
        self._pressed = None
        self.release_mouse()
        picked, self._picked = self._picked, None
        if picked is not None:
            self._was_drag = True
            self.redraw()
            self.post_message(self.Dragged(self, *picked))

    def on_click(self, event: events.Click) -> None:
        """The click at the end of a drag means nothing."""
        if self._was_drag:
            self._was_drag = False
            event.prevent_default()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, -1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 1)

    def on_mouse_scroll_left(self, event: events.MouseScrollLeft) -> None:
        self._push(event, -1)

    def on_mouse_scroll_right(self, event: events.MouseScrollRight) -> None:
        self._push(event, 1)

    def _wheel(self, event: events.MouseEvent, direction: int) -> None:
        """Up and down zoom around the pointer; with shift, to the left and to the right."""
        if event.shift:
            self._push(event, direction)
            return
        event.stop()
        event.prevent_default()
        offset = event.get_content_offset(self)
        x = self.x_at(offset.x, nearest=True) if offset is not None else None
        if x is not None:
            self.post_message(self.Wheeled(self, x, WHEEL_ZOOM**-direction))

    def _push(self, event: events.MouseEvent, direction: int) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(self.Pushed(self, direction * WHEEL_PAN))


def drawn_how(axes: Axes, plot: Plot | None = None) -> str:
    """What was changed about how curves are drawn, as the end of a title, so that nobody is misled."""
    said = [
        "log-y" if axes.log_y else "",
        "log-x" if axes.log_x else "",
        f"smoothed {axes.smoothing:g}" if axes.smoothing else "",
        "zoomed" if axes.zoom else "",
        f"clipped {thousands(plot.clipped)}" if axes.clip and plot and plot.clipped else "",
    ]
    return "".join(f" ─ {part}" for part in said if part)
