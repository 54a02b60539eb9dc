"""The command palette's entries: the registry's commands, runs, phases and themes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from functools import partial
from typing import Protocol, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.types import IgnoreReturnCallbackType

from lvmtui import commands
from lvmtui import format as fmt
from lvmtui.messages import RunOpened
from lvmtui.snapshot import RunView, Snapshot

MOST_RUNS = 40
"""Runs that one search offers."""

MOST_SCORED = 400
"""Runs whose fit is scored; among more than that only the newest."""

DISCOVERED_RUNS = 5
"""Runs that are offered before anything is typed."""


class OffersCommands(Protocol):
    """What the App must have for the palette."""

    readonly: bool
    keymap: commands.Keymap
    own_themes: tuple[str, ...]
    snapshot: Snapshot | None

    def choose_theme(self, name: str) -> None: ...

    def launch_phase(self, phase: str) -> None: ...

    def known_phases(self) -> tuple[str, ...]: ...


Entry = tuple[str, str, IgnoreReturnCallbackType]
"""Name, help, what it does."""


class Commands(Provider):
    """Everything in the palette."""

    def _entries(self) -> Iterator[Entry]:
        """All but the runs."""
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

    def _runs(self) -> tuple[RunView, ...]:
        snapshot = cast(OffersCommands, self.app).snapshot
        return snapshot.runs if snapshot else ()

    def _open(self, view: RunView) -> IgnoreReturnCallbackType:
        return partial(self.app.post_message, RunOpened(view.run.id))

    async def discover(self) -> Hits:
        """What is offered before anything is typed."""
        for name, text, run in self._entries():
            yield DiscoveryHit(Content(name), run, text=name, help=text)
        for view in self._runs()[:DISCOVERED_RUNS]:
            name = fmt.plain(view.run.name)
            yield DiscoveryHit(Content(name), self._open(view), text=name, help=about(view))

    async def search(self, query: str) -> Hits:
        """What fits the typed text."""
        matcher = self.matcher(query)
        for name, text, run in self._entries():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, help=text)
        # Let what was typed meanwhile come through before the runs are gone through.
        await asyncio.sleep(0)
        scored = [(matcher.match(name), name, view) for name, view in fitting(self._runs(), query)]
        scored.sort(key=lambda item: -item[0])
        for score, name, view in scored[:MOST_RUNS]:
            if score > 0:
                yield Hit(score, matcher.highlight(name), self._open(view), help=about(view))


def fitting(runs: tuple[RunView, ...], query: str) -> list[tuple[str, RunView]]:
    """Runs in whose names, tags and notes the query's letters stand in order: those first in which they
    stand together, then the newest. A regular expression finds them much faster than scoring them all."""
    letters = [re.escape(letter) for letter in query.casefold() if not letter.isspace()]
    if not letters:
        return []
    whole = query.casefold().strip()
    scattered = re.compile(".*?".join(letters), re.DOTALL)
    together: list[tuple[str, RunView]] = []
    apart: list[tuple[str, RunView]] = []
    for view in runs:
        run = view.run
        searched = (
            f"{run.name} {run.tags} {run.note}".casefold() if run.tags or run.note else run.name.casefold()
        )
        if whole in searched:
            together.append((title(view), view))
        elif len(apart) < MOST_SCORED and scattered.search(run.name.casefold()):
            apart.append((title(view), view))
        if len(together) >= MOST_SCORED:
            break
    return (together + apart)[:MOST_SCORED]


def title(view: RunView) -> str:
    """The run's name, with tags and note, in which is searched."""
    extra = " · ".join(filter(None, (view.run.tags, view.run.note)))
    return fmt.fit(fmt.plain(f"{view.run.name}  {extra}".rstrip()), 70)


def about(view: RunView) -> str:
    """`open the run: running, best Hit@5 17.9`."""
    best = f", best Hit@5 {fmt.percent(view.best.hit5)}" if view.best else ""
    return f"open the run: {view.state.value}{best}"
