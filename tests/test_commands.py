"""The one registry of commands."""

from pathlib import Path

import pytest
from textual.widgets import Input

from lvmtui import commands
from lvmtui.app import LvmtuiApp
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.hosts import HostsScreen
from lvmtui.screens.leaderboard import LeaderboardScreen
from lvmtui.screens.run import RunScreen

README = Path(__file__).parents[1] / "README.md"


def test_ids_are_unique_and_groups_known() -> None:
    ids = [command.id for command in commands.COMMANDS]
    assert len(ids) == len(set(ids))
    assert {command.group for command in commands.COMMANDS} == set(commands.GROUPS)


def test_no_key_twice_where_both_work() -> None:
    """`/` filters in one place and searches in another; nothing else is said twice."""
    taken: dict[str, set[str]] = {}
    for command in commands.COMMANDS:
        for key in command.keys:
            assert command.scope not in taken.setdefault(key, set()), key
            taken[key].add(command.scope)
            assert len(taken[key]) == 1 or key == "slash", key


@pytest.mark.parametrize("command", commands.COMMANDS, ids=lambda command: command.id)
def test_every_command_is_carried_out_somewhere(command: commands.Command) -> None:
    from lvmtui.widgets.compare_scaling import ScalingView
    from lvmtui.widgets.log_view import LogView
    from lvmtui.widgets.row_table import RowTable

    screens = (DashboardScreen, LeaderboardScreen, RunScreen, HostsScreen)
    places = (LvmtuiApp, *screens, RowTable, LogView, ScalingView, Input)
    names = [f"action_{command.action_name}"]
    found = [name for place in places for name in names if hasattr(place, name)]
    assert found or command.scope in {"zoom", "sideways"}, command.id


def test_capitals_that_change_runs_are_removed_by_readonly() -> None:
    left = {command.id for command in commands.available(readonly=True)}
    assert not left & {"launch", "stop", "resume", "promote", "kill", "annotate"}


@pytest.mark.parametrize("command", commands.COMMANDS, ids=lambda command: command.id)
def test_every_key_is_in_help_and_in_footer_or_palette_or_moves_about(command: commands.Command) -> None:
    assert command in [member for _, members in commands.grouped() for member in members]
    known = command.shown_in_footer or command.in_palette
    assert known or command.group == "Move" or command.id in {"back", "palette", "repaint"}


def test_remapped_keys_are_shown() -> None:
    launch = commands.BY_ID["launch"]
    assert commands.keys_of(launch) == ("n",)
    assert commands.keys_of(launch, {"launch": "f2,ctrl+n"}) == ("f2", "^n")
    assert commands.show_key("question_mark") == "?"


def test_the_readme_has_the_table() -> None:
    text = README.read_text() if README.exists() else ""
    if "| key | does |" not in text:
        pytest.skip("the README has no table of keys yet")
    assert commands.readme_table() in text


def test_the_table_has_every_command() -> None:
    rows = commands.readme_table().splitlines()[2:]
    assert len(rows) == len(commands.COMMANDS)
