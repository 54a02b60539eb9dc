"""pin, archive, rm, restore, trash, note, tag on real stores."""

import json

import pytest

from lvmtui.cli.shelf import changed_tags
from lvmtui.store.control import Controller
from lvmtui.store.reader import Reader
from lvmtui.store.records import Shelf


def names(done) -> list[str]:
    """The runs of a list that was printed with the one column `name`."""
    return [row.strip() for row in done.out.splitlines()[1:]]


def test_pinned_runs_come_first(lvmtui, stored):
    for _ in range(3):
        stored.finished(0.1)
    assert lvmtui("pin", "1").out == "phase-1 #1 stays on top\n"
    assert names(lvmtui("ls", "--columns", "name")) == ["phase-1 #1", "phase-1 #3", "phase-1 #2"]
    assert "phase-1 #1 (pinned)" in lvmtui("ls").out
    lvmtui("unpin", "1")
    assert names(lvmtui("ls", "--columns", "name"))[-1] == "phase-1 #1"


def test_archived_runs_are_left_out_unless_asked_for(lvmtui, stored):
    stored.finished(0.1)
    stored.finished(0.2)
    lvmtui("archive", "1", "last")
    lvmtui("unarchive", "2")
    done = lvmtui("ls", "--columns", "name")
    assert names(done) == ["phase-1 #2"]
    assert "1 archived (--archived)" in done.err
    assert names(lvmtui("ls", "--columns", "name", "--archived")) == ["phase-1 #1"]
    assert names(lvmtui("ls", "--columns", "name", "--all")) == ["phase-1 #2", "phase-1 #1"]
    assert "kept" in lvmtui("show", "1").out
    assert "phase-1 #1" not in lvmtui("leaderboard").out
    assert "phase-1 #1" in lvmtui("leaderboard", "--all").out
    assert "phase-1 #1" not in lvmtui("export", "leaderboard").out
    assert "phase-1 #1" in lvmtui("export", "leaderboard", "--all").out
    assert "phase-1 #1" in lvmtui("export", "leaderboard", "--filter", "id:1", "--archived").out


def test_a_list_of_all_says_where_each_run_is_kept(lvmtui, stored):
    for _ in range(3):
        stored.finished(0.1)
    lvmtui("archive", "1")
    lvmtui("rm", "2")
    shown = lvmtui("ls", "--all").out
    assert "phase-1 #1 (archived)" in shown
    assert "phase-1 #2 (in the trash)" in shown
    assert "(archived)" not in lvmtui("ls", "--archived").out


def test_a_run_in_the_trash_is_neither_resumed_nor_promoted(lvmtui, stored):
    stored.finished(0.1)
    lvmtui("rm", "1")
    for arguments in (("resume", "1"), ("resume", "1", "--queue"), ("promote", "1", "-y")):
        done = lvmtui(*arguments)
        assert done.code == 1
        assert "phase-1 #1 is in the trash" in done.err


def test_a_store_that_another_program_holds_is_said_so(lvmtui, stored, monkeypatch):
    monkeypatch.setattr("lvmtui.store.database.BUSY_TIMEOUT_MS", 10)
    stored.finished(0.1)
    with stored.database.write() as connection:
        connection.exec_driver_sql("SELECT 1")
        done = lvmtui("note", "1", "text")
    assert done.code == 1
    assert "database is locked" in done.err
    assert "unexpected" not in done.err


def test_the_trash_is_listed_restored_and_emptied(lvmtui, stored):
    run = stored.finished(0.1)
    folder = stored.path.parent / run.folder
    assert lvmtui("trash").err == "The trash is empty.\n"
    lvmtui("rm", "1")
    assert names(lvmtui("ls", "--columns", "name", "--trash")) == ["phase-1 #1"]
    assert lvmtui("trash").out.startswith("phase-1 #1  ")
    assert [item["run_id"] for item in json.loads(lvmtui("trash", "ls", "--json").out)] == [1]
    assert lvmtui("restore", "1").out == "phase-1 #1 is out of the trash\n"
    lvmtui("rm", "1")
    assert "Nothing has been in the trash for 30d" in lvmtui("trash", "empty", "--older-than", "30d").err
    refused = lvmtui("trash", "empty")
    assert refused.code == 2
    assert "this needs a yes" in refused.err
    assert folder.is_dir()
    assert lvmtui("trash", "empty", "-y").out.startswith("1 run deleted, ")
    assert not folder.exists()
    assert Reader(stored.database).runs() == []


def test_only_a_span_of_time_is_an_age(lvmtui, stored):
    done = lvmtui("trash", "empty", "--older-than", "soon")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: --older-than soon: not a span of time")


def test_the_champion_and_what_runs_stay(lvmtui, stored, alive):
    stored.finished(0.1)
    Controller(stored.database).promote(1)
    stored.started(*alive)
    assert lvmtui("rm", "1").err.startswith("error: phase-1 #1 is the champion\nhint: Promote another")
    done = lvmtui("rm", "2")
    assert done.err.startswith("error: phase-1 #2 is running (pid ")
    assert "hint: Stop it first" in done.err
    assert {run.shelf for run in Reader(stored.database).runs()} == {Shelf.RUNS}


def test_nothing_is_changed_where_one_run_is_unknown(lvmtui, stored):
    stored.new()
    assert lvmtui("archive", "1", "9").code == 1
    assert not Reader(stored.database).run(1).archived


@pytest.mark.parametrize("words", [["pin", "1"], ["rm", "1"], ["note", "1", "x"], ["trash", "empty", "-y"]])
def test_readonly_refuses(lvmtui, stored, words):
    stored.new()
    done = lvmtui("--readonly", *words)
    assert done.code == 2
    assert "--readonly is set" in done.err


def test_notes_and_tags(lvmtui, stored):
    stored.new()
    stored.new()
    assert lvmtui("note", "1", "warm start").out == "phase-1 #1: warm start\n"
    lvmtui("tag", "1", "2", "+good", "+sweep")
    assert lvmtui("tag", "1", "-sweep").out == "phase-1 #1: good\n"
    runs = Reader(stored.database).runs()
    assert [(run.note, run.tags) for run in runs] == [("warm start", "good"), ("", "good, sweep")]
    assert lvmtui("note", "1", "").out == "phase-1 #1 has no note now\n"
    assert lvmtui("tag", "1").code == 2
    assert "is no tag" in lvmtui("tag", "1", "+a,b").err


def test_a_tag_is_there_once_and_keeps_the_order() -> None:
    assert changed_tags("a, b", ["+a"]) == "b, a"
    assert changed_tags("a,b ,  c", ["-b", "-x"]) == "a, c"
    assert changed_tags("", ["-x"]) == ""


def test_ls_filters_sorts_groups_and_shows_columns(lvmtui, stored):
    stored.finished(0.1, 0.3)
    stored.finished(0.2, phase="phase-2")
    stored.finished(0.25, seed=7)
    stored.new()
    done = lvmtui("ls", "-f", "hit5>15 -phase:2", "--sort", "hit5", "--columns", "id,hit5,seed")
    assert [row.split() for row in done.out.splitlines()] == [
        ["#", "Hit@5", "seed"],
        ["1", "30.0", "0"],
        ["3", "25.0", "7"],
    ]
    backwards = lvmtui("ls", "-s", "hit@5", "-r", "--columns", "id").out.split()
    assert backwards == ["#", "2", "3", "1", "4"], "what is not known is last both ways"
    grouped = lvmtui("ls", "--group", "phase", "--columns", "id").out.splitlines()
    assert grouped[0] == "phase phase-1, 3 runs"
    assert "phase phase-2, 1 run" in grouped
    assert [item["run_id"] for item in json.loads(lvmtui("ls", "-f", "id:2", "--json").out)] == [2]
    assert lvmtui("ls", "-f", "zzz").err.startswith("No run fits the filter.\n")
    assert "#2" in lvmtui("leaderboard", "-f", "phase:2").out
    assert "#1" not in lvmtui("leaderboard", "-f", "phase:2").out


def test_ls_shows_what_is_left_and_must_be_beaten_while_something_trains(lvmtui, stored, alive):
    stored.finished(0.1)
    assert "to beat" not in lvmtui("ls").out
    writer = stored.started(*alive)
    stored.epoch(writer, 1, 0.2)
    out = lvmtui("ls").out.splitlines()
    assert "to beat  left" in out[0]
    assert "20.0    3s" in out[1]


def test_a_wrong_filter_is_pointed_at(lvmtui, stored):
    done = lvmtui("ls", "-f", "phase:1 hti5>3")
    assert done.code == 2
    assert done.err.splitlines()[:3] == [
        'error: in the filter: unknown field "hti5" at 9: did you mean hit5?',
        "  phase:1 hti5>3",
        "          ^^^^",
    ]
    assert "Did you mean hit5?" in lvmtui("ls", "--sort", "hti5").err
    assert "there is no field 'zzz'" in lvmtui("ls", "--columns", "name,zzz").err


def test_all_fields_are_explained(lvmtui, tmp_path, monkeypatch):
    from lvmtui.run_fields import FIELDS

    monkeypatch.chdir(tmp_path)
    done = lvmtui("ls", "--columns", "help")
    assert done.code == 0
    named = {row.split()[0] for row in done.out.splitlines() if row.strip()}
    assert FIELDS.keys() <= named
