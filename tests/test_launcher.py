"""Launching, stopping, killing and resuming the real engine as real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from lvmtui import launcher
from lvmtui.errors import IllegalTransition, LaunchError, LvmtuiError
from lvmtui.launcher.processes import MOST_SAID
from lvmtui.liveness import lost_reason, process_alive
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import NewRun, Run

TINY = {
    "data": "vectors",
    "context": "8",
    "model.name": "gru",
    "hidden": "8",
    "layers": "1",
    "batch": "16",
    "accumulation": "1",
    "threads": "1",
    "device": "cpu",
}
ENDLESS = TINY | {"epochs": "100000", "patience": "10000"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with a small vector set; what was launched in it is ended afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "engine").mkdir()  # a user's own package of that name must not be taken for ours
    (tmp_path / "engine" / "__init__.py").write_text("raise SystemExit('not our engine')")
    (tmp_path / "vectors").mkdir()
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 12, 16))
    vectors = np.cumsum(noise, axis=1) + 3 * rng.normal(size=(40, 1, 16))
    np.save(tmp_path / "vectors" / "vectors.npy", vectors.reshape(-1, 16).astype(np.float32))
    np.save(tmp_path / "vectors" / "documents.npy", np.repeat(np.arange(40), 12))
    yield tmp_path
    if (tmp_path / "runs.db").exists():
        for run in runs():
            if process_alive(run):
                with suppress(ProcessLookupError):
                    os.killpg(run.pid or 0, signal.SIGKILL)


def runs() -> list[Run]:
    database = Database.open("runs.db", create=False, read_only=True)
    try:
        return Reader(database).runs()
    finally:
        database.close()


def state(run_id: int) -> Run:
    return runs()[run_id - 1]


def is_over(run_id: int) -> bool:
    return state(run_id).status is Status.DONE


def is_training(run_id: int) -> bool:
    run = state(run_id)
    assert run.status is not Status.DONE, run.error
    return run.progress.epoch >= 1


@pytest.mark.slow
def test_a_launched_run_is_detached_and_trains_to_its_end(
    place: Path, wait_until: Callable[..., None]
) -> None:
    run = launcher.launch("runs.db", "phase-1", TINY | {"epochs": "2"}, note="hello")
    assert run.pid is not None
    assert run.note == "hello"
    process = psutil.Process(run.pid)
    assert os.getsid(run.pid) == os.getpgid(run.pid) == run.pid
    assert process.cmdline()[1:] == ["-P", "-m", "engine", "1", "--store", f"sqlite:///{place}/runs.db"]
    assert process.cwd() == str(place)
    if sys.platform == "linux":
        assert os.readlink(f"/proc/{run.pid}/fd/0") == os.devnull
    wait_until(lambda: is_over(1), "the end of the run")
    ended = state(1)
    assert (ended.result, ended.error) == (Result.COMPLETED, None)
    assert "vectors" in (place / "runs" / "1" / "run.log").read_text()
    wait_until(lambda: not psutil.pid_exists(process.pid), "the process to be collected")
    with pytest.raises(IllegalTransition, match="cannot be resumed: it is completed"):
        launcher.resume("runs.db", 1)


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(place: Path, wait_until: Callable[..., None]) -> None:
    launcher.launch("runs.db", "phase-1", ENDLESS)
    wait_until(lambda: is_training(1), "the first epoch")
    with pytest.raises(IllegalTransition, match="cannot be resumed: it is running"):
        launcher.resume("runs.db", 1)
    launcher.stop("runs.db", 1)
    wait_until(lambda: is_over(1), "the stop")
    stopped = state(1)
    assert stopped.result is Result.STOPPED
    launcher.resume("runs.db", 1)
    wait_until(lambda: state(1).progress.epoch > stopped.progress.epoch, "the next epoch")
    assert state(1).attempt == 2
    killed = launcher.kill("runs.db", 1)
    assert (killed.status, killed.result) == (Status.DONE, Result.LOST)
    assert not psutil.pid_exists(killed.pid or 0) or process_alive(killed) is False


@pytest.mark.slow
def test_a_dead_engine_is_lost_within_a_second_and_resumed_once(
    place: Path, wait_until: Callable[..., None]
) -> None:
    run = launcher.launch("runs.db", "phase-1", ENDLESS)
    wait_until(lambda: is_training(1), "the first epoch")
    os.kill(run.pid or 0, signal.SIGKILL)
    wait_until(lambda: lost_reason(state(1), time.time()), "the loss to be seen", seconds=5)
    outcomes: list[Run | LvmtuiError] = []

    def resume() -> None:
        try:
            outcomes.append(launcher.resume("runs.db", 1))
        except LvmtuiError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=resume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = [outcome for outcome in outcomes if isinstance(outcome, Run)]
    assert len(started) == 1
    assert all(isinstance(outcome, IllegalTransition | Run) for outcome in outcomes)
    wait_until(lambda: state(1).attempt == 2 and is_training(1), "the second attempt")
    assert state(1).pid == started[0].pid


@pytest.mark.slow
def test_a_run_survives_the_death_of_who_launched_it(place: Path, wait_until: Callable[..., None]) -> None:
    options = [word for key, value in ENDLESS.items() for word in ("-o", f"{key}={value}")]
    waiting = subprocess.Popen(
        [sys.executable, "-P", "-m", "lvmtui", "launch", "phase-1", "--wait", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert waiting.stdout is not None
    while "epoch 1/" not in waiting.stdout.readline():
        assert waiting.poll() is None
    os.killpg(waiting.pid, signal.SIGKILL)
    waiting.communicate()
    epochs = state(1).progress.epoch
    wait_until(lambda: state(1).progress.epoch > epochs + 1, "more epochs")


@pytest.mark.slow
def test_ctrl_c_ends_the_waiting_and_not_the_run(place: Path, wait_until: Callable[..., None]) -> None:
    options = [word for key, value in ENDLESS.items() for word in ("-o", f"{key}={value}")]
    waiting = subprocess.Popen(
        [sys.executable, "-P", "-m", "lvmtui", "launch", "phase-1", "--wait", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert waiting.stdout is not None
    while "epoch 1/" not in waiting.stdout.readline():
        assert waiting.poll() is None
    os.killpg(waiting.pid, signal.SIGINT)  # as a terminal does it: to the whole foreground group
    _, errors = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "Stopped waiting; phase-1 #1 goes on" in errors
    assert "Traceback" not in errors
    epochs = state(1).progress.epoch
    wait_until(lambda: state(1).progress.epoch > epochs, "another epoch")


def test_a_process_that_dies_at_once_is_collected_and_lost(
    place: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    run = launcher.launch("runs.db", "phase-1", TINY)
    assert run.status is Status.QUEUED
    wait_until(lambda: not psutil.pid_exists(run.pid or 0), "the process to be collected")
    assert lost_reason(state(1), time.time()) == f"process {run.pid} is gone"


@pytest.mark.parametrize("broken", ["no interpreter", "no folder"])
def test_a_process_that_cannot_be_started_is_recorded(
    place: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "no interpreter":
        monkeypatch.setattr(sys, "executable", str(place / "nothing"))
    else:
        (place / "runs").write_text("in the way")
    with pytest.raises(LaunchError, match="phase-1 #1 could not be started"):
        launcher.launch("runs.db", "phase-1", TINY)
    run = state(1)
    assert (run.status, run.result) == (Status.DONE, Result.FAILED)
    assert "could not be started" in (run.error or "")


def test_the_vector_set_is_found_again_from_another_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lvmtui import recipe

    monkeypatch.setattr(sys, "executable", "/bin/false")
    run = launcher.launch("runs.db", "phase-1", ["data=vectors"])
    assert run.data == "vectors"
    assert recipe.from_json(run.recipe).data.path == str(place / "vectors")


def test_a_queued_run_that_nobody_started_can_be_started(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lvmtui import recipe

    chosen = recipe.load("phase-1", {"data.path": str(place / "vectors")})
    database = Database.open("runs.db")
    new = NewRun("phase-1", chosen.to_json(), chosen.hash, 0, "gru", 8, "hit5", "vectors", 1, 1)
    Controller(database).create_run(new)
    database.close()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert launcher.resume("runs.db", 1).pid is not None


def test_a_remote_run_is_resumed_only_after_a_long_silence(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    run = replace(
        _any_run(place),
        status=Status.RUNNING,
        host="elsewhere",
        pid=7,
        heartbeat=now - 10,
        process_started=1.0,
    )
    with pytest.raises(LaunchError, match="may still be there"):
        launcher.proven_loss(run)
    assert "no heartbeat" in launcher.proven_loss(replace(run, heartbeat=now - launcher.REMOTE_SILENCE - 1))


def _any_run(place: Path) -> Run:
    database = Database.open("runs.db")
    try:
        return Controller(database).create_run(NewRun("phase-1", "{}", "", 0, "gru", 8, "hit5", "demo", 1, 1))
    finally:
        database.close()


def test_handing_over_returns_the_engines_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert launcher.run_engine(["data", "--help"]) == 0
    assert "build" in capfd.readouterr().out
    assert launcher.run_engine(["data", "no-such-thing"]) == 2


def test_code_in_a_process_of_its_own_may_crash_or_hang() -> None:
    assert launcher.run_python("print('fine')", seconds=30) == (0, "fine\n")
    assert launcher.run_python("import os; os.abort()", seconds=30)[0] < 0
    assert launcher.run_python("import time; time.sleep(60)", seconds=0.2)[0] == 124


def test_of_what_a_command_says_only_the_beginning_is_kept() -> None:
    words = ["sh", "-c", "head -c 1000000 /dev/zero >&2; exit 3"]
    code, said = launcher.run_hook(words, stdin=b"", environment={}, seconds=20)
    assert (code, len(said)) == (3, MOST_SAID)
