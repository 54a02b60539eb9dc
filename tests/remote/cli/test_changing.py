"""Changing runs of another machine from the command line, over a real sshd."""

import json
import os

import psutil
import pytest

from lvmtui.remote import visit
from lvmtui.store.reader import Reader
from tests.cli.conftest import Stored
from tests.remote.cli.conftest import Call


def test_runs_are_kept_in_order_there(there: Stored, lvmtui: Call) -> None:
    there.finished(0.15, 0.22)
    there.finished(0.2)
    reader = Reader(there.database)

    done = lvmtui("note", "1@gpu1", "worth a look")
    assert (done.code, done.out, done.err) == (0, "phase-1 #1@gpu1: worth a look\n", "")
    assert lvmtui("tag", "--host", "gpu1", "1", "2", "+good").out.splitlines() == [
        "phase-1 #1@gpu1: good",
        "phase-1 #2@gpu1: good",
    ]
    assert lvmtui("pin", "--host", "gpu1", "1").out == "phase-1 #1@gpu1 stays on top\n"
    assert lvmtui("rm", "2@gpu1").out == (
        "phase-1 #2@gpu1 is in the trash; `lvmtui restore 2@gpu1` takes it out\n"
    )
    first, second = reader.runs()
    assert (first.note, first.tags, first.pinned) == ("worth a look", "good", True)
    assert second.trashed is not None

    for words in (("trash", "ls", "--host", "gpu1"), ("trash", "--host", "gpu1")):
        assert lvmtui(*words).out.startswith("phase-1 #2@gpu1  ")
    done = lvmtui("trash", "empty", "--host", "gpu1", "-y")
    assert done.out.startswith("phase-1 #2@gpu1 is deleted"), done.err
    assert [run.id for run in reader.runs()] == [1]

    done = lvmtui("archive", "9@gpu1")
    assert done.code == 1
    assert done.err.startswith("error: there is no run '9'"), done.err


def test_the_queue_there_is_shown_and_changed(there: Stored, lvmtui: Call) -> None:
    there.started(os.getpid(), psutil.Process().create_time())  # uses the device
    for phase in ("phase-2", "phase-3"):
        there.new(phase, device_wanted="cpu")
    assert lvmtui("queue", "hold", "2@gpu1").out == "phase-2 #2@gpu1 is 1 of 2 in the queue: held\n"
    done = lvmtui("queue", "--host", "gpu1", "move", "3", "--before", "2")
    assert done.out.startswith("phase-3 #3@gpu1 is 1 of 2 in the queue"), done.err
    rows = json.loads(lvmtui("queue", "--host", "gpu1", "--json").out)
    assert [(row["run_id"], row["run"], row["origin"], row["why"]) for row in rows] == [
        (3, "phase-3 #3@gpu1", "gpu1", "device"),
        (2, "phase-2 #2@gpu1", "gpu1", "held"),
    ]
    assert lvmtui("stop", "2@gpu1").out == "phase-2 #2@gpu1 is out of the queue\n"


def test_promoting_shows_the_gates_of_there(there: Stored, lvmtui: Call) -> None:
    there.finished(0.15, 0.22)
    done = lvmtui("promote", "1@gpu1", "--no-test")
    assert done.code == 2
    assert "needs a yes" in done.err
    assert "✔ passed" in done.err
    done = lvmtui("promote", "1@gpu1", "--no-test", "-y", "--json")
    assert json.loads(done.out)["run"] == "phase-1 #1@gpu1", done.err
    assert [item.run_id for item in Reader(there.database).promotions()] == [1]


def test_what_is_not_answered_does_not_linger(
    there: Stored,
    hosts,
    lvmtui: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = there.finished(0.2)
    monkeypatch.setattr(visit, "ANSWER_SECONDS", 1.0)
    ask = visit.Visit.ask

    def ask_a_frozen_host(self, *arguments):
        hosts["gpu1"].freeze()
        return ask(self, *arguments)

    monkeypatch.setattr(visit.Visit, "ask", ask_a_frozen_host)
    try:
        done = lvmtui("pin", "1@gpu1")
    finally:
        hosts["gpu1"].thaw()
    assert done.code == 1
    assert done.err.startswith("error: gpu1 has not answered within 1 s: pin phase-1 #1@gpu1\nhint: It was")
    assert run.pinned is False


def test_a_refusal_names_the_host(there: Stored, lvmtui: Call) -> None:
    there.finished(0.2)
    done = lvmtui("queue", "hold", "1@gpu1")
    assert done.code == 1
    assert done.err == (
        "error: phase-1 #1@gpu1 does not wait in the queue: it is completed\n"
        "hint: `lvmtui queue --host gpu1` lists what waits.\n"
    )
    done = lvmtui("launch", "no-such-phase", "--host", "gpu1")
    assert done.err.startswith("error: gpu1: there is no phase 'no-such-phase'\nhint: ")
