"""Copies of a run that a real engine trains meanwhile."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lvmtui import launcher
from lvmtui.remote.copies import transfer
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from tests import tiny
from tests.remote.copies.test_transfer import assert_sound, rows, run_of


@pytest.mark.slow
def test_a_run_that_trains_is_copied_as_it_is(
    ssh_hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None], lvmtui
) -> None:
    hosts = ssh_hosts("gpu1")
    home = hosts["gpu1"].home
    tiny.write_vectors(home)
    monkeypatch.chdir(home)
    monkeypatch.setenv("LVMTUI_SSH", " ".join(hosts.ssh))
    near = tmp_path / "near" / "runs.db"
    try:
        overrides = tiny.ENDLESS | {"data": os.fspath(home / "vectors")}
        launcher.launch("runs.db", "phase-1", overrides)
        wait_until(lambda: tiny.runs()[0].progress.epoch >= 3, "three epochs")
        steps = []
        for _ in range(4):
            done = transfer.pull(hosts.host("gpu1"), "1", near, hosts.ssh)
            assert (done.run, done.state) == (1, "running")
            assert done.left_out == ()
            assert_sound(near)
            copy = run_of(near, 1)
            assert (copy.status, copy.result) == (Status.DONE, Result.STOPPED)
            database = Database.open(near, read_only=True)
            found = Reader(database).checkpoints(1)
            database.close()
            assert sum(row.is_last for row in found) == 1
            assert sum(row.is_best for row in found) == 1
            steps.append(copy.progress.step)
        assert steps == sorted(set(steps)), "each copy is further than the one before"
        resumed = lvmtui("resume", "1", "--store", os.fspath(near))
        assert resumed.code == 1
        assert "was running there" in resumed.err
        judged = lvmtui("evaluate", "1", "--store", os.fspath(near))
        assert judged.code == 0, judged.err
        lvmtui("stop", "1")
        wait_until(lambda: tiny.states() == ["stopped"], "the engine to stop")
        assert transfer.pull(hosts.host("gpu1"), "1", near, hosts.ssh).state == ""
        for table in ("metric", "checkpoint"):
            assert rows(near, table, 1) == rows(home / "runs.db", table, 1)
        assert_sound(near)
    finally:
        tiny.end_all(os.fspath(home / "runs.db"))
