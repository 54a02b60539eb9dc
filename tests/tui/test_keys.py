"""Each key of the registry does what the registry says, where it says so."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from lvmtui import commands, launcher
from lvmtui.commands import Command
from lvmtui.errors import LaunchError
from tests.tui import stores
from tests.tui.driving import opened, until

NEXT_TAB = "right_square_bracket"
WAYS: dict[str, Sequence[str]] = {
    "leaderboard": ("2",),
    "log": ("enter", *[NEXT_TAB] * 8),
    "charts": ("enter",),
    "zoom": ("enter",),
    "sideways": ("enter",),
    "tabs": ("enter",),
    "hosts": ("6",),
    "scaling": ("space", "down", "space", "3", *[NEXT_TAB] * 3),
    "filter": (),
    "sort": (),
    "runs": (),
    "attention": (),
    "list": (),
    "screen": (),
    "app": (),
}
"""Scope -> keys that lead from the dashboard to where its commands work."""
LAST = {"quit"}
"""Tested by themselves: the program is over then."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs in every state, read by all tests here."""
    return stores.filled(tmp_path_factory.mktemp("keys") / "runs.db")


@pytest.fixture(autouse=True)
def _no_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are the matter here; no run is started."""

    def refuse(*_: object, **__: object) -> None:
        raise LaunchError("nothing is started here")

    for name in ("launch", "resume", "fill_slots"):
        monkeypatch.setattr(launcher, name, refuse)


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Actions that keys led to, and whether anybody took them. They are not carried out further than that."""
    found: list[tuple[str, bool]] = []
    whole = App._dispatch_action

    async def note(self: App[Any], namespace: Any, name: str, params: Any) -> bool:
        done = await whole(self, namespace, name, params)
        found.append((name, done))
        return done

    monkeypatch.setattr(App, "_dispatch_action", note)
    return found


def test_every_scope_has_a_way() -> None:
    assert {command.scope for command in commands.COMMANDS} == set(WAYS)


CASES = [
    pytest.param(command, key, id=f"{command.id}-{key}")
    for command in commands.COMMANDS
    if command.id not in LAST
    for key in command.keys
]


@pytest.mark.parametrize(("command", "key"), CASES)
async def test_a_key_reaches_its_action(
    store: Path, dispatched: list[tuple[str, bool]], command: Command, key: str
) -> None:
    async with opened(store) as (app, pilot):
        for step in WAYS[command.scope]:
            await pilot.press(step)
            await pilot.pause()
        dispatched.clear()
        await pilot.press(key)
        await pilot.pause()
        name = command.action_name.partition("(")[0]
        await until(pilot, lambda: (name, True) in dispatched, f"{name}; there was {dispatched}", 5.0)
        assert app.is_running


async def test_q_ends_the_dashboard(store: Path) -> None:
    async with opened(store) as (app, pilot):
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running, "the end")
