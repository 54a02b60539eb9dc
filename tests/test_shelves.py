"""Pins, the archive, the trash, and what is deleted for good."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from lvmtui import shelving
from lvmtui.errors import IllegalTransition, RunNotFound, StoreError
from lvmtui.merge import snapshot
from lvmtui.store import shelves
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.reader import Reader
from lvmtui.store.records import Checkpoint, EpochReport, Event, NewRun, Progress, Run, RunFacts, Shelf
from lvmtui.store.writer import Writer

NEW = NewRun(
    phase="phase-1",
    recipe='{"name": "phase-1"}',
    recipe_hash="abc",
    seed=0,
    model="gru",
    context=100,
    watch="hit5",
    data="demo",
    epochs=10,
    patience=3,
)
FACTS = RunFacts(1000, "f" * 16, "p1", "cpu", {"torch": "2"})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "runs.db")
    yield opened
    opened.close()


def finished(database: Database, result: Result = Result.COMPLETED) -> Run:
    """A run that trained an epoch and has ended, with a checkpoint file."""
    run = Controller(database).create_run(NEW)
    writer = Writer(database, run.id)
    writer.start(pid=1, process_started=1.0, host="here")
    writer.running(FACTS)
    path = f"{run.folder}/best.pt"
    (database.location.root / path).write_bytes(b"x" * 1000)
    checkpoint = Checkpoint(path, 1, 10, time.time(), "0" * 64, 1000, is_best=True, is_last=True, value=0.1)
    writer.epoch(EpochReport(Progress(epoch=1, epochs=10), checkpoint=checkpoint))
    writer.finish(result, Event(result.value, "it ended", time.time()))
    return Reader(database).run(run.id)


def count(database: Database, table: str, run: Run) -> int:
    with database.read() as connection:
        return int(
            connection.execute(text(f"select count(*) from {table} where run_id = {run.id}")).scalar_one()
        )


def kinds(database: Database, run: Run) -> list[str]:
    return [event.kind for event in Reader(database).events(run.id)]


def test_a_pin_is_set_and_taken_away(database: Database) -> None:
    run = finished(database)
    assert shelves.pin(database, run.id) == run
    assert Reader(database).run(run.id).pinned
    revision = Reader(database).run(run.id).revision
    shelves.pin(database, run.id)
    assert Reader(database).run(run.id).revision == revision, "nothing changed, so nothing is read again"
    shelves.pin(database, run.id, on=False)
    assert not Reader(database).run(run.id).pinned


def test_an_archived_run_is_told_of_and_comes_back(database: Database) -> None:
    run = finished(database)
    shelves.archive(database, run.id)
    assert Reader(database).run(run.id).shelf is Shelf.ARCHIVED
    shelves.archive(database, run.id, on=False)
    assert Reader(database).run(run.id).shelf is Shelf.RUNS
    assert kinds(database, run)[-2:] == ["archived", "unarchived"]


def test_the_trash_keeps_where_a_run_was(database: Database) -> None:
    run = finished(database)
    shelves.archive(database, run.id)
    shelves.trash(database, run.id)
    assert Reader(database).run(run.id).shelf is Shelf.TRASH
    assert [item.id for item in shelves.in_trash(database)] == [run.id]
    assert shelves.in_trash(database, older_than=60) == []
    with pytest.raises(IllegalTransition, match="in the trash"):
        shelves.archive(database, run.id, on=False)
    shelves.restore(database, run.id)
    assert Reader(database).run(run.id).shelf is Shelf.ARCHIVED
    with pytest.raises(IllegalTransition, match="not in the trash"):
        shelves.restore(database, run.id)


def test_a_queued_run_in_the_trash_does_not_start(database: Database) -> None:
    from lvmtui.store.queue import Worker, claim_next

    run = Controller(database).create_run(NEW)
    shelves.trash(database, run.id)
    assert claim_next(database, Worker(1, 1.0, "here", ("cpu",))) is None


def test_what_runs_stays(database: Database) -> None:
    run = Controller(database).create_run(NEW)
    Writer(database, run.id).start(pid=1, process_started=1.0, host="here")
    with pytest.raises(IllegalTransition, match=r"phase-1 #1 is starting"):
        shelves.trash(database, run.id)
    assert Reader(database).run(run.id).status is Status.STARTING


def test_the_champion_stays_until_another_run_is(database: Database) -> None:
    run, other = finished(database), finished(database)
    Controller(database).promote(run.id)
    with pytest.raises(IllegalTransition, match="is the champion"):
        shelves.trash(database, run.id)
    Controller(database).promote(other.id)
    shelves.trash(database, run.id)
    shelves.delete_for_good(database, [run.id])
    assert [item.run_id for item in Reader(database).promotions()] == [other.id]


def test_delete_for_good_takes_rows_and_files(database: Database) -> None:
    run, other = finished(database), finished(database)
    folder = database.location.root / run.folder
    with pytest.raises(IllegalTransition, match="not in the trash"):
        shelves.delete_for_good(database, [run.id])
    shelves.trash(database, run.id)
    (deleted,) = shelves.delete_for_good(database, [run.id])
    assert (deleted.run.id, deleted.size, deleted.leftover) == (run.id, 1000, "")
    assert not folder.exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == [Path(other.folder).name]
    for table in ("metric", "evaluation", "checkpoint", "event", "promotion", "control"):
        assert count(database, table, run) == 0
    with pytest.raises(RunNotFound):
        Reader(database).run(run.id)
    assert count(database, "checkpoint", other) == 1
    (told,) = Reader(database).events_of_kind("deleted")
    assert told.message.startswith("phase-1 #1 deleted for good by ")


def test_revisions_go_on_after_the_newest_run_is_deleted(database: Database) -> None:
    kept, run = finished(database), finished(database)
    shelves.trash(database, run.id)
    seen = Reader(database).run(run.id).revision
    shelves.delete_for_good(database, [run.id])
    assert [item.id for item in Reader(database).runs(after_revision=seen)] == [kept.id]


def test_either_all_are_deleted_or_none(database: Database) -> None:
    run, other = finished(database), finished(database)
    shelves.trash(database, run.id)
    with pytest.raises(IllegalTransition, match="phase-1 #2 is not in the trash"):
        shelves.delete_for_good(database, [run.id, other.id])
    assert (database.location.root / run.folder / "best.pt").is_file()
    assert Reader(database).run(run.id).id == run.id


@pytest.mark.parametrize(
    "folder", ["../elsewhere", "runs", "runs/..", ".", "/etc", "data", "runs/1/../../data"]
)
def test_a_folder_that_is_not_the_runs_own_is_not_touched(database: Database, folder: str) -> None:
    run = finished(database)
    root = database.location.root
    (root / "data").mkdir()
    (root / "data" / "vectors.npy").write_bytes(b"x")
    shelves.trash(database, run.id)
    with database.write() as connection:
        connection.execute(text("update run set folder = :folder"), {"folder": folder})
    with pytest.raises(StoreError, match="is no folder in"):
        shelves.delete_for_good(database, [run.id])
    assert (root / "data" / "vectors.npy").is_file()
    assert Reader(database).run(run.id).id == run.id


def test_a_link_and_a_shared_folder_are_not_touched(database: Database, tmp_path: Path) -> None:
    run, other = finished(database), finished(database)
    shelves.trash(database, run.id)
    with database.write() as connection:
        connection.execute(text("update run set folder = :folder"), {"folder": other.folder})
    with pytest.raises(StoreError, match="the same folder"):
        shelves.delete_for_good(database, [run.id])
    aim = tmp_path / "runs" / "aim"
    aim.mkdir()
    (tmp_path / "runs" / "link").symlink_to(aim)
    with database.write() as connection:
        connection.execute(text("update run set folder = 'runs/link' where id = 1"))
    with pytest.raises(StoreError, match="is no folder in"):
        shelves.delete_for_good(database, [run.id])
    assert aim.is_dir()


def test_links_in_a_deleted_folder_are_not_followed(database: Database, tmp_path: Path) -> None:
    run = finished(database)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"x")
    (tmp_path / run.folder / "link").symlink_to(outside)
    shelves.trash(database, run.id)
    shelves.delete_for_good(database, [run.id])
    assert (outside / "file").is_file()


def test_only_what_was_changed_is_put_back(database: Database) -> None:
    run = finished(database)
    before = shelves.kept_of(shelves.archive(database, run.id))
    Controller(database).annotate(run.id, tags="later")
    shelves.put_back(database, run.id, before, ("archived",))
    now = Reader(database).run(run.id)
    assert (now.archived, now.tags) == (False, "later")
    shelves.put_back(database, run.id, before, ("note", "tags"))
    assert Reader(database).run(run.id).tags == ""


def test_a_run_whose_process_is_gone_is_lost_before_it_goes_to_the_trash(tmp_path: Path) -> None:
    import socket

    store = tmp_path / "runs.db"
    database = Database.open(store)
    run = Controller(database).create_run(NEW)
    Writer(database, run.id).start(pid=2**22 - 1, process_started=1.0, host=socket.gethostname())
    shelving.trash(store, run.id)
    now = Reader(database).run(run.id)
    database.close()
    assert (now.result, now.shelf) == (Result.LOST, Shelf.TRASH)


def test_shelved_runs_are_in_no_leaderboard(database: Database) -> None:
    from lvmtui.leaderboard.ranking import leaderboard_of

    finished(database)
    taken = snapshot(Reader(database), now=time.time())
    (view,) = taken.runs
    best = replace_best(taken)
    assert leaderboard_of(best)
    archived = replace(view.run, archived=True)
    assert not leaderboard_of(replace(best, runs=(replace(best.runs[0], run=archived),)))


def replace_best(taken):  # type: ignore[no-untyped-def]
    from lvmtui.store.records import Evaluation

    best = Evaluation("p1", "validation", 1, 10, 0.0, 0.1, 0.2, 0.3, 0.1, 100, 100)
    return replace(taken, runs=tuple(replace(view, best=best) for view in taken.runs))


def test_events_name_who_did_it(database: Database) -> None:
    run = finished(database)
    shelves.trash(database, run.id)
    event: Event = Reader(database).events(run.id)[-1]
    assert event.kind == "trashed"
    assert "put into the trash by " in event.message
