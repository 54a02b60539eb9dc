"""The command line as a program: speed, exit codes, errors, pipes, terminals."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence

import pytest

from lvmtui import __version__
from lvmtui.errors import LvmtuiError

LVMTUI = [sys.executable, "-P", "-m", "lvmtui"]

COMMANDS = (
    *("demo", "launch", "ls", "show", "logs", "plot", "leaderboard", "stop", "resume", "kill", "promote"),
    *("export", "data", "phases", "doctor"),
)
# pydantic is missing here: typer itself loads it to check numbers; `--help` and `--version` do without.
HEAVY = {"torch", "sqlmodel", "sqlalchemy", "numpy", "textual", "psutil", "plotext", "watchfiles"}


def run(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*LVMTUI, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def on_terminal(arguments: Sequence[str], answer: bytes, cwd: os.PathLike[str]) -> tuple[int, str]:
    """Run on a pseudo-terminal, answer once there is a question, and return exit code and screen."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execv(sys.executable, [*LVMTUI, *arguments])
    screen = b""
    answered = False
    while True:
        try:
            screen += os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        if b"[y/N]" in screen and not answered:
            os.write(terminal, answer)
            answered = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), screen.decode()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["ls", "--help"], ["launch", "--help"], ["nonsense"], ["ls", "--nonsense"]],
)
def test_parsing_loads_nothing_heavy(arguments):
    code = (
        "import json, sys\nfrom lvmtui.cli import main\n"
        f"main({arguments!r})\nprint('\\n' + json.dumps([name.partition('.')[0] for name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    unwanted = HEAVY | ({"pydantic"} if len(arguments) == 1 and arguments[0].startswith("--") else set())
    assert set(json.loads(done.stdout.splitlines()[-1])) & unwanted == set()


def test_help_names_every_command(lvmtui):
    out = lvmtui("--help").out
    assert all(name in out for name in COMMANDS)
    assert "--store" in out
    assert "LVMTUI_STORE" in out


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "data"])
def test_every_command_has_help(lvmtui, command):
    done = lvmtui(command, "--help")
    assert done.code == 0
    assert f"lvmtui {command}" in done.out


def test_version(lvmtui):
    assert lvmtui("--version").out == f"lvmtui {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["ls", "--nonsense"],
        ["launch"],
        ["export", "run", "1", "--format", "xml"],
        ["ls", "-n", "x"],
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_hint(lvmtui, arguments):
    done = lvmtui(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert "hint: `lvmtui" in done.err


def test_without_a_terminal_the_dashboard_is_refused(tmp_path):
    for arguments in ([], ["demo"]):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "error: the dashboard needs a terminal" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_is_short_and_says_how_to_see_more(lvmtui, stored, monkeypatch):
    from lvmtui.store.reader import Reader

    def broken(self: Reader, after_revision: int = 0) -> None:
        raise RuntimeError("no [b]idea[/b] \x1b[31m")

    monkeypatch.setattr(Reader, "runs", broken)
    done = lvmtui("ls")
    assert done.code == 1
    assert done.err == (
        "error: unexpected RuntimeError: no [b]idea[/b] \n"
        "hint: This is a bug in lvmtui. LVMTUI_DEBUG=1 shows the traceback.\n"
    )
    monkeypatch.setenv("LVMTUI_DEBUG", "1")
    assert "Traceback" in lvmtui("ls").err


def test_messages_of_several_lines_stay_so(lvmtui, stored, monkeypatch):
    from lvmtui.store.reader import Reader

    def refuse(self: Reader, after_revision: int = 0) -> None:
        raise LvmtuiError("one\ntwo", "three\nfour")

    monkeypatch.setattr(Reader, "runs", refuse)
    assert lvmtui("ls").err == "error: one\ntwo\nhint: three\nhint: four\n"


def test_a_reader_that_has_enough_is_no_error(stored):
    for _ in range(40):
        stored.new()
    command = subprocess.Popen(
        [*LVMTUI, "ls", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=stored.path.parent,
    )
    assert command.stdout is not None
    command.stdout.readline()
    command.stdout.close()
    assert command.stderr is not None
    errors = command.stderr.read()
    command.stderr.close()
    command.wait()
    assert errors == ""


def test_a_terminal_without_unicode_gets_question_marks(stored):
    stored.finished(0.3)
    done = run("ls", cwd=stored.path.parent, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "? completed" in done.stdout


def test_output_in_a_pipe_is_plain_and_whole(stored):
    stored.finished(0.3, note="a note that is much longer than eighty columns, " * 3)
    done = run("ls", cwd=stored.path.parent)
    assert "\x1b" not in done.stdout
    assert done.stdout.count("a note that is much longer") == 3
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("answer", "code", "promoted"), [(b"y\n", 0, True), (b"n\n", 1, False), (b"\x03", 130, False)]
)
def test_promoting_on_a_terminal_asks(stored, answer, code, promoted):
    from lvmtui.store.reader import Reader

    stored.finished(0.3)
    found, screen = on_terminal(["promote", "1"], answer, stored.path.parent)
    assert "beats the best baseline" in screen
    assert "Promote phase-1 #1 to champion [y/N]" in screen
    assert found == code
    assert bool(Reader(stored.database).promotions()) is promoted


def test_a_narrow_terminal_keeps_what_matters(stored, monkeypatch):
    stored.finished(0.3)
    code, screen = on_terminal(
        ["ls"], b"", stored.path.parent
    )  # a new pseudo-terminal has no size: 80 columns
    lines = [line for line in screen.splitlines() if line.strip()]
    assert code == 0
    assert "completed" in screen
    assert "30.0" in screen
    assert "created" not in lines[0]


def test_data_is_handed_over_with_all_its_arguments():
    helped = run("data", "build", "--help")
    assert helped.returncode == 0
    assert "--out" in helped.stdout
    wrong = run("data", "info", "--json", "nowhere")
    assert wrong.returncode == 1
    assert "nowhere" in wrong.stderr
