"""The agent: answers one client over a pair of pipes until it goes."""

from __future__ import annotations

import os
import platform
import select
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from lvmtui.remote.agent.session import SILENCE_SECONDS, Service, Session
from lvmtui.remote.agent.watch import Watch
from lvmtui.remote.agent.wire import (
    AGENT,
    CLIENT,
    GREETING_LIMIT,
    PROTOCOL,
    Message,
    WireError,
    read_greeting,
)
from lvmtui.remote.agent.wire import greeting as write_greeting

__all__ = ["Service", "read_client_line", "serve", "store_path"]

_SQLITE = "sqlite:///"


def serve(
    read_fd: int,
    write_fd: int,
    greeting: Message,
    *,
    default_store: str,
    version: str,
    why_readonly: str,
    services: Sequence[Service] = (),
    only_default: bool = False,
) -> int:
    """Tell a client about a store until it goes.

    Args:
        read_fd: what the client says after its first line.
        write_fd: where to answer; the greeting has not been written yet.
        greeting: what the client's first line says.
        default_store: path of the store where the client names none; relative to the login folder.
        version: of the lvmtui that is installed here; empty: none is.
        why_readonly: why nothing can be changed; empty: it can.
        services: what else is done; closed at the end.
        only_default: refuse any other store than the default one.

    Returns:
        The exit code.
    """
    path = store_path(greeting.get("store"), default_store)
    only = store_path("", default_store)
    refused = None
    if only_default and path != only:
        refused = (f"only the run store at {only} may be read with this key", "Leave out the path.")
    elif greeting.get("lists") is False:
        refused = ("nothing but a copy was asked for", "")
    have = greeting.get("have")
    watch = Watch(
        path, have if isinstance(have, dict) else {}, refused, guesses=greeting.get("first") is True
    )
    wanted = greeting.get("want")
    if isinstance(wanted, dict):
        watch.want(wanted, 0)
    session = Session(read_fd, write_fd, watch, services, window=greeting.get("window"))
    hello = {
        "m": "hello",
        "protocol": PROTOCOL,
        "version": version,
        "program": os.path.abspath(sys.argv[0]) if version else "",
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "store": path,
        "mode": "readonly" if why_readonly else "full",
        "why": why_readonly,
        "time": time.time(),
        "agent": uuid.uuid4().hex,
        "wanted": isinstance(wanted, dict),
    }
    was_blocking = os.get_blocking(write_fd)
    try:
        with _signals(session.end):
            os.set_blocking(write_fd, False)
            session.say_first(write_greeting(AGENT, hello))
            # With another version the client goes by itself, and says which side to update.
            if greeting.get("protocol") == PROTOCOL:
                session.run()
    except ConnectionError:
        pass  # the client is gone: nobody is left to tell
    finally:
        with suppress(OSError):
            os.set_blocking(write_fd, was_blocking)
        watch.close()
        session.close()
    return 0


def read_client_line(read_fd: int) -> Message:
    """The client's first line, and no byte more.

    Raises:
        WireError: it is none, or there is none in good time.
    """
    line = bytearray()
    deadline = time.monotonic() + SILENCE_SECONDS
    while not line.endswith(b"\n"):
        left = max(0.0, deadline - time.monotonic())
        byte = os.read(read_fd, 1) if select.select([read_fd], [], [], left)[0] else b""
        if not byte or len(line) > GREETING_LIMIT:
            raise WireError("nobody who speaks for lvmtui is on the other side")
        line += byte
    return read_greeting(bytes(line), CLIENT)


def store_path(wanted: Any, default: str) -> str:
    """The file that is meant; relative paths are so to the login folder."""
    text = wanted if isinstance(wanted, str) and wanted and "\0" not in wanted else default
    text = text[len(_SQLITE) :] if text.startswith(_SQLITE) else text
    home = os.path.expanduser("~")
    return os.path.normpath(os.path.join(home, os.path.expanduser(text)))


@contextmanager
def _signals(end: Callable[[], None]) -> Iterator[None]:
    """Have the usual signals end the conversation in order; they do nothing else meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.signal(name, lambda *_: end()) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before):
            signal.signal(name, handler)
