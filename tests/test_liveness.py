"""Liveness against real processes: living, dead, zombie, replaced, silent."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from lvmtui.liveness import (
    HEARTBEAT_LIMIT,
    STARTUP_LIMIT,
    lost_reason,
    process_alive,
    process_start_time,
)
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Run

SLEEPER = "import sys; print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until its standard input is closed."""
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def make_run(status: Status = Status.RUNNING, result: Result | None = None, **values: object) -> Run:
    facts: dict[str, object] = {
        "host": socket.gethostname(),
        "heartbeat": time.time(),
        "pid": None,
        "process_started": None,
    }
    return Run(
        id=1,
        revision=1,
        phase="p",
        status=status,
        result=result,
        recipe="{}",
        recipe_hash="",
        overrides={},
        seed=0,
        model="gru",
        context=1,
        watch="hit5",
        targets={},
        data="demo",
        folder="runs/1",
        created=0.0,
        **(facts | values),  # type: ignore[arg-type]
    )


def of(child: subprocess.Popen[bytes], status: Status = Status.RUNNING, **values: object) -> Run:
    started = psutil.Process(child.pid).create_time()
    return make_run(status, **({"pid": child.pid, "process_started": started} | values))


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTING, Status.RUNNING, Status.STOPPING])
def test_a_living_process_is_not_lost(child: subprocess.Popen[bytes], status: Status) -> None:
    run = of(child, status)
    assert process_alive(run) is True
    assert lost_reason(run, time.time()) is None


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTING, Status.RUNNING, Status.STOPPING])
def test_a_dead_process_is_lost_at_once(child: subprocess.Popen[bytes], status: Status) -> None:
    run = of(child, status)
    child.kill()
    child.wait()
    assert process_alive(run) is False
    assert lost_reason(run, time.time()) == f"process {child.pid} is gone"


def test_a_zombie_is_dead(child: subprocess.Popen[bytes], wait_until: Callable[..., None]) -> None:
    run = of(child)
    child.kill()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "the zombie")
    assert process_start_time(child.pid) is None
    assert lost_reason(run, time.time()) == f"process {child.pid} is gone"


def test_a_reused_pid_is_another_process(child: subprocess.Popen[bytes]) -> None:
    run = of(child, process_started=psutil.Process(child.pid).create_time() - 60)
    assert process_alive(run) is False
    assert lost_reason(run, time.time()) == f"process {child.pid} is another one now"


def test_a_silent_process_is_lost_and_still_there(child: subprocess.Popen[bytes]) -> None:
    now = time.time()
    run = of(child, heartbeat=now - HEARTBEAT_LIMIT - 3.5)
    assert lost_reason(run, now) == "no heartbeat for 7 s"
    assert process_alive(run) is True


def test_starting_may_take_longer(child: subprocess.Popen[bytes]) -> None:
    now = time.time()
    assert lost_reason(of(child, Status.STARTING, heartbeat=now - HEARTBEAT_LIMIT - 3), now) is None
    assert lost_reason(of(child, Status.STARTING, heartbeat=now - STARTUP_LIMIT - 3), now) is not None


def test_a_run_of_another_host_is_judged_by_its_heartbeat_alone() -> None:
    now = time.time()
    run = make_run(host="elsewhere", pid=1, process_started=0.0, heartbeat=now)
    assert process_alive(run) is None
    assert lost_reason(run, now) is None
    assert lost_reason(run, now + 10) == "no heartbeat for 10 s"


def test_what_is_over_or_not_started_is_never_lost() -> None:
    long_after = time.time() + 1e6
    done = make_run(Status.DONE, Result.COMPLETED, pid=2**22 - 1, process_started=1.0)
    assert lost_reason(done, long_after) is None
    assert lost_reason(make_run(Status.QUEUED, heartbeat=None), long_after) is None
