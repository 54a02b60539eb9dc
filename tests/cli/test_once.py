"""One frame without a terminal: `lvmtui once` and `lvmtui --once`."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lvmtui.cli.once import as_subcommand
from lvmtui.once import SCREENS
from lvmtui.paths import state_file

LVMTUI = [sys.executable, "-P", "-m", "lvmtui"]


def run(*arguments: str, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*LVMTUI, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        cwd=cwd,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["--once"], ["once"]),
        (["--once", "run", "--run", "3"], ["once", "run", "--run", "3"]),
        (["--store", "x.db", "--once", "--size", "80x24"], ["--store", "x.db", "once", "--size", "80x24"]),
        (["--ascii", "--store=x.db", "--once"], ["--ascii", "--store=x.db", "once"]),
        (["--host", "gpu1", "--once", "run"], ["--host", "gpu1", "once", "run"]),
        (["launch", "x", "--once"], ["launch", "x", "--once"]),
        (["ls"], ["ls"]),
    ],
)
def test_the_flag_is_the_subcommand(words, made):
    assert as_subcommand(words) == made


@pytest.mark.parametrize("screen", SCREENS)
def test_every_screen_is_drawn_without_a_terminal(lvmtui, stored, screen):
    stored.finished(0.2, 0.3)
    stored.finished(0.1, 0.25)
    done = lvmtui("--once", screen, "--size", "110x40")
    assert done.code == 0
    lines = done.out.splitlines()
    assert len(lines) == 40
    assert max(map(len, lines)) <= 110
    assert "\x1b" not in done.out
    expected = {
        "dashboard": "Hit@K on validation",
        "run": "Curves",
        "leaderboard": "ewm",
        "compare": "Scaling",
        "devices": "evice",
        "events": "vent",
        "hosts": "No other machine is watched",
        "help": "Help",
    }
    assert expected[screen] in done.out


def test_the_frame_is_complete_and_the_same_twice(lvmtui, stored):
    stored.finished(0.2, 0.3)
    first = lvmtui("once", "--size", "120x36")
    assert "30.0" in first.out
    assert "reading…" not in first.out
    second = lvmtui("once", "--size", "120x36")
    # The first line has the time of day.
    assert first.out.splitlines()[1:] == second.out.splitlines()[1:]
    assert not state_file().exists(), "nothing is remembered of it"


def test_a_run_is_looked_at_and_several_are_marked(lvmtui, stored):
    stored.finished(0.2, phase="phase-1")
    stored.finished(0.3, phase="phase-2")
    one = lvmtui("once", "run", "--run", "1", "--size", "120x36")
    assert "phase-1 #1" in one.out
    assert lvmtui("once", "--run", "9").code == 1
    both = lvmtui("once", "compare", "--run", "1", "--run", "2", "--size", "140x40")
    assert "phase-1 #1" in both.out
    assert "phase-2 #2" in both.out


def test_keys_are_pressed_first(lvmtui, stored):
    stored.finished(0.2)
    done = lvmtui("once", "--press", "question_mark", "--size", "100x40")
    assert "Help" in done.out


def test_a_picture_is_written(lvmtui, stored, tmp_path):
    stored.finished(0.2)
    file = tmp_path / "pictures" / "board.svg"
    done = lvmtui("once", "leaderboard", "--svg", str(file), "--size", "100x30", "--theme", "lvm-light")
    assert (done.code, done.out) == (0, "")
    assert "wrote" in done.err
    text = file.read_text()
    assert text.startswith("<svg")
    assert "#f6f7f9" in text.lower(), "the light theme's background"


def test_ascii(lvmtui, stored):
    stored.finished(0.2)
    assert lvmtui("once", "--ascii", "--size", "100x30").out.isascii()
    assert lvmtui("--ascii", "--once", "--size", "100x30").out.isascii()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["once", "nowhere"], "there is no screen 'nowhere'"),
        (["once", "--size", "big"], "--size 'big' is no size"),
        (["once", "--size", "0x10"], "is no size"),
        (["once", "--theme", "pink"], "there is no theme 'pink'"),
        (["once", "--press", "^p"], "--press ^p: there is no such key"),
        (["once", "--svg", "/dev/null/x.svg"], "cannot write /dev/null/x.svg"),
        (["once", "--store", "none.db"], "none.db"),
    ],
)
def test_what_is_wrong_is_said(lvmtui, stored, arguments, said):
    stored.new()
    done = lvmtui(*arguments)
    assert done.code in {1, 2}
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_terminal_gets_colours_unless_it_wants_none(stored):
    stored.finished(0.2)
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [*LVMTUI, "once", "--size", "80x24"],
            stdout=slave,
            stderr=slave,
            stdin=subprocess.DEVNULL,
            cwd=stored.path.parent,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )
        os.close(slave)
        output = b""
        while True:
            try:
                data = os.read(master, 65_536)
            except OSError:
                break
            if not data:
                break
            output += data
        os.close(master)
        assert process.wait() == 0
        assert (b"\x1b[" in output) is coloured
        assert "Hit@K" in output.decode()


def test_cron_has_neither_terminal_nor_locale(stored):
    stored.finished(0.2)
    done = run("--once", "--size", "80x24", cwd=stored.path.parent, TERM="dumb", LC_ALL="C")
    assert done.returncode == 0
    assert "Hit@K" in done.stdout
    assert done.stderr == ""
