"""The command palette's entries: the registry's commands, the themes and the phases."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Protocol, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.types import IgnoreReturnCallbackType

from lvmtui import commands


class OffersCommands(Protocol):
    """What the App must have for the palette."""

    readonly: bool
    keymap: commands.Keymap
    own_themes: tuple[str, ...]

    def choose_theme(self, name: str) -> None: ...

    def launch_phase(self, phase: str) -> None: ...

    def known_phases(self) -> tuple[str, ...]: ...


Entry = tuple[str, str, IgnoreReturnCallbackType]
"""Name, help, what it does."""


class Commands(Provider):
    """Everything in the palette."""

    def _entries(self) -> Iterator[Entry]:
        app = cast(OffersCommands, self.app)
        active = {item.binding.id: item for item in self.screen.active_bindings.values() if item.enabled}
        for command in commands.available(readonly=app.readonly):
            item = active.get(command.id)
            if item is None or not command.in_palette:
                continue
            keys = " ".join(commands.keys_of(command, app.keymap))

            async def run(action: str = item.binding.action, node: object = item.node) -> None:
                await self.app.run_action(action, node)  # type: ignore[arg-type]

            yield f"{command.name}  ({keys})", command.help, run
        if not app.readonly:
            for phase in app.known_phases():
                yield (
                    f"launch {phase}",
                    "open the launch form on this phase",
                    partial(app.launch_phase, phase),
                )
        for name in app.own_themes:
            yield f"theme {name}", "use this theme", partial(app.choose_theme, name)

    async def discover(self) -> Hits:
        """What is offered before anything is typed."""
        for name, text, run in self._entries():
            yield DiscoveryHit(name, run, help=text)

    async def search(self, query: str) -> Hits:
        """What fits the typed text."""
        matcher = self.matcher(query)
        for name, text, run in self._entries():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, help=text)
