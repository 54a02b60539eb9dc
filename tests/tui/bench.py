"""An App that gives screens the state that the real one gives them, and takes their messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from textual import on
from textual.app import App
from textual.geometry import Region
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from lvmtui import commands
from lvmtui.config import ViewOptions
from lvmtui.messages import OptionsChanged, RunFocused, RunMarked, ScreenShown
from lvmtui.screens.base import LvmScreen
from lvmtui.screens.leaderboard import LeaderboardScreen
from lvmtui.screens.run import RunScreen
from lvmtui.snapshot import Snapshot
from lvmtui.themes import DEFAULT_THEME, load_themes, to_textual_theme
from tests.tui import snapshots


class BenchApp(App[None]):
    """Holds a snapshot instead of a feed."""

    BINDINGS = [*commands.bindings("app")]
    CSS_PATH = "../../lvmtui/app.tcss"
    ascii_only = False

    def __init__(self, first: LvmScreen, snapshot: Snapshot | None, focused: int | None) -> None:
        super().__init__()
        for theme in load_themes()[0].values():
            self.register_theme(to_textual_theme(theme))
        self.theme = DEFAULT_THEME
        self.first = first
        self.snapshot = snapshot
        self.focused_run = focused
        self.marked: tuple[int, ...] = ()
        self.options = ViewOptions()

    def on_mount(self) -> None:
        self.push_screen(self.first)

    @on(ScreenShown)
    def share(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, LvmScreen):
                screen.options, screen.focused_run = self.options, self.focused_run
                screen.marked, screen.snapshot = self.marked, self.snapshot

    @on(RunFocused)
    def focus_run(self, message: RunFocused) -> None:
        self.focused_run = message.run_id
        self.share()

    @on(RunMarked)
    def mark_run(self, message: RunMarked) -> None:
        others = tuple(run_id for run_id in self.marked if run_id != message.run_id)
        self.marked = others if len(others) < len(self.marked) else (*others, message.run_id)
        self.share()

    @on(OptionsChanged)
    def change_options(self, message: OptionsChanged) -> None:
        self.options = message.options
        self.share()

    async def action_back(self) -> None:
        if len(self.screen_stack) > 2:
            await self.pop_screen()


@dataclass
class Bench:
    """A running screen and what it has posted."""

    app: BenchApp
    pilot: Pilot[None]
    messages: list[Message] = field(default_factory=list)

    @property
    def screen(self) -> LvmScreen:
        """The screen under test."""
        return self.app.first

    def posted(self, kind: type[Message]) -> list[Message]:
        """The messages of one kind that reached the App."""
        bubbled = {id(message): message for message in self.messages if isinstance(message, kind)}
        return list(bubbled.values())

    async def give(self, snapshot: Snapshot) -> None:
        """Show another snapshot."""
        self.app.snapshot = snapshot
        self.app.share()
        await self.pilot.pause()

    @staticmethod
    def run_screen(
        snapshot: Snapshot | None = None, run_id: int = 17, size: tuple[int, int] = (120, 36)
    ) -> AbstractAsyncContextManager[Bench]:
        """A run's screen."""
        return bench(RunScreen(), snapshot or snapshots.snapshot(detailed=(run_id,)), run_id, size)

    @staticmethod
    def leaderboard(
        snapshot: Snapshot | None = None, focused: int | None = 17, size: tuple[int, int] = (120, 36)
    ) -> AbstractAsyncContextManager[Bench]:
        """The leaderboard."""
        return bench(LeaderboardScreen(), snapshot or snapshots.snapshot(), focused, size)


@asynccontextmanager
async def bench(
    first: LvmScreen, snapshot: Snapshot | None, focused: int | None, size: tuple[int, int]
) -> AsyncIterator[Bench]:
    app = BenchApp(first, snapshot, focused)
    messages: list[Message] = []
    async with app.run_test(size=size, message_hook=messages.append) as pilot:
        await pilot.pause()
        yield Bench(app, pilot, messages)


def shown(widget: Widget) -> str:
    """What a widget without children has on the screen, as plain text."""
    strips = widget.render_lines(Region(0, 0, *widget.outer_size))
    return "\n".join(strip.text.rstrip() for strip in strips)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition, at most so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.02)
