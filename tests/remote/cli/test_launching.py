"""Real engines on another machine, started and watched from the command line over a real sshd."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiny
from tests.remote.cli.conftest import Call

RECIPE = """
description = "a tiny phase"
[data]
path = "vectors"
context = 8
[model]
name = "gru"
hidden = 8
layers = 1
[train]
epochs = 2
batch = 16
accumulation = 1
threads = 1
device = "cpu"
"""


@pytest.fixture
def home(hosts) -> Iterator[Path]:
    """The login folder of gpu1, with vectors in it; there is no store yet."""
    found = hosts["gpu1"].home
    tiny.write_vectors(found)
    yield found
    tiny.end_all(str(found / "runs.db"))


@pytest.mark.slow
def test_a_recipe_of_here_is_trained_there(home: Path, lvmtui: Call) -> None:
    Path("mine.toml").write_text(RECIPE)
    done = lvmtui("launch", "mine.toml", "--host", "gpu1", "--wait", "--note", "from afar")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "mine #1@gpu1 launched; `lvmtui stop 1@gpu1` ends it"
    assert [line.split()[2:4] for line in lines if "  epoch " in line] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert "completed at epoch 2" in lines[-1]
    (run,) = tiny.runs(str(home / "runs.db"))
    assert (run.name, run.note) == ("mine #1", "from afar")
    assert not Path("runs.db").exists()

    done = lvmtui("launch", "mine.toml", "-o", "nonsense=1", "--host", "gpu1")
    assert done.code == 1
    assert "nonsense" in done.err


@pytest.mark.slow
def test_a_run_is_stopped_and_resumed_there(home: Path, lvmtui: Call, capsys) -> None:
    Path("mine.toml").write_text(RECIPE)
    changes = ("-o", "epochs=100000", "-o", "patience=10000")
    done = lvmtui("launch", "mine.toml", *changes, "--host", "gpu1", "--json")
    assert not done.err
    assert json.loads(done.out)["run"] == "mine #1@gpu1"
    watching = subprocess.Popen(
        [sys.executable, "-m", "lvmtui", "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert watching.stdout is not None
    lines = iter(watching.stdout.readline, "")
    assert "gpu1: watched\n" in lines
    assert any("mine #1@gpu1: epoch" in line for line in lines)

    assert lvmtui("stop", "1@gpu1").out == (
        "mine #1@gpu1 was asked to stop; `lvmtui resume 1@gpu1` goes on later\n"
    )
    assert any("ended: stopped" in line for line in lines)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(20) == 0
    watching.stdout.close()

    done = lvmtui("resume", "1@gpu1")
    assert done.out.startswith("mine #1@gpu1 goes on from its last checkpoint; "), done.err
    deadline = time.monotonic() + 30
    while "running" not in lvmtui("ls", "--host", "gpu1").out and time.monotonic() < deadline:
        pass
    done = lvmtui("kill", "1@gpu1", "-y")
    assert done.out == "mine #1@gpu1 was killed; `lvmtui resume 1@gpu1` goes on\n", done.err
