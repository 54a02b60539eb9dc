"""Every screen at every size, with nothing, one run, many, trouble: beside pictures that were looked at."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from lvmtui.config import Config
from lvmtui.screens.base import LvmScreen
from lvmtui.screens.compare import CompareScreen
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.devices import DevicesScreen
from lvmtui.screens.events import EventsScreen
from lvmtui.screens.leaderboard import LeaderboardScreen
from lvmtui.screens.run import RunScreen
from lvmtui.screens.settings import SettingsScreen
from lvmtui.snapshot import Snapshot
from tests.tui import snapshots
from tests.tui.bench import BenchApp

Compare = Callable[..., bool]

SIZES = ((80, 24), (120, 36), (180, 50))
SCREENS: dict[str, type[LvmScreen]] = {
    "dashboard": DashboardScreen,
    "run": RunScreen,
    "leaderboard": LeaderboardScreen,
    "compare": CompareScreen,
    "devices": DevicesScreen,
    "events": EventsScreen,
}
RUN = 17


def nothing() -> Snapshot:
    return Snapshot(store="/project/runs.db", taken=snapshots.NOW)


def one() -> Snapshot:
    whole = snapshots.snapshot(detailed=(RUN,))
    return replace(whole, runs=tuple(view for view in whole.runs if view.run.id == RUN))


def many() -> Snapshot:
    """Two hundred runs: those of the other tests again and again, under other numbers."""
    whole = snapshots.snapshot(detailed=(RUN, 12))
    extra = []
    for number in range(200 - len(whole.runs)):
        view = whole.runs[number % len(whole.runs)]
        run = replace(view.run, id=1000 + number, created=view.run.created - 3600 * (number + 1))
        extra.append(replace(view, run=run, aliases=()))
    return replace(whole, runs=(*whole.runs, *extra))


def trouble() -> Snapshot:
    return replace(many(), problem="/project/runs.db was removed; this is the last reading of it")


CONTENTS: dict[str, Callable[[], Snapshot]] = {
    "empty": nothing,
    "one": one,
    "many": many,
    "error": trouble,
}


@pytest.fixture(autouse=True)
def _standing_clock(fixed_surroundings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always the moment of the snapshots."""
    monkeypatch.setattr(time, "time", lambda: snapshots.NOW)


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(6):
        await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", SCREENS)
def test_picture(snap_compare: Compare, name: str, content: str, size: tuple[int, int]) -> None:
    snapshot = CONTENTS[content]()
    app = BenchApp(SCREENS[name](), snapshot, RUN if snapshot.runs else None)
    app.marked = (RUN, 12) if name == "compare" and len(snapshot.runs) > 1 else ()
    assert snap_compare(app, terminal_size=size, run_before=settle)


class SettingsBench(BenchApp):
    """Has settings, as the App has."""

    config = Config(theme="paper", keys={"launch": "f2"})
    own_themes = ("lvm-dark", "paper")

    def choose_theme(self, name: str) -> None:
        raise NotImplementedError

    def choose_ascii(self, ascii_only: bool) -> None:
        raise NotImplementedError


async def show_settings(pilot: Pilot[None]) -> None:
    await pilot.app.push_screen(SettingsScreen())
    await settle(pilot)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture_of_the_settings(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    for name, file in (("config_file", "config.toml"), ("state_file", "dashboard.json")):
        monkeypatch.setattr(f"lvmtui.screens.settings.{name}", lambda file=file: Path("/home/me") / file)
    app = SettingsBench(LeaderboardScreen(), many(), RUN)
    assert snap_compare(app, terminal_size=size, run_before=show_settings)
