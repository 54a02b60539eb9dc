"""Links to real sshds on loopback: what goes wrong, and that it comes right again."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace

import psutil
import pytest

from lvmtui.errors import RemoteError
from lvmtui.remote.connection import Timing
from lvmtui.remote.hosts import Host
from lvmtui.remote.link import Link
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.snapshot import Contact
from tests.remote.conftest import Hosts
from tests.remote.scripted import WELL_BEHAVED, agent

QUICK = Timing(greeting=30.0, silence=1.0, ping=0.1, first_retry=0.05, last_retry=0.4, lasting=30.0)


@pytest.fixture
def linked(ssh_hosts):
    """Starts links; they are stopped at the end."""
    links = []

    def start(hosts, name="gpu1", *, host=None, timing=QUICK, on_change=lambda: None, **more):
        host = host or hosts.host(name)
        link = Link(host, Mirror.open(host), ssh=hosts.ssh, on_change=on_change, timing=timing, **more)
        links.append(link)
        link.start()
        return link

    yield start
    for link in links:
        link.stop()


@pytest.fixture
def gpu(ssh_hosts):
    """One machine with an agent that behaves."""
    hosts = ssh_hosts("gpu1")
    hosts["gpu1"].install(WELL_BEHAVED)
    return hosts


def is_live(link):
    return lambda: link.view.contact is Contact.LIVE and link.view.is_whole


def is_offline(link, words=""):
    return lambda: link.view.contact is Contact.OFFLINE and words in link.view.reason


def started():
    """What this process has started, but for the machines of the tests."""
    return [child for child in psutil.Process().children() if child.name() != "sshd"]


def test_a_host_that_is_there(gpu, linked, wait_until):
    changes = []
    link = linked(gpu, on_change=lambda: changes.append(link.view))
    link.wait_listed(20)
    wait_until(lambda: link.view.round_trip is not None, "the round trip")
    view = link.view
    assert (view.contact, view.is_whole, view.version) == (Contact.LIVE, True, "0.2.0")
    assert (view.store, view.readonly, view.reason) == ("/home/me/runs.db", "", "")
    assert (view.news, view.next_try) == (None, None)
    assert abs(view.skew) < 1
    assert changes == list(dict.fromkeys(changes))  # never told twice of the same


def test_stopping_ends_everything(gpu, linked, wait_until):
    link = linked(gpu)
    link.wait_listed(20)
    assert gpu["gpu1"].agents()
    link.stop()
    assert not any("link-" in thread.name for thread in threading.enumerate())
    wait_until(lambda: not gpu["gpu1"].agents(), "the agent's end")
    assert not started()
    link.stop()
    with pytest.raises(RemoteError, match="ended"):
        link.wait_detailed(1, 5)


def test_a_connection_that_breaks_off(gpu, linked, wait_until):
    link = linked(gpu)
    link.wait_listed(20)
    before = time.time()
    gpu["gpu1"].proxy.hold()
    gpu["gpu1"].proxy.cut()
    wait_until(is_offline(link), "that it is offline")
    view = link.view
    assert view.reason
    assert before - 5 < view.news <= time.time()
    assert (view.is_whole, view.version) == (False, "0.2.0")
    gpu["gpu1"].proxy.go_on()
    wait_until(is_live(link), "that it is back")
    assert link.view.news is None


def test_a_connection_through_which_nothing_comes(gpu, linked, wait_until):
    link = linked(gpu)
    link.wait_listed(20)
    gpu["gpu1"].proxy.hold()
    wait_until(is_offline(link, "nothing has come from it for 1 s"), "that it is offline")
    gpu["gpu1"].proxy.go_on()
    link.retry_now()
    wait_until(is_live(link), "that it is back")


def test_an_sshd_that_is_stopped_in_its_tracks(gpu, linked, wait_until):
    link = linked(gpu)
    link.wait_listed(20)
    gpu["gpu1"].freeze()
    wait_until(is_offline(link, "nothing has come"), "that it is offline")
    gpu["gpu1"].thaw()
    link.retry_now()
    wait_until(is_live(link), "that it is back")


def test_an_agent_that_is_killed(gpu, linked, wait_until):
    link = linked(gpu)
    link.wait_listed(20)
    gpu["gpu1"].kill_agents()
    wait_until(is_offline(link), "that it is offline")
    wait_until(is_live(link), "that it is back")


def test_a_machine_that_is_switched_off(gpu, linked, wait_until):
    gpu["gpu1"].stop()
    link = linked(gpu)
    wait_until(is_offline(link), "that it is offline")
    assert "closes the connection" in link.view.reason or "refuses" in link.view.reason
    assert link.view.news is None
    with pytest.raises(RemoteError, match="gpu1: it "):
        link.wait_listed(10)
    gpu["gpu1"].start()
    wait_until(is_live(link), "that it is back")


def test_tries_again_later_and_later_but_at_once_when_told(gpu, linked, wait_until):
    gpu["gpu1"].refuse_key()
    timing = Timing(greeting=30.0, first_retry=0.05, last_retry=500.0)
    link = linked(gpu, timing=timing)
    wait_until(is_offline(link, "no key of yours"), "that it is offline")
    assert link.view.next_try - time.time() > 300  # somebody has to do something first
    gpu["gpu1"].allow_key()
    link.retry_now()
    wait_until(is_live(link), "that it is back")


def test_a_changed_host_key(gpu, linked, wait_until):
    link = linked(gpu)
    link.wait_listed(20)
    gpu["gpu1"].change_host_key()
    wait_until(is_offline(link, "host key has changed"), "that it is refused")
    assert "`ssh gpu1`" in link.view.hint
    gpu["gpu1"].know_host_key()
    link.retry_now()
    wait_until(is_live(link), "that it is back")


def test_an_unknown_host_key(gpu, linked, wait_until):
    gpu["gpu1"].forget_host_key()
    link = linked(gpu)
    wait_until(is_offline(link, "host key is not known"), "that it is refused")
    with pytest.raises(RemoteError, match="not known here") as caught:
        link.wait_listed(10)
    assert "fingerprint" in caught.value.hint


def test_a_name_that_nobody_knows(gpu, linked, wait_until):
    link = linked(gpu, host=Host("gone", "no-such-host.invalid"))
    wait_until(is_offline(link), "that it is offline")
    assert "name" in link.view.reason


def test_an_ssh_that_is_not_there(gpu, linked, wait_until):
    host = gpu.host("gpu1")
    link = Link(host, Mirror.open(host), ssh=["/nowhere/ssh"], on_change=lambda: None, timing=QUICK)
    link.start()
    wait_until(is_offline(link, "could not be started"), "that it is offline")
    link.stop()


def test_a_host_that_hangs_before_it_greets(gpu, linked, wait_until):
    gpu["gpu1"].install(agent("time.sleep(1000)"))
    link = linked(gpu, timing=Timing(greeting=0.5, first_retry=500.0))
    wait_until(is_offline(link, "no answer within 0 s"), "that it is offline")


def test_another_version_of_the_protocol(gpu, linked, wait_until):
    gpu["gpu1"].install(agent("read_line(); greet(protocol=2); live()"))
    link = linked(gpu)
    wait_until(is_offline(link, "version 2 of the protocol"), "that it is offline")
    assert link.view.hint == "Update lvmtui here."
    link.stop()
    gpu["gpu1"].install(agent("read_line(); greet(protocol=0); live()"))
    link = linked(gpu)
    wait_until(is_offline(link, "version 0 of the protocol"), "that it is offline")
    assert link.view.hint == "Update lvmtui on gpu1."


def test_a_login_shell_that_prints_things(gpu, linked):
    noise = "write(b'Welcome!\\n\\x1b]0;title\\x07' + b'#' * 50000 + b'\\nprompt> ');"
    gpu["gpu1"].install(agent(f"{noise} read_line(); greet(); send(LISTED); live()"))
    linked(gpu).wait_listed(20)


def test_errors_on_the_way_do_not_explain_what_happens_later(gpu, linked, wait_until):
    script = """
sys.stderr.write("Permission denied (publickey).\\n")
sys.stderr.flush()
read_line()
greet()
next(incoming())
sys.exit(3)
"""
    gpu["gpu1"].install(agent(script))
    link = linked(gpu)
    wait_until(is_offline(link, "ended with code 3"), "that it is offline")


def test_what_is_wanted_is_told_again_after_a_break(gpu, linked, wait_until):
    script = """
hello = read_line()
greet()
send(LISTED)
def answer(message):
    if message["m"] == "want":
        heard = [[run["run"], run["level"]] for run in message["runs"]]
        send(dict(m="problem", text=json.dumps(heard), hint=""))
        for run in message["runs"]:
            send(dict(m="detailed", run=run["run"]))
live(answer)
"""
    gpu["gpu1"].install(agent(script))
    link = linked(gpu)
    link.want([3, 1], [2, 3])
    said = '[[3, "all"], [1, "all"], [2, "few"]]'
    wait_until(lambda: link.view.reason == said, "what the agent has heard")
    link.wait_detailed(2, 10)
    with pytest.raises(RemoteError, match="in time"):
        link.wait_detailed(4, 0.05)
    gpu["gpu1"].proxy.cut()
    wait_until(is_offline(link), "that it is offline")
    wait_until(lambda: link.view.reason == said, "what the agent has heard")
    link.wait_detailed(1, 10)


def test_a_store_that_is_not_there(gpu, linked):
    script = (
        'read_line(); greet(); send(dict(m="problem", text="there is no store", hint="make one")); live()'
    )
    gpu["gpu1"].install(agent(script))
    link = linked(gpu)
    with pytest.raises(RemoteError, match="gpu1: there is no store") as caught:
        link.wait_listed(20)
    assert caught.value.hint == "make one"


def test_readings_of_sensors(gpu, linked, wait_until):
    script = """
read_line(); greet(); send(LISTED)
def answer(message):
    if message["m"] == "want" and message["devices"]:
        good = dict(host="box", device="gpu0", name="H200", time=time.time(), utilisation=0.5)
        other = dict(good, device="cpu", utilisation="much")
        send(dict(m="devices", samples=[good, {"host": 3}, 5, None, other]))
live(answer)
"""
    gpu["gpu1"].install(agent(script))
    link = linked(gpu)
    link.wait_listed(20)
    assert link.live_devices == ()
    link.want([], devices=True)
    wait_until(lambda: link.live_devices, "readings")
    assert [(s.device, s.utilisation) for s in link.live_devices] == [("gpu0", 0.5), ("cpu", None)]
    link.want([])
    wait_until(lambda: not link.live_devices, "that they are forgotten")


REQUESTS = """
hello = read_line()
greet()
send(LISTED)
def answer(message):
    if message["m"] == "do":
        with open("done", "a") as file:
            file.write(message["id"] + "\\n")
        ok = message["what"] == "stop"
        send(dict(m="answer", id=message["id"], ok=ok, words="done #17", hint="", data={}))
live(answer)
"""


def test_requests_are_answered(gpu, linked, wait_until):
    gpu["gpu1"].install(agent(REQUESTS))
    link = linked(gpu)
    link.wait_listed(20)
    pending = link.request("stop", {"run": 17}, "stop #17@gpu1", None)
    answer = pending.wait(20)
    assert answer.ok
    assert answer.words == "done #17@gpu1"
    wait_until(lambda: link.view.pending == (), "that nothing is pending")
    assert not link.request("start", {"run": 17}, "start #17@gpu1", None).wait(20).ok


def test_requests_wait_for_a_host_that_is_away(gpu, linked, wait_until, tmp_path):
    from lvmtui.remote.outbox import Outbox

    gpu["gpu1"].install(agent(REQUESTS))
    gpu["gpu1"].refuse_key()
    link = linked(gpu, outbox=Outbox(tmp_path / "outbox.db"))
    wait_until(is_offline(link), "that it is offline")
    first = link.request("stop", {"run": 1}, "stop #1@gpu1", None)
    second = link.request("stop", {"run": 2}, "stop #2@gpu1", None)
    assert [request.words for request in link.view.pending] == ["stop #1@gpu1", "stop #2@gpu1"]
    assert link.withdraw(second.id)
    link.forget(link.request("gates", {"run": 1}, "gates #1@gpu1", None).id)
    assert [request.id for request in link.view.pending] == [first.id]
    gpu["gpu1"].allow_key()
    link.retry_now()
    assert first.wait(20).ok
    assert second.wait(0) is None
    assert (gpu["gpu1"].home / "done").read_text().split() == [first.id]
    assert not link.withdraw(first.id)


def test_nothing_is_asked_of_a_host_that_only_reads(gpu, linked, wait_until, tmp_path):
    from lvmtui.remote.outbox import Outbox

    gpu["gpu1"].install(agent('read_line(); greet(mode="readonly", why="it said so"); send(LISTED); live()'))
    outbox = Outbox(tmp_path / "outbox.db")
    early = outbox.put("stop", {"run": 1}, "stop #1@gpu1", None)
    link = linked(gpu, outbox=outbox)
    link.wait_listed(20)
    assert link.view.readonly == "it said so"
    with pytest.raises(RemoteError, match="it said so"):
        link.request("stop", {"run": 1}, "stop #1@gpu1", None)
    wait_until(lambda: link.view.pending == (), "that nothing is pending")
    answer = outbox.answer(early)
    assert not answer.ok
    assert "it said so" in answer.words


def test_a_lvmtui_that_may_change_nothing(gpu, linked):
    script = """
hello = json.loads(read_line()[14:])
greet(store=str(hello["readonly"]))
send(LISTED)
live()
"""
    gpu["gpu1"].install(agent(script))
    link = linked(gpu, readonly=True)
    link.wait_listed(20)
    assert link.view.store == "True"
    assert link.view.readonly == "", "that is not the host's doing"
    with pytest.raises(RemoteError, match="readonly"):
        link.request("stop", {"run": 1}, "stop #1@gpu1", None)


def test_ssh_ends_with_the_program_that_started_it(gpu, wait_until, tmp_path):
    script = f"""
import sys, time
sys.path.insert(0, {os.getcwd()!r})
from lvmtui.remote.hosts import Host
from lvmtui.remote.link import Link
from lvmtui.remote.mirrors.mirror import Mirror
host = Host("gpu1", "gpu1")
link = Link(host, Mirror.open(host), ssh={list(gpu.ssh)!r}, on_change=lambda: None)
link.start()
link.wait_listed(20)
print("live", flush=True)
time.sleep(1000)
"""
    words = [sys.executable, "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"live\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(child.is_running() for child in children), "the end of ssh")
    wait_until(lambda: not gpu["gpu1"].agents(), "the end of the agent")


def test_an_ssh_that_does_not_end_is_killed(gpu, linked, tmp_path, wait_until):
    stubborn = tmp_path / "stubborn"
    stubborn.write_text(
        f"#!{sys.executable}\nimport signal, time\nsignal.signal(15, signal.SIG_IGN)\n"
        "print('up', flush=True)\ntime.sleep(1000)\n"
    )
    stubborn.chmod(0o755)
    host = gpu.host("gpu1")
    link = Link(host, Mirror.open(host), ssh=[str(stubborn)], on_change=lambda: None)
    link.start()
    wait_until(started, "the program")
    child = started()[0]
    link.stop()
    wait_until(lambda: not child.is_running(), "its end", 5)
    assert not any(thread.name == "link-gpu1" for thread in threading.enumerate())


@pytest.fixture
def short_folder():
    """Paths of sockets must be short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield name


def test_a_shared_connection_of_ssh(gpu, linked, tmp_path, short_folder):
    settings = tmp_path / "mux"
    settings.write_text(
        f"Include {gpu.ssh[-1]}\n"
        f"Host *\n  ControlMaster auto\n  ControlPath {short_folder}/%C\n  ControlPersist 60\n"
    )
    try:
        for _ in range(2):
            link = linked(Hosts(("ssh", "-F", str(settings)), gpu.machines))
            link.wait_listed(20)
            link.stop()
        assert gpu["gpu1"].proxy.connections <= 2  # one looks whether the proxy listens
    finally:
        subprocess.run(["ssh", "-F", str(settings), "-O", "exit", "gpu1"], capture_output=True, check=False)


def test_a_request_that_is_too_long_is_answered_here(gpu, linked, wait_until):
    gpu["gpu1"].install(agent(REQUESTS))
    link = linked(gpu)
    link.wait_listed(20)
    answer = link.request("annotate", {"text": "x" * (1 << 20)}, "note #1@gpu1", None).wait(20)
    assert not answer.ok
    assert "too long" in answer.words
    assert link.request("stop", {"run": 1}, "stop #1@gpu1", None).wait(20).ok


def test_nobody_who_is_told_can_end_the_link(gpu, linked, wait_until):
    def broken():
        raise ZeroDivisionError

    gpu["gpu1"].refuse_key()
    link = linked(gpu, on_change=broken)
    wait_until(is_offline(link), "that it is offline")
    gpu["gpu1"].allow_key()
    link.retry_now()
    wait_until(is_offline(link, "ZeroDivisionError"), "that it is said")


def test_a_machine_that_asks_for_a_password(gpu, linked, wait_until):
    settings = gpu["gpu1"].folder / "sshd_config"
    settings.write_text(
        settings.read_text().replace("PasswordAuthentication no", "PasswordAuthentication yes")
    )
    gpu["gpu1"].stop()
    gpu["gpu1"].refuse_key()
    gpu["gpu1"].start()
    link = linked(gpu)
    wait_until(is_offline(link, "it wants a password"), "that it is offline")
    assert "ssh-copy-id gpu1" in link.view.hint


def test_a_machine_behind_another(ssh_hosts, linked, tmp_path, wait_until):
    hosts = ssh_hosts("gpu1", "gate")
    hosts["gpu1"].install(WELL_BEHAVED)
    settings = tmp_path / "jump"
    settings.write_text(f"Include {hosts.ssh[-1]}\nHost gpu1\n  ProxyJump gate\n")
    link = linked(Hosts(("ssh", "-F", str(settings)), hosts.machines))
    link.wait_listed(20)
    hosts["gate"].proxy.cut()
    wait_until(is_offline(link), "that it is offline")
    wait_until(is_live(link), "that it is back")
    link.stop()
    assert not started()
    hosts["gate"].stop()
    link = linked(Hosts(("ssh", "-F", str(settings)), hosts.machines))
    wait_until(is_offline(link), "that it is offline")


def test_a_machine_is_doubted_after_this_one_has_slept(gpu, linked, wait_until, monkeypatch):
    link = linked(gpu, timing=replace(QUICK, silence=500.0))
    link.wait_listed(20)
    clock = time.time
    gpu["gpu1"].proxy.hold()
    monkeypatch.setattr("lvmtui.remote.conversation.SLEEP_SECONDS", 0.5)
    monkeypatch.setattr(time, "time", lambda: clock() + 3600)
    wait_until(is_offline(link, "nothing has come"), "that it is offline")
