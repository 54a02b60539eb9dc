"""The App: the state that all screens share, put together from what it can do."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.filter import LineFilter

from lvmtui import commands, keymap, modes
from lvmtui.ascii_filter import AsciiFilter
from lvmtui.config import Config, load_config
from lvmtui.errors import LvmtuiError
from lvmtui.messages import (
    OptionsChanged,
    RunFocused,
    RunMarked,
    RunOpened,
    ScreenShown,
    SnapshotRead,
    StretchEnlarged,
)
from lvmtui.parts.alerting import Alerting
from lvmtui.parts.clipboard import Clipboard
from lvmtui.parts.navigation import Navigation
from lvmtui.parts.organising import Organising
from lvmtui.parts.queueing import QueueRequests
from lvmtui.parts.remembering import Remembering
from lvmtui.parts.repaint import ThinRepaint
from lvmtui.parts.theming import Theming
from lvmtui.parts.watching import Watching
from lvmtui.remote.hosts import Host, parse_hosts, slot_of, watched

if TYPE_CHECKING:
    from textual.command import Provider

MARKS = 64
"""Runs that can be overlaid at once: a colour and sign of its own for each."""


def _palette() -> type[Provider]:
    from lvmtui.palette import Commands

    return Commands


class LvmtuiApp(
    Organising, QueueRequests, Remembering, Watching, Navigation, Theming, Alerting, Clipboard, ThinRepaint
):
    """Shows a run store, and those of watched hosts beside it."""

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
        hosts: Sequence[Host] = (),
        ssh: Sequence[str] = (),
    ) -> None:
        """
        Args:
            store: path or URL of the run store; need not exist yet.
            readonly: offer nothing that changes runs.
            focus: id of the run to put the cursor on.
            ascii_only: draw with ASCII characters only.
            config: the user's settings.
            trouble: something to tell at the start.
            hosts: machines that are watched too.
            ssh: program and arguments that connect to them; empty: as usual.
        """
        super().__init__()
        config = config or Config()
        self.hosts, self.ssh = tuple(hosts), tuple(ssh)
        self.store = store
        self.readonly = readonly
        self.config = config
        remembered = self.recall()
        self.ascii_only = ascii_only or config.ascii or remembered.ascii
        self._ascii_filter = AsciiFilter()
        self.keymap = dict(config.keys)
        if focus is not None:
            self.focused_run = focus
        self._frozen_runs = 0
        self._wanted = focus
        """A run that the cursor goes to once the feed has seen it."""
        self._missed: int | None = None
        """A run of a host that the cursor was on and that is missing, until the cursor is moved."""
        problems = self.take_themes(config.theme or remembered.theme)
        self._trouble = "\n".join(filter(None, [trouble, *problems, *keymap.problems(self.keymap)]))
        self.set_keymap(self.keymap)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Everything that is drawn passes through these."""
        filters = super().get_line_filters()
        return [*filters, self._ascii_filter] if self.ascii_only else filters

    def on_mount(self) -> None:
        """Start reading once the first frame is out: importing the store takes longer than that."""
        self.call_after_refresh(self._start_feed)
        if self._trouble:
            self.tell(self._trouble, severity="warning")
        self.watch_themes()

    def _start_feed(self) -> None:
        self.start_fleet(self.looked_at(), self.glanced_at())

    def on_unmount(self) -> None:
        """Stop reading and remember how things were."""
        if self.fleet is not None:
            self.fleet.stop()
        self.save()

    @on(SnapshotRead)
    def take_snapshot(self, message: SnapshotRead) -> None:
        """Show what was read."""
        self.snapshot = message.snapshot
        known = {view.run.id for view in message.snapshot.runs}
        if len(known) > 2 * self._frozen_runs:
            # Nothing in them is cyclic: the garbage collector need not walk ten thousand runs, 80 ms a time.
            self._frozen_runs = len(known)
            gc.freeze()
        if message.snapshot.is_whole and not gc.isenabled():
            gc.enable()  # see `lvmtui.start`
        self._choose_run(known)
        self.settle_marks(known, self.may_return)
        self.look_for_alerts()
        self._changed()
        self.look_after_stopping()
        self.look_after_queue()

    def _choose_run(self, known: Collection[int]) -> None:
        """Put the cursor on the run that is wanted, or on another if its own is gone."""
        if self._wanted in known:
            self.focused_run, self._wanted = self._wanted, None
        elif self.focused_run not in known and self.snapshot is not None:
            lost, self.focused_run = self.focused_run, self.snapshot.first_choice
            if lost is not None and slot_of(lost) and self.may_return(lost):
                self._missed = lost
        elif self._missed in known:
            self.focused_run, self._missed = self._missed, None

    def looked_at(self) -> tuple[int, ...]:
        """Ids of the runs whose details are shown."""
        focused = () if self.focused_run is None else (self.focused_run,)
        return (*focused, *self.marked)

    def glanced_at(self) -> frozenset[int]:
        """Ids of those of which only some curves are shown."""
        screen = self.uppermost
        few = screen is None or screen.FEW_CURVES
        return frozenset(self.marked) - {self.focused_run} if few else frozenset()

    def _changed(self, *, remember: bool = False) -> None:
        """Hand the state to the screen in front and tell the feed what is looked at."""
        self.share_state()
        if remember:
            self.remember()

    @on(ScreenShown)
    def share_state(self) -> None:
        """Set the state on the uppermost of our screens, and tell the feed what that shows; the others ask
        when they come to the front."""
        if self.fleet is not None:
            self.fleet.set_looked_at(self.looked_at(), glanced_at=self.glanced_at())
            self.fleet.set_devices_wanted(self.current_mode == "devices")
        screen = self.uppermost
        if screen is None:
            return
        with self.batch_update():
            screen.options = self.options
            screen.focused_run = self.focused_run
            screen.marked = self.marked
            screen.snapshot = self.snapshot
        screen.update_keys()

    @on(RunFocused)
    def focus_run(self, message: RunFocused) -> None:
        """The cursor is on another run."""
        if message.run_id != self.focused_run:
            self.focused_run, self._missed = message.run_id, None
            self._changed(remember=True)

    @on(RunMarked)
    def mark_run(self, message: RunMarked) -> None:
        """Overlay a run, or take it away."""
        run_id = message.run_id
        if run_id in self.marked:
            self.marked = tuple(other for other in self.marked if other != run_id)
        elif len(self.marked) + len(self.marked_elsewhere) >= MARKS:
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

    @on(StretchEnlarged)
    def look_closer(self, message: StretchEnlarged) -> None:
        """Have the feed read long curves in full where they are enlarged."""
        if self.fleet is not None:
            self.fleet.set_close_up(message.close_up)

    @on(RunOpened)
    async def open_run(self, message: RunOpened) -> None:
        """Show the run's own screen."""
        self.focused_run = message.run_id
        self._changed(remember=True)
        await self.show_run()

    def run_appeared(self, run_id: int) -> None:
        """Put the cursor on a run that was launched from here, once it is read."""
        self._wanted = run_id
        if self.fleet is not None:
            self.fleet.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """--readonly takes away what changes runs; the question marks of modals take away everything else."""
        command = commands.BY_ID.get(action.replace("_", "-"))
        if command is None or command.scope != "app":
            return super().check_action(action, parameters)
        return not (self.readonly and command.changes_outside)

    def action_clear_marks(self) -> None:
        """Overlay no run."""
        self.marked = self.marked_elsewhere = ()
        self._changed(remember=True)

    def action_theme(self) -> None:
        """Take the next theme."""
        self.choose_theme(self.following_theme())
        self.tell(f"theme {self.theme}")

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


# `ascii` is the name of the command line's option.
def make_app(
    store: str,
    *,
    readonly: bool = False,
    focus: int | None = None,
    ascii: bool = False,  # noqa: A002
    theme: str | None = None,
    hosts: Sequence[str] | None = None,
) -> LvmtuiApp:
    """The App with the user's settings; what is wrong with those it tells when it starts.

    Args:
        store: path or URL.
        readonly: offer nothing that changes runs.
        focus: id of the run to put the cursor on.
        ascii: draw with ASCII characters only.
        theme: used in place of the one in the settings.
        hosts: machines that are watched too, as `--host` names them; None: those of the settings.

    Raises:
        UsageError: a host makes no sense.
    """
    trouble = ""
    try:
        config = load_config(commands=commands.BY_ID)
    except LvmtuiError as error:
        config, trouble = Config(), f"{error}\nThe defaults are used."
    if theme is not None:
        config = replace(config, theme=theme)
    found = watched(config.hosts) if hosts is None else parse_hosts(hosts, config.hosts)
    return LvmtuiApp(
        store,
        readonly=readonly,
        focus=focus,
        ascii_only=ascii,
        config=config,
        trouble=trouble,
        hosts=found,
        ssh=_ssh(config) if found else (),
    )


def _ssh(config: Config) -> tuple[str, ...]:
    """How ssh is called."""
    from lvmtui.remote.ssh import ssh_words

    return ssh_words(config)


def run_app(
    store: str,
    *,
    readonly: bool = False,
    focus: int | None = None,
    ascii: bool = False,  # noqa: A002
    hosts: Sequence[str] | None = None,
) -> int:
    """Open the dashboard on a store, as `make_app`, and return its exit code."""
    if sys.stdout.isatty():
        # What a shell has exported may be the size of another terminal, and would hold after a resize too.
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
    app = make_app(store, readonly=readonly, focus=focus, ascii=ascii, hosts=hosts)
    app.run()
    return app.return_code or 0
