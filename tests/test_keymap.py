"""Remapped keys: which are wrong, which clash, and how `lvmtui keys` shows them."""

import json

import pytest

from lvmtui import commands, keymap
from lvmtui.cli import main
from lvmtui.paths import config_file
from lvmtui.screens.compare import CompareScreen
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.leaderboard import LeaderboardScreen
from lvmtui.screens.run import RunScreen


def test_the_shipped_keys_have_no_problem():
    assert keymap.problems({}) == []
    assert keymap.problems({command.id: ",".join(command.keys) for command in commands.COMMANDS}) == []


@pytest.mark.parametrize(
    ("mapped", "said"),
    [
        ({"launch": "q"}, ["keys.launch: q is the key of quit too; one of them is lost"]),
        ({"launch": "?"}, ["keys.launch: ? is the key of help too; one of them is lost"]),
        ({"launch": "f2", "stop": "f2"}, ["keys.launch: f2 is the key of stop too; one of them is lost"]),
        ({"log-y": "z"}, ["keys.log-y: z is the key of zoom-in too; one of them is lost"]),
        ({"stop": "strg+s"}, ["keys.stop: no terminal has a key 'strg+s'"]),
        ({"stop": "ctrl+s", "help": "f1,?"}, []),
        ({"quit": "n", "launch": "q"}, []),
        # In the scaling tab and in the leaderboard: never at the same time.
        ({"pools": "p"}, []),
    ],
)
def test_what_is_wrong_is_named(mapped, said):
    assert keymap.problems(mapped) == said


def test_where_scopes_meet_is_what_the_screens_have():
    screens = {
        "dashboard": DashboardScreen,
        "leaderboard": LeaderboardScreen,
        "run": RunScreen,
        "compare": CompareScreen,
    }
    for name, screen in screens.items():
        ids = {
            binding.id
            for cls in screen.__mro__
            for binding in getattr(cls, "BINDINGS", ())
            if hasattr(binding, "id")
        }
        scopes = {commands.BY_ID[found].scope for found in ids if found in commands.BY_ID}
        assert scopes <= keymap.PLACES[name], name


def configure(text: str) -> None:
    config_file().parent.mkdir(parents=True)
    config_file().write_text(text)


def test_the_table_has_every_command_as_it_is_now(capsys):
    configure('[keys]\nstop = "ctrl+s"\n')
    assert main(["keys"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(any(f" {command.id} " in line for line in lines) for command in commands.COMMANDS)
    (stop,) = [line for line in lines if " stop " in line and "remapped" in line]
    assert stop.startswith("  ^s ")
    assert main(["keys", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["command"] for row in rows} == set(commands.BY_ID)
    assert [row["keys"] for row in rows if row["remapped"]] == [["^s"]]


def test_a_clash_is_an_exit_code(capsys):
    configure('[keys]\nstop = "q"\n')
    assert main(["keys"]) == 1
    assert "q is the key of quit too" in capsys.readouterr().err
