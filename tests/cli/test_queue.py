"""`lvmtui queue`: what it lists, changes and refuses, on a store where nothing can start."""

import json

import pytest

from lvmtui.store.control import Controller
from lvmtui.store.reader import Reader


@pytest.fixture
def queued(stored, alive):
    """One run at work on the processor, and three that wait for it."""
    stored.started(*alive)
    for _ in range(3):
        stored.new(device_wanted="cpu")
    return stored


def order(stored):
    from lvmtui.store.queue import waiting

    return [run.id for run in waiting(stored.database)]


def test_an_empty_queue_says_how_to_fill_it(lvmtui, stored):
    done = lvmtui("queue")
    assert (done.code, done.out) == (0, "")
    assert "Nothing waits. `lvmtui launch PHASE --queue`" in done.err
    assert lvmtui("queue", "--json").out == "[]\n"


def test_it_lists_what_waits_and_for_what(lvmtui, queued):
    lvmtui("queue", "hold", "3")
    lvmtui("queue", "after", "4", "3")
    lvmtui("queue", "priority", "4", "2")
    done = lvmtui("queue")
    assert [line.split(maxsplit=5)[:3] for line in done.out.splitlines()[1:]] == [
        ["1", "phase-1", "#4"],
        ["2", "phase-1", "#2"],
        ["3", "phase-1", "#3"],
    ]
    for words in ("after phase-1 #3", "waits for cpu: phase-1 #1 uses it", "held"):
        assert words in done.out
    assert "`lvmtui queue release 3` lets #3 go." in done.err
    listed = json.loads(lvmtui("queue", "--json").out)
    assert [(item["position"], item["run_id"], item["why"]) for item in listed] == [
        (1, 4, "after"),
        (2, 2, "device"),
        (3, 3, "held"),
    ]
    assert listed[1]["waits_for"] == [1]
    assert listed[1]["reason"] == "waits for cpu: phase-1 #1 uses it"
    assert listed[0]["priority"] == 2


def test_it_changes_the_order(lvmtui, queued):
    for arguments, expected in {
        ("4", "--first"): [4, 2, 3],
        ("4", "--down"): [2, 4, 3],
        ("3", "--up"): [2, 3, 4],
        ("2", "--last"): [3, 4, 2],
        ("2", "--before", "4"): [3, 2, 4],
        ("last", "--before", "phase-1 #3"): [4, 3, 2],
    }.items():
        done = lvmtui("queue", "move", *arguments)
        assert done.code == 0, done.err
        assert order(queued) == expected
    assert done.out == "phase-1 #4 is 1 of 3 in the queue: waits for cpu: phase-1 #1 uses it\n"


def test_it_refuses_what_makes_no_sense(lvmtui, queued):
    for arguments, message in {
        ("move", "2"): "where to is not clear",
        ("move", "2", "--first", "--last"): "where to is not clear",
        ("move", "1", "--first"): "phase-1 #1 does not wait in the queue: it is taken up already",
        ("move", "2", "--before", "1"): "phase-1 #1 is none of the others that wait",
        ("hold", "9"): "there is no run '9'",
        ("after", "2", "2"): "#2 cannot wait for itself",
        ("priority", "2", str(10**30)): f"there is no priority {10**30}",
        ("priority", "2", "high"): "Invalid value for 'N'",
    }.items():
        done = lvmtui("queue", *arguments)
        assert done.code in {1, 2}
        assert message in done.err
    assert order(queued) == [2, 3, 4]


def test_a_blocked_run_is_let_go(lvmtui, queued):
    Controller(queued.database).request_stop(2)
    lvmtui("queue", "after", "3", "2")
    lvmtui("queue", "hold", "3")
    done = lvmtui("queue", "release", "3")
    assert done.out == "phase-1 #3 is 1 of 2 in the queue: waits for cpu: phase-1 #1 uses it\n"
    run = Reader(queued.database).run(3)
    assert (run.held, run.after) == (False, None)
    lvmtui("queue", "after", "4", "3")
    assert lvmtui("queue", "after", "4", "none").code == 0
    assert Reader(queued.database).run(4).after is None


def test_start_says_that_nothing_may(lvmtui, queued):
    done = lvmtui("queue", "start")
    assert (done.code, done.out) == (0, "")
    assert "Nothing waits that may start here" in done.err


@pytest.mark.parametrize(
    "arguments", ["move 2 --first", "hold 2", "release 2", "priority 2 1", "after 2 none", "start"]
)
def test_readonly_refuses_every_change(lvmtui, queued, arguments):
    done = lvmtui("--readonly", "queue", *arguments.split())
    assert done.code == 2
    assert "--readonly is set" in done.err
    assert lvmtui("--readonly", "queue").code == 0


def test_launch_into_the_queue(lvmtui, queued, tmp_path):
    from tests.tiny import TINY, write_vectors

    write_vectors(tmp_path)
    words = [word for key, value in TINY.items() for word in ("-o", f"{key}={value}")]
    done = lvmtui("launch", "phase-1", *words, "--after", "1", "--device", "cpu", "--priority", "3")
    assert done.code == 0, done.err
    assert done.out.startswith("phase-1 #5 is in the queue, gru of 1.3k parameters; `lvmtui queue` says")
    run = Reader(queued.database).run(5)
    assert (run.after, run.priority, run.held, run.device_wanted, run.pid) == (1, 3, False, "cpu", None)
    done = lvmtui("launch", "phase-1", *words, "--hold", "--queue-host", "any", "--seeds", "2")
    assert "#6 and #7 wait: each run that ends starts the next" in done.out
    run = Reader(queued.database).run(7)
    assert (run.held, run.host_wanted, run.group) == (True, "", "group:phase-1@6")
    assert "there is no run '99'" in lvmtui("launch", "phase-1", *words, "--after", "99").err
    assert "there is no device 'tpu'" in lvmtui("launch", "phase-1", *words, "--device", "tpu").err
    assert len(Reader(queued.database).runs()) == 7


def test_resume_into_the_queue(lvmtui, queued):
    Controller(queued.database).request_stop(2)
    lvmtui("queue", "hold", "3")
    done = lvmtui("resume", "2", "--queue")
    assert done.code == 0, done.err
    assert done.out.startswith("phase-1 #2 is in the queue")
    assert lvmtui("resume", "2", "--queue").code == 0  # it waits already
    assert order(queued) == [2, 3, 4]
    assert Reader(queued.database).run(2).pid is None
