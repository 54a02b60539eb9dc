"""What shortens the way to the first chart: ssh that is started early, and what is wanted said at once."""

import base64
import random
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lvmtui.remote import early, ssh
from lvmtui.remote.agent.wire import Message, Receiver, Sender
from lvmtui.remote.link import Link
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from tests.remote.agent_client import AgentClient
from tests.tui.stores import new_run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "there.db"
    with closing(Database.open(path)) as database:
        new_run(database, "phase-1").start().train(2).finish(Result.COMPLETED)
        new_run(database, "phase-1").start().train(3)
        new_run(database, "phase-1").start().train(2).finish(Result.COMPLETED)
    return path


def test_an_early_ssh_is_taken_over(ssh_hosts, monkeypatch):
    hosts = ssh_hosts("gpu1")
    gpu = hosts["gpu1"]
    with closing(Database.open(gpu.home / "runs.db")) as database:
        new_run(database, "phase-1").start().train(2)
    monkeypatch.setenv("LVMTUI_SSH", shlex.join(hosts.ssh))
    before = gpu.proxy.connections
    early.begin(["gpu1"])
    host = hosts.host("gpu1")
    mirror = Mirror.open(host)
    link = Link(host, mirror, ssh=hosts.ssh, on_change=lambda: None)
    try:
        link.want([1])
        link.start()
        link.wait_listed(30)
        link.wait_detailed(1, 30)
        assert not any(early._begun.values())
        assert gpu.proxy.connections == before + 1
    finally:
        link.stop()
        early.end()


def test_what_nobody_takes_over_is_ended(tmp_path, monkeypatch):
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("LVMTUI_SSH", str(program))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    early.begin(["gpu1", "gpu1:other.db"])
    waiting = [process for kept in early._begun.values() for _, process in kept]
    assert len(waiting) == 2
    early.end()
    assert all(process.returncode is not None for process in waiting)
    early.begin(["gpu1"])
    ((line, ((_, old),)),) = ((line, kept) for line, kept in early._begun.items() if kept)
    monkeypatch.setattr(early, "FRESH_SECONDS", 0.0)
    assert early.taken(line) is None
    assert old.returncode is not None


@pytest.mark.parametrize(
    "text", ['[hosts.gpu1]\ndestination = "-oProxyCommand=x"\n', "hosts = 3\n", "hosts ["]
)
def test_settings_that_are_wrong_are_told_by_others(text, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "lvmtui").mkdir()
    (tmp_path / "lvmtui" / "config.toml").write_text(text)
    monkeypatch.setattr(ssh, "start", lambda words: pytest.fail(f"{words} was started"))
    early.begin(None)
    early.begin(["gpu 1"])


def test_what_the_greeting_wants_comes_unasked(store):
    entry = {"run": 1, "level": "all", "keys": {}, "scores": 0}
    with AgentClient(store, hello={"want": {"m": "want", "runs": [entry], "devices": False}}) as client:
        assert client.hello["wanted"] is True
        client.wait_for("detailed", run=1)
        assert client.told.points(1, "train/loss")


def test_the_run_that_will_be_looked_at_first_comes_once(store):
    with AgentClient(store, hello={"first": True}) as client:
        client.send("want", runs=[], devices=False)
        client.wait_for("detailed", run=2)  # the one that runs, though another is newer
        assert {run for run, _ in client.told.curves} == {2}
        seen = len(client.told.points(2, "train/loss"))
        upto = dict(client.told.upto[2])
        client.listed()
        client.want({"run": 2, "level": "all", "keys": upto, "scores": client.told.scored[2]})
        client.wait_for("detailed", run=2)
        assert not [message for message in client.messages if message["m"] == "curve"]
        with closing(Database.open(store)) as database, database.write() as connection:
            columns, values = "run_id, key, step, epoch, time, value", "2, 'train/loss', 999, 9, 9, 9"
            connection.exec_driver_sql(f"INSERT INTO metric ({columns}) VALUES ({values})")
        client.wait(lambda: len(client.told.points(2, "train/loss")) == seen + 1, "what is new of it")


def test_a_mirror_keeps_what_comes_unasked(ssh_hosts):
    hosts = ssh_hosts("gpu1")
    with closing(Database.open(hosts["gpu1"].home / "runs.db")) as database:
        new_run(database, "phase-1").start().train(2)
    host = hosts.host("gpu1")
    mirror = Mirror.open(host)
    link = Link(host, mirror, ssh=hosts.ssh, on_change=lambda: None)
    link.start()
    try:
        link.wait_listed(30)
        link.want([1])
        link.wait_detailed(1, 30)
        with closing(sqlite3.connect(mirror.path)) as connection:
            known = dict(connection.execute("SELECT key, upto FROM mirror_curve").fetchall())
        assert known["train/loss"] > 0
    finally:
        link.stop()


def test_dense_batches_among_others_come_out_as_they_went_in():
    rng = random.Random(1)
    sent: list[Message] = []
    stream = bytearray()
    sender = Sender(stream.extend)
    for _ in range(120):
        words = "again and " * rng.randrange(3000)
        data = base64.b64encode(rng.randbytes(rng.choice((100, 40_000)))).decode()
        sent.append({"m": "x", "words": words} if rng.random() < 0.5 else {"m": "chunk", "data": data})
        sender.send(sent[-1])
    receiver = Receiver()
    heard = [message for at in range(0, len(stream), 999) for message in receiver.feed(stream[at : at + 999])]
    assert heard == sent
    assert sender.sent == len(stream)
