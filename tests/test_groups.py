"""Several runs launched as one group: real engines that take up one another's runs."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lvmtui import launcher, waiting
from lvmtui.errors import IllegalTransition, LvmtuiError, RecipeError, UsageError
from lvmtui.liveness import process_alive
from lvmtui.store import queue, slots
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import NewRun
from tests.tiny import ENDLESS, TINY, end_all, runs, states, write_vectors


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with a small vector set; what was launched in it is ended afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_vectors(tmp_path)
    yield tmp_path
    end_all()


def is_training(run_id: int) -> bool:
    run = runs()[run_id - 1]
    assert run.status is not Status.DONE, run.error
    return run.progress.epoch >= 1


@pytest.mark.slow
def test_runs_of_a_group_follow_one_another_even_when_one_fails(
    place: Path, wait_until: Callable[..., None]
) -> None:
    made = launcher.launch_group("runs.db", ["phase-1", "phase-3"], TINY, seeds=2)
    assert [(run.phase, run.seed) for run in made] == [
        ("phase-1", 0),
        ("phase-3", 0),
        ("phase-1", 1),
        ("phase-3", 1),
    ]
    assert {run.group for run in made} == {"group:phase-1+phase-3@1"}
    assert [run.pid is None for run in made] == [False, True, True, True]
    (place / "vectors").rename(place / "away")  # the first may have opened it, the others cannot
    wait_until(lambda: states()[1] == "failed", "the second to fail")
    with suppress(OSError):
        (place / "away").rename(place / "vectors")
    wait_until(lambda: all(run.status is Status.DONE for run in runs()), "the end of all", seconds=90)
    assert states()[3] in {"completed", "failed"}
    assert len({run.pid for run in runs()}) == 1
    for run in runs()[1:]:
        assert run.process_started == runs()[0].process_started
        log = (place / run.folder / "run.log").read_text()
        assert log.count("attempt 1") == 1
    wait_until(lambda: process_alive(runs()[3]) is False, "the process to end")


@pytest.mark.slow
def test_no_more_run_at_once_than_were_asked_for(place: Path, wait_until: Callable[..., None]) -> None:
    launcher.launch_group("runs.db", ["phase-1"], TINY | {"epochs": "3"}, seeds=4, jobs=2)
    most = 0

    def over() -> bool:
        nonlocal most
        now = runs()
        most = max(most, sum(run.pid is not None and run.status is not Status.DONE for run in now))
        return all(run.status is Status.DONE for run in now)

    wait_until(over, "the end of all", seconds=120)
    assert most == 2
    assert set(states()) == {"completed"}
    assert sorted(run.seed for run in runs()) == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_stopped_or_killed_run_makes_room_for_the_next_and_a_waiting_one_can_be_taken_out(
    place: Path, wait_until: Callable[..., None]
) -> None:
    launcher.launch_group("runs.db", ["phase-1"], ENDLESS, seeds=6)
    wait_until(lambda: is_training(1), "the first epoch of the first")
    assert launcher.stop("runs.db", 2).result is Result.STOPPED
    launcher.stop("runs.db", 1)
    wait_until(lambda: is_training(3), "the first epoch of the third", seconds=60)
    assert states()[:3] == ["stopped", "stopped", "running"]
    launcher.kill("runs.db", 3)
    wait_until(lambda: is_training(4), "the first epoch of the fourth", seconds=60)
    pid = runs()[3].pid or 0
    os.killpg(pid, signal.SIGKILL)  # nobody is left that could start the next
    wait_until(lambda: process_alive(runs()[3]) is False, "the process to be gone")
    assert [run.id for run in waiting.stalled(runs(), time.time())] == [5]
    assert [run.id for run in launcher.fill_slots("runs.db")] == [5]
    wait_until(lambda: is_training(5), "the first epoch of the fifth", seconds=60)
    assert states()[3:] == ["lost", "running", "queued"]
    assert waiting.stalled(runs(), time.time()) == []
    assert [run.id for run in launcher.stop_group("runs.db", 1)] == [6, 5]
    wait_until(lambda: states()[4:] == ["stopped", "stopped"], "the end of the group")
    with pytest.raises(IllegalTransition, match="nothing of group:phase-1@1 runs or waits"):
        launcher.stop_group("runs.db", 1)


@pytest.mark.slow
def test_a_signal_from_outside_ends_the_whole_row(place: Path, wait_until: Callable[..., None]) -> None:
    made = launcher.launch_group("runs.db", ["phase-1"], ENDLESS, seeds=2)
    wait_until(lambda: is_training(1), "the first epoch")
    os.kill(made[0].pid or 0, signal.SIGTERM)  # as a machine that goes down does it
    wait_until(lambda: process_alive(runs()[0]) is False, "the process to end")
    assert states() == ["stopped", "queued"]


def test_nothing_is_made_when_anything_is_bad(place: Path) -> None:
    for phases, overrides, message in [
        (["phase-1", "phase-9"], {}, "there is no phase 'phase-9'"),
        (["phase-1..phase-9"], {}, "there is no phase 'phase-9'"),
        (["phase-3..phase-1"], {}, "no row of phases"),
        (["phase-1..phase-3-published"], {}, "no row of phases"),
        (["demo..phase-3"], {}, "no row of phases"),
        (["phase-1", "phase-3"], {"data": "vectors"}, "a context of 1000 needs 1001 vectors in a row"),
    ]:
        with pytest.raises(LvmtuiError, match=message):
            launcher.launch_group("runs.db", phases, overrides, seeds=2)
    with pytest.raises(UsageError, match="that would be 1000 runs"):
        launcher.launch_group("runs.db", ["phase-1"], TINY, seeds=1000)
    assert not (place / "runs.db").exists()


def test_a_group_is_a_tag_that_says_how_many_may_be_at_work(place: Path) -> None:
    database = Database.open("runs.db")
    new = NewRun("p", "{}", "", 0, "gru", 8, "hit5", "demo", 1, 1, tags="mine")
    made = Controller(database).create_group([new] * 3, "a, b")
    assert [run.tags for run in made] == ["mine, group:a b@1"] * 3
    assert [run.group and slots.jobs_of(run.group) for run in made] == [1, 1, 1]
    two = Controller(database).create_group([new] * 3, "b", jobs=2)
    assert {run.group for run in two} == {"group:b@4x2"}
    assert slots.jobs_of("group:b@4x2") == 2
    assert [run.id for run in queue.members(database, "group:b@4x2")] == [4, 5, 6]
    database.close()


def test_a_range_is_of_one_flavour_and_in_the_order_of_the_phases() -> None:
    from lvmtui.recipe import expand

    assert expand("phase-1..phase-3") == ["phase-1", "phase-2", "phase-2b", "phase-2c", "phase-3"]
    assert expand("phase-3-published..phase-5-published") == [
        "phase-3-published",
        "phase-3.5-published",
        "phase-4-published",
        "phase-5-published",
    ]
    assert expand("../x.toml") == ["../x.toml"]
    with pytest.raises(RecipeError, match="no phase 'phase-0'"):
        expand("phase-0..phase-2")
