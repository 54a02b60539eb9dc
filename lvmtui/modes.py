"""The App's modes: which screen each shows. A screen is imported when it is first shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.screen import Screen


def _dashboard() -> Screen[None]:
    from lvmtui.screens.dashboard import DashboardScreen

    return DashboardScreen()


def _leaderboard() -> Screen[None]:
    from lvmtui.screens.leaderboard import LeaderboardScreen

    return LeaderboardScreen()


def _compare() -> Screen[None]:
    from lvmtui.screens.compare import CompareScreen

    return CompareScreen()


def _devices() -> Screen[None]:
    from lvmtui.screens.devices import DevicesScreen

    return DevicesScreen()


def _events() -> Screen[None]:
    from lvmtui.screens.events import EventsScreen

    return EventsScreen()


def _hosts() -> Screen[None]:
    from lvmtui.screens.hosts import HostsScreen

    return HostsScreen()


MODES: Mapping[str, Callable[[], Screen[None]]] = {
    "dashboard": _dashboard,
    "leaderboard": _leaderboard,
    "compare": _compare,
    "devices": _devices,
    "events": _events,
    "hosts": _hosts,
}
"""Id of the command that shows it -> its screen."""
