"""The user's ssh: how it is called, how its process is begun and ended, and what it means when it fails."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING

from lvmtui.errors import RemoteError, UsageError
from lvmtui.format import plain
from lvmtui.remote.bootstrap import NEEDS_PYTHON, REMOTE_COMMAND
from lvmtui.remote.hosts import Host, check_destination, words_of

if TYPE_CHECKING:
    from lvmtui.config import Config

SSH_VARIABLE = "LVMTUI_SSH"
"""Environment variable that says how ssh is called, before the settings: `ssh -F FILE`."""

OPTIONS = (
    "-T",
    "-a",
    "-x",
    "-oBatchMode=yes",
    "-oClearAllForwardings=yes",
    "-oRemoteCommand=none",
    "-oRequestTTY=no",
    "-oLogLevel=ERROR",
    "-oServerAliveInterval=15",
)
"""No questions, no terminal, nothing forwarded. Keep-alives end an ssh whose lvmtui has died."""

END_SECONDS = 0.5
"""How long an ssh that was told to end may take before it is killed."""

_STDERR_LIMIT = 8192
_LINE_LIMIT = 300


def ssh_words(config: Config) -> tuple[str, ...]:
    """Program and arguments that connect to hosts: `LVMTUI_SSH`, else `ssh_command` of the settings, else
    `ssh`.

    Raises:
        UsageError: the variable is no command.
    """
    text = os.environ.get(SSH_VARIABLE, "").strip()
    if text:
        words = words_of(text, SSH_VARIABLE)
        if not words:
            raise UsageError(f"{SSH_VARIABLE} = {text!r} is no command")
        return words
    return config.ssh_command or ("ssh",)


def command_line(host: Host, ssh: Sequence[str] = ()) -> list[str]:
    """Program and arguments that start the agent on a host.

    Args:
        ssh: how ssh is called; empty: `ssh`.

    Raises:
        UsageError: ssh would take the destination for something else.
    """
    check_destination(host.destination)
    return [*(ssh or ("ssh",)), *OPTIONS, "--", host.destination, remote_command(host)]


def remote_command(host: Host) -> str:
    """What the login shell there runs: a constant, or the user's own words, each quoted."""
    if not host.command:
        return REMOTE_COMMAND
    # The command starts in the login folder; a quoted `~` would mean itself.
    program, *arguments = host.command
    return shlex.join([program.removeprefix("~/") or "~", *arguments, "agent", "--stdio"])


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start ssh with pipes that do not block, in a session of its own: it asks no terminal, gets no signal of
    the keyboard, and ends when its input does.

    Raises:
        RemoteError: there is no such program.
    """
    try:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise RemoteError(
            f"{plain(words[0])} could not be started: {error.strerror}",
            "Install an OpenSSH client, or say how ssh is called: `ssh_command` in the settings.",
        ) from error
    for pipe in pipes(process):
        os.set_blocking(pipe.fileno(), False)
    return process


def pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    """Input, output and errors of ssh."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdin, process.stdout, process.stderr


def exit_code(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """How ssh has ended; None where it has not within so many seconds."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def end(process: subprocess.Popen[bytes]) -> None:
    """End ssh and whatever it has started, within `END_SECONDS` and a moment."""
    for pipe in pipes(process):
        with suppress(OSError):
            pipe.close()
    for which in (signal.SIGTERM, signal.SIGKILL):
        # Its group is as old as itself; once it is waited for, the number may be somebody else's.
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, which)
        if exit_code(process, END_SECONDS) is not None:
            return


class Step(StrEnum):
    """What connecting takes, in order."""

    SSH = "ssh"
    NAME = "name"
    PORT = "port"
    HOST_KEY = "host key"
    KEY = "key"
    PYTHON = "python"
    LVMTUI = "lvmtui"


NEEDS_USER = frozenset({Step.SSH, Step.NAME, Step.HOST_KEY, Step.KEY, Step.PYTHON, Step.LVMTUI})
"""Steps whose failure does not pass by itself."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a connection was not made, or has ended."""

    step: Step
    reason: str
    hint: str = ""


_CAUSES: tuple[tuple[str, Step, str, str], ...] = (
    (
        r"IDENTIFICATION HAS CHANGED",
        Step.HOST_KEY,
        "its host key has changed",
        "Somebody may be in between, or the machine was set up anew. If you know that it was, `ssh {host}` "
        "says how to forget the old key.",
    ),
    (
        r"revoked (?:host )?key|key .*is revoked|REVOKED HOST KEY",
        Step.HOST_KEY,
        "its host key is revoked",
        "Ask whoever runs the machine.",
    ),
    (
        r"Host key verification failed|No \S+ host key is known",
        Step.HOST_KEY,
        "its host key is not known here",
        "Connect once with `ssh {host}` and compare the fingerprint.",
    ),
    (
        r"Temporary failure in name resolution",
        Step.PORT,
        "its name cannot be looked up now",
        "Is this machine on line?",
    ),
    (
        r"Could not resolve hostname ([^\s:]+)",
        Step.NAME,
        "there is no host of the name {0}",
        "Check the name, and `Host` and `HostName` in ~/.ssh/config.",
    ),
    (
        r"Permission denied \(([^)]*(?:password|keyboard-interactive)[^)]*)\)",
        Step.KEY,
        "it wants a password, or no key of yours is known there ({0})",
        "Set up a key: `ssh-copy-id {host}`; one with a passphrase has to be in the agent (`ssh-add`).",
    ),
    (
        r"Permission denied \(([^)]*)\)|Too many authentication failures",
        Step.KEY,
        "it accepts no key of yours ({0})",
        "Check the user, `IdentityFile` in ~/.ssh/config and `ssh-add -l`; `ssh-copy-id {host}` adds a key.",
    ),
    (
        r"account is (?:currently not available|locked|expired)|[Pp]assword (?:has )?expired",
        Step.KEY,
        "nobody can log in there with this account",
        "Try `ssh {host}`.",
    ),
    (r"Connection refused", Step.PORT, "it refuses connections", "Is its sshd running, on that port?"),
    (
        r"(?:Connection|Operation) timed out|timed out",
        Step.PORT,
        "it does not answer",
        "It may be asleep or switched off, or a firewall is in between.",
    ),
    (
        r"No route to host|Network is (?:unreachable|down)|Host is (?:unreachable|down)",
        Step.PORT,
        "there is no way to it: {match}",
        "Is this machine on line, and the VPN up?",
    ),
    (
        r"kex_exchange_identification|banner exchange|banner line|Connection (?:closed|reset) by \S+ port",
        Step.PORT,
        "it closes the connection before anybody can log in",
        "Its sshd may be overloaded, or forbids connections from here.",
    ),
    (
        r"stdio forwarding failed|open failed|proxy|Connection closed by UNKNOWN",
        Step.PORT,
        "the way to it is blocked: {match}",
        "Check `ProxyJump` and `ProxyCommand` in ~/.ssh/config.",
    ),
    (
        r"Unable to negotiate.*|no matching .* found.*",
        Step.PORT,
        "the two sides of ssh have no cipher in common",
        "{match}",
    ),
    (
        r"Bad configuration option.*|terminating, \d+ bad configuration.*|Can't open user config file.*"
        r"|Bad owner or permissions on.*|unknown option.*|illegal option.*",
        Step.SSH,
        "your ssh settings are wrong: {match}",
        "See `ssh_command` in the settings of lvmtui, and ~/.ssh/config.",
    ),
    (
        rf"{NEEDS_PYTHON}([0-9.]+)",
        Step.PYTHON,
        "the newest Python there is {0}, and lvmtui is not installed",
        "Install Python 3.9 or later there, or lvmtui.",
    ),
    (
        rf"{NEEDS_PYTHON}none",
        Step.PYTHON,
        "neither lvmtui nor Python was found there",
        "Install lvmtui there, or say where it is: `command` in [hosts.NAME] of the settings.",
    ),
    (
        r"(?:No such command|invalid choice:?) '?agent'?.*",
        Step.LVMTUI,
        "the lvmtui there is too old for this",
        "Update lvmtui there, or remove `command` of the host from the settings to watch it all the same.",
    ),
    (
        r"(\S*): ?(?:command )?not found|Unknown command:? (.*)|(\S+): No such file or directory",
        Step.LVMTUI,
        "there is no such command there: {0}",
        "Check `command` of the host in the settings.",
    ),
    (
        r"closed by remote host|Broken pipe|Connection to .* closed|Connection reset",
        Step.PORT,
        "the connection broke off",
        "",
    ),
)
"""Pattern of what ssh or the other side writes, the step it belongs to, reason, hint. The first that fits."""


def diagnose(stderr: bytes | str, code: int | None, host: Host | None = None) -> Cause:
    """What went wrong.

    Args:
        stderr: what ssh and the other side wrote there; its last 8 KiB count.
        code: ssh's exit code; None: it has not ended.
        host: for hints that can be copied.
    """
    text = stderr.decode("utf-8", "replace") if isinstance(stderr, bytes) else stderr
    # Patterns must not be fed lines without an end.
    text = "\n".join(line[:_LINE_LIMIT] for line in text[-_STDERR_LIMIT:].splitlines())
    name = plain(host.destination) if host else "HOST"
    for pattern, step, reason, hint in _CAUSES:
        found = re.search(pattern, text)
        if found:
            words = [_short(group) for group in found.groups() if group]
            fill = {"host": name, "match": _short(found[0])}
            reason = reason.format(*(words or ["ssh gave no more words"]), **fill)
            return Cause(step, reason, hint.format(**fill))
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    if code == 255:
        return Cause(
            Step.PORT, f"ssh failed: {_short(last)}" if last else "ssh failed and said nothing", _try(name)
        )
    if code is not None and code < 0:
        return Cause(Step.PORT, f"ssh was ended by signal {-code}")
    said = f": {_short(last)}" if last else ""
    return Cause(Step.LVMTUI, f"what ran there ended with code {code}{said}", _try(name))


def explain(stderr: bytes | str, code: int | None, host: Host | None = None) -> tuple[str, str]:
    """Reason and hint of `diagnose`."""
    cause = diagnose(stderr, code, host)
    return cause.reason, cause.hint


def _try(name: str) -> str:
    return f"Try `ssh {name} true`."


def _short(text: str) -> str:
    return plain(text.strip())[:200]
