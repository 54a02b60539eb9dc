"""`lvmtui agent --stdio`: what `lvmtui --host` starts on the other machine. See docs/agent.md.

Not with the rest of the command line, which takes a fifth of a second to load.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from lvmtui.remote.agent.serving import Service, read_client_line, serve, store_path
from lvmtui.remote.agent.wire import Message, WireError
from lvmtui.store.location import DEFAULT_STORE, STORE_VARIABLE

USAGE = """\
Usage: lvmtui agent --stdio [--readonly] [--store PATH]

Answer `lvmtui --host` over standard input and output; ssh starts it. It ends with its connection.

  --readonly    Refuse everything that changes runs.
  --store PATH  Read this run store, and no other; relative to the login folder.

As the only thing that a key may do, in ~/.ssh/authorized_keys:
  restrict,command="lvmtui agent --stdio --readonly --store runs.db" ssh-ed25519 AAAA...
"""


def main(arguments: Sequence[str]) -> int:
    """Run the agent.

    Args:
        arguments: those after `agent`.

    Returns:
        The exit code: 0 done, 1 nobody who speaks for lvmtui is on the other side, 2 wrong usage.
    """
    left = list(arguments)
    store, readonly, stdio = "", False, False
    while left:
        argument = left.pop(0)
        if argument in {"--help", "-h"}:
            sys.stdout.write(USAGE)
            return 0
        if argument == "--stdio":
            stdio = True
        elif argument == "--readonly":
            readonly = True
        elif argument == "--store" and left and left[0]:
            store = left.pop(0)
        elif argument.startswith("--store=") and argument != "--store=":
            store = argument.removeprefix("--store=")
        else:
            return _refuse(f"agent does not take {argument!r}")
    if not stdio:
        return _refuse("agent speaks over standard input and output only")
    return _talk(store, readonly=readonly)


def _refuse(message: str) -> int:
    sys.stderr.write(f"error: {message}\nhint: `lvmtui agent --help` shows what it takes.\n")
    return 2


def _talk(store: str, *, readonly: bool) -> int:
    from lvmtui import __version__

    # Neither what is printed by mistake nor a run that is launched gets hold of the connection.
    read_fd, write_fd = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    # Loaded before the client's line is read, which may be a while in coming.
    from lvmtui.remote import acting, measuring  # noqa: F401

    try:
        greeting = read_client_line(read_fd)
        why = "it was started with --readonly there" if readonly else ""
        path = store or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE
        return serve(
            read_fd,
            write_fd,
            greeting,
            default_store=path,
            version=__version__,
            why_readonly=why,
            services=_services(store_path(store or greeting.get("store"), path), greeting, why),
            only_default=bool(store),
        )
    except WireError as error:
        sys.stderr.write(f"error: {error}\nhint: `lvmtui --host` starts this over ssh.\n")
        return 1


def _services(store: str, greeting: Message, why_readonly: str) -> list[Service]:
    """What an installed agent can do besides telling of the store."""
    from lvmtui.remote.acting import Actor
    from lvmtui.remote.copies.files import Files
    from lvmtui.remote.measuring import Measuring

    asked = "the dashboard was started with --readonly" if greeting.get("readonly") is True else ""
    why = why_readonly or asked
    return [Measuring(), Actor(store, why_readonly=why), Files(store, why_readonly=why)]
