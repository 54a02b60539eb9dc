"""What one call of the command line keeps for its messages and its end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvmtui.remote.hosts import Host

_COMMAND = re.compile(r"`(lvmtui [^`]+)`")


class Invocation:
    """One call of the command line."""

    def __init__(self) -> None:
        self.is_partial = False
        """Whether some of what was asked for is missing in what was printed; the exit code is 1 then."""
        self._spoken: dict[str, str] = {}

    def name(self, hosts: Iterable[Host], known: Iterable[Host]) -> None:
        """Remember how hosts are to be named that the settings do not know.

        Args:
            hosts: those that this call is about.
            known: those of the settings.
        """
        from lvmtui.remote.hosts import spoken

        given = set(known)
        self._spoken |= {host.name: spoken(host) for host in hosts if host not in given}

    def pasteable(self, text: str) -> str:
        """A message whose commands work when they are pasted: `lvmtui stop 17@gpu1` as `lvmtui stop 17 --host
        me@gpu1` where the settings do not say which machine gpu1 is."""
        return _COMMAND.sub(lambda found: f"`{self._command(found[1])}`", text) if self._spoken else text

    def _command(self, command: str) -> str:
        labels = re.findall(r"\S@([A-Za-z0-9._-]+)(?=['\s]|$)", re.sub(r"--host \S+", "", command))
        named = [name for name in dict.fromkeys(labels) if name in self._spoken]
        words = [self._spoken.get(word, word) if at else word for word, at in _behind_option(command)]
        command = " ".join(words)
        if len(named) == 1:
            command = re.sub(rf"(?<=\S)@{re.escape(named[0])}(?=['\s]|$)", "", command, count=1)
        missing = [self._spoken[name] for name in named if f"--host {self._spoken[name]}" not in command]
        return " ".join([command, *(f"--host {spoken}" for spoken in missing)])


def _behind_option(command: str) -> list[tuple[str, bool]]:
    """The words of a command, and whether each stands behind `--host`."""
    words = command.split(" ")
    return [(word, before == "--host") for before, word in zip(["", *words], words, strict=False)]


_now = Invocation()


def begin() -> Invocation:
    """A call begins."""
    global _now
    _now = Invocation()
    return _now


def now() -> Invocation:
    """The present call."""
    return _now
