"""An agent that says what a test has written, in place of lvmtui on a host."""

import sys
from pathlib import Path

_BEGIN = f"""#!{sys.executable}
import json, os, sys, threading, time, zlib
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from lvmtui.remote.agent import wire

def write(data):
    while data:
        data = data[os.write(1, data):]

def read_line():
    line = b""
    while not line.endswith(b"\\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return line

def greet(**more):
    about = dict(m="hello", protocol=wire.PROTOCOL, version="0.2.0", python="3.11.2", host="box",
        store="/home/me/runs.db", mode="full", why="", time=time.time(), agent="a1")
    write(wire.greeting(wire.AGENT, dict(about, **more)))

sender = wire.Sender(write)
receiver = wire.Receiver()
lock = threading.Lock()

def send(*messages):
    with lock:
        sender.send(*messages)

def incoming():
    while True:
        data = os.read(0, 65536)
        if not data:
            sys.exit(0)
        for message in receiver.feed(data):
            yield message

def live(answer=lambda message: None):
    for message in incoming():
        if message["m"] == "ping":
            send(dict(m="beat", time=time.time(), echo=message["time"]))
        else:
            answer(message)

HAVE = dict(made=1.0, revision=1, evaluation=0, event=0, promotion=0, latency=0, device=0)
LISTED = dict(m="listed", have=HAVE)
if sys.argv[1:] != ["agent", "--stdio"]:
    sys.exit(2)
"""


def agent(script: str) -> str:
    """Text of a program for `SshHost.install`. The script can use `hello = read_line()`, `greet(…)`,
    `send(…)`, `incoming()`, `live(answer)` and `LISTED`."""
    return _BEGIN + script


WELL_BEHAVED = agent("""
hello = read_line()
greet()
send(LISTED)
live()
""")
