"""Adds hosts to the user's `config.toml` and takes them out, everything else in it staying byte for byte."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvmtui.errors import UsageError
from lvmtui.paths import config_file, write_atomically
from lvmtui.remote.hosts import Host, check_destination, check_name, check_store, hosts_of

_HEADER = re.compile(r"\s*\[\s*hosts\s*\.\s*(.+?)\s*\]\s*(?:#.*)?")


def add_host(host: Host, path: Path | None = None) -> Path:
    """Append a host's table to the settings.

    Args:
        host: what is added.
        path: the file; None: the user's. Made where there is none.

    Returns:
        The file.

    Raises:
        UsageError: there is a host of this name, it cannot be one, or the file cannot be written or extended.
    """
    check_name(host.name)
    check_destination(host.destination)
    check_store(host.store)
    file = path or config_file()
    text, document = _read(file)
    known = document.get("hosts", {})
    if host.name in known:
        raise UsageError(
            f"{file} has a host {host.name} already",
            f"`lvmtui hosts rm {host.name}` takes it out; or change it in the file.",
        )
    table = as_table(host)
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    added = f"{gap}{table}"
    if "\r\n" in text:
        added = added.replace("\n", "\r\n")
    wanted = {**document, "hosts": {**known, host.name: tomllib.loads(table)["hosts"][host.name]}}
    if _parsed(text + added) != wanted:
        raise UsageError(
            f"{file} has its hosts in a form that cannot be extended",
            f"Write there by hand:\n{table.rstrip()}",
        )
    _write(file, text + added)
    return file


def remove_host(name: str, path: Path | None = None) -> Path:
    """Take a host's table out of the settings.

    Returns:
        The file.

    Raises:
        UsageError: there is no such host, or its lines cannot be told from the others.
    """
    file = path or config_file()
    text, document = _read(file)
    hosts = dict(document.get("hosts", {}))
    if name not in hosts:
        words = ", ".join(hosts) or "none"
        raise UsageError(f"{file} has no host {name!r}", f"Hosts there: {words}.")
    del hosts[name]
    wanted = [{**document, "hosts": hosts}]
    if not hosts:
        wanted.append({key: value for key, value in document.items() if key != "hosts"})
    for left in _without(text, name):
        if _parsed(left) in wanted:
            _write(file, left)
            return file
    raise UsageError(
        f"{file} has {name} in a form that is not changed by itself", f"Take hosts.{name} out by hand."
    )


def as_table(host: Host) -> str:
    """The lines of a host in the settings."""
    lines = [f"[hosts.{_key(host.name)}]", f"destination = {_text(host.destination)}"]
    if host.store:
        lines.append(f"store = {_text(host.store)}")
    if host.command:
        lines.append(f"command = [{', '.join(map(_text, host.command))}]")
    if not host.watch:
        lines.append("watch = false")
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name, re.ASCII) else _text(name)


def _text(value: str) -> str:
    # A basic string of TOML takes what JSON writes; nothing printable needs more.
    return json.dumps(value, ensure_ascii=False)


def _without(text: str, name: str) -> Iterator[str]:
    """The text without lines that may be the host's table: from a header on to where another may begin. The
    caller sees by what is left whether it was. Comments before the next header belong to that."""
    lines = text.splitlines(keepends=True)
    for first, line in enumerate(lines):
        header = _HEADER.fullmatch(line.rstrip("\r\n"))
        if header is None or header[1].strip("\"'") != name:
            continue
        ends = [k for k in range(first + 1, len(lines)) if lines[k].lstrip().startswith("[")]
        for end in (*ends, len(lines)):
            last = end
            while last > first + 1 and lines[last - 1].strip()[:1] in {"", "#"}:
                last -= 1
            before, after = lines[:first], lines[last:]
            if before and not before[-1].strip() and (not after or not after[0].strip()):
                before.pop()  # the blank line that set the table off
            yield "".join((*before, *after))


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    """The text as it stands, line ends included, and what it says."""
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return "", {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error
    document = _parsed(text)
    if document is None:
        raise UsageError(f"{file} is not valid TOML", "Correct it; `lvmtui hosts ls` says where.")
    hosts_of(_table(document, file), file)
    return text, document


def _table(document: dict[str, Any], file: Path) -> dict[str, Any]:
    hosts = document.get("hosts", {})
    if not isinstance(hosts, dict):
        raise UsageError(f"{file}: hosts = {hosts!r} is not a table")
    return hosts


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _write(file: Path, text: str) -> None:
    place = file.resolve()  # a link stays one
    try:
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o666
        write_atomically(place, text, mode=mode)
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror}") from error
