"""Clients that mean harm: what an agent keeps for one of them is bounded."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvmtui.remote import acting
from lvmtui.remote.acting import Actor
from lvmtui.remote.agent import looking, ranks, session
from lvmtui.remote.agent.looked_run import _MOST_KEYS
from lvmtui.remote.agent.looking import Looking
from lvmtui.remote.agent.ranks import Ranks
from lvmtui.remote.agent.session import Session
from lvmtui.remote.agent.watch import Watch
from lvmtui.remote.agent.wire import WireError
from lvmtui.remote.copies import files
from lvmtui.remote.copies.files import Files
from tests.tui import stores


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Session]:
    ends = os.pipe()
    watch = Watch(str(stores.filled(tmp_path / "runs.db")), {})
    talking = Session(*ends, watch, ())
    while watch._open is None or watch.has_more:
        watch.news()
        watch.piece()
    yield talking
    talking.close()
    watch.close()
    for end in ends:
        os.close(end)


def test_one_that_takes_nothing_in_is_left(talk: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MOST_WAITING", 1000)
    talk._take({"m": "ping", "time": os.urandom(5000).hex()})  # is not said back
    with pytest.raises(WireError, match="more than it takes in"):
        any(not talk._take({"m": "ping", "time": float(number)}) for number in range(1000))


def test_what_it_wants_is_bounded(talk: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MOST_FETCHES", 1500)
    monkeypatch.setattr(ranks, "MOST_SAID", 1500)
    opened = talk._watch._open
    assert opened is not None
    found: Looking = opened.looking
    said: Ranks = found._ranks
    for turn in range(9):
        first = turn * 1000
        entry = {"run": 1, "level": "all", "keys": {f"{number}": 1 for number in range(first, first + 1000)}}
        entry["ranks"] = list(range(first, first + 1000))
        talk._take({"m": "want", "runs": [entry]})
        talk._take({"m": "fetch", "runs": [1] * 1000})
    assert len(found._fetches) == 1500
    assert len(said._said) <= 2500
    assert len(found._known[1].points) <= _MOST_KEYS


def test_requests_of_a_guest_are_not_piled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "MOST_ANSWERS", 10)
    actor = Actor(str(tmp_path / "runs.db"), why_readonly="it is")
    for _ in range(100):
        actor.take({"m": "do", "id": "a", "what": "stop", "arguments": {}})
    assert len(actor.messages(1000)) == 10
    actor.close()


def test_large_messages_about_copies_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Files, "_work", lambda _: None)  # busy with something else
    service = Files(str(tmp_path / "runs.db"), why_readonly="it is")
    for _ in range(100):
        service.take({"m": "got", "bytes": 1, "more": "x" * 1_000_000})
    assert service._incoming.qsize() * 1_000_000 <= 2 * files.WINDOW_BYTES
    service.close()
