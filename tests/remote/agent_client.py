"""A client of a real agent over real pipes, for tests: keeps every message, and what they come to."""

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lvmtui.remote.agent.packing import Point, unpack
from lvmtui.remote.agent.wire import (
    AGENT,
    CLIENT,
    PROTOCOL,
    Message,
    Receiver,
    Sender,
    greeting,
    read_greeting,
)

COMMAND = (sys.executable, "-m", "lvmtui", "agent", "--stdio")


class Told:
    """What an agent's messages come to: the rows, curves and logs of a mirror, as plain objects."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.tables: dict[str, dict[Any, dict[str, Any]]] = {}
        self.curves: dict[tuple[int, str], dict[int, Point]] = {}
        self.upto: dict[int, dict[str, int]] = {}
        self.scored: dict[int, int] = {}
        self.logs: dict[int, str] = {}
        self.log_sizes: dict[int, int] = {}
        self.ranks: dict[tuple[str, Any, str], Message] = {}
        self.lost: dict[int, str] = {}
        self.detailed: list[int] = []
        self.have: dict[str, Any] = {}
        self.problem: tuple[str, str] = ("", "")

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table by key."""
        found = self.tables.get(table, {})
        return [found[key] for key in sorted(found)]

    def run(self, number: int) -> dict[str, Any]:
        """A run's row."""
        return self.tables["run"][number]

    def points(self, run: int, key: str) -> list[Point]:
        """Values of a metric by id."""
        found = self.curves.get((run, key), {})
        return [found[number] for number in sorted(found)]

    def take(self, message: Message) -> None:
        """Do what a message says."""
        kind = message["m"]
        take = getattr(self, f"_take_{kind}", None)
        if take is not None:
            take(message)

    def _take_reset(self, message: Message) -> None:
        self.__init__()  # type: ignore[misc]

    def _take_columns(self, message: Message) -> None:
        self.names[message["table"]] = message["names"]

    def _take_rows(self, message: Message) -> None:
        table, names = message["table"], self.names[message["table"]]
        for row in message["rows"]:
            assert len(row) == len(names)
            found = dict(zip(names, row, strict=True))
            self.tables.setdefault(table, {})[found["id"]] = found

    def _take_all(self, message: Message) -> None:
        kept = self.tables.setdefault(message["table"], {})
        run = message.get("run")
        for key in [key for key, row in kept.items() if run is None or row["run_id"] == run]:
            del kept[key]
        self._take_rows(message)

    def _take_change(self, message: Message) -> None:
        self.tables["run"][message["run"]].update(message["set"])

    def _take_gone(self, message: Message) -> None:
        for run in message["runs"]:
            self.tables["run"].pop(run, None)
            self._forget(run, self.tables.keys() - {"run", "protocol"})

    def _take_runs(self, message: Message) -> None:
        inside = {key for first, last in message["ranges"] for key in range(first, last + 1)}
        for run in self.tables.get("run", {}).keys() - inside:
            self._take_gone({"runs": [run]})

    def _take_rewind(self, message: Message) -> None:
        self._forget(message["run"], ("evaluation", "latency", "checkpoint"))

    def _forget(self, run: int, tables: Iterable[str]) -> None:
        for table in tables:
            kept = self.tables.get(table, {})
            for key in [key for key, row in kept.items() if row["run_id"] == run]:
                del kept[key]
        for curve in [curve for curve in self.curves if curve[0] == run]:
            del self.curves[curve]
        self.upto.pop(run, None)
        self.scored.pop(run, None)

    def _take_curve(self, message: Message) -> None:
        if message["level"] == "zoom":
            return
        for key, columns in message["keys"].items():
            points = {point[0]: point for point in unpack(columns)}
            self.curves.setdefault((message["run"], key), {}).update(points)

    def _take_curved(self, message: Message) -> None:
        self.upto.setdefault(message["run"], {}).update(message["upto"])

    def _take_scored(self, message: Message) -> None:
        self.scored[message["run"]] = message["upto"]

    def _take_ranks(self, message: Message) -> None:
        self.ranks[(message["table"], message["id"], message.get("name") or message["column"])] = message

    def _take_log(self, message: Message) -> None:
        run = message["run"]
        if message["fresh"]:
            self.logs[run] = ""
        else:
            assert message["at"] == self.log_sizes.get(run, 0)
        self.logs[run] = self.logs.get(run, "") + message["text"]
        self.log_sizes[run] = message["size"]

    def _take_lost(self, message: Message) -> None:
        self.lost = {int(run): reason for run, reason in message["runs"].items()}

    def _take_detailed(self, message: Message) -> None:
        self.detailed.append(message["run"])

    def _take_listed(self, message: Message) -> None:
        self.have = message["have"]

    def _take_problem(self, message: Message) -> None:
        self.problem = (message["text"], message["hint"])


class AgentClient:
    """Starts an agent and talks with it. Use it as a context manager."""

    def __init__(
        self,
        store: str | Path = "",
        *,
        have: Mapping[str, Any] | None = None,
        told: Told | None = None,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        hello: Mapping[str, Any] | None = None,
        acknowledges: bool = True,
    ) -> None:
        """
        Args:
            store: path of the store, as the greeting names it.
            have: what the client's mirror has.
            told: what it was told in an earlier conversation.
            command: starts the agent.
            environment: more of it.
            hello: more of the greeting.
            acknowledges: whether to make room for more.
        """
        self.told = told or Told()
        self.messages: list[Message] = []
        self._acknowledges = acknowledges
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            bufsize=0,
        )
        assert self.process.stdin
        assert self.process.stdout
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        first = {"m": "hello", "protocol": PROTOCOL, "version": "0", "store": str(store), "have": have or {}}
        self._stdin.write(greeting(CLIENT, {**first, "readonly": False, **(hello or {})}))
        self.receiver = Receiver()
        self._sender = Sender(self._stdin.write)
        try:
            self.hello = read_greeting(self._line(), AGENT)
        except BaseException:
            self.close()
            raise

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = self._stdout.read(1)
            if not byte:
                raise AssertionError(f"the agent said nothing: {self.errors()}")
            line += byte
        return line[:-1]

    def errors(self) -> str:
        """What the agent has written to standard error; waits for its end."""
        assert self.process.stderr
        return self.process.stderr.read().decode()

    def send(self, kind: str, **more: Any) -> None:
        """Say something."""
        self._sender.send({"m": kind, **more})

    def want(self, *runs: Mapping[str, Any] | int, devices: bool = False) -> None:
        """Look at runs: entries of `want`, or numbers of runs of which all is wanted."""
        entries = [
            {"run": run, "level": "all", "keys": {}, "scores": 0} if isinstance(run, int) else dict(run)
            for run in runs
        ]
        self.send("want", runs=entries, devices=devices)

    def read(self, seconds: float = 0.05) -> list[Message]:
        """What has come by now, or comes within a moment."""
        if not self._selector.select(seconds):
            return []
        data = os.read(self._stdout.fileno(), 1 << 16)
        if not data:
            raise EOFError("the agent has ended")
        found = list(self.receiver.feed(data))
        for message in found:
            self.told.take(message)
        self.messages += found
        if self._acknowledges:
            self.send("ack", bytes=self.receiver.received)
        return found

    def wait(
        self, condition: Callable[[], object], what: str = "the condition", seconds: float = 30.0
    ) -> None:
        """Read until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                kinds = [message["m"] for message in self.messages[-20:]]
                raise AssertionError(f"waited {seconds:.0f} s for {what}; the last messages: {kinds}")
            self.read()

    def wait_for(self, kind: str, seconds: float = 30.0, **values: Any) -> Message:
        """Read until a message of this kind has come, and give the first; forgets those before it."""

        def fits(message: Message) -> bool:
            return message["m"] == kind and all(message.get(name) == value for name, value in values.items())

        self.wait(lambda: any(map(fits, self.messages)), f"{kind} {values}", seconds)
        place = next(place for place, message in enumerate(self.messages) if fits(message))
        found = self.messages[place]
        del self.messages[: place + 1]
        return found

    def listed(self) -> Told:
        """Read until the list is whole."""
        self.wait_for("listed")
        return self.told

    def close(self) -> int:
        """Hang up, and wait for the agent's end."""
        self._selector.close()
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            code = self.process.wait(timeout=10)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            assert self.process.stderr
            self.process.stderr.close()
        return code

    def __enter__(self) -> "AgentClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
