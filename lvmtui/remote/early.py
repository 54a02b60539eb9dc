"""Begins to connect to watched hosts before the dashboard is loaded: both take as long.

What is begun here is an ssh whose other side waits for the first line; `lvmtui.remote.connection` takes it
over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from lvmtui.errors import LvmtuiError

if TYPE_CHECKING:
    import subprocess

FRESH_SECONDS = 10.0
"""The agent does not wait for its client for ever: what is older is not taken over."""

_begun: dict[tuple[str, ...], list[tuple[float, subprocess.Popen[bytes]]]] = {}
"""Command line -> when each ssh was started by it (monotonic clock), and its process."""


def begin(hosts: Sequence[str] | None) -> None:
    """Start ssh to each host that the dashboard is about to watch. What is wrong with the settings or with a
    host is not told here but by whoever needs it next.

    Args:
        hosts: as `--host` names them; None: those of the settings.
    """
    if hosts is None and not _may_name_hosts():
        return
    from lvmtui.config import load_config
    from lvmtui.remote import ssh
    from lvmtui.remote.hosts import parse_hosts, watched

    with suppress(LvmtuiError):
        config = load_config()
        found = watched(config.hosts) if hosts is None else parse_hosts(hosts, config.hosts)
        words = ssh.ssh_words(config)
        for host in found:
            line = ssh.command_line(host, words)
            _begun.setdefault(tuple(line), []).append((time.monotonic(), ssh.start(line)))


def _may_name_hosts() -> bool:
    """Whether it is worth while to read the settings now."""
    from lvmtui.paths import config_file

    try:
        return b"hosts" in config_file().read_bytes()
    except OSError:
        return False


def taken(line: Sequence[str]) -> subprocess.Popen[bytes] | None:
    """An ssh that was started with this command line, no longer ours; None: there is none."""
    from lvmtui.remote import ssh

    waiting = _begun.get(tuple(line), [])
    while waiting:
        with suppress(IndexError):  # another host may have taken it
            started, process = waiting.pop()
            if time.monotonic() - started < FRESH_SECONDS:
                return process
            ssh.end(process)
    return None


def end() -> None:
    """End what nobody has taken over."""
    for line in list(_begun):
        while (process := taken(line)) is not None:
            from lvmtui.remote import ssh

            ssh.end(process)
