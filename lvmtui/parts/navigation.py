"""The part of the App that goes from screen to screen."""

from __future__ import annotations

from dataclasses import replace

from textual.app import App

from lvmtui.commands import Keymap
from lvmtui.config import ViewOptions
from lvmtui.messages import OptionsChanged
from lvmtui.screens.base import LvmScreen


class Navigation(App[int]):
    """Shows screens, and what lies over them."""

    keymap: Keymap
    readonly: bool
    options: ViewOptions

    @property
    def store_name(self) -> str:
        """The store, told apart from all others."""
        raise NotImplementedError

    async def action_dashboard(self) -> None:
        """Show the dashboard."""
        await self.show_mode("dashboard")

    async def action_leaderboard(self) -> None:
        """Show the leaderboard."""
        await self.show_mode("leaderboard")

    async def action_compare(self) -> None:
        """Show the marked runs side by side."""
        await self.show_mode("compare")

    async def action_devices(self) -> None:
        """Show the devices and which run uses them."""
        await self.show_mode("devices")

    async def action_events(self) -> None:
        """Show events and alerts of all runs."""
        await self.show_mode("events")

    async def action_hosts(self) -> None:
        """Show the watched hosts and what waits for them."""
        await self.show_mode("hosts")

    async def show_mode(self, mode: str) -> None:
        """Show one of the screens that are no run's."""
        while len(self.screen_stack) > 1 and isinstance(self.screen, LvmScreen):
            await self.pop_screen()
        if self.current_mode != mode:
            await self.switch_mode(mode)

    async def show_run(self) -> None:
        """Show the screen of the run that the cursor is on."""
        from lvmtui.screens.run import RunScreen

        if not isinstance(self.screen, RunScreen):
            await self.push_screen(RunScreen())

    async def action_back(self) -> None:
        """Leave a run's screen, clear the filter, or leave the leaderboard."""
        if len(self.screen_stack) > 1:
            await self.pop_screen()
        elif self.options.filter:
            self.post_message(OptionsChanged(replace(self.options, filter="")))
        else:
            await self.show_mode("dashboard")

    async def action_settings(self) -> None:
        """Show the settings."""
        from lvmtui.screens.settings import SettingsScreen

        await self.push_screen(SettingsScreen())

    def action_command_palette(self) -> None:
        """Show the palette."""
        from textual.command import CommandPalette

        if not isinstance(self.screen, CommandPalette):
            found = "Search for commands, runs, phases and themes…"
            self.push_screen(CommandPalette(id="--command-palette", placeholder=found))

    async def action_help(self) -> None:
        """Show all keys."""
        from lvmtui.screens.help import HelpScreen

        await self.push_screen(HelpScreen(self.keymap, readonly=self.readonly, store=self.store_name))
