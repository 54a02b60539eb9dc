"""Pictures of the screens, beside those that a person has looked at (`make snapshots` draws them anew)."""

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from lvmtui.screens.base import LvmScreen
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.help import HelpScreen
from lvmtui.screens.leaderboard import LeaderboardScreen
from lvmtui.screens.run import RunScreen
from lvmtui.snapshot import Snapshot
from tests.tui import snapshots
from tests.tui.bench import BenchApp

Compare = Callable[..., bool]
SIZES = [(80, 24), (120, 36), (180, 50)]


pytestmark = pytest.mark.usefixtures("fixed_surroundings")


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(5):
        await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", [DashboardScreen, LeaderboardScreen, RunScreen])
def test_screens(snap_compare: Compare, screen: type[LvmScreen], size: tuple[int, int]) -> None:
    app = BenchApp(screen(), snapshots.snapshot(), 17)
    assert snap_compare(app, terminal_size=size, run_before=settle)


@pytest.mark.parametrize("theme", ["lvm-light", "contrast"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    app = BenchApp(DashboardScreen(), snapshots.snapshot(), 17)
    app.theme = theme
    assert snap_compare(app, terminal_size=(120, 36), run_before=settle)


def test_an_empty_store(snap_compare: Compare) -> None:
    app = BenchApp(DashboardScreen(), Snapshot(store="/project/runs.db", taken=snapshots.NOW), None)
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


def test_help(snap_compare: Compare) -> None:
    async def open_help(pilot: Pilot[None]) -> None:
        await pilot.app.push_screen(HelpScreen({}, readonly=False, store="/project/runs.db"))
        await settle(pilot)

    app = BenchApp(DashboardScreen(), snapshots.snapshot(), 17)
    assert snap_compare(app, terminal_size=(80, 24), run_before=open_help)
