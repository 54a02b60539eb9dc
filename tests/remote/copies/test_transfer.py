"""Copies of runs between two stores over a real sshd."""

import hashlib
import json
import os
import sqlite3
from pathlib import Path

import pytest

from lvmtui.errors import IllegalTransition, RemoteError, StoreError
from lvmtui.remote.connection import Timing
from lvmtui.remote.copies import transfer
from lvmtui.remote.copies.taking import FOLDER, Progress
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import Checkpoint, Event, Run, Severity
from lvmtui.store.sources import source_of
from tests.cli.conftest import Stored
from tests.remote.copies.conftest import store_at

BIG = 3_000_000
"""Bytes of a checkpoint that takes a while through a slow link."""

KEPT_HERE = {
    *("id", "revision", "folder", "pid", "process_started", "heartbeat", "source", "run_id", "path"),
}


def rows(path: Path, table: str, run: int, *, but: set[str] = KEPT_HERE) -> list[dict]:
    """Rows of a run without what is of its own store."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    column = "id" if table == "run" else "run_id"
    found = connection.execute(f"SELECT * FROM {table} WHERE {column} = ? ORDER BY id", [run]).fetchall()
    connection.close()
    return [{key: value for key, value in dict(row).items() if key not in but} for row in found]


def files(store: Path, run: Run) -> dict[str, bytes]:
    folder = store.parent / run.folder
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run_of(path: Path, number: int) -> Run:
    database = Database.open(path, create=False, read_only=True)
    try:
        return Reader(database).run(number)
    finally:
        database.close()


def add_big_checkpoint(stored: Stored, run: Run, size: int = BIG) -> str:
    """Give a run's best checkpoint a long file of bytes that do not compress."""
    content = os.urandom(size)
    database = stored.database
    with database.write() as connection:
        row = next(item for item in Reader(database).checkpoints(run.id) if item.is_best)
        digest = hashlib.sha256(content).hexdigest()
        connection.exec_driver_sql(
            "UPDATE checkpoint SET sha256 = ?, size = ? WHERE id = ?", (digest, size, row.id)
        )
    (stored.path.parent / row.path).write_bytes(content)
    return digest


def test_a_copy_has_all_of_a_run(gpu1, hosts, there, near) -> None:
    there.finished(0.1)  # so that numbers differ
    run = there.finished(0.1, 0.3, 0.2, note="mine", tags="a, b")
    folder = there.path.parent / run.folder
    (folder / "run.log").write_text("said\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "x.json").write_text("{}")
    (folder / "deep" / "empty").touch()
    (folder / "empty").touch()
    (folder / ".hidden").write_text("x")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "checkpoints" / "stray.safetensors").write_text("half")

    done = transfer.pull(gpu1, f"#{run.id}", near, hosts.ssh)

    assert (done.run, done.again, done.state) == (1, False, "")
    assert {name for name, _ in done.left_out} == {"link", "pipe"}
    copy = run_of(near, 1)
    assert (copy.phase, copy.note, copy.tags, copy.result) == ("phase-1", "mine", "a, b", Result.COMPLETED)
    for table in ("run", "metric", "evaluation", "checkpoint"):
        assert rows(near, table, 1) == rows(there.path, table, run.id)
    assert rows(near, "event", 1)[:-1] == rows(there.path, "event", run.id)
    assert rows(near, "event", 1)[-1]["kind"] == "copied"
    wanted = files(there.path, run)
    for name in (".hidden", "link", "checkpoints/stray.safetensors"):
        wanted.pop(name)
    assert files(near, copy) == wanted
    inodes = {(near.parent / copy.folder / name).stat().st_ino for name in wanted}
    assert len(inodes) == len(wanted), "two names share a file"
    source = source_of(copy)
    assert source is not None
    assert (source.number, source.store, source.state) == (run.id, str(there.path), "")
    assert not list((near.parent / FOLDER).iterdir())
    assert_sound(near)


def assert_sound(store: Path) -> None:
    """Every row belongs to one that is there, and every checkpoint has its file."""
    connection = sqlite3.connect(store)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for path, digest in connection.execute("SELECT path, sha256 FROM checkpoint"):
        assert hashlib.sha256((store.parent / path).read_bytes()).hexdigest() == digest
    connection.close()


def test_protocols_and_baselines_come_along_once(gpu1, hosts, there, near) -> None:
    first, second = there.finished(0.1), there.finished(0.2)
    for run in (first, second, first):
        transfer.pull(gpu1, str(run.id), near, hosts.ssh)
    connection = sqlite3.connect(near)

    def count(table: str, where: str = "1") -> int:
        return connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]

    assert (count("run"), count("protocol"), count("evaluation", "run_id IS NULL")) == (2, 1, 2)
    there_db = sqlite3.connect(there.path)
    for table in ("protocol", "query_fact"):
        assert connection.execute(f"SELECT * FROM {table}").fetchall() == (
            there_db.execute(f"SELECT * FROM {table}").fetchall()
        )
    connection.close()
    there_db.close()


def test_again_brings_the_copy_up_to_date(gpu1, hosts, there, near) -> None:
    writer = there.started()
    there._judged(writer)
    there.epoch(writer, 1, 0.1)
    first = transfer.pull(gpu1, str(writer.run_id), near, hosts.ssh)
    assert first.state == "running"
    copy = run_of(near, first.run)
    assert (copy.status, copy.result) == (Status.DONE, Result.STOPPED)
    assert copy.ended is not None
    database = Database.open(near)
    with pytest.raises(IllegalTransition, match=r"copy of #1 on .*, which was running there"):
        Controller(database).requeue(copy.id)
    events = Reader(database).events(run_id=copy.id)
    assert events[-1].kind == "copied"
    assert events[-1].severity is Severity.WARN
    Controller(database).annotate(copy.id, note="mine")
    Controller(database).promote(copy.id)
    promoted = Reader(database).promotions()[-1].checkpoint_id
    database.close()

    # The first checkpoint is superseded there, as training does it.
    there.epoch(writer, 2, 0.3)
    old = writer.superseded_checkpoints()
    writer.forget_checkpoints([row.id for row in old])
    for row in old:
        (there.path.parent / row.path).unlink()
    writer.finish(Result.EARLY_STOPPED, Event("early_stopped", "enough", 1.0))
    again = transfer.pull(gpu1, str(writer.run_id), near, hosts.ssh)

    assert (again.run, again.again, again.state) == (first.run, True, "")
    assert again.rows == 4, "two metrics, an evaluation and the event of its end"
    copy = run_of(near, first.run)
    assert (copy.result, copy.note, copy.progress.best_value) == (Result.EARLY_STOPPED, "mine", 0.3)
    for table in ("metric", "evaluation"):
        assert rows(near, table, 1) == rows(there.path, table, 1)
    kinds = [row["kind"] for row in rows(near, "event", 1)]
    assert kinds.count("copied") == 2
    assert kinds.count("promoted") == 1
    database = Database.open(near)
    kept = Reader(database).checkpoints(copy.id)
    database.close()
    assert [(row.epoch, row.is_best) for row in kept] == [(1, False), (2, True)], "what is promoted stays"
    assert kept[0].id == promoted
    assert_sound(near)

    once_more = transfer.pull(gpu1, str(writer.run_id), near, hosts.ssh)
    assert (once_more.rows, once_more.size) == (0, 0)
    assert [row["kind"] for row in rows(near, "event", 1)] == kinds


def test_a_run_that_went_back_is_copied_anew(gpu1, hosts, there, near) -> None:
    writer = there.started()
    there._judged(writer)
    for epoch in (1, 2):
        there.epoch(writer, epoch, 0.1 * epoch)
    number = transfer.pull(gpu1, "last", near, hosts.ssh).run
    database = Database.open(near)
    Controller(database).annotate(number, tags="kept")
    database.close()
    writer.rewind(10)
    there.epoch(writer, 2, 0.4)
    transfer.pull(gpu1, "last", near, hosts.ssh)
    for table in ("metric", "evaluation", "checkpoint"):
        assert rows(near, table, number) == rows(there.path, table, 1)
    assert run_of(near, number).tags == "kept"
    assert_sound(near)


def test_a_copy_that_went_on_is_left_alone(gpu1, hosts, there, near) -> None:
    writer = there.started()
    there._judged(writer)
    there.epoch(writer, 1, 0.1)
    writer.finish(Result.STOPPED, Event("stopped", "", 1.0))
    number = transfer.pull(gpu1, "1", near, hosts.ssh).run
    database = Database.open(near)
    Controller(database).requeue(number)
    database.close()
    with pytest.raises(IllegalTransition, match="was taken up again"):
        transfer.pull(gpu1, "1", near, hosts.ssh)


def test_a_run_is_pushed(gpu1, hosts, there, near) -> None:
    with store_at(near.parent) as here:
        here.finished(0.1)
        run = here.finished(0.1, 0.3)
        done = transfer.push(gpu1, str(run.id), near, hosts.ssh)
        assert (done.run, done.again) == (1, False)
        copy = run_of(there.path, 1)
        assert files(there.path, copy) == files(near, run)
        for table in ("metric", "evaluation", "checkpoint"):
            assert rows(there.path, table, 1) == rows(near, table, run.id)
        assert_sound(there.path)
        again = transfer.push(gpu1, str(run.id), near, hosts.ssh)
        assert (again.run, again.again, again.rows, again.size) == (1, True, 0, 0)
        with pytest.raises(IllegalTransition, match=r"#1 there is a copy of #2 of this store"):
            transfer.pull(gpu1, "1", near, hosts.ssh)


def test_a_store_is_made_by_the_first_push(gpu1, hosts, near) -> None:
    with store_at(near.parent) as here:
        here.finished(0.2)
    host = hosts.host("gpu1", store="new/place/runs.db")
    assert transfer.push(host, "last", near, hosts.ssh).run == 1
    assert_sound(hosts["gpu1"].home / "new/place/runs.db")


FAST = Timing(greeting=20.0, silence=3.0, ping=0.5)


@pytest.mark.parametrize("way", ["pull", "push"])
def test_a_connection_that_breaks_off_is_taken_up_again(
    way: str, ssh_hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PAUSES", (0.05,))
    found = ssh_hosts("gpu1", rate=4_000_000.0)
    machine = found["gpu1"]
    (tmp_path / "here").mkdir()
    near, far = tmp_path / "here" / "runs.db", machine.home / "runs.db"
    begin, end = (far, near) if way == "pull" else (near, far)
    with store_at(begin.parent) as stored:
        run = stored.finished(0.1, 0.3)
        digest = add_big_checkpoint(stored, run)
    cut: list[int] = []
    pauses: list[str] = []

    def cut_in_the_middle(progress: Progress) -> None:
        if not cut and progress.done > 1_000_000:
            cut.append(progress.done)
            machine.proxy.cut()

    copy = transfer.pull if way == "pull" else transfer.push
    done = copy(
        *(found.host("gpu1"), "last", near, found.ssh),
        timing=FAST,
        on_progress=cut_in_the_middle,
        on_pause=lambda reason, _: pauses.append(reason),
    )
    assert cut
    assert len(pauses) == 1
    assert done.size < BIG, "what had come was not sent again"
    assert_sound(end)
    copied = files(end, run_of(end, done.run))
    assert digest in {hashlib.sha256(content).hexdigest() for content in copied.values()}
    assert copied == files(begin, run)


def test_half_open_connections_are_given_up(ssh_hosts, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSES", (0.05,))
    found = ssh_hosts("gpu1", rate=4_000_000.0)
    machine = found["gpu1"]
    with store_at(machine.home) as stored:
        add_big_checkpoint(stored, stored.finished(0.1))
    held: list[int] = []
    reasons: list[str] = []

    def hold(progress: Progress) -> None:
        if not held and progress.done > 1_000_000:
            held.append(1)
            machine.proxy.hold()

    def on_pause(reason: str, _: float) -> None:
        reasons.append(reason)
        machine.proxy.go_on()

    timing = Timing(greeting=20.0, silence=2.0, ping=0.3)
    transfer.pull(
        *(found.host("gpu1"), "last", tmp_path / "near.db", found.ssh),
        timing=timing,
        on_progress=hold,
        on_pause=on_pause,
    )
    assert held
    assert set(reasons) == {"nothing has come from it for 2 s"}
    assert_sound(tmp_path / "near.db")


def test_what_came_is_kept_for_the_next_command(ssh_hosts, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(transfer, "PAUSES", (0.0,))
    monkeypatch.setattr(transfer, "RETRIES", 1)
    found = ssh_hosts("gpu1", rate=4_000_000.0)
    machine = found["gpu1"]
    with store_at(machine.home) as stored:
        add_big_checkpoint(stored, stored.finished(0.1))
    near = tmp_path / "near" / "runs.db"

    def switch_off(progress: Progress) -> None:
        if progress.done > 1_000_000:
            machine.proxy.cut()
            machine.stop()

    with pytest.raises(RemoteError) as caught:
        transfer.pull(found.host("gpu1"), "last", near, found.ssh, timing=FAST, on_progress=switch_off)
    assert "the same command goes on from there" in caught.value.hint
    database = Database.open(near)
    assert Reader(database).runs() == [], "nothing shows before it is whole"
    database.close()
    machine.start()
    done = transfer.pull(found.host("gpu1"), "last", near, found.ssh, timing=FAST)
    assert done.size < BIG
    assert_sound(near)


def test_parts_that_were_changed_are_not_believed(gpu1, hosts, there, near) -> None:
    run = there.finished(0.1)
    digest = add_big_checkpoint(there, run, 100_000)

    class Stopped(Exception):
        pass

    def stop(_: Progress) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        transfer.pull(gpu1, "last", near, hosts.ssh, on_progress=stop)
    (folder,) = (near.parent / FOLDER).iterdir()
    (folder / f"{digest}.part").write_bytes(b"x" * 50_000)
    with pytest.raises(RemoteError, match="did not arrive as it was sent"):
        transfer.pull(gpu1, "last", near, hosts.ssh)
    assert transfer.pull(gpu1, "last", near, hosts.ssh).run == 1
    assert_sound(near)


def test_a_damaged_checkpoint_is_not_copied(gpu1, hosts, there, near) -> None:
    run = there.finished(0.1)
    (there.path.parent / Reader(there.database).checkpoints(run.id)[0].path).write_bytes(b"other weights!")
    with pytest.raises(RemoteError, match=r"checkpoints/1\.safetensors is damaged there"):
        transfer.pull(gpu1, "last", near, hosts.ssh)


def test_a_missing_checkpoint_is_said(gpu1, hosts, there, near) -> None:
    run = there.finished(0.1)
    (there.path.parent / Reader(there.database).checkpoints(run.id)[0].path).unlink()
    done = transfer.pull(gpu1, "last", near, hosts.ssh)
    assert done.left_out == (("checkpoints/1.safetensors", "No such file or directory"),)
    assert rows(near, "checkpoint", 1) == []


def test_a_full_disk_is_said_first(gpu1, hosts, there, near, monkeypatch) -> None:
    there.finished(0.1)
    monkeypatch.setattr("lvmtui.remote.copies.taking.SPARE_BYTES", 1 << 60)
    with pytest.raises(StoreError, match=r"are to come, and .* free"):
        transfer.pull(gpu1, "last", near, hosts.ssh)


def test_what_cannot_be_copied_is_said(gpu1, hosts, there, near) -> None:
    there.new()
    with pytest.raises(RemoteError, match="it has not begun"):
        transfer.pull(gpu1, "1", near, hosts.ssh)
    with pytest.raises(RemoteError, match="there is no run 'x'"):
        transfer.pull(gpu1, "x", near, hosts.ssh)
    assert not near.exists()


def test_without_lvmtui_there_nothing_is_copied(gpu1, hosts, there, near) -> None:
    there.finished(0.1)
    hosts["gpu1"].uninstall()
    with pytest.raises(RemoteError, match="gpu1 cannot copy runs: lvmtui is not installed there"):
        transfer.pull(gpu1, "1", near, hosts.ssh)


def test_a_readonly_agent_gives_and_takes_nothing(gpu1, hosts, there, near) -> None:
    run = there.finished(0.1)
    text = (hosts["gpu1"].programs / "lvmtui").read_text().replace('"$@"', '"$@" --readonly')
    hosts["gpu1"].install(text)
    assert transfer.pull(gpu1, str(run.id), near, hosts.ssh).run == 1
    other = near.parent / "other"
    other.mkdir()
    with store_at(other) as here:
        here.finished(0.1)
    with pytest.raises(RemoteError, match="nothing can be changed here"):
        transfer.push(gpu1, "1", other / "runs.db", hosts.ssh)
    assert len(Reader(there.database).runs()) == 1


@pytest.fixture
def copied(gpu1, hosts, there, near) -> Path:
    there.finished(0.1, 0.3)
    transfer.pull(gpu1, "last", near, hosts.ssh)
    return near


def test_a_copy_can_be_promoted_and_exported(copied, lvmtui) -> None:
    exported = lvmtui("export", "run", "1", "--format", "json")
    assert exported.code == 0
    assert json.loads(exported.out)
    promoted = lvmtui("promote", "1", "-y", "--no-test")
    assert promoted.code == 0, promoted.err
    shown = lvmtui("show", "1")
    assert "champion" in shown.out
    assert "copied from" in shown.out


@pytest.mark.slow
def test_the_command_line(hosts, there, near, lvmtui) -> None:
    there.finished(0.1, 0.3)
    done = lvmtui("pull", "1@gpu1")
    assert done.code == 0, done.err
    assert "phase-1 #1 here: copied" in done.out
    assert "phase-1 #1: 2 files and its rows" in done.err
    again = lvmtui("pull", "last", "--host", "gpu1", "--json")
    assert json.loads(again.out)["again"] is True
    assert again.err == ""
    other = lvmtui("--store", "other.db", "pull", "1", "--host", "gpu1")
    assert other.code == 0
    pushed = lvmtui("push", "1", "--host", "gpu1", "--store", "other.db")
    assert pushed.code == 1
    assert "The store has the run already" in pushed.err
    assert lvmtui("pull", "1").code == 2
    assert lvmtui("pull", "1", "--host", "gpu1", "--host", "gpu2").code == 2
    assert lvmtui("--readonly", "pull", "1", "--host", "gpu1").code == 2
    several = lvmtui("pull", "last", "9", "1@gpu1", "--host", "gpu1")
    assert (several.code, several.out.count("here: brought up to date")) == (1, 2)
    assert "error: 9: gpu1: there is no run" in several.err
    nobody = lvmtui("pull", "1", "--host", "nobody.invalid")
    assert nobody.code == 1
    assert "nobody.invalid" in nobody.err


def test_checkpoint_rows_have_their_places(copied: Path) -> None:
    database = Database.open(copied, read_only=True)
    found: list[Checkpoint] = Reader(database).checkpoints(1)
    database.close()
    assert [row.path for row in found] == [
        "runs/1/checkpoints/1.safetensors",
        "runs/1/checkpoints/2.safetensors",
    ]
