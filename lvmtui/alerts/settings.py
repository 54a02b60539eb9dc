"""`[alerts]` in `config.toml`: what is told, and where to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lvmtui.alerts.kinds import DiskLimit, Kind
from lvmtui.errors import UsageError, did_you_mean

ALL = tuple(Kind)
OSC = ("9", "777", "99", "off")
"""Escape sequences for a desktop notification: 9 (iTerm2, WezTerm, Ghostty, kitty), 777 (foot, urxvt, VTE),
99 (kitty)."""

LEAST_FACTOR = 1.5

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(%|[KMGT]?i?B)", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {
    f"{letter}ib": 1 << 10 * power for power, letter in enumerate("kmgt", start=1)
}


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The user's choice."""

    kinds: tuple[Kind, ...] = ALL
    """What is told at all."""
    ring: tuple[Kind, ...] = tuple(kind for kind in ALL if kind is not Kind.NEW_BEST)
    """What rings the bell and makes a desktop notification."""
    bell: bool = True
    """Ring the terminal's bell."""
    osc: str = "9"
    """One of `OSC`."""
    command: tuple[str, ...] = ()
    """Program and arguments that are run with every alert; no shell."""
    webhook: str = ""
    """URL that every alert is posted to as JSON."""
    stall_factor: float = 5.0
    """A run stands still after so many times the usual time without a step."""
    disk_free: DiskLimit = field(default_factory=DiskLimit)
    """How much of the store's disk should be free."""
    time_limit: float = 10.0
    """Seconds that the command and the webhook may take."""


def alert_settings(values: Mapping[str, Any], where: str | Path) -> AlertSettings:
    """The section as it was read from TOML.

    Args:
        values: the section.
        where: the file, for messages.

    Raises:
        UsageError: an unknown key, or a value that makes no sense.
    """
    checked = {}
    for name, value in values.items():
        if name not in _READERS:
            raise UsageError(f"{where}: unknown setting alerts.{name}", did_you_mean(name, _READERS))
        try:
            checked[name] = _READERS[name](value)
        except _Refused as refusal:
            # Whoever has a webhook's address can post to it: it belongs on no screen and in no log.
            shown = "…" if name == "webhook" else repr(value)
            raise UsageError(f"{where}: alerts.{name} = {shown} is not {refusal}", refusal.hint) from None
    return AlertSettings(**checked)


class _Refused(Exception):
    """Says what a value should have been."""

    def __init__(self, wanted: str, hint: str = "") -> None:
        super().__init__(wanted)
        self.hint = hint


def _kinds(value: object) -> tuple[Kind, ...]:
    if not isinstance(value, list):
        raise _Refused("a list of kinds", f"Kinds: {', '.join(ALL)}.")
    for name in value:
        if name not in ALL:
            raise _Refused("a list of kinds", f"There is no kind {name!r}. {did_you_mean(str(name), ALL)}")
    return tuple(kind for kind in ALL if kind in value)


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Refused("true or false")
    return value


def _osc(value: object) -> str:
    if str(value) not in OSC or isinstance(value, bool):
        raise _Refused(f"one of {', '.join(OSC)}")
    return str(value)


def _command(value: object) -> tuple[str, ...]:
    hint = 'Program and arguments, one text each: command = ["notify-send", "lvmtui"]. There is no shell.'
    if not isinstance(value, list) or not all(isinstance(part, str) and "\0" not in part for part in value):
        raise _Refused("a list of texts", hint)
    if value and not value[0]:
        raise _Refused("a command", hint)
    return tuple(value)


def _webhook(value: object) -> str:
    from urllib.parse import urlsplit

    hint = 'For example: webhook = "https://hooks.example.org/…".'
    if not isinstance(value, str):
        raise _Refused("a URL", hint)
    if not value:
        return value
    try:
        parts = urlsplit(value)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not value.isascii() or any(sign <= " " for sign in value):
        raise _Refused("an http or https URL", hint)
    return value


def _factor(value: object) -> float:
    if not _is_number(value) or not LEAST_FACTOR <= float(value) <= 1000:  # type: ignore[arg-type]
        raise _Refused(f"a number from {LEAST_FACTOR} to 1000")
    return float(value)  # type: ignore[arg-type]


def _seconds(value: object) -> float:
    if not _is_number(value) or not 1 <= float(value) <= 300:  # type: ignore[arg-type]
        raise _Refused("a number of seconds from 1 to 300")
    return float(value)  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _disk(value: object) -> DiskLimit:
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = match[2].lower() if match else ""
    if match is None or (unit != "%" and unit not in _UNITS):
        raise _Refused("a size", 'For example: disk_free = "5 GiB", "5%", or "0 B" for never.')
    number = float(match[1])
    if unit == "%":
        if not 0 < number < 100:
            raise _Refused("a share between 0% and 100%")
        return DiskLimit(0, number / 100)
    return DiskLimit(round(number * _UNITS[unit]))


_READERS: Mapping[str, Callable[[object], Any]] = {
    "kinds": _kinds,
    "ring": _kinds,
    "bell": _bool,
    "osc": _osc,
    "command": _command,
    "webhook": _webhook,
    "stall_factor": _factor,
    "disk_free": _disk,
    "time_limit": _seconds,
}
