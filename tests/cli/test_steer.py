"""launch, stop, kill, resume, promote, export: what they change, ask and refuse."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from lvmtui.store.control import Controller
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import Interval, Versus
from lvmtui.store.writer import Writer
from lvmtui.versus import as_details


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A detached process, as an engine is, that ignores SIGTERM and says when it gets one."""
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('nudged', flush=True))\n"
        "print('up', flush=True)\n"
        "while True: signal.pause()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def facts(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    return process.pid, psutil.Process(process.pid).create_time()


CHANGING = [
    ["launch", "demo"],
    ["stop", "1"],
    ["resume", "1"],
    ["kill", "1", "-y"],
    ["promote", "1", "-y"],
    ["demo"],
]


@pytest.mark.parametrize("arguments", CHANGING, ids=" ".join)
def test_readonly_refuses_every_change(lvmtui, stored, arguments):
    stored.finished(0.3)
    done = lvmtui("--readonly", *arguments)
    assert done.code == 2
    assert "--readonly is set" in done.err
    assert len(Reader(stored.database).runs()) == 1


def test_stop_asks_through_the_store_and_nudges_the_process(lvmtui, stored, victim):
    writer = stored.started(*facts(victim))
    done = lvmtui("stop", "1")
    assert (done.code, done.out) == (0, "phase-1 #1 was asked to stop; `lvmtui resume 1` goes on later\n")
    assert [item.run_id for item in writer.pending()] == [1]
    assert victim.stdout.readline() == b"nudged\n"
    assert "running, stop asked" in lvmtui("ls").out


def test_stop_never_signals_a_process_that_took_over_the_pid(lvmtui, stored, victim):
    pid, started = facts(victim)
    stored.started(pid, started - 100)
    done = lvmtui("stop", "1")
    assert done.code == 1
    assert f"process {pid} is another one now" in done.err
    assert Reader(stored.database).run(1).result is Result.LOST
    os.kill(pid, signal.SIGTERM)
    assert victim.stdout.readline() == b"nudged\n"  # the only one


def test_stop_takes_a_run_out_of_the_queue(lvmtui, stored):
    stored.new()
    assert lvmtui("stop", "1").out == "phase-1 #1 is out of the queue\n"
    assert lvmtui("stop", "1").code == 1


def test_kill_asks_and_refuses_where_nobody_can_answer(lvmtui, stored, victim):
    stored.started(*facts(victim))
    done = lvmtui("kill", "1")
    assert done.code == 2
    assert "hint: Pass -y." in done.err
    assert victim.poll() is None


def test_kill_ends_the_process_and_records_the_run_as_lost(lvmtui, stored, victim):
    stored.started(*facts(victim))
    done = lvmtui("kill", "1", "-y")
    assert done.code == 0
    assert victim.wait() == -signal.SIGKILL
    run = Reader(stored.database).run(1)
    assert (run.status, run.result) == (Status.DONE, Result.LOST)
    assert any("killed by" in event.message for event in Reader(stored.database).events(run_id=1))
    assert lvmtui("kill", "1", "-y").code == 1


def test_kill_refuses_a_run_of_another_host(lvmtui, stored, victim):
    stored.started(*facts(victim))
    with stored.database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET host = 'elsewhere'")
    done = lvmtui("kill", "1", "-y")
    assert done.code == 1
    assert "runs on elsewhere" in done.err
    assert victim.poll() is None


def test_resume_refuses_what_is_running_silent_or_over(lvmtui, stored, victim):
    stored.started(*facts(victim))
    assert "cannot be resumed: it is running" in lvmtui("resume", "1").err
    with stored.database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET heartbeat = heartbeat - 60")
    done = lvmtui("resume", "1")
    assert done.code == 1
    assert f"its process {victim.pid} is still there" in done.err
    assert "hint: End it first: `lvmtui kill 1`." in done.err
    stored.finished(0.3)
    assert "cannot be resumed: it is completed" in lvmtui("resume", "2").err


def test_launch_refuses_before_a_run_is_made(lvmtui, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for arguments, message in {
        ("phase-9",): "there is no phase 'phase-9'",
        ("phase-1", "-o", "lrr=1"): "there is no field 'lrr'",
        ("phase-1", "-o", "lr"): "not of the form key=value",
        ("phase-1", "-o", "lr=fast"): "train.lr = 'fast' is not allowed",
        ("phase-1", "-o", "data=nowhere"): "the vector set nowhere does not exist",
        ("phase-1", "-o", "data=empty"): "the vector set empty has no vectors.npy",
    }.items():
        done = lvmtui("launch", *arguments)
        assert (done.code, done.out) == (1, "")
        assert message in done.err
        assert "hint: " in done.err
    assert not (tmp_path / "runs.db").exists()


def test_launch_without_torch_says_how_to_get_it(lvmtui, tmp_path, monkeypatch):
    from lvmtui import requirements

    monkeypatch.chdir(tmp_path)
    (tmp_path / "phases").mkdir()
    (tmp_path / "phases" / "demo.toml").write_text("")
    monkeypatch.setattr(requirements, "TRAIN_PACKAGES", {"torch_that_is_not_there": "torch"})
    for arguments in (["launch", "phase-1"], ["demo", "--headless"]):
        done = lvmtui(*arguments)
        assert done.code == 1
        assert "error: training needs torch, which is not installed" in done.err
        assert "pip install 'lvmtui[train]'" in done.err
    assert not (tmp_path / "runs.db").exists()


def test_promote_shows_the_gates_and_needs_a_yes(lvmtui, stored):
    stored.finished(0.1, 0.3)
    done = lvmtui("promote", "1")
    assert done.code == 2
    assert "✔ passed  checkpoint file: " in done.err
    assert "✔ passed  beats the best baseline: Hit@5 30.0 against 12.0 of ewm: +18.0 [" in done.err
    assert "(paired over documents)" in done.err
    assert "✔ passed  target Hit@5: Hit@5 30.0, target 20.0" in done.err
    assert "n 600, pool 640" in done.err
    assert "✔ passed  test split: never looked at so far; promoting reads it once" in done.err
    assert Reader(stored.database).promotions() == []


def test_promote_stores_the_gates_and_shows_the_champion(lvmtui, stored):
    stored.finished(0.1, 0.3)
    done = lvmtui("promote", "1", "-y", "--note", "good", "--no-test")
    assert done.out == "phase-1 #1 is now champion\n"
    assert "promoting does not read it now" in done.err
    (promotion,) = Reader(stored.database).promotions()
    assert promotion.note == "good"
    assert promotion.gates["checkpoint file"]["passed"] is True
    assert "1♛" in lvmtui("leaderboard").out
    stored.finished(0.31)
    record = json.loads(lvmtui("promote", "2", "-y", "--json", "--no-test").out)
    assert (record["alias"], record["run_id"], record["test"]) == ("champion", 2, None)


def test_promote_lets_failed_quality_through_only_with_a_yes(lvmtui, stored):
    stored.finished(0.05)
    done = lvmtui("promote", "1")
    assert "although it fails beats the best baseline and target Hit@5" in done.err
    assert lvmtui("promote", "1", "-y", "--no-test").code == 0
    (promotion,) = Reader(stored.database).promotions()
    assert promotion.gates["beats the best baseline"]["passed"] is False


def test_more_than_one_look_at_the_test_split_is_a_failed_gate(lvmtui, stored):
    stored.finished(0.1, 0.3)
    look = {"data": "f" * 16, "protocol": "p2", "checkpoint": "runs/1/checkpoints/1.safetensors"}
    Writer(stored.database, 1).event("test_look", "an earlier look", evidence=look)
    done = lvmtui("promote", "1")
    assert "✖ failed  test split: looked at once so far; promoting reads it once: the more looks" in done.err
    assert "although it fails test split" in done.err
    done = lvmtui("promote", "1", "-y", "--no-test")
    assert "✔ passed  test split: looked at once so far; promoting does not read it now" in done.err


def test_the_gate_takes_the_comparison_that_the_evaluation_came_with(lvmtui, stored):
    stored.finished(0.3)
    versus = Versus("ewm", 0.17, Interval(-0.01, 0.35), 0.06, context=100)
    details = json.dumps({"versus": as_details([versus])})
    with stored.database.write() as connection:
        connection.exec_driver_sql("UPDATE evaluation SET details = ? WHERE run_id = 1", (details,))
    done = lvmtui("promote", "1")
    assert "✖ failed  beats the best baseline" in done.err
    assert "+17.0 [−1.0, +35.0], p=.06 (paired over documents)" in done.err


def test_promote_refuses_a_damaged_or_missing_checkpoint(lvmtui, stored):
    run = stored.finished(0.3)
    file = next((stored.path.parent / run.folder).rglob("*.safetensors"))
    file.write_bytes(b"something else")
    done = lvmtui("promote", "1", "-y")
    assert done.code == 1
    assert "is damaged: sha256" in done.err
    file.unlink()
    assert "is missing" in lvmtui("promote", "1", "-y").err
    stored.new()
    assert "has no best checkpoint" in lvmtui("promote", "2", "-y").err
    assert Reader(stored.database).promotions() == []


@pytest.mark.parametrize("kind", ["csv", "json", "md"])
def test_export_prints_or_writes(lvmtui, stored, kind):
    stored.finished(0.1, 0.3)
    for what in (["leaderboard"], ["run", "1"]):
        file = stored.path.parent / f"{what[0]}.{kind}"
        printed = lvmtui("export", *what, "--format", kind)
        assert printed.code == 0
        assert "phase-1" in printed.out
        assert lvmtui("export", *what, "--format", kind, "-O", str(file)).out == ""
        assert file.read_text() == printed.out
        again = lvmtui("export", *what, "--format", kind, "-O", str(file))
        assert again.code == 2
        assert "exists already" in again.err
        assert lvmtui("export", *what, "--format", kind, "-O", str(file), "--force").code == 0


def test_waiting_ends_with_the_result(lvmtui, stored, monkeypatch):
    from lvmtui.cli.session import Session
    from lvmtui.cli.wait import wait_for

    stored.finished(0.1, 0.3)
    stored.started()
    session = Session(str(stored.path))
    assert wait_for(session, 1) == 0
    assert wait_for(session, 2) == 1
    Controller(stored.database).request_stop(stored.new().id)
    assert wait_for(session, 3) == 1
