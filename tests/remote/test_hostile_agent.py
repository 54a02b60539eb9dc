"""Agents that mean harm: whatever they do, the host is offline with a reason, or nothing happens."""

import os
import resource
import threading
from dataclasses import replace

import pytest

from lvmtui.remote.connection import Timing
from lvmtui.remote.link import Link
from lvmtui.remote.mirrors.mirror import Mirror
from lvmtui.snapshot import Contact
from tests.remote.scripted import agent

PATIENT = Timing(greeting=30.0, silence=3.0, ping=0.1, first_retry=500.0, last_retry=500.0)
QUICK = replace(PATIENT, greeting=2.0)

GREETED = """
read_line()
greet()
stream = zlib.compressobj()

def say(data):
    write(stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))

"""


@pytest.fixture
def attack(ssh_hosts):
    """Links to a host whose agent is given; checks at the end that the link can be ended."""
    hosts = ssh_hosts("gpu1")
    links = []

    def start(script, timing=PATIENT):
        hosts["gpu1"].install(agent(script))
        host = hosts.host("gpu1")
        link = Link(host, Mirror.open(host), ssh=hosts.ssh, on_change=lambda: None, timing=timing)
        links.append(link)
        link.start()
        return link

    yield start
    for link in links:
        link.stop()
    assert not any(thread.name.startswith("link-") for thread in threading.enumerate())


def offline(link, words=""):
    return lambda: link.view.contact is Contact.OFFLINE and words in link.view.reason


BEFORE = {
    "endless noise": ("while True: write(os.urandom(65536))", "not lvmtui"),
    "endless lines": ("while True: write(b'hello\\n' * 10000)", "not lvmtui"),
    "an endless line": ("while True: write(b'x' * 65536)", "not lvmtui"),
    "endless errors": ("while True: os.write(2, b'x' * 65536)", "not lvmtui"),
    "an endless greeting": ("write(wire.AGENT)\nwhile True: write(b'x' * 65536)", "not lvmtui"),
    "no JSON": ("write(wire.AGENT + b'hello\\n'); live()", "makes no sense"),
    "no object": ("write(wire.AGENT + b'[1]\\n'); live()", "makes no sense"),
    "not UTF-8": ('write(wire.AGENT + b\'{"m":"\\xff"}\\n\'); live()', "makes no sense"),
    "nested": ("write(wire.AGENT + b'[' * 16000 + b'\\n'); live()", "makes no sense"),
    "a long greeting": (
        "write(wire.greeting(wire.AGENT, dict(m='hello', x='x' * 20000))); live()",
        "makes no sense",
    ),
    "another protocol": ("greet(protocol='1'); live()", "version ? of the protocol"),
    "a huge protocol": ("greet(protocol=10**400); live()", "version ? of the protocol"),
    "a true protocol": ("greet(protocol=True); live()", "version ? of the protocol"),
    "a dribble": ("while True: write(b'.'); time.sleep(0.05)", "no answer within 2 s"),
    "two loaders": (
        "write(wire.LOADER + b'{\"m\":\"hello\"}\\n' * 2)\nwhile True: write(b'x' * 65536)",
        "not lvmtui",
    ),
    "a loader of nonsense": ("write(wire.LOADER + b'nonsense\\n'); live()", "makes no sense"),
    "nothing": ("os.close(1); time.sleep(1000)", ""),
    "nothing at all": ("sys.exit(0)", "code 0"),
}


@pytest.mark.parametrize("what", BEFORE)
def test_before_the_greeting(attack, wait_until, what):
    script, words = BEFORE[what]
    link = attack(script, QUICK if what in {"a dribble", "nothing"} else PATIENT)
    wait_until(offline(link, words), f"that {what} is noticed", 40)
    assert link.view.reason
    assert link.view.reason.isprintable()


AFTER = {
    "garbage": ("while True: write(os.urandom(65536))", "compressed"),
    "text": ("while True: write(b'hello\\n')", "compressed"),
    "an end": ('write(zlib.compress(b\'{"m":"x"}\\n\')); live()', "ended from the other side"),
    "a bomb": ("say(bytes(1 << 25)); time.sleep(1000)", "larger than"),
    "an endless line": (
        "c = zlib.compressobj()\nwhile True: write(c.compress(b'x' * 65536) + c.flush(zlib.Z_SYNC_FLUSH))",
        "larger than",
    ),
    "empty lines": ("say(b'\\n' * (1 << 26)); time.sleep(1000)", "no JSON"),
    "not a message": ("say(b'[]\\n'); time.sleep(1000)", "what it is"),
    "a number of 5000 digits": (
        "say(b'{\"m\":\"x\",\"n\":' + b'9' * 5000 + b'}\\n'); time.sleep(1000)",
        "no JSON",
    ),
    "nested": ("say(b'[' * 500000 + b'\\n'); time.sleep(1000)", "no JSON"),
    "rows without columns": ("send(dict(m='rows', table='run', rows=[[1]])); live()", "makes no sense"),
    "silence": ("send(LISTED); time.sleep(1000)", "nothing has come"),
    "leaving": ("send(LISTED); sys.exit(0)", "code 0"),
    "closing": ("send(LISTED); os.close(1); time.sleep(1000)", ""),
}


@pytest.mark.parametrize("what", AFTER)
def test_after_the_greeting(attack, wait_until, what):
    script, words = AFTER[what]
    link = attack(GREETED + script)
    wait_until(offline(link, words), f"that {what} is noticed", 40)
    assert link.view.reason
    assert link.view.reason.isprintable()
    assert link.view.news is not None


def test_one_that_takes_nothing_in(attack, wait_until):
    link = attack(GREETED + "send(LISTED)\nwhile True: send(dict(m='beat')); time.sleep(0.1)")
    link.wait_listed(20)

    while link.view.contact is Contact.LIVE:
        link.zoom(1, [os.urandom(50_000).hex()], "step", 0.0, 1.0)
    wait_until(offline(link, "takes nothing in"), "that it is noticed")


WRONG = """
text = "x" * 5000 + "\\x1b[31m\\u202e"
wrong = [None, True, -1, 1e308, 10**30, text, text[4990:], [], {}, [[1]], {"a": {"b": 1}}]
for value in wrong:
    send(dict(m="beat", time=value, echo=value))
    send(dict(m="answer", id=value, ok=value, words=value, hint=value, data=value))
    send(dict(m="problem", text=value, hint=value))
    send(dict(m="devices", samples=value))
    send(dict(m="devices", samples=[value, dict(host=value, device=value, name=value, time=value)]))
    send(dict(m="detailed", run=value), dict(m="chunk", data=value), dict(m="unheard of"), dict(m=str(value)))
send(dict(m="problem", text="", hint=""))
send(LISTED)
live()
"""


def test_values_of_the_wrong_kind_do_nothing(attack, wait_until):
    link = attack(GREETED + WRONG)
    link.want([1], devices=True)
    wait_until(lambda: link.view.is_whole, "the list")
    assert link.view.reason == ""
    wait_until(lambda: link.view.round_trip is not None, "an answer")
    assert abs(link.view.skew) < 1
    assert all(isinstance(sample.time, float) for sample in link.live_devices)


def test_a_greeting_of_the_wrong_kinds(attack, wait_until):
    link = attack(
        "read_line(); greet(version=['x'], store='\\x1b[2J' + 's' * 9000, mode=3, why={'a': 1}, time='now')\n"
        "send(LISTED); live()"
    )
    link.wait_listed(20)
    view = link.view
    assert view.version == ""
    assert len(view.store) <= 1024
    assert (view.store + view.readonly).isprintable()
    assert view.readonly


FLOODS = {
    "messages that nobody knows": """
c = zlib.compressobj()
block = b'{"m":""}\\n' * 100_000
while True: write(c.compress(block) + c.flush(zlib.Z_SYNC_FLUSH))
""",
    "problems": """
while True:
    for number in range(1000): send(dict(m="problem", text=f"problem {number}", hint="x" * 1000))
""",
    "lists": "while True: send(*[LISTED] * 100)",
    "details": """
number = 0
while True:
    send(*[dict(m="detailed", run=number + k) for k in range(1000)])
    number += 1000
""",
    "errors": "send(LISTED)\nwhile True: os.write(2, b'x' * 65536)",
}


@pytest.mark.parametrize("what", FLOODS)
def test_floods_hold_nobody_up(attack, wait_until, what):
    link = attack(GREETED + FLOODS[what])
    wait_until(lambda: link.view.contact is Contact.LIVE, "the connection")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    turns = []
    wait_until(lambda: turns.append(1) or len(turns) > 50, "turns of this thread", 20)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024  # KiB
    link.stop()
    assert not any(thread.name.startswith("link-") for thread in threading.enumerate())
