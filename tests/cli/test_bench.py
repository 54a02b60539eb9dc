"""`lvmtui bench`: a real run and real engine processes; what it says, stores and refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Latency

Wait = Callable[..., None]
SMALL = (
    *("data=vectors", "context=8", "model.name=gru", "hidden=8", "layers=1", "batch=16", "accumulation=1"),
    *("epochs=2", "threads=1", "device=cpu"),
)
QUICK = ("--contexts", "4,40", "--precision", "fp32,int8", "--queries", "10", "--threads", "1")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "lvmtui", *arguments]


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command line in a process of its own, without a terminal."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=150,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small vector set and a store with a run that was trained on it."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "vectors").mkdir()
    rng = np.random.default_rng(0)
    walks = 0.4 * np.cumsum(rng.normal(size=(40, 12, 16)), axis=1) + rng.normal(size=(40, 12, 16))
    np.save(folder / "vectors" / "vectors.npy", walks.reshape(-1, 16).astype(np.float32))
    np.save(folder / "vectors" / "documents.npy", np.repeat(np.arange(40), 12))
    options = [word for option in SMALL for word in ("-o", option)]
    done = run(folder, "launch", "phase-1", "--wait", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    place = tmp_path / "copy"
    shutil.copytree(trained, place)
    return place


def stored(folder: Path) -> list[Latency]:
    database = Database.open(folder / "runs.db", create=False, read_only=True)
    try:
        return Reader(database).latencies()
    finally:
        database.close()


@pytest.mark.slow
def test_what_was_measured_is_told_kept_and_shown(folder: Path) -> None:
    done = run(folder, "bench", "1", *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("phase-1 #1: cpu ")
    assert "judging int8 on validation" in done.stderr
    assert "measuring, block 5 of 5" in done.stderr
    kept = stored(folder)
    assert len(kept) == 8
    slowest = max(item.p95 or 0 for item in kept if (item.mode, item.precision) == ("stream", "fp32"))

    board = run(folder, "leaderboard")
    assert "p95 ms" in board.stdout
    assert "cpu×1" in board.stdout
    assert "p95: milliseconds from one more vector to the 10 nearest of " in board.stdout
    record = json.loads(run(folder, "leaderboard", "--json").stdout)
    row = next(row for row in record[0]["rows"] if row["run_id"] == 1)
    assert (row["latency_p95"], row["latency_threads"]) == (slowest, 1)

    shown = run(folder, "show", "1").stdout
    assert "ms streaming after " in shown
    assert sum(line.startswith("re-encoding") for line in shown.splitlines()) == 4
    assert len(json.loads(run(folder, "show", "1", "--json").stdout)["latencies"]) == 8
    exported = run(folder, "export", "run", "1", "--format", "csv").stdout
    assert "stream/int8/hit5_change" in exported


@pytest.mark.slow
def test_json_and_a_second_bench_stand_beside_the_first(folder: Path) -> None:
    for _ in range(2):
        done = run(folder, "bench", "last", "--contexts=4", "--precision=fp32", "--queries=4", "--json")
        assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert [item["context"] for item in record["latencies"]] == [4, 4]
    assert len({item.time for item in stored(folder)}) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("bench", "99"), 1, "there is no run '99'"),
        (("--readonly", "bench", "1"), 2, "--readonly is set"),
        (("bench", "1", "--contexts", "4,x"), 2, "a context is a whole number above 0, not 'x'"),
        (("bench", "1", "--contexts", "-4"), 2, "a context is a whole number above 0, not '-4'"),
        (("bench", "1", "--contexts", "481"), 2, "a context of 481 cannot be measured"),
        (("bench", "1", "--precision", "fp8"), 2, "unknown precision fp8"),
        (("bench", "1", "--precision", "fp16", "--device", "cpu"), 2, "fp16 is not measured on a processor"),
        (("bench", "1", "--queries", "0"), 2, "queries"),
        (("--store", "nowhere.db", "bench", "1"), 1, "no run store"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(
    folder: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert stored(folder) == []


@pytest.mark.slow
def test_missing_data_are_named(trained: Path, folder: Path) -> None:
    # The copied store still names the set where it was trained on.
    (trained / "vectors").rename(trained / "moved")
    try:
        done = run(folder, "bench", "1", *QUICK)
    finally:
        (trained / "moved").rename(trained / "vectors")
    assert done.returncode != 0
    assert "vectors" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly_and_keeps_nothing(folder: Path, wait_until: Wait) -> None:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("bench", "1", "--queries", "1000000", "--contexts", "4,400"),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        wait_until(lambda: "measuring" in log.read_text(), "the measuring to begin", seconds=120)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    assert "interrupted; nothing was written" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert stored(folder) == []
