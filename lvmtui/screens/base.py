"""The base of every full screen: the state that the App shares, and the actions that all of them have."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from lvmtui import commands
from lvmtui.config import AXES, SMOOTHING, ViewOptions
from lvmtui.messages import OptionsChanged, ScreenShown
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.store.slots import waits
from lvmtui.widgets.key_line import KeyLine

LEAST_WIDTH, LEAST_HEIGHT = 60, 16
"""Smaller terminals get a message instead."""


ABOUT_RUNS = frozenset(
    command.id for command in commands.COMMANDS if command.changes_outside and command.scope == "app"
) - {"launch", "undo"}
"""Commands that change the run under the cursor."""


class TooSmall(Widget):
    """Covers a screen that the terminal is too small for; what is under it stays as it is."""

    DEFAULT_CSS = """
    TooSmall {
        display: none;
        overlay: screen;
        position: absolute;
        width: 100vw;
        height: 100vh;
        background: $background;
        color: $foreground;
        content-align: center middle;
        text-align: center;
    }
    TooSmall.-needed { display: block; }
    """

    def render(self) -> Content:
        size = self.app.size
        lines = (
            f"terminal too small: {size.width}x{size.height}",
            f"lvmtui needs {LEAST_WIDTH}x{LEAST_HEIGHT}",
            "",
            "runs go on; enlarge it, or q quits",
        )
        return Content("\n").join(Content(line) for line in lines)


class LvmScreen(Screen[None]):
    """A screen that shows the App's state.

    The App sets the reactives on the screen in front whenever they change, and on every screen that comes
    to the front. (`focused_run`, because Textual's screens have a `focused` of their own: the widget.)
    """

    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings("screen")]
    FEW_CURVES: ClassVar[bool] = False
    """Whether it draws no metrics of marked runs but `lvmtui.history.OVERLAID_KEYS`."""

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None, repaint=False)
    """None until the feed's first reading."""
    focused_run: reactive[int | None] = reactive[int | None](None, repaint=False)
    """Id of the run that the cursor is on."""
    marked: reactive[tuple[int, ...]] = reactive[tuple[int, ...]]((), repaint=False)
    """Ids of the runs that are overlaid, in the order of marking."""
    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)
    """Sort, filter and how curves are drawn; survives a restart."""

    def compose(self) -> ComposeResult:
        """What every screen has: call it last, `yield from super().compose()`."""
        yield KeyLine()
        yield TooSmall()

    @property
    def view(self) -> RunView | None:
        """The run that the cursor is on."""
        return self.snapshot.view(self.focused_run) if self.snapshot else None

    @property
    def cursor_run(self) -> int | None:
        """Id of the run that commands are about at this moment; None: the cursor is on none."""
        return self.focused_run

    def applicable(self, command: str) -> bool:
        """Whether a command has something to work on now; the footer leaves the others out."""
        view = self.view
        if command == self.app.current_mode:
            return len(self.app.screen_stack) > 1
        if command == "hosts":
            return self.snapshot is not None and bool(self.snapshot.hosts)
        if view is not None and command in ABOUT_RUNS and self._is_fixed(view):
            return False
        if command in {"mark", "open"}:
            return view is not None
        if command == "stop":
            asked = view is not None and (view.stop_requested or "stop" in view.pending)
            return view is not None and view.state.is_stoppable and not asked
        if command in {"hold", "queue-earlier", "queue-later"}:
            return view is not None and waits(view.run)
        if command == "resume":
            return view is not None and view.state.is_resumable
        if command == "promote":
            return view is not None and view.best is not None and not view.aliases
        return True

    def _is_fixed(self, view: RunView) -> bool:
        """Whether the run is on a watched host where nothing can be changed."""
        host = self.snapshot.host(view.run.origin) if self.snapshot and view.run.origin else None
        return host is not None and bool(host.readonly)

    def on_screen_resume(self) -> None:
        """Ask for the state of the moment."""
        self.post_message(ScreenShown())

    def on_resize(self, event: events.Resize) -> None:
        """Cover the screen when the terminal is too small for it."""
        small = event.size.width < LEAST_WIDTH or event.size.height < LEAST_HEIGHT
        for cover in self.query(TooSmall):
            cover.set_class(small, "-needed")

    def update_keys(self) -> None:
        """Look again which keys do something."""
        for line in self.query(KeyLine):
            line.update()

    def change_options(self, **changes: object) -> None:
        """Ask the App to change some of the options."""
        self.post_message(OptionsChanged(replace(self.options, **changes)))  # type: ignore[arg-type]

    def action_next_pane(self) -> None:
        """Go to the next pane."""
        self.focus_next()

    def action_log_y(self) -> None:
        """Switch the logarithmic y axis."""
        self.change_options(log_y=not self.options.log_y)

    def action_log_x(self) -> None:
        """Switch the logarithmic x axis."""
        self.change_options(log_x=not self.options.log_x)

    def action_clip(self) -> None:
        """Leave outliers out of the range of y, or show them."""
        self.change_options(clip=not self.options.clip)

    def action_bands(self) -> None:
        """Draw confidence bands, or not."""
        self.change_options(bands=not self.options.bands)

    def action_smooth_more(self) -> None:
        """Take the next stronger smoothing."""
        self._smooth(1)

    def action_smooth_less(self) -> None:
        """Take the next weaker smoothing."""
        self._smooth(-1)

    def action_smooth_off(self) -> None:
        """Show curves as they are."""
        self.change_options(smoothing=0.0)

    def _smooth(self, direction: int) -> None:
        now = min(range(len(SMOOTHING)), key=lambda i: abs(SMOOTHING[i] - self.options.smoothing))
        following = min(max(now + direction, 0), len(SMOOTHING) - 1)
        self.change_options(smoothing=SMOOTHING[following])

    def action_axis(self) -> None:
        """Take the next quantity for the x axis."""
        following = AXES[(AXES.index(self.options.axis) + 1) % len(AXES)]
        self.change_options(axis=following)
