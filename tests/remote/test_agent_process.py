"""The agent as a process: how it begins and ends, and how it gets along with slow, silent and odd clients."""

import ast
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lvmtui.remote import measuring
from lvmtui.remote import stdio as command
from lvmtui.remote.agent import serving, session
from lvmtui.remote.agent.wire import AGENT, CLIENT, PROTOCOL, Message, Receiver, Sender, WireError, greeting
from lvmtui.store.database import Database
from lvmtui.store.records import MetricPoint
from tests.remote.agent_client import COMMAND, AgentClient
from tests.tui import stores

PACKAGE = Path(serving.__file__).parent


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return stores.filled(tmp_path / "runs.db")


def gone(agent: AgentClient, seconds: float = 10.0) -> int:
    """Wait for the agent's end; its exit code."""
    return agent.process.wait(timeout=seconds)


def test_the_agent_needs_the_standard_library_of_python_3_9_alone() -> None:
    ours = "lvmtui.remote.agent"
    for file in sorted(PACKAGE.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))
        assert file.name == "__init__.py" or "from __future__ import annotations" in file.read_text()
        for node in ast.walk(tree):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [node.module or ""]
                if node.module == "dataclasses" or node.module == "itertools":
                    assert not {name.name for name in node.names} & {"KW_ONLY", "pairwise", "batched"}
            for name in names:
                assert name.startswith(ours) or name.partition(".")[0] in sys.stdlib_module_names, (
                    file,
                    name,
                )
            if isinstance(node, ast.Call):
                # Later than 3.9: zip(strict=), dataclass(slots=), dataclass(kw_only=).
                assert not {word.arg for word in node.keywords} & {"strict", "slots", "kw_only"}, file


def test_it_starts_without_the_rest_of_the_command_line(store: Path) -> None:
    script = (
        "import sys; sys.argv = ['lvmtui', 'agent', '--stdio']\n"
        "from lvmtui.start import main\n"
        "code = main()\n"
        "slow = {'typer', 'pydantic', 'textual', 'rich', 'numpy', 'sqlalchemy', 'psutil'}\n"
        "sys.stderr.write(repr(sorted(slow & set(sys.modules)))); sys.exit(code)"
    )
    with AgentClient(store, command=(sys.executable, "-c", script)) as agent:
        agent.listed()
        agent.send("bye")
        assert gone(agent) == 0
        assert agent.errors() == "[]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it(store: Path, number: signal.Signals) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        agent.process.send_signal(number)
        assert gone(agent) == 0
        assert agent.errors() == ""


def test_the_end_of_its_input_ends_it(store: Path) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        assert agent.process.stdin
        agent.process.stdin.close()
        assert gone(agent) == 0


def test_a_client_that_hung_up_ends_it_without_a_word(store: Path) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        assert agent.process.stdout
        agent.process.stdout.close()
        # Its input stays open, as when ssh is killed on the other side.
        agent.send("ping", time=1.0)
        assert gone(agent) == 0
        assert agent.errors() == ""


def test_garbage_ends_it_with_a_word(store: Path) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        assert agent.process.stdin
        agent.process.stdin.write(b"\xff" * 100)
        assert gone(agent) == 1
        assert "error: what came in is not compressed as agreed" in agent.errors()


@pytest.mark.parametrize(
    "line", [b"", b"GET / HTTP/1.1\r\n\r\n", b"lvmtui-client {\n", b"x" * 20_000, b"lvmtui-client []\n"]
)
def test_somebody_else_is_told_what_this_is(line: bytes) -> None:
    done = subprocess.run(COMMAND, input=line, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: ")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--stdio", "--fast"), ("--stdio", "--store"), ("--store=",)])
def test_wrong_usage_is_refused(arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    assert "hint: " in capfd.readouterr().err
    assert command.main(["--help"]) == 0
    assert "authorized_keys" in capfd.readouterr().out


def test_another_version_of_the_protocol_is_left_to_the_client(store: Path) -> None:
    with AgentClient(store, hello={"protocol": PROTOCOL + 1}) as agent:
        assert agent.hello["protocol"] == PROTOCOL
        assert gone(agent) == 0


def test_a_ping_is_answered_at_once(store: Path) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        agent.send("ping", time=12.5)
        beat = agent.wait_for("beat", echo=12.5)
        assert abs(beat["time"] - time.time()) < 60


def test_no_more_is_sent_than_there_is_room_for(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "runs.db")
    for _ in range(2):
        run = stores.new_run(database, "phase-1").start()
        steps = range(1, 650)
        keys = [f"metric/{number}" for number in range(60)]
        values = [
            MetricPoint(key, step, step / 10, time.time(), hash((key, step)) / 7.0)
            for key in keys
            for step in steps
        ]
        run.writer.metrics(values)
    database.close()
    with AgentClient(tmp_path / "runs.db", acknowledges=False) as agent:
        agent.listed()
        agent.want(1, 2)
        agent.wait(lambda: agent.receiver.received == session.CREDIT, "all that there is room for")
        agent.send("ping", time=1.0)
        assert agent.read(0.5) == []
        assert agent.receiver.received == session.CREDIT
        agent.send("ack", bytes=agent.receiver.received)
        agent._acknowledges = True
        agent.wait(lambda: {1, 2} <= set(agent.told.detailed), "all of it")
        assert agent.receiver.received > session.CREDIT


def test_a_client_that_does_not_read_is_listened_to(store: Path) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        for number in range(20_000):
            # More than a pipe holds: with an agent that waits for its output, both would wait for ever.
            agent.send("ping", time=float(number))
        agent.send("bye")
        assert gone(agent, 30.0) == 0


def test_a_silent_client_is_gone(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SILENCE_SECONDS", 0.3)
    to_agent, to_client = os.pipe(), os.pipe()
    codes: list[int] = []

    def talk() -> None:
        hello: Message = {"m": "hello", "protocol": PROTOCOL, "store": str(store)}
        codes.append(
            serving.serve(
                to_agent[0],
                to_client[1],
                hello,
                default_store="runs.db",
                version="",
                why_readonly="no lvmtui",
            )
        )
        os.close(to_client[1])

    thread = threading.Thread(target=talk)
    thread.start()
    with os.fdopen(to_client[0], "rb") as stream:
        heard = stream.read()
    thread.join(10.0)
    for end in (*to_agent,):
        os.close(end)
    assert codes == [0]
    line, _, rest = heard.partition(b"\n")
    assert line.startswith(AGENT)
    assert b'"mode":"readonly"' in line
    assert any(message["m"] == "listed" for message in Receiver().feed(rest))


def test_readonly_refuses_requests(store: Path) -> None:
    with AgentClient(store, command=(*COMMAND, "--readonly")) as agent:
        assert agent.hello["mode"] == "readonly"
        assert agent.hello["why"]
        agent.send("do", id="a1", what="stop", arguments={"runs": [1]})
        answer = agent.wait_for("answer", id="a1")
        assert answer["ok"] is False
        assert answer["words"]


def test_the_client_may_ask_for_readonly(store: Path) -> None:
    with AgentClient(store, hello={"readonly": True}) as agent:
        agent.send("do", id="a1", what="stop", arguments={"runs": [1]})
        assert agent.wait_for("answer", id="a1")["ok"] is False


def test_a_store_in_the_command_is_the_only_one(store: Path, tmp_path: Path) -> None:
    other = stores.filled(tmp_path / "other" / "runs.db")
    with AgentClient("", command=(*COMMAND, "--store", str(store))) as agent:
        assert agent.hello["store"] == str(store)
        assert agent.listed().rows("run")
    with AgentClient(other, command=(*COMMAND, f"--store={store}")) as agent:
        assert str(store) in agent.wait_for("problem")["text"]
        agent.send("ping", time=1.0)
        agent.wait_for("beat", echo=1.0)
        assert agent.told.rows("run") == []


def test_the_default_store_is_found_from_the_login_folder(store: Path, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "LVMTUI_STORE": ""}
    for named, environment in (
        ("", home),
        ("~/runs.db", home),
        ("runs.db", home),
        ("", {**home, "LVMTUI_STORE": str(store)}),
    ):
        with AgentClient(named, environment=environment) as agent:
            assert agent.hello["store"] == str(store)
            assert agent.listed().rows("run")


def test_odd_messages_do_no_harm(store: Path) -> None:
    odd: list[Message] = [
        {"m": "want", "runs": [None, 3, {"run": "1"}, {"run": True}, {"run": 10**30}, {"run": -1}, {}]},
        {"m": "want", "runs": {"run": 1}, "devices": "yes"},
        {"m": "want", "runs": [{"run": 1, "level": [], "keys": [], "scores": {}, "log": [-5], "ranks": 3}]},
        {"m": "want", "runs": [{"run": 1, "level": "all", "keys": {"x": -1, "y": None, "z": 1 << 70}}]},
        {"m": "zoom", "run": 1, "keys": ["val/hit5", 3], "axis": "id; DROP TABLE run", "low": 0, "high": 1},
        {"m": "zoom", "run": 1, "keys": "val/hit5", "axis": "step", "low": "0", "high": None},
        {"m": "zoom", "run": 10**30, "keys": ["a"], "axis": "step", "low": 5, "high": -5},
        {"m": "fetch", "runs": [None, "1", 10**30]},
        {"m": "fetch", "runs": 7},
        {"m": "ack", "bytes": -5},
        {"m": "ack", "bytes": 10**12},
        {"m": "ack", "bytes": "many"},
        {"m": "do"},
        {"m": "chatter", "of": "a later version"},
    ]
    with AgentClient(store) as agent:
        agent.listed()
        for message in odd:
            kind = message.pop("m")
            agent.send(kind, **message)
        agent.send("ping", time=2.0)
        agent.wait_for("beat", echo=2.0)
        agent.want(1)
        agent.wait_for("detailed", run=1)


def test_sensors_are_read_while_they_are_wanted(store: Path) -> None:
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(devices=True)
        samples = agent.wait_for("devices")["samples"]
        assert "cpu" in {sample["device"] for sample in samples}


def test_sensors_are_left_alone_when_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "SAMPLE_SECONDS", 0.01)
    service = measuring.Measuring()
    service.take({"m": "want", "devices": True})
    assert select.select([service.fileno()], [], [], 30.0)[0]
    assert {message["m"] for message in service.messages(1000)} == {"devices"}
    service.take({"m": "want", "devices": False})
    # One that was being read when that came is dropped.
    select.select([service.fileno()], [], [], 0.5)
    assert service.messages(1000) == []
    assert not select.select([service.fileno()], [], [], 0.5)[0]
    service.close()


def test_what_is_printed_by_mistake_does_not_reach_the_client(store: Path) -> None:
    script = (
        "import os, sys; from lvmtui.remote import stdio\n"
        "serve = stdio.serve\n"
        "def talk(*given, **more):\n"
        "    print('hello', flush=True); os.system('echo there; cat')\n"
        "    return serve(*given, **more)\n"
        "stdio.serve = talk\n"
        "sys.exit(stdio.main(['--stdio']))"
    )
    with AgentClient(store, command=(sys.executable, "-c", script)) as agent:
        agent.listed()
        agent.send("bye")
        assert gone(agent) == 0
        assert agent.errors() == "hello\nthere\n"


def test_an_agent_leaves_engines_alone(store: Path, wait_until: Callable[..., None]) -> None:
    database = Database.open(store)
    run = stores.new_run(database, "phase-1").start()
    with AgentClient(store) as agent:
        agent.listed()
        agent.want(run.run_id)
        before = time.monotonic()
        for step in range(50):
            run.writer.metrics([MetricPoint("x", step, float(step), 1000.0 + step, 0.5)])
        took = time.monotonic() - before
        agent.wait(lambda: len(agent.told.points(run.run_id, "x")) == 50, "all values")
    database.close()
    assert took < 25.0, "a writer waits for a lock half a minute"


def test_the_greeting_is_read_to_its_last_byte_and_no_further() -> None:
    reading, writing = os.pipe()
    sent = bytearray()
    Sender(sent.extend).send({"m": "ping", "time": 1.0})
    os.write(writing, greeting(CLIENT, {"m": "hello", "protocol": 1}) + bytes(sent))
    assert serving.read_client_line(reading)["protocol"] == 1
    assert [message["m"] for message in Receiver().feed(os.read(reading, 1 << 16))] == ["ping"]
    os.close(reading)
    os.close(writing)


def test_nobody_who_speaks_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SILENCE_SECONDS", 0.1)
    reading, writing = os.pipe()
    os.write(writing, CLIENT)
    with pytest.raises(WireError, match="nobody"):
        serving.read_client_line(reading)
    os.close(reading)
    os.close(writing)
