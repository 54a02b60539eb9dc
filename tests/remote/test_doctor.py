"""The steps to a host, over a real sshd: which fails, why, and what to do."""

import json
from pathlib import Path

import pytest

from lvmtui.cli import main
from lvmtui.doctor import Check
from lvmtui.remote import host_doctor
from lvmtui.remote.connection import Timing
from lvmtui.remote.host_doctor import examine_host
from lvmtui.remote.hosts import Host
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.records import NewRun

STEPS = ["name", "port", "host key", "key", "python", "lvmtui", "store", "changes", "clock"]


@pytest.fixture
def hosts(ssh_hosts):
    """One machine with a store of one run."""
    found = ssh_hosts("gpu1")
    make_store(found["gpu1"].home / "runs.db")
    return found


def make_store(path: Path) -> None:
    database = Database.open(path)
    new = NewRun("p", "{}", "h", 0, "gru", 8, "hit5", "demo", 1, 1)
    Controller(database).create_run(new)
    database.close()


def steps(hosts, **values: object) -> dict[str, Check]:
    host = hosts.host("gpu1", **values)
    return {check.name: check for check in examine_host(host, hosts.ssh, timing=Timing(greeting=15.0))}


def last(hosts, **values: object) -> Check:
    """The step that failed."""
    *before, found = steps(hosts, **values).values()
    assert all(check.passed is not False for check in before)
    assert found.passed is False
    return found


def test_a_good_host_passes_every_step(hosts) -> None:
    found = steps(hosts)
    assert list(found) == STEPS
    assert all(check.passed for check in found.values())
    assert "127.0.0.1 port" in found["name"].words
    assert found["port"].words.startswith("SSH-2.0-OpenSSH")
    assert "ssh-ed25519 SHA256:" in found["host key"].words
    assert "accepted by publickey" in found["key"].words
    assert "protocol 1" in found["lvmtui"].words
    assert found["store"].words == f"{hosts['gpu1'].home / 'runs.db'}, 1 runs"
    assert found["clock"].words.startswith("as here")


def test_a_name_that_nobody_has() -> None:
    (check,) = examine_host(Host("x", "no-such-host.invalid"), ("ssh", "-F", "none"))
    assert (check.name, check.passed) == ("name", False)
    assert "cannot be looked up" in check.words
    assert "~/.ssh/config" in check.hint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("no-such-ssh",), "could not be started"),
        (("ssh", "-F", "/no/such/file"), "your ssh settings are wrong"),
        (("ssh", "-oNoSuchThing=1"), "your ssh settings are wrong"),
    ],
)
def test_settings_of_ssh_that_are_wrong(words: tuple[str, ...], said: str) -> None:
    (check,) = examine_host(Host("x", "localhost"), words)
    assert (check.name, check.passed) == ("ssh", False)
    assert said in check.words


def test_a_port_that_nobody_listens_on(hosts) -> None:
    hosts["gpu1"].proxy.stop()
    check = last(hosts)
    assert (check.name, check.hint) == ("port", "Is its sshd running, on that port?")
    assert "refuses connections" in check.words


def test_a_port_where_nobody_answers(hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_doctor, "CONNECT_SECONDS", 0.3)
    hosts["gpu1"].proxy.hold()
    check = last(hosts)
    assert check.name == "port"
    assert "says nothing" in check.words


def test_a_host_key_that_has_changed(hosts) -> None:
    hosts["gpu1"].change_host_key()
    check = last(hosts)
    assert check.name == "host key"
    assert "has changed" in check.words
    assert "SHA256:" in check.words
    assert "`ssh gpu1` says how to forget" in check.hint


def test_a_host_key_that_is_not_known(hosts) -> None:
    hosts["gpu1"].forget_host_key()
    check = last(hosts)
    assert check.name == "host key"
    assert "not known here: it shows ssh-ed25519 SHA256:" in check.words
    assert "ssh gpu1" in check.hint


def test_a_key_that_is_not_accepted(hosts) -> None:
    hosts["gpu1"].refuse_key()
    check = last(hosts)
    assert check.name == "key"
    assert "1 of yours offered" in check.words
    assert "ssh-copy-id gpu1" in check.hint


def test_a_way_through_another_machine_is_not_looked_at_here(hosts, tmp_path: Path) -> None:
    proxied = tmp_path / "proxied"
    text = hosts["gpu1"].config.read_text()
    port = next(line.split()[1] for line in text.splitlines() if line.split()[:1] == ["Port"])
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import os, select, socket, sys\n"
        f"s = socket.create_connection(('127.0.0.1', {port}))\n"
        "while True:\n"
        "    for f in select.select([0, s], [], [])[0]:\n"
        "        data = os.read(0, 65536) if f == 0 else s.recv(65536)\n"
        "        if not data:\n"
        "            sys.exit()\n"
        "        s.sendall(data) if f == 0 else os.write(1, data)\n"
    )
    proxied.write_text(f"Host gpu1\n  ProxyCommand python3 {relay}\n{text}")
    found = {check.name: check for check in examine_host(Host("gpu1", "gpu1"), ("ssh", "-F", str(proxied)))}
    assert list(found) == [name for name in STEPS if name != "port"]
    assert found["name"].passed is None
    assert "by way of python3" in found["name"].words
    assert found["store"].passed


def test_no_python_and_no_lvmtui(hosts) -> None:
    hosts["gpu1"].uninstall()
    hosts["gpu1"].set_python(None)
    check = last(hosts)
    assert check.name == "python"
    assert "neither lvmtui nor Python" in check.words


def test_without_lvmtui_runs_can_be_watched(hosts) -> None:
    hosts["gpu1"].uninstall()
    found = steps(hosts)
    assert list(found) == [name for name in STEPS if name != "changes"]
    assert found["lvmtui"].passed is None
    assert "watched, not changed" in found["lvmtui"].words
    assert found["store"].passed


def test_an_lvmtui_that_is_not_where_it_was_said_to_be(hosts) -> None:
    check = last(hosts, command=("/no/such/lvmtui",))
    assert check.name == "lvmtui"
    assert "`command`" in check.hint


def test_a_store_that_is_not_there(hosts) -> None:
    check = last(hosts, store="nowhere/runs.db")
    assert check.name == "store"
    assert "nowhere/runs.db" in check.words
    assert check.hint


def test_a_read_only_agent_says_why(hosts) -> None:
    text = (hosts["gpu1"].programs / "lvmtui").read_text().replace('"$@"', '"$@" --readonly')
    hosts["gpu1"].install(text)
    found = steps(hosts)
    assert found["changes"].passed is None
    assert "--readonly" in found["changes"].words


def test_clocks_that_are_apart() -> None:
    heard = host_doctor._Heard(skew=-40.0, round_trip=0.1)
    check = host_doctor._clock(heard)
    assert check.passed is False
    assert not check.needed
    assert check.words == "40.0 s behind of this machine's; round trip 100 ms"


def test_the_command_lines(hosts, monkeypatch, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LVMTUI_SSH", " ".join(hosts.ssh))
    assert main(["doctor", "--host", "gpu1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "gpu1 (gpu1)"
    assert [line.split(":")[0].split(maxsplit=2)[2] for line in printed[1:]] == STEPS
    hosts["gpu1"].refuse_key()
    assert main(["hosts", "add", "gpu1"]) == 0
    assert main(["hosts", "test", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["gpu1"][-1]["name"] == "key"
    assert main(["hosts", "test", "gpu1"]) == 1
    assert "✖ broken    key: it accepts no key of yours" in capsys.readouterr().out


def test_without_hosts_there_is_nothing_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hosts", "test"]) == 2
    assert "hosts add" in capsys.readouterr().err
