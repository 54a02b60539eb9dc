"""Runs on another machine, changed through a real sshd: what is asked there is done there, once, and engines
outlive the connection that started them."""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lvmtui.remote.connection import Timing
from lvmtui.remote.link import Link
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.remote.outbox import Answer, Outbox, outbox_file
from lvmtui.snapshot import Contact
from lvmtui.store import journal
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Run
from tests import tiny
from tests.remote.conftest import Hosts, StartHosts
from tests.tui import stores

QUICK = Timing(first_retry=0.05, last_retry=0.4)


@pytest.fixture
def gpu(ssh_hosts: StartHosts) -> Iterator[Hosts]:
    """A machine with a small vector set beside its store; its engines are ended."""
    hosts = ssh_hosts("gpu1")
    tiny.write_vectors(hosts["gpu1"].home)
    yield hosts
    tiny.end_all(str(hosts["gpu1"].home / "runs.db"))


@pytest.fixture
def connect(gpu: Hosts) -> Iterator[Callable[[], Link]]:
    links = []

    def start() -> Link:
        host = gpu.host("gpu1")
        outbox = Outbox(outbox_file(host))
        link = Link(host, Mirror.open(host), ssh=gpu.ssh, on_change=lambda: None, outbox=outbox, timing=QUICK)
        links.append(link)
        link.start()
        return link

    yield start
    for link in links:
        link.stop()


def there(gpu: Hosts, number: int = 1) -> Run:
    database = Database.open(gpu["gpu1"].home / "runs.db", create=False)
    try:
        return Reader(database).run(number)
    finally:
        database.close()


def ask(link: Link, what: str, seconds: float = 30.0, **arguments: Any) -> Answer:
    words = f"{what} demo #{arguments.get('run', '?')}@gpu1"
    answer = link.request(what, arguments, words, arguments.get("run")).wait(seconds)
    assert answer is not None, f"{what}: no answer within {seconds:.0f} s"
    return answer


def end_agents(gpu: Hosts, engine: psutil.Process, wait_until: Any) -> None:
    """Kill the agents; an engine that they have started is nobody's child then, and not sshd's either."""
    agents = {agent.pid for agent in gpu["gpu1"].agents()}
    assert engine.ppid() in agents
    gpu["gpu1"].kill_agents()
    wait_until(lambda: engine.ppid() not in agents, "another parent of the engine")


@pytest.mark.slow
def test_a_first_launch_stop_resume_and_kill(
    gpu: Hosts, connect: Callable[[], Link], wait_until: Any
) -> None:
    link = connect()
    wait_until(lambda: link.view.contact is Contact.LIVE, "the connection")
    answer = ask(link, "launch", phases=["demo"], overrides=dict(tiny.ENDLESS))
    assert (answer.ok, answer.words, answer.data["run"]) == (True, "demo #1@gpu1 launched", 1)
    wait_until(lambda: there(gpu).progress.epoch >= 1, "an epoch")
    assert Path(there(gpu).recipe and gpu["gpu1"].home / "vectors").is_dir()
    assert ask(link, "stop", run=1).words == "demo #1@gpu1 was asked to stop"
    wait_until(lambda: there(gpu).result == "stopped", "the stop")
    refused = ask(link, "stop", run=1)
    assert (refused.ok, refused.words) == (False, "demo #1@gpu1 cannot be stopped: it is stopped")
    assert ask(link, "annotate", run=1, note="from here").ok
    assert there(gpu).note == "from here"
    assert ask(link, "resume", run=1).words == "demo #1@gpu1 goes on from its last checkpoint"
    wait_until(lambda: there(gpu).status == "running", "the resume")
    assert ask(link, "kill", run=1).words == "demo #1@gpu1 was killed"
    wait_until(lambda: there(gpu).result == "lost", "its end")


@pytest.mark.slow
def test_a_run_outlives_agent_connection_and_sshd(
    gpu: Hosts, connect: Callable[[], Link], wait_until: Any
) -> None:
    link = connect()
    assert ask(link, "launch", phases=["demo"], overrides=dict(tiny.ENDLESS)).ok
    wait_until(lambda: there(gpu).progress.epoch >= 1, "an epoch")
    engine = psutil.Process(there(gpu).pid)
    assert os.getsid(engine.pid) == engine.pid, "a session of its own"
    open_there = {item.path for item in engine.open_files()}
    pipes = [os.readlink(f"/proc/{engine.pid}/fd/{number}") for number in (0, 1, 2)]
    assert pipes == ["/dev/null", *[str(gpu["gpu1"].home / "runs" / "1" / "run.log")] * 2], open_there
    end_agents(gpu, engine, wait_until)
    link.stop()
    gpu["gpu1"].stop()
    epoch = there(gpu).progress.epoch
    wait_until(lambda: there(gpu).progress.epoch > epoch, "an epoch without any connection")
    assert engine.is_running()
    gpu["gpu1"].start()
    assert ask(connect(), "stop", run=1).ok
    wait_until(lambda: there(gpu).result == "stopped", "the stop")


@pytest.mark.slow
def test_what_is_asked_while_it_is_away_is_done_once_it_is_back(
    gpu: Hosts, connect: Callable[[], Link], wait_until: Any
) -> None:
    link = connect()
    assert ask(link, "launch", phases=["demo"], overrides=dict(tiny.ENDLESS)).ok
    wait_until(lambda: there(gpu).progress.epoch >= 1, "an epoch")
    end_agents(gpu, psutil.Process(there(gpu).pid), wait_until)
    gpu["gpu1"].stop()
    wait_until(lambda: link.view.contact is Contact.OFFLINE, "that it is away")
    asked = [link.request("stop", {"run": 1}, "stop demo #1@gpu1", 1) for _ in range(2)]
    note = link.request("annotate", {"run": 1, "note": "x"}, "note demo #1@gpu1", 1)
    assert asked[0].id == asked[1].id
    assert [item.words for item in link.view.pending] == ["stop demo #1@gpu1", "note demo #1@gpu1"]
    assert link.withdraw(note.id)
    link.stop()  # quit, and opened again later
    gpu["gpu1"].start()
    again = connect()
    wait_until(lambda: there(gpu).result == "stopped", "the stop")
    wait_until(lambda: again.view.contact is Contact.LIVE and not again.view.pending, "the answer")
    ((entry, answer),) = Outbox(outbox_file(gpu.host("gpu1"))).untold()
    assert (entry.words, answer.words) == ("stop demo #1@gpu1", "demo #1@gpu1 was asked to stop")
    database = Database.open(gpu["gpu1"].home / "runs.db", create=False)
    assert len([one for one in Reader(database).events(1) if one.kind == "stop_requested"]) == 1
    database.close()
    assert there(gpu).note == ""


def test_an_answer_that_was_lost_on_the_way(gpu: Hosts, connect: Callable[[], Link], wait_until: Any) -> None:
    """The connection breaks between the doing and the answer: it is asked again, and done once."""
    link = connect()
    wait_until(lambda: link.view.contact is Contact.LIVE, "the connection")
    store = gpu["gpu1"].home / "runs.db"
    gpu["gpu1"].proxy.hold()
    # It leaves this machine; what comes back does not arrive.
    pending = link.request(
        "launch", {"phases": ["demo"], "overrides": dict(tiny.ENDLESS)}, "launch demo", None
    )
    wait_until(lambda: link.view.pending and link.view.pending[0].sent, "that it is sent")
    assert not link.withdraw(pending.id)
    gpu["gpu1"].proxy.go_on()
    wait_until(lambda: store.exists(), "that it is being done")
    gpu["gpu1"].proxy.cut()
    answer = pending.wait(60)
    assert answer is not None
    assert (answer.ok, answer.words) == (True, "demo #1@gpu1 launched")
    assert len(tiny.runs(str(store))) == 1


def test_a_host_whose_key_allows_reading_only(
    gpu: Hosts, connect: Callable[[], Link], wait_until: Any
) -> None:
    script = (gpu["gpu1"].programs / "lvmtui").read_text().replace('"$@"', '"$@" --readonly')
    gpu["gpu1"].install(script)
    link = connect()
    wait_until(lambda: link.view.contact is Contact.LIVE, "the connection")
    assert link.view.readonly == "it was started with --readonly there"
    with pytest.raises(Exception, match="nothing can be changed on gpu1"):
        link.request("stop", {"run": 1}, "stop demo #1@gpu1", 1)


def test_an_agent_that_dies_over_a_request(gpu: Hosts, connect: Callable[[], Link], wait_until: Any) -> None:
    """Nobody can know what it had done by then, so nobody does it again, and the answer says so."""
    store = stores.filled(gpu["gpu1"].home / "runs.db")
    link = connect()
    wait_until(lambda: link.view.contact is Contact.LIVE, "the connection")
    folder = os.open(store.parent / "runs" / "7", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # what decides about the run waits for this
        pending = link.request("stop", {"run": 7}, "stop phase-2b #7@gpu1", 7)
        wait_until(lambda: begun(store, pending.id), "that it is begun")
        gpu["gpu1"].kill_agents()
        answer = pending.wait(60)
    finally:
        os.close(folder)
    assert answer is not None
    assert not answer.ok
    assert answer.words == "whether it took effect is not known: the agent that began it has died"
    assert there(gpu, 7).status == "queued"
    again = ask(link, "stop", run=7)
    assert again.words == "phase-2b #7@gpu1 is out of the queue", "asked anew, it is done"


def begun(store: Path, request: str) -> bool:
    database = Database.open(store, create=False)
    try:
        return journal.find(database, request) is not None
    finally:
        database.close()


def test_two_dashboards_share_what_they_ask_for(
    gpu: Hosts, connect: Callable[[], Link], wait_until: Any
) -> None:
    """Each of them delivers what waits; it is done once, and both know."""
    links = [connect(), connect()]
    wait_until(lambda: all(link.view.contact is Contact.LIVE for link in links), "both connections")
    answer = ask(links[0], "launch", phases=["demo"], overrides=dict(tiny.TINY), held=True)
    assert answer.words == "demo #1@gpu1 is in the queue"
    gpu["gpu1"].proxy.cut()
    wait_until(lambda: not all(link.view.contact is Contact.LIVE for link in links), "the cut")
    pending = links[0].request(
        "launch", {"phases": ["demo"], "overrides": dict(tiny.TINY), "held": True}, "launch demo", None
    )
    assert pending.wait(60) is not None
    wait_until(lambda: all(link.view.contact is Contact.LIVE for link in links), "both connections again")
    wait_until(lambda: not any(link.view.pending for link in links), "that nothing waits")
    assert [run.id for run in tiny.runs(str(gpu["gpu1"].home / "runs.db"))] == [1, 2]
