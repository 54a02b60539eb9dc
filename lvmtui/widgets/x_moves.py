"""Zooming and moving the x axis of charts, by keys and by the mouse."""

from __future__ import annotations

from lvmtui.widgets import x_range
from lvmtui.widgets.curve_pane import ZoomPane
from lvmtui.widgets.x_range import Range


class XMoves:
    """Mixed into what shows a `ZoomPane` or is one: answers what the mouse asks of it."""

    def shown_x(self) -> Range | None:
        """The range that is zoomed to; None: all."""
        raise NotImplementedError

    def show_x(self, zoom: Range | None) -> None:
        """Zoom to a range; None: all."""
        raise NotImplementedError

    def whole_x(self) -> Range | None:
        """Everything that there is on x."""
        raise NotImplementedError

    def log_x(self) -> bool:
        """Whether the axis is logarithmic."""
        raise NotImplementedError

    def magnify(self, factor: float, centre: float | None) -> None:
        """Show `factor` times the range around a place, or around its right end."""
        whole = self.whole_x()
        if whole is None or not whole[1] > whole[0]:
            return
        shown = self.shown_x() or whole
        if centre is None or not shown[0] <= centre <= shown[1]:
            centre = shown[1]
        self.show_x(x_range.magnified(shown, whole, factor, centre, log=self.log_x()))

    def push(self, share: float) -> None:
        """Move what is shown right by a share of its length."""
        whole, shown = self.whole_x(), self.shown_x()
        if whole is not None and shown is not None:
            self.show_x(x_range.moved(shown, whole, share, log=self.log_x()))

    def on_zoom_pane_wheeled(self, message: ZoomPane.Wheeled) -> None:
        """Zoom around the pointer."""
        message.stop()
        self.magnify(message.factor, message.x)

    def on_zoom_pane_pushed(self, message: ZoomPane.Pushed) -> None:
        """Move what is shown."""
        message.stop()
        self.push(message.share)

    def on_zoom_pane_dragged(self, message: ZoomPane.Dragged) -> None:
        """Zoom to a range."""
        message.stop()
        whole = self.whole_x()
        if whole is not None:
            self.show_x(x_range.between(message.low, message.high, whole, log=self.log_x()))
