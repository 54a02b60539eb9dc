"""Hosts that are watched: what the user calls them, what ssh is given, where their store is."""

from __future__ import annotations

from dataclasses import dataclass

from lvmtui.store.records import SLOT_BITS


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


def global_id(slot: int, number: int) -> int:
    """Id of a row of a watched host's store, unique among all stores shown. Slot 0: the local one."""
    return slot << SLOT_BITS | number


def slot_of(run_id: int) -> int:
    """Which host an id belongs to; 0: it is in the local store."""
    return run_id >> SLOT_BITS
