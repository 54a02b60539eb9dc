"""The command line with the real engine: demo --headless, launch --wait --json, stop by waiting."""

import json
from pathlib import Path

import numpy as np
import pytest

from lvmtui.cli import main

RECIPE = """
description = "a tiny phase in place of the shipped demo"
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
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a small vector set and a demo phase of its own on it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "vectors").mkdir()
    rng = np.random.default_rng(0)
    vectors = np.cumsum(rng.normal(size=(40, 12, 16)), axis=1) + 3 * rng.normal(size=(40, 1, 16))
    np.save(tmp_path / "vectors" / "vectors.npy", vectors.reshape(-1, 16).astype(np.float32))
    np.save(tmp_path / "vectors" / "documents.npy", np.repeat(np.arange(40), 12))
    (tmp_path / "phases").mkdir()
    (tmp_path / "phases" / "demo.toml").write_text(RECIPE)
    return tmp_path


@pytest.mark.slow
def test_a_headless_demo_ends_with_the_leaderboard(place, capsys):
    assert main(["demo", "--headless"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("demo #1 started in the background (pid ")
    assert [line.split()[2:4] for line in lines if "  epoch " in line] == [["epoch", "1/2"], ["epoch", "2/2"]]
    end = next(index for index, line in enumerate(lines) if "completed at epoch 2" in line)
    assert lines[end + 1] == ""
    assert "doc-v1 on vectors" in lines[end + 2]
    assert any(line.startswith("1  demo #1") or " 1  demo #1" in line for line in lines[end + 3 :])
    assert any("copy-last" in line for line in lines[end + 3 :])


@pytest.mark.slow
def test_waiting_with_json_prints_json_alone_on_standard_output(place, capsys):
    assert main(["launch", "demo", "--wait", "--json", "-o", "epochs=1"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert (record["run_id"], record["result"], record["epoch"]) == (1, "completed", 1)
    assert "epoch 1/1" in printed.err


@pytest.mark.slow
def test_a_failed_run_is_exit_code_1_and_says_where_to_look(place, capsys):
    vectors = np.load(place / "vectors" / "vectors.npy")
    vectors[7] = np.nan  # the engine alone looks at the vectors
    np.save(place / "vectors" / "vectors.npy", vectors)
    assert main(["launch", "demo", "--wait"]) == 1
    printed = capsys.readouterr()
    assert "demo #1  failed at epoch 0" in printed.out
    assert "vectors are NaN" in printed.err
    assert "`lvmtui show 1` has the whole error" in printed.err
