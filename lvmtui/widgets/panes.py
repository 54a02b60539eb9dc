"""The dashboard's grid of panes; the border between the list of runs and the charts can be dragged."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.containers import Grid
from textual.message import Message
from textual.reactive import reactive

from lvmtui.config import ViewOptions

LEAST_SHARE, MOST_SHARE = 0.15, 0.75
"""Of the width that the list may have."""

WATCHING_SHARE = 0.47
"""Of the list where hosts are watched: it has a column more. Only as long as the user has not chosen one."""

GRIP = 1
"""Cells beside the border that are taken for it too."""


class Panes(Grid):
    """The first pane is the list of runs; where it stands beside the others, its share is `list_share`."""

    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)
    watches: reactive[bool] = reactive(False, repaint=False)
    """Whether hosts are watched."""
    dragging: reactive[bool] = reactive(False, repaint=False, toggle_class="-dragging")

    @dataclass
    class Dragged(Message):
        """The border was let go."""

        share: float

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._share = ViewOptions().list_share
        self._held = 0
        """Columns between the border and where it was taken hold of."""
        self.beside = False
        """The list stands beside the other panes."""

    def watch_options(self, options: ViewOptions) -> None:
        """Take over the share that was chosen elsewhere."""
        share = options.list_share
        if self.watches and share == ViewOptions().list_share:
            share = WATCHING_SHARE
        if not self.dragging and share != self._share:
            self._share = share
            self.divide()

    def watch_watches(self) -> None:
        """Make room for the hosts of runs."""
        self.watch_options(self.options)

    def divide(self) -> None:
        """Give the list its share of the width, and the two columns of charts the rest."""
        if not self.beside:
            self.styles.clear_rule("grid_columns")
            return
        list_part = round(self._share * 1000)
        rest = (1000 - list_part) / 2
        self.styles.grid_columns = f"{list_part}fr {rest}fr {rest}fr"

    def _on_border(self, event: events.MouseEvent) -> bool:
        if not self.beside or not self.children:
            return False
        return abs(event.screen_x + 0.5 - self.children[0].region.right) < GRIP + 0.6

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the border."""
        if event.button == 1 and self._on_border(event):
            event.stop()
            event.prevent_default()
            self.dragging = True
            self._held = event.screen_x - self.children[0].region.right
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Draw the border along."""
        if self.dragging and self.size.width:
            event.stop()
            share = (event.screen_x - self._held - self.region.x) / self.size.width
            share = min(max(share, LEAST_SHARE), MOST_SHARE)
            if round(share * self.size.width) != round(self._share * self.size.width):
                self._share = share
                self.divide()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        if self.dragging:
            event.stop()
            self.release_mouse()

    def on_mouse_release(self) -> None:
        """Keep what was dragged to, also when something else took the mouse away."""
        if self.dragging:
            self.dragging = False
            self.post_message(self.Dragged(round(self._share, 3)))
