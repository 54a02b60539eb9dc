"""Hosts that are watched: what the user calls them, what ssh is given, where their store is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

from lvmtui.errors import UsageError, did_you_mean
from lvmtui.store.records import SLOT_BITS

EVERY = "all"
"""Stands on the command line for every host of the settings that is watched."""

RESERVED = frozenset({EVERY, "here", "local", "queue"})
"""Names that mean something else where a host can stand."""

LONGEST_NAME, LONGEST_TEXT = 40, 1024

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_HURTFUL = frozenset("'\"`\\$;&<>|(){}*?!")
"""Characters that ssh refuses in a host's name as well: settings of ssh may hand it to a shell."""

_FORMS = "A host is written gpu1, me@gpu1, gpu1:/data/runs.db or ssh://me@gpu1:2222/data/runs.db."


@dataclass(frozen=True, slots=True)
class Host:
    """A machine to watch."""

    name: str
    """What the user calls it; `Run.origin` of its runs. Letters, digits, `.`, `_` and `-`, at most 40."""
    destination: str
    """What ssh is given: an alias of the user's ssh settings, `host`, `user@host` or `ssh://user@host:port`."""
    store: str = ""
    """Path of the store there, relative to the login folder; empty: the default one of the lvmtui there."""
    command: tuple[str, ...] = ()
    """How lvmtui is called there; empty: it is looked for."""
    watch: bool = True
    """Whether the dashboard watches it unless told otherwise."""


def global_id(slot: int, number: int) -> int:
    """Id of a row of a watched host's store, unique among all stores shown. Slot 0: the local one."""
    return slot << SLOT_BITS | number


def slot_of(run_id: int) -> int:
    """Which host an id belongs to; 0: it is in the local store."""
    return run_id >> SLOT_BITS


@overload
def number_of(run_id: int) -> int: ...
@overload
def number_of(run_id: int | None) -> int | None: ...
def number_of(run_id: int | None) -> int | None:
    """What a run is called in the store that it is in; None for none."""
    return None if run_id is None else run_id & ((1 << SLOT_BITS) - 1)


def parse_host(text: str, known: Mapping[str, Host]) -> Host:
    """The host that a text on the command line means.

    Args:
        text: a name of the settings, or what ssh takes, with `:STORE` behind it where the store is not the
            default one there. In `ssh://…/PATH` the path is absolute; `/~/PATH` begins at the login folder.
        known: the hosts of the settings, by name.

    Raises:
        UsageError: it is no host, or one that ssh would take for something else.
    """
    _check_text("host", text)
    if text in known:
        return known[text]
    destination, store = _split(text)
    if destination in known:
        return replace(known[destination], store=store)
    if destination in RESERVED:
        raise UsageError(f"{destination!r} is no name of a host", _FORMS)
    check_destination(destination)
    check_store(store)
    return Host(short_name(destination), destination, store)


def spoken(host: Host) -> str:
    """How `parse_host` is told this host, where the settings do not have it."""
    import shlex

    if host.destination.startswith("ssh://"):
        behind = host.store if host.store.startswith("/") else f"/~/{host.store}" if host.store else ""
    else:
        behind = f":{host.store}" if host.store else ""
    return shlex.quote(host.destination + behind)


def parse_hosts(texts: Sequence[str], known: Mapping[str, Host]) -> tuple[Host, ...]:
    """The hosts of several `--host`, each once, `all` being those of the settings that are watched. Hosts of
    equal name are numbered.

    Raises:
        UsageError: as `parse_host`; or `all`, and there is none.
    """
    found: dict[tuple[str, str], Host] = {}
    taken: set[str] = set()
    for text in texts:
        for host in watched(known, needed=True) if text == EVERY else (parse_host(text, known),):
            if (host.destination, host.store) in found:
                continue
            if host.name in taken:
                host = replace(host, name=_free_name(host.name, taken))
            taken.add(host.name)
            found[host.destination, host.store] = host
    return tuple(found.values())


def watched(known: Mapping[str, Host], *, needed: bool = False) -> tuple[Host, ...]:
    """The hosts of the settings that the dashboard watches unless told otherwise.

    Raises:
        UsageError: there is none, and one is needed.
    """
    found = tuple(host for host in known.values() if host.watch)
    if needed and not found:
        raise UsageError("no host is watched", "`lvmtui hosts add NAME` adds one to the settings.")
    return found


def _free_name(name: str, taken: Iterable[str]) -> str:
    numbers = range(2, 2 + len(tuple(taken)))
    return next(found for k in numbers if (found := f"{name[: LONGEST_NAME - 4]}-{k}") not in taken)


def _split(text: str) -> tuple[str, str]:
    """Destination and store."""
    if text.startswith("ssh://"):
        place, _, path = text.removeprefix("ssh://").partition("/")
        store = path.removeprefix("~/") if path.startswith("~/") else f"/{path}" if path else ""
        return f"ssh://{place}", store
    bracketed = re.fullmatch(r"((?:[^@\[\]]+@)?)\[([^\]]*)\](?::(.*))?", text)  # an address of IPv6
    if bracketed:
        user, address, store = bracketed.groups(default="")
        return f"{user}{address}", store.removeprefix("~/")
    destination, _, store = text.partition(":")
    if store.isdecimal():
        raise UsageError(
            f"the store of {text!r} looks like a port", f"Write ssh://{destination}:{store} for a port."
        )
    return destination, store.removeprefix("~/")


def short_name(destination: str) -> str:
    """What a host is called that the settings have no name for: the machine's, without user and port."""
    place = destination.removeprefix("ssh://").rpartition("@")[2]
    if destination.startswith("ssh://"):
        place = re.sub(r":\d*$", "", place).strip("[]")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", place, flags=re.ASCII).strip("-._")[:LONGEST_NAME]
    return f"host-{name}" if name in RESERVED or not name else name


def check_name(name: str) -> None:
    """Refuse a name that cannot stand for a host.

    Raises:
        UsageError: other characters, too long, or it means something else.
    """
    if name in RESERVED:
        raise UsageError(f"a host cannot be called {name!r}: that means something else", "Choose another.")
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name[: 2 * LONGEST_NAME]!r} is no name for a host",
            f"A name has letters, digits, '.', '_' and '-', begins with a letter or digit, and is at most "
            f"{LONGEST_NAME} long.",
        )


def check_destination(destination: str) -> None:
    """Refuse what ssh would take for an option, or what could mean something to a shell behind it.

    Raises:
        UsageError: empty, a blank or control character, `-` at the beginning of the user or the host, ….
    """
    _check_text("host", destination)
    place = destination.removeprefix("ssh://")
    user, _, machine = place.rpartition("@")
    if destination.startswith("ssh://"):
        found = re.fullmatch(r"(\[[0-9A-Fa-f:.%\w]+\]|[^:\[\]]+)(?::(\d+))?", machine)
        if found is None or (found[2] is not None and not 0 < int(found[2]) < 65536):
            raise UsageError(f"{destination!r} is no ssh:// address", _FORMS)
        machine = found[1]
    if destination.startswith("-") or user.startswith("-") or machine.startswith("-"):
        raise UsageError(f"{destination!r} is no host: ssh would take it for an option", _FORMS)
    if not machine or place.startswith("@") or "/" in place:
        raise UsageError(f"{destination!r} is no host", _FORMS)
    wrong = sorted(_HURTFUL & set(destination)) + [c for c in destination if c.isspace()]
    if wrong:
        raise UsageError(f"{destination!r} is no host: {wrong[0]!r} cannot stand in it", _FORMS)


def check_store(store: str) -> None:
    """Refuse what cannot be the path of a store there.

    Raises:
        UsageError: control characters in it, or too long.
    """
    if store:
        _check_text("store", store)


def _check_text(what: str, text: str) -> None:
    if not text or len(text) > LONGEST_TEXT or not text.isprintable():
        shown = repr(text[:80])
        raise UsageError(f"{shown} is no {what}: empty, too long, or with control characters", _FORMS)


def hosts_of(values: Mapping[str, Any], where: str | Path) -> dict[str, Host]:
    """The hosts of `[hosts.*]` of the settings, by name, in their order.

    Args:
        values: the section as it was read from TOML.
        where: the file, for messages.

    Raises:
        UsageError: an unknown key, or a value that makes no sense.
    """
    return {name: _host(name, table, f"{where}: hosts.{name}") for name, table in values.items()}


_SETTINGS: dict[str, tuple[str, type]] = {
    "destination": ("a text", str),
    "store": ("a text", str),
    "command": ("a text or a list of texts", object),
    "watch": ("true or false", bool),
}


def _host(name: str, table: object, where: str) -> Host:
    if not isinstance(table, dict):
        raise UsageError(f"{where} is no table", f"Write [hosts.{name}] and its settings below it.")
    for key, value in table.items():
        if key not in _SETTINGS:
            raise UsageError(f"{where}: unknown setting {key!r}", did_you_mean(key, _SETTINGS))
        words, kind = _SETTINGS[key]
        if not isinstance(value, kind):
            raise UsageError(f"{where}.{key} = {value!r} is not {words}")
    host = Host(
        name,
        table.get("destination") or name,
        table.get("store", "").removeprefix("~/"),
        words_of(table.get("command", ()), f"{where}.command"),
        table.get("watch", True),
    )
    try:
        check_name(name)
        check_destination(host.destination)
        check_store(host.store)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", error.hint) from None
    return host


def words_of(value: object, where: str) -> tuple[str, ...]:
    """A program and its arguments, given as a list or as a text that is cut as a shell would; no shell runs.

    Raises:
        UsageError: something else, a quotation mark without its other, or control characters.
    """
    import shlex

    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise UsageError(f"{where} = {value!r}: {error}") from error
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{where} = {value!r} is not a text or a list of texts")
    if not all(word.isprintable() for word in words) or (words and not words[0]):
        raise UsageError(f"{where} = {value!r} is no command: empty, or with control characters")
    return tuple(words)
