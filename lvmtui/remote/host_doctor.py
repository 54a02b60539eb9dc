"""What reaching a host takes, step by step, each with what is wrong and what to do. Changes nothing."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import Any

from lvmtui.doctor import Check
from lvmtui.errors import LvmtuiError
from lvmtui.format import plain, thousands
from lvmtui.remote import ssh
from lvmtui.remote.agent import wire
from lvmtui.remote.connection import Connection, Ended, Timing, nonsense
from lvmtui.remote.hosts import Host
from lvmtui.remote.ssh import Cause, Step

CONNECT_SECONDS = 10.0
"""How long a step may wait for an answer."""

LIST_SECONDS = 20.0
"""How long the list of runs may take to arrive."""

SKEW_SECONDS = 5.0
"""Clocks that are further apart are spoken of."""

MOST_RUNS = 10**9
"""A greater number of runs is not believed."""

_OUTPUT_LIMIT = 1 << 18


def examine_host(host: Host, words: Sequence[str] = (), *, timing: Timing | None = None) -> Iterator[Check]:
    """Take the steps to a host's runs, in order; the first that fails is the last.

    Args:
        host: where to.
        words: how ssh is called; empty: `ssh`.
        timing: how long the greeting may take.
    """
    steps: Sequence[Callable[[], Iterator[Check]]] = (
        lambda: _way(host, words or ("ssh",)),
        lambda: _keys(host, words or ("ssh",)),
        lambda: _agent(host, words, timing or Timing()),
    )
    for step in steps:
        for check in step():
            yield check
            if check.needed and check.passed is False:
                return


# --- name and port


def _way(host: Host, words: Sequence[str]) -> Iterator[Check]:
    """By what ssh's own settings make of the name."""
    try:
        code, output, errors = _run([*words, "-G", "--", host.destination])
    except LvmtuiError as error:
        yield Check("ssh", False, error.message, error.hint)
        return
    if code != 0:
        cause = ssh.diagnose(errors, code, host)
        yield Check("ssh", False, cause.reason, cause.hint)
        return
    settings = _settings(output)
    name, port, user = (settings.get(key, "") for key in ("hostname", "port", "user"))
    between = next((settings[key] for key in ("proxyjump", "proxycommand") if _is_set(settings, key)), "")
    if between:
        words_of_it = f"{name} port {port} as {user}, by way of {plain(between)[:80]}"
        yield Check("name", None, f"{words_of_it}: name and port are looked up there, not here")
        return
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(settings.get("addressfamily", ""), 0)
    try:
        places = socket.getaddrinfo(name, int(port), family=family, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError) as error:
        hint = "Check the name, `Host` and `HostName` in ~/.ssh/config, and whether the VPN is up."
        why = getattr(error, "strerror", None) or error
        yield Check("name", False, f"{name} cannot be looked up: {plain(str(why))}", hint)
        return
    addresses = list(dict.fromkeys(str(place[4][0]) for place in places))
    known_as = name if name in addresses else f"{name} ({', '.join(addresses[:3])})"
    yield Check("name", True, f"{known_as} port {port} as {user}")
    yield _port(places)


def _settings(output: str) -> dict[str, str]:
    lines = (line.partition(" ") for line in output.splitlines())
    return {key.lower(): value for key, _, value in lines}


def _is_set(settings: Mapping[str, str], key: str) -> bool:
    return settings.get(key, "none") not in {"", "none"}


def _port(places: Sequence[Any]) -> Check:
    """Whether anything answers there, and as ssh does."""
    reason, hint = "", ""
    for family, kind, protocol, _, address in places[:4]:
        try:
            with closing(socket.socket(family, kind, protocol)) as probe:
                probe.settimeout(CONNECT_SECONDS)
                began = time.monotonic()
                probe.connect(address)
                said = _banner(probe)
                took = time.monotonic() - began
        except OSError as error:
            reason, hint = _unreachable(error)
            continue
        if said.startswith(b"SSH-"):
            what = plain(said.decode("ascii", "replace"))[:60]
            return Check("port", True, f"{what}, answers after {1000 * took:.0f} ms")
        reason = "something answers, but it is not ssh" if said else "it accepts connections and says nothing"
        hint = "Check `Port` in ~/.ssh/config; its sshd may be overloaded, or hang."
    return Check("port", False, f"{reason} ({places[0][4][0]} port {places[0][4][1]})", hint)


def _banner(probe: socket.socket) -> bytes:
    """The line that sshd begins with; other lines may stand before it (RFC 4253, 4.2)."""
    seen = b""
    with suppress(OSError):
        while len(seen) < 8192 and (data := probe.recv(1024)):
            seen += data
            for line in seen.split(b"\n")[:-1]:
                if line.startswith(b"SSH-"):
                    return line.strip()
    return seen.strip()


def _unreachable(error: OSError) -> tuple[str, str]:
    if isinstance(error, ConnectionRefusedError):
        return "it refuses connections", "Is its sshd running, on that port?"
    if isinstance(error, TimeoutError):
        return "it does not answer", "It may be asleep or switched off, or a firewall is in between."
    return f"there is no way to it: {error.strerror or error}", "Is this machine on line, and the VPN up?"


# --- host key and user key


def _keys(host: Host, words: Sequence[str]) -> Iterator[Check]:
    """By what ssh tells of logging in."""
    options = [option for option in ssh.OPTIONS if not option.startswith("-oLogLevel")]
    timeout = f"-oConnectTimeout={CONNECT_SECONDS:.0f}"
    code, _, told = _run([*words, "-v", *options, timeout, "--", host.destination, "exit"])
    if re.search(r"mux_client_request_session|auto-mux: .*master", told) and "Authenticated to" not in told:
        if code == 255:
            yield _failed(_without_debug(told), code, host)
            return
        yield Check("key", True, "a connection that is open already is shared: nobody has to log in")
        return
    known = re.search(r"Server host key: (\S+) (\S+)", told)
    entered = re.search(r"Authenticated to .* using \"([^\"]+)\"", told)
    is_trusted = "is known and matches" in told or entered is not None
    if known and is_trusted:
        yield Check("host key", True, f"{plain(known[1])} {plain(known[2])}, as it is known here")
    if entered:
        key = re.findall(r"Server accepts key: (.+)", told)
        with_key = f" with {plain(key[-1]).strip()}" if key else ""
        yield Check("key", True, f"accepted by {plain(entered[1])}{with_key}")
        return
    check = _failed(_without_debug(told), code, host)
    offered = len(re.findall(r"Offering public key:", told))
    if check.name == Step.KEY:
        none = "no key was offered: none is in ~/.ssh or in the agent"
        said = f"{offered} of yours offered" if offered else none
        check = replace(check, words=f"{check.words}; {said}")
    elif check.name == Step.HOST_KEY and known:
        check = replace(check, words=f"{check.words}: it shows {plain(known[1])} {plain(known[2])}")
    yield check


def _without_debug(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(("debug", "OpenSSH_")))


def _failed(errors: str, code: int | None, host: Host) -> Check:
    return _check_of(ssh.diagnose(errors, code, host))


def _check_of(cause: Cause) -> Check:
    return Check(cause.step.value, False, cause.reason, cause.hint)


# --- python, lvmtui, store, clock


@dataclass(slots=True)
class _Heard:
    """What an agent has told so far."""

    runs: int | None = None
    begun: bool = False
    problem: str = ""
    hint: str = ""
    skew: float | None = None
    round_trip: float = 0.0

    def take(self, message: wire.Message) -> None:
        kind = message["m"]
        if kind == "runs":
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                count = sum(int(last) - int(first) + 1 for first, last in message["ranges"])
                self.runs = min(max(0, count), MOST_RUNS)
        elif kind in {"rows", "listed"}:
            self.begun = True
        elif kind == "problem":
            self.problem, self.hint = (_words(message.get(key)) for key in ("text", "hint"))
        elif kind == "beat" and _is_time(message.get("echo")) and _is_time(message.get("time")):
            now = time.time()
            self.round_trip = max(0.0, now - message["echo"])
            self.skew = message["time"] - (now - self.round_trip / 2)

    @property
    def is_enough(self) -> bool:
        return self.skew is not None and (self.runs is not None or bool(self.problem))


def _agent(host: Host, words: Sequence[str], timing: Timing) -> Iterator[Check]:
    """By talking to what runs there."""
    wake, writing = os.pipe()
    connection = None
    try:
        connection = Connection(host, words, wake=wake, timing=timing)
        yield from _talk(host, connection)
    except Ended as ended:
        yield _check_of(ended.cause)
    except wire.WireError as error:
        yield _check_of(nonsense(error))
    finally:
        if connection is not None:
            connection.close()
        os.close(wake)
        os.close(writing)


def _talk(host: Host, connection: Connection) -> Iterator[Check]:
    from lvmtui import __version__

    hello = {"m": "hello", "protocol": wire.PROTOCOL, "version": __version__, "store": host.store, "have": {}}
    found = connection.greet({**hello, "readonly": False}, lambda: True)
    assert found is not None
    version, why = _words(found.get("version")), _words(found.get("why"))
    yield Check("python", True, _words(found.get("python")) or "of a version that it does not tell")
    if version:
        same = version == __version__
        other = "" if same else f", here it is {__version__}: the protocol is the same"
        place = _words(found.get("program"))
        at = f" at {place}" if place else ""
        yield Check("lvmtui", True, f"{version}{at}, protocol {wire.PROTOCOL}{other}")
    else:
        hint = "Install it there to stop, launch and copy runs as well: pip install lvmtui"
        words = f"{why or 'it is not installed there'}: runs can be watched, not changed"
        yield Check("lvmtui", None, words, hint, needed=False)
    heard = _listen(connection)
    place = _words(found.get("store")) or "its default place"
    yield _store(place, heard)
    if version:
        is_full = found.get("mode") == "full"
        words = (
            "its runs can be changed from here" if is_full else f"read-only: {why or 'it does not say why'}"
        )
        yield Check("changes", True if is_full else None, words, needed=False)
    yield _clock(heard)


def _listen(connection: Connection) -> _Heard:
    heard = _Heard()
    connection.send({"m": "ping", "time": time.time()})
    deadline = time.monotonic() + LIST_SECONDS
    while not heard.is_enough and (left := deadline - time.monotonic()) > 0:
        for message in connection.receive(left):
            heard.take(message)
    return heard


def _store(place: str, heard: _Heard) -> Check:
    if heard.problem:
        return Check("store", False, heard.problem, heard.hint)
    if heard.runs is not None:
        return Check("store", True, f"{place}, {thousands(heard.runs)} runs")
    if heard.begun:
        return Check("store", True, f"{place}; its list of runs takes longer than {LIST_SECONDS:.0f} s")
    hint = "Its disk or the network may be slow: try again, or `lvmtui ls` there."
    return Check("store", False, f"nothing came from {place} within {LIST_SECONDS:.0f} s", hint)


def _clock(heard: _Heard) -> Check:
    if heard.skew is None:
        return Check("clock", None, "it did not tell the time", needed=False)
    ahead = "ahead" if heard.skew > 0 else "behind"
    around = f"round trip {1000 * heard.round_trip:.0f} ms"
    if abs(heard.skew) <= max(1.0, heard.round_trip):
        return Check("clock", True, f"as here; {around}", needed=False)
    words = f"{abs(heard.skew):.1f} s {ahead} of this machine's; {around}"
    if abs(heard.skew) <= SKEW_SECONDS:
        return Check("clock", True, words, needed=False)
    hint = "Times of its runs are shown by its clock; `timedatectl set-ntp true` there sets it right."
    return Check("clock", False, words, hint, needed=False)


def _words(value: object) -> str:
    return plain(value)[:300] if isinstance(value, str) else ""


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


# --- a program that answers and ends


def _run(words: Sequence[str]) -> tuple[int | None, str, str]:
    """Run ssh to its end, its input empty.

    Returns:
        Its exit code, None where it took more than twice `CONNECT_SECONDS`; output; errors; each cut.

    Raises:
        RemoteError: there is no such program.
    """
    process = ssh.start(words)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.close()
    texts = {process.stdout: bytearray(), process.stderr: bytearray()}
    deadline = time.monotonic() + 2 * CONNECT_SECONDS
    try:
        with selectors.DefaultSelector() as selector:
            for pipe in texts:
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    texts[key.fileobj] += data[: _OUTPUT_LIMIT - len(texts[key.fileobj])]  # type: ignore[index]
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
        output, errors = (bytes(text).decode("utf-8", "replace") for text in texts.values())
        return process.returncode, output, errors
    finally:
        ssh.end(process)
