"""The agent's acting half: each request is done once, in order, and answered as often as it comes."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmtui import operations
from lvmtui.remote import acting
from lvmtui.remote.acting import Actor
from lvmtui.remote.agent.wire import Message
from lvmtui.store import journal
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Run
from tests import tiny
from tests.tui import stores


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return stores.filled(tmp_path / "runs.db")


@pytest.fixture
def actors() -> Iterator[list[Actor]]:
    made: list[Actor] = []
    yield made
    for actor in made:
        actor.close()


@pytest.fixture
def actor(store: Path, actors: list[Actor]) -> Actor:
    actors.append(Actor(str(store)))
    return actors[0]


def ask(actor: Actor, request: str, what: str, **arguments: Any) -> None:
    actor.take({"m": "do", "id": request, "what": what, "arguments": arguments})


def answers(actor: Actor, count: int = 1, seconds: float = 30.0) -> list[Message]:
    """The next answers, as the agent's loop takes them."""
    found: list[Message] = []
    end = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < end, f"only {found}"
        if select.select([actor.fileno()], [], [], 0.5)[0]:
            found += actor.messages(65_536)
    assert not select.select([actor.fileno()], [], [], 0)[0], "nothing is left to send"
    return found


def run_of(store: Path, number: int) -> Run:
    database = Database.open(store, create=False)
    try:
        return Reader(database).run(number)
    finally:
        database.close()


def test_an_answer_says_what_was_done(actor: Actor, store: Path) -> None:
    ask(actor, "a-1", "annotate", run=4, note="from afar")
    (answer,) = answers(actor)
    assert answer == {
        "m": "answer",
        "id": "a-1",
        "ok": True,
        "words": "the note on phase-3 #4 is saved",
        "hint": "",
        "data": {
            "before": {"pinned": False, "archived": False, "trashed": None, "note": "", "tags": ""},
            "run": 4,
        },
    }
    assert run_of(store, 4).note == "from afar"


def test_a_request_that_comes_twice_is_done_once_and_answered_twice(actor: Actor, store: Path) -> None:
    ask(actor, "a-1", "annotate", run=4, note="first")
    ask(actor, "a-2", "annotate", run=4, note="second")
    ask(actor, "a-1", "annotate", run=4, note="first")
    first, second, again = answers(actor, 3)
    assert (first["id"], second["id"]) == ("a-1", "a-2")
    assert again == first
    assert run_of(store, 4).note == "second"


def test_another_agent_gives_the_same_answer(store: Path, actors: list[Actor]) -> None:
    """The connection broke before the answer came through."""
    actors += [Actor(str(store)), Actor(str(store))]
    ask(actors[0], "a-1", "stop", run=4)
    (refused,) = answers(actors[0])
    assert not refused["ok"]
    assert refused["words"] == "phase-3 #4 cannot be stopped: it is stopped"
    ask(actors[1], "a-1", "stop", run=4)
    assert answers(actors[1]) == [refused]


def test_what_an_agent_died_over_is_not_done_again(store: Path, actor: Actor) -> None:
    database = Database.open(store)
    journal.begin(
        database, "a-1", "annotate", {"run": 4, "note": "lost"}, f"4000000 1.00 {os.uname().nodename}"
    )
    database.close()
    for _ in range(2):
        ask(actor, "a-1", "annotate", run=4, note="lost")
        (answer,) = answers(actor)
        assert not answer["ok"]
        assert answer["words"] == "whether it took effect is not known: the agent that began it has died"
    assert run_of(store, 4).note == ""


def test_what_another_agent_is_at_is_waited_for(
    store: Path, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "_lives", lambda agent: True)
    database = Database.open(store)
    assert journal.begin(database, "a-1", "annotate", {"run": 4, "note": "x"}, "other") is None
    ask(actor, "a-1", "annotate", run=4, note="x")
    assert not select.select([actor.fileno()], [], [], 0.3)[0]
    journal.end(database, "a-1", {"ok": True, "words": "done elsewhere", "hint": "", "data": {}})
    database.close()
    assert answers(actor)[0]["words"] == "done elsewhere"


def test_a_readonly_agent_refuses_in_words(store: Path, actors: list[Actor]) -> None:
    actors.append(Actor(str(store), why_readonly="the agent was started with --readonly"))
    before = store.read_bytes()
    ask(actors[0], "a-1", "annotate", run=4, note="no")
    (answer,) = answers(actors[0])
    assert (answer["ok"], answer["words"]) == (
        False,
        "nothing can be changed here: the agent was started with --readonly",
    )
    assert store.read_bytes() == before


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"what": "explode", "arguments": {}}, "there is no operation 'explode'"),
        ({"what": "stop", "arguments": {"run": "x"}}, "stop: run = 'x' is not allowed"),
        ({"what": ["stop"], "arguments": {}}, "a request says what is wanted, and how"),
        ({"what": "stop", "arguments": [4]}, "a request says what is wanted, and how"),
        ({"what": "stop"}, "a request says what is wanted, and how"),
    ],
)
def test_nonsense_is_refused(actor: Actor, message: dict[str, Any], said: str) -> None:
    actor.take({"m": "do", "id": "a-1", **message})
    (answer,) = answers(actor)
    assert (answer["ok"], answer["words"]) == (False, said)


@pytest.mark.parametrize("request_id", [None, 3, "", "x" * 65, "a b", "a\n"])
def test_what_could_not_be_answered_is_not_done(actor: Actor, store: Path, request_id: Any) -> None:
    ask(actor, request_id, "annotate", run=4, note="x")
    ask(actor, "a-1", "stop", run=4)
    assert [answer["id"] for answer in answers(actor)] == ["a-1"]
    assert run_of(store, 4).note == ""


def test_no_store_is_made_but_for_a_launch(tmp_path: Path, actors: list[Actor]) -> None:
    place = tmp_path / "none" / "runs.db"
    actors.append(Actor(str(place)))
    ask(actors[0], "a-1", "stop", run=4)
    ask(actors[0], "a-2", "launch", phases=["no-such-phase"])
    no_store, no_phase = answers(actors[0], 2)
    assert no_store["words"] == f"there is no run store at {place}"
    assert no_phase["words"] == "there is no phase 'no-such-phase'"
    assert not place.parent.exists()


def test_a_first_launch_makes_the_store(
    tmp_path: Path, actors: list[Actor], monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_vectors(tmp_path)
    actors.append(Actor(str(tmp_path / "runs.db")))
    try:
        for _ in range(2):
            ask(actors[0], "a-1", "launch", phases=["demo"], overrides=dict(tiny.TINY))
            (answer,) = answers(actors[0])
            assert (answer["ok"], answer["words"]) == (True, "demo #1 launched")
            assert answer["data"]["run"] == 1
        wait_until(lambda: tiny.states() == ["completed"], "the run")
    finally:
        tiny.end_all()


def test_closing_ends_what_is_being_done_and_nothing_else(store: Path) -> None:
    actor = Actor(str(store))
    for number in range(20):
        ask(actor, f"a-{number}", "annotate", run=4, note=f"{number}")
    actor.close()
    database = Database.open(store)
    taken = [journal.find(database, f"a-{number}") for number in range(20)]
    database.close()
    done = sum(item is not None for item in taken)
    assert done < 20
    assert all(item.answer is not None for item in taken if item is not None)
    assert run_of(store, 4).note == ("" if done == 0 else str(done - 1))


def test_what_was_answered_long_ago_is_forgotten(store: Path) -> None:
    database = Database.open(store)
    journal.begin(database, "old", "stop", {"run": 4}, "x")
    journal.end(database, "old", {"ok": True})
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE request SET answered = answered - ?", (journal.KEPT_SECONDS + 1,))
    journal.begin(database, "new", "stop", {"run": 4}, "x")
    assert journal.find(database, "old") is None
    assert journal.find(database, "new") == journal.Taken("x", None)
    database.close()


@pytest.mark.slow
def test_what_waits_is_started_where_nothing_else_does(
    tmp_path: Path, actors: list[Actor], monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    """The engine that should have taken it up was killed; a dashboard on this machine would see to it."""
    monkeypatch.setattr(acting, "QUEUE_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    tiny.write_vectors(tmp_path)
    store = tmp_path / "runs.db"
    try:
        for _ in range(2):
            operations.perform(
                store, "launch", {"phases": ["demo"], "overrides": dict(tiny.ENDLESS), "queue": True}
            )
        wait_until(lambda: run_of(store, 1).progress.epoch >= 1, "an epoch")
        engine = run_of(store, 1).pid
        assert engine is not None
        actors.append(Actor(str(store), why_readonly="told so"))
        os.kill(engine, signal.SIGKILL)
        actors.append(Actor(str(store)))
        wait_until(lambda: run_of(store, 2).status == "running", "the second run")
        assert run_of(store, 1).result == "lost"
    finally:
        tiny.end_all()


def test_nothing_is_loaded_until_something_is_asked(store: Path) -> None:
    """Watching a host costs it little: SQLAlchemy comes with the first request."""
    code = (
        "import sys, time\n"
        "from lvmtui.remote import acting\n"
        "acting.QUEUE_SECONDS = 0.01\n"
        f"actor = acting.Actor({str(store)!r})\n"
        "time.sleep(0.2)\n"
        "actor.close()\n"
        "print(sorted({'sqlalchemy', 'pydantic', 'numpy', 'textual'} & set(sys.modules)))\n"
    )
    database = Database.open(store)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE run SET held = 1 WHERE status = 'queued'")
    database.close()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
