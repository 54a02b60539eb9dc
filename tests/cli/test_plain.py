"""The list mode: sentences for screen readers, and what changes while it follows a store."""

import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from lvmtui.plain_mode import changes, opening
from lvmtui.snapshot import Snapshot, State
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Event
from tests.tui import snapshots

FIRST = snapshots.snapshot()
GLYPHS = set("▶◷✔✖■◼●○★♛▲▼⚠╭─│")


def changed(**values: object) -> list[str]:
    """What is told when something about run 17 has changed."""
    views = tuple(replace(view, **values) if view.run.id == 17 else view for view in FIRST.runs)  # type: ignore[arg-type]
    return [line.partition(" ")[2] for line in changes(FIRST, replace(FIRST, runs=views))]


def progressed(**values: object) -> list[str]:
    """What is told when run 17 has come further."""
    view = FIRST.view(17)
    assert view is not None
    progress = replace(view.run.progress, **values)  # type: ignore[arg-type]
    return changed(run=replace(view.run, progress=progress))


def test_the_start_lists_every_run_in_words():
    lines = list(opening(FIRST))
    assert len(lines) == len(FIRST.runs) + 2
    assert all(any(view.run.name in line for line in lines) for view in FIRST.runs)
    assert not GLYPHS & set("".join(lines))
    running = next(line for line in lines if "#17" in line)
    assert "running, epoch" in running
    assert "plus or minus" in running
    assert "patience" in running


def test_an_empty_store_says_so():
    assert "no runs yet" in next(opening(Snapshot("/x/runs.db", 0.0)))


def test_nothing_is_told_when_nothing_changes():
    assert list(changes(FIRST, FIRST)) == []
    assert list(changes(FIRST, replace(FIRST, taken=FIRST.taken + 60))) == []


def test_an_epoch_a_best_an_end_a_loss():
    view = FIRST.view(17)
    assert view is not None
    epoch = view.run.progress.epoch + 1
    (line,) = progressed(epoch=epoch)
    assert f"epoch {epoch} of {view.run.progress.epochs}" in line
    assert "no gain, patience" in line
    (line,) = progressed(epoch=epoch, best_epoch=epoch)
    assert line.endswith("a new best")
    (line,) = changed(state=State.EARLY_STOPPED)
    assert "ended: early stopped" in line
    (line,) = changed(state=State.LOST, lost_reason="process 1 is gone")
    assert "lost, process 1 is gone" in line
    (line,) = changed(stop_requested=True)
    assert "asked to stop" in line
    (line,) = changed(aliases=("champion",))
    assert "is the champion now" in line


def test_runs_come_and_go():
    fewer = replace(FIRST, runs=FIRST.runs[1:])
    (line,) = changes(fewer, FIRST)
    assert f"{FIRST.runs[0].run.name}: a new run, " in line
    (line,) = changes(FIRST, fewer)
    assert "no longer in the store" in line


def test_trouble_with_the_store():
    broken = replace(FIRST, problem="runs.db was removed")
    assert next(changes(FIRST, broken)).endswith("problem: runs.db was removed")
    assert next(changes(broken, FIRST)).endswith("The store can be read again.")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_it_follows_a_store_until_ctrl_c(stored, wait_until, tmp_path):
    writer = stored.started()
    stored._judged(writer)
    out = tmp_path / "out.txt"
    with out.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lvmtui", "--plain"],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=stored.path.parent,
        )
    try:
        wait_until(lambda: "Changes follow" in out.read_text(), "the list")
        stored.epoch(writer, 1, 0.2)
        wait_until(lambda: "epoch 1 of 3" in out.read_text(), "the epoch")
        assert "a new best" in out.read_text()
        writer.finish(Result.COMPLETED, Event("completed", "all epochs done", 1.0))
        wait_until(lambda: "ended: completed" in out.read_text(), "the end")
        assert "\x1b" not in out.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert "Traceback" not in out.read_text()


def test_it_stands_in_place_of_the_dashboard_only(lvmtui):
    done = lvmtui("--plain", "ls")
    assert done.code == 2
    assert "--plain" in done.err
