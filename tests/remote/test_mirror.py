"""Mirrors as files: how they are made, kept, thrown away, shared, and what they say is known."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lvmtui.errors import RunNotFound, StoreCorrupt, StoreError
from lvmtui.remote.hosts import Host, global_id
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.mirrors.reader import open_mirror
from lvmtui.store.database import Database
from tests.remote.mirrors import GPU1, apply, count, curve, run_row, runs
from tests.remote.telling import Telling, told
from tests.tui.stores import filled


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with runs in every state."""
    return filled(tmp_path_factory.mktemp("there") / "runs.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "hosts"


@pytest.fixture
def mirror(folder: Path) -> Iterator[Mirror]:
    opened = Mirror.open(GPU1, folder)
    opened.have()
    yield opened
    opened.close()


def test_it_has_all_that_was_said_under_ids_of_its_own(store: Path, mirror: Mirror) -> None:
    apply(mirror, *told(store))
    assert mirror.refused == ""
    reader = open_mirror(mirror.path)
    theirs = {run.id: run for run in open_reader_of(store).runs()}
    found = reader.runs()
    assert [run.number for run in found] == sorted(theirs)
    for run in found:
        their = theirs[run.number]
        assert run.id == global_id(mirror.slot, their.id)
        assert (run.label, run.name) == (f"#{their.id}@gpu1", f"{their.phase} #{their.id}@gpu1")
        assert (run.recipe_hash, run.progress, run.targets) == (
            their.recipe_hash,
            their.progress,
            their.targets,
        )
        assert json.loads(run.recipe) == json.loads(their.recipe)
        assert run.folder == f"runs/{their.id}"
    assert reader.resolve("3") == reader.resolve("#3") == reader.run(3) == reader.run(global_id(1, 3))
    with pytest.raises(RunNotFound, match="no run #77 on gpu1"):
        reader.run(77)
    promotion = reader.promotions()[0]
    checkpoints = {item.id for item in reader.checkpoints(promotion.run_id)}
    assert promotion.checkpoint_id in checkpoints
    reader.database.close()


def open_reader_of(store: Path) -> Any:
    from lvmtui.store.reader import Reader
    from lvmtui.store.sqlite import open_reader

    return Reader(open_reader(store))


def test_sqlalchemy_reads_it_as_well(store: Path, mirror: Mirror) -> None:
    apply(mirror, *told(store))
    database = Database.open(mirror.path, create=False)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM run").scalar() == len(runs(mirror))
    database.close()


def test_saying_everything_twice_changes_nothing(store: Path, mirror: Mirror) -> None:
    messages = told(store)
    apply(mirror, *messages)
    before = runs(mirror)
    fresh = [message for message in messages if message["m"] != "log"]
    assert not any(apply(mirror, *fresh))
    assert runs(mirror) == before


def test_folders_are_private_and_slots_are_kept_for_ever(folder: Path) -> None:
    first, second = Mirror.open(GPU1, folder), Mirror.open(Host("gpu2", "gpu2"), folder)
    other_store = Mirror.open(Host("gpu1", "me@gpu1", "data/runs.db"), folder)
    assert sorted((first.slot, second.slot, other_store.slot)) == [1, 2, 3]
    assert len({first.path, second.path, other_store.path}) == 3
    for path in (folder, first.path.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    for mirror in (first, second, other_store):
        mirror.close()
        mirror.close()
    again = Mirror.open(Host("gpu2", "gpu2"), folder)
    assert again.slot == second.slot
    again.close()


def test_many_at_once_get_slots_of_their_own(folder: Path) -> None:
    slots: list[int] = []

    def take(number: int) -> None:
        mirror = Mirror.open(Host(f"gpu{number}", f"gpu{number}"), folder)
        slots.append(mirror.slot)
        mirror.close()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slots) == list(range(1, 13))


def test_making_one_needs_no_sqlalchemy(folder: Path) -> None:
    said = (
        "import sys\nfrom pathlib import Path\nfrom lvmtui.remote.hosts import Host\n"
        "from lvmtui.remote.mirrors.mirror import Mirror\n"
        "from lvmtui.remote.mirrors.reader import open_mirror\n"
        "mirror = Mirror.open(Host('gpu1', 'gpu1'), Path(sys.argv[1]))\nopen_mirror(mirror.path).runs()\n"
        "print([name for name in ('sqlalchemy', 'numpy', 'textual') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", said, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "damage", ["other schema", "other format", "noise", "empty", "foreign", "other slot"]
)
def test_what_cannot_be_used_is_made_anew(damage: str, folder: Path) -> None:
    mirror = Mirror.open(GPU1, folder)
    mirror.have()
    apply(mirror, *run_row(), {"m": "listed", "have": {"revision": 5}})
    assert mirror.have() == {"revision": 5}
    mirror.close()
    if damage == "noise":
        mirror.path.write_bytes(os.urandom(9000))
    elif damage == "empty":
        mirror.path.write_bytes(b"")
    elif damage == "foreign":
        mirror.path.unlink()
        with closing(sqlite3.connect(mirror.path)) as connection:
            connection.execute("CREATE TABLE cake (id)")
    else:
        change = {
            "other schema": "UPDATE schema_version SET version = 4",
            "other format": "UPDATE mirror SET format = 99",
            "other slot": "UPDATE mirror SET slot = 7",
        }[damage]
        with closing(sqlite3.connect(mirror.path)) as connection:
            connection.execute(change)
            connection.commit()
    again = Mirror.open(GPU1, folder)
    assert again.have() == {}
    assert runs(again) == []
    again.close()


def test_one_that_others_have_open_is_not_thrown_away(mirror: Mirror, folder: Path) -> None:
    with closing(sqlite3.connect(mirror.path)) as connection:
        connection.execute("UPDATE mirror SET format = 99")
        connection.commit()
    with pytest.raises(StoreError, match="another lvmtui has it open"):
        Mirror.open(GPU1, folder)


def test_one_that_was_left_damaged_by_a_crash_is_made_anew(folder: Path) -> None:
    said = (
        "import os, sys\nfrom pathlib import Path\nfrom lvmtui.remote.hosts import Host\n"
        "from lvmtui.remote.mirrors.mirror import Mirror\n"
        "mirror = Mirror.open(Host('gpu1', 'me@gpu1'), Path(sys.argv[1]))\n"
        "mirror.have()\nmirror.wanted(1, 'all')\n"
        "print(mirror.path, flush=True)\nos._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", said, str(folder)], capture_output=True, text=True)
    path = Path(done.stdout.strip())
    assert path.with_name("runs.db-wal").exists()
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(8 * 4096))
    mirror = Mirror.open(GPU1, folder)
    assert mirror.have() == {}
    apply(mirror, *run_row())
    assert [run.number for run in runs(mirror)] == [1]
    mirror.close()


def test_damage_that_is_found_later_leads_to_a_fresh_one(mirror: Mirror) -> None:
    apply(mirror, *run_row())
    with closing(sqlite3.connect(mirror.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damaged = bytearray(mirror.path.read_bytes())
    damaged[4096:] = os.urandom(len(damaged) - 4096)
    mirror.path.write_bytes(bytes(damaged))
    with pytest.raises(StoreError, match="damaged") as raised:
        apply(mirror, *run_row(2), curve(1, 1, range(50)), {"m": "reset"})
    assert "fetched anew" in raised.value.hint
    assert mirror.have() == {}
    apply(mirror, *run_row())
    assert [run.number for run in runs(mirror)] == [1]


def test_a_store_that_is_no_mirror_is_not_read_as_one(store: Path) -> None:
    with pytest.raises(StoreCorrupt, match="no copy of a host's runs"):
        open_mirror(store)


def test_what_is_known_moves_on_only_with_the_whole_list(mirror: Mirror) -> None:
    apply(mirror, *run_row(), curve(1, 1, range(10)))
    assert mirror.have() == {}
    assert mirror.wanted(1, "all") == {
        "run": 1, "level": "all", "keys": {}, "scores": 0, "log": [0], "ranks": []
    }  # fmt: skip
    apply(
        mirror,
        {"m": "curved", "run": 1, "upto": {"train/loss": 10}},
        {"m": "scored", "run": 1, "upto": 4},
        {"m": "log", "run": 1, "at": 0, "size": 3, "text": "abc", "fresh": True},
        {"m": "listed", "have": {"made": 1.25, "revision": 9, "time": 12.0}},
    )
    assert mirror.have() == {"made": 1.25, "revision": 9, "time": 12.0}
    wanted = mirror.wanted(1, "all")
    assert (wanted["keys"], wanted["scores"], wanted["log"]) == ({"train/loss": 10}, 4, [3])
    assert mirror.wanted(1, "few") == {"run": 1, "level": "few", "keys": {}}
    # Older news never take it back.
    apply(mirror, {"m": "curved", "run": 1, "upto": {"train/loss": 3}})
    assert mirror.wanted(1, "all")["keys"] == {"train/loss": 10}


def test_what_another_has_made_it_forget_is_not_said_to_be_known(mirror: Mirror, folder: Path) -> None:
    other = Mirror.open(GPU1, folder)
    other.have()
    apply(mirror, *run_row())
    mirror.wanted(1, "all")
    other.wanted(1, "all")
    apply(other, {"m": "rewind", "run": 1})
    apply(mirror, {"m": "curved", "run": 1, "upto": {"train/loss": 10}}, {"m": "scored", "run": 1, "upto": 4})
    wanted = mirror.wanted(1, "all")
    assert (wanted["keys"], wanted["scores"]) == ({}, 0)
    apply(other, {"m": "reset"})
    apply(mirror, {"m": "listed", "have": {"revision": 9}})
    assert mirror.have() == {}
    apply(mirror, {"m": "listed", "have": {"revision": 9}})
    assert mirror.have() == {"revision": 9}
    other.close()


def test_two_may_write_at_once(store: Path, mirror: Mirror, folder: Path) -> None:
    messages = told(store)
    failures: list[BaseException] = []

    def write() -> None:
        own = Mirror.open(GPU1, folder)
        try:
            own.have()
            apply(own, *messages)
        except BaseException as error:
            failures.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with closing(Telling(store)) as telling:
        for table in ("run", "metric", "evaluation", "event", "checkpoint", "promotion"):
            assert count(mirror, table) == telling.select(f"SELECT count(*) FROM {table}")[0][0], table


def test_another_store_is_begun_from_nothing(store: Path, mirror: Mirror) -> None:
    apply(mirror, *told(store), {"m": "reset"})
    assert runs(mirror) == []
    assert mirror.have() == {}
    assert not (mirror.path.parent / "runs").exists()
    for table in ("metric", "evaluation", "event", "protocol", "mirror_run", "mirror_curve"):
        assert count(mirror, table) == 0, table


def test_runs_that_are_gone_take_everything_along(store: Path, mirror: Mirror) -> None:
    apply(mirror, *told(store))
    number = runs(mirror)[0].number
    assert (mirror.path.parent / f"runs/{number}/run.log").exists()
    assert apply(mirror, {"m": "gone", "runs": [number]}) == [True]
    assert number not in [run.number for run in runs(mirror)]
    for table in ("metric", "evaluation", "event", "checkpoint", "mirror_run"):
        assert count(mirror, table, f"run_id = {global_id(mirror.slot, number)}") == 0, table
    assert not (mirror.path.parent / f"runs/{number}").exists()
    left = [run.number for run in runs(mirror)]
    apply(mirror, {"m": "runs", "ranges": [[left[0], left[0]], [left[2], left[-1]]]})
    assert [run.number for run in runs(mirror)] == [left[0], *left[2:]]


def test_a_change_sets_what_it_names_and_nothing_that_it_must_not(mirror: Mirror) -> None:
    apply(mirror, *run_row())
    before = runs(mirror)[0]
    said = {"step": 40, "status": "done", "result": "completed", "id": 9, "folder": "/etc", "revision": 0}
    assert apply(mirror, {"m": "change", "run": 1, "set": {**said, "flavour": 3, "epoch": "x"}}) == [True]
    run = runs(mirror)[0]
    assert (run.progress.step, run.status, run.result) == (40, "done", "completed")
    assert (run.id, run.folder, run.progress.epoch) == (before.id, "runs/1", 0)
    assert run.revision > before.revision
    assert apply(mirror, {"m": "change", "run": 1, "set": {"step": 40}}) == [False]
    assert apply(mirror, {"m": "change", "run": 5, "set": {"step": 40}}) == [False]


def test_older_stores_lack_columns(mirror: Mirror) -> None:
    apply(mirror, *run_row())
    run = runs(mirror)[0]
    assert (run.held, run.priority, run.tags, run.source, run.after) == (False, 0, "", "", None)
