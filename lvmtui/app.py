"""The App: modes, themes, keymap, and the state that all screens share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.filter import LineFilter

from lvmtui import commands, modes
from lvmtui.ascii_filter import AsciiFilter
from lvmtui.config import Config, UiState, ViewOptions, load_config, load_state, save_state
from lvmtui.errors import LvmtuiError
from lvmtui.messages import (
    OptionsChanged,
    RunFocused,
    RunMarked,
    RunOpened,
    ScreenShown,
    SnapshotRead,
)
from lvmtui.paths import config_file
from lvmtui.requests import RequestHandling
from lvmtui.screens.base import LvmScreen
from lvmtui.snapshot import Snapshot
from lvmtui.themes import DEFAULT_THEME, load_themes, to_textual_theme

if TYPE_CHECKING:
    from textual.command import Provider

    from lvmtui.feed import Feed

MARKS = 8
"""Runs that can be overlaid at once: one colour each."""

SAVE_SECONDS = 1.0
"""Changes of what is remembered are gathered for this long before they are written."""


def _palette() -> type[Provider]:
    from lvmtui.palette import Commands

    return Commands


class LvmtuiApp(RequestHandling):
    """Shows one run store."""

    TITLE = "lvmtui"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    MODES = dict(modes.MODES)
    DEFAULT_MODE = "dashboard"
    COMMANDS = {_palette}
    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings("app")]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        store: str,
        *,
        readonly: bool = False,
        focus: int | None = None,
        ascii_only: bool = False,
        config: Config | None = None,
        trouble: str = "",
    ) -> None:
        """
        Args:
            store: path or URL of the run store; need not exist yet.
            readonly: offer nothing that changes runs.
            focus: id of the run to put the cursor on.
            ascii_only: draw with ASCII characters only.
            config: the user's settings.
            trouble: something to tell at the start.
        """
        super().__init__()
        config = config or Config()
        self.store = store
        self.readonly = readonly
        self.ascii_only = ascii_only or config.ascii
        self._ascii_filter = AsciiFilter()
        self.keymap = dict(config.keys)
        self._trouble = trouble
        self._remembered = load_state(self._store_name)
        self.focused_run = focus if focus is not None else self._remembered.focused_run
        self._wanted = focus
        """A run that the cursor goes to once the feed has seen it."""
        self.marked = self._remembered.marked
        self.options: ViewOptions = self._remembered.options
        self._feed: Feed | None = None
        self._saving = False
        self._register_themes(config.theme or self._remembered.theme)
        self.set_keymap(self.keymap)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Everything that is drawn passes through these."""
        filters = super().get_line_filters()
        return [*filters, self._ascii_filter] if self.ascii_only else filters

    @property
    def _store_name(self) -> str:
        return self.store if "://" in self.store else os.path.abspath(os.path.expanduser(self.store))

    def _register_themes(self, wanted: str) -> None:
        themes, problems = load_themes(config_file().parent / "themes")
        for theme in themes.values():
            self.register_theme(to_textual_theme(theme))
        if wanted and wanted not in self.available_themes:
            problems = [*problems, f"there is no theme {wanted!r}; known: {', '.join(themes)}"]
            wanted = ""
        self.own_themes = tuple(themes)
        self.theme = wanted or DEFAULT_THEME
        self._trouble = "\n".join(filter(None, [self._trouble, *problems]))

    def on_mount(self) -> None:
        """Start reading once the first frame is out: importing the store takes longer than that."""
        self.call_after_refresh(self._start_feed)
        if self._trouble:
            self.tell(self._trouble, severity="warning")

    def _start_feed(self) -> None:
        from lvmtui.feed import Feed

        self._feed = Feed(self.store, self._post_snapshot)
        self._feed.set_looked_at(self._looked_at())
        self._feed.start()

    def _post_snapshot(self, snapshot: Snapshot) -> None:
        """Called in the feed's thread; posting is safe from there."""
        self.post_message(SnapshotRead(snapshot))

    def on_unmount(self) -> None:
        """Stop reading and remember how things were."""
        if self._feed is not None:
            self._feed.stop()
        self._save()

    @on(SnapshotRead)
    def take_snapshot(self, message: SnapshotRead) -> None:
        """Show what the feed has read."""
        self.snapshot = message.snapshot
        known = {view.run.id for view in message.snapshot.runs}
        if self._wanted in known:
            self.focused_run, self._wanted = self._wanted, None
        elif self.focused_run not in known:
            self.focused_run = _first_choice(message.snapshot)
        if not self._remembered_marks_hold(known):
            self.marked = tuple(run_id for run_id in self.marked if run_id in known)
        self._changed()
        self.look_after_stopping()

    def _remembered_marks_hold(self, known: set[int]) -> bool:
        return not known or all(run_id in known for run_id in self.marked)

    def _looked_at(self) -> tuple[int, ...]:
        focused = () if self.focused_run is None else (self.focused_run,)
        return (*focused, *self.marked)

    def _changed(self, *, remember: bool = False) -> None:
        """Hand the state to the screen in front and tell the feed what is looked at."""
        if self._feed is not None:
            self._feed.set_looked_at(self._looked_at())
        self.share_state()
        if remember and not self._saving:
            self._saving = True
            self.set_timer(SAVE_SECONDS, self._save)

    @on(ScreenShown)
    def share_state(self) -> None:
        """Set the state on the uppermost of our screens; the others ask when they come to the front."""
        screen = next((item for item in reversed(self.screen_stack) if isinstance(item, LvmScreen)), None)
        if screen is None:
            return
        with self.batch_update():
            screen.options = self.options
            screen.focused_run = self.focused_run
            screen.marked = self.marked
            screen.snapshot = self.snapshot
        screen.update_keys()

    def _save(self) -> None:
        self._saving = False
        state = UiState(
            theme=self.theme, options=self.options, focused_run=self.focused_run, marked=self.marked
        )
        if state != self._remembered:
            # Without a place to write to, the dashboard works all the same and forgets.
            with contextlib.suppress(OSError):
                save_state(self._store_name, state)
            self._remembered = state

    @on(RunFocused)
    def focus_run(self, message: RunFocused) -> None:
        """The cursor is on another run."""
        if message.run_id != self.focused_run:
            self.focused_run = message.run_id
            self._changed(remember=True)

    @on(RunMarked)
    def mark_run(self, message: RunMarked) -> None:
        """Overlay a run, or take it away."""
        run_id = message.run_id
        if run_id in self.marked:
            self.marked = tuple(other for other in self.marked if other != run_id)
        elif len(self.marked) >= MARKS:
            self.tell(f"{MARKS} runs are marked already; x clears the marks", severity="warning")
            return
        else:
            self.marked = (*self.marked, run_id)
        self._changed(remember=True)

    @on(OptionsChanged)
    def change_options(self, message: OptionsChanged) -> None:
        """Sort, filter or how curves are drawn was changed."""
        if message.options != self.options:
            self.options = message.options
            self._changed(remember=True)

    @on(RunOpened)
    async def open_run(self, message: RunOpened) -> None:
        """Show the run's own screen."""
        from lvmtui.screens.run import RunScreen

        self.focused_run = message.run_id
        self._changed(remember=True)
        if not isinstance(self.screen, RunScreen):
            await self.push_screen(RunScreen())

    def run_appeared(self, run_id: int) -> None:
        """Put the cursor on a run that was launched from here, once it is read."""
        self._wanted = run_id
        if self._feed is not None:
            self._feed.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """--readonly takes away what changes runs; the question marks of modals take away everything else."""
        command = commands.BY_ID.get(action.replace("_", "-"))
        if command is None or command.scope != "app":
            return super().check_action(action, parameters)
        return not (self.readonly and command.changes_outside)

    def action_clear_marks(self) -> None:
        """Overlay no run."""
        self.marked = ()
        self._changed(remember=True)

    async def action_dashboard(self) -> None:
        """Show the dashboard."""
        await self._show_mode("dashboard")

    async def action_leaderboard(self) -> None:
        """Show the leaderboard."""
        await self._show_mode("leaderboard")

    async def action_compare(self) -> None:
        """Show the marked runs side by side."""
        await self._show_mode("compare")

    async def _show_mode(self, mode: str) -> None:
        while len(self.screen_stack) > 1 and isinstance(self.screen, LvmScreen):
            await self.pop_screen()
        if self.current_mode != mode:
            await self.switch_mode(mode)

    async def action_back(self) -> None:
        """Leave a run's screen, clear the filter, or leave the leaderboard."""
        if len(self.screen_stack) > 1:
            await self.pop_screen()
        elif self.options.filter:
            self.post_message(OptionsChanged(replace(self.options, filter="")))
        else:
            await self._show_mode("dashboard")

    async def action_help(self) -> None:
        """Show all keys."""
        from lvmtui.screens.help import HelpScreen

        await self.push_screen(HelpScreen(self.keymap, readonly=self.readonly, store=self._store_name))

    def action_theme(self) -> None:
        """Take the next theme."""
        names = self.own_themes
        following = names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0]
        self.choose_theme(following)
        self.tell(f"theme {following}")

    def choose_theme(self, name: str) -> None:
        """Use a theme and remember it."""
        self.theme = name
        self._changed(remember=True)

    def known_phases(self) -> tuple[str, ...]:
        """Phases that can be launched."""
        from lvmtui.recipe import recipe_files

        try:
            return tuple(recipe_files())
        except LvmtuiError:
            return ()


def _first_choice(snapshot: Snapshot) -> int | None:
    """The run to look at first: the newest that runs, else the newest."""
    active = (view.run.id for view in snapshot.runs if view.state.is_active)
    newest = next((view.run.id for view in snapshot.runs), None)
    return next(active, newest)


# `ascii` is the name of the command line's option.
def run_app(
    store: str,
    *,
    readonly: bool = False,
    focus: int | None = None,
    ascii: bool = False,  # noqa: A002
) -> int:
    """Open the dashboard on a store and return its exit code.

    Args:
        store: path or URL.
        readonly: offer nothing that changes runs.
        focus: id of the run to put the cursor on.
        ascii: draw with ASCII characters only.
    """
    trouble = ""
    try:
        config = load_config(commands=commands.BY_ID)
    except LvmtuiError as error:
        config, trouble = Config(), f"{error}\nThe defaults are used."
    app = LvmtuiApp(store, readonly=readonly, focus=focus, ascii_only=ascii, config=config, trouble=trouble)
    app.run()
    return app.return_code or 0
