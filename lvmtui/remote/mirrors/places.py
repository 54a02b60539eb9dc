"""Where mirrors are, whose ids belong to which slot, and who has a mirror open."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lvmtui.errors import StoreError
from lvmtui.paths import write_atomically
from lvmtui.remote.hosts import Host

STORE_NAME = "runs.db"
SLOTS_NAME = "slots.json"
LOCK_NAME = "lock"
HEARD_NAME = "heard"
"""Its time is when the host was last heard of, in whatever session."""

MOST_SLOTS = 1 << 30
"""Ids of rows must stay below 2^63."""


def mirrors_folder() -> Path:
    """Where the mirrors of all hosts are: in the user's cache."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("lvmtui", appauthor=False)) / "hosts"


def folder_name(host: Host) -> str:
    """Name of a host's folder: what the user calls it, and a mark of which store on which machine it is."""
    said = json.dumps([host.name, host.destination, host.store])
    mark = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', host.name)[:40]}-{mark}"


def make_private(folder: Path) -> None:
    """Make a folder that only the user can look into.

    Raises:
        StoreError: it cannot be made, or belongs to somebody else.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        hint = "It is where copies of watched hosts' runs are kept; XDG_CACHE_HOME names another place."
        raise StoreError(f"cannot use the folder {folder}: {error.strerror}", hint) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let nobody else change which mirrors there are meanwhile.

    Raises:
        StoreError: the folder cannot be written, or nothing can be locked in it.
    """
    descriptor = _open_lock(folder / LOCK_NAME, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def slot(folder: Path, name: str) -> int:
    """The number that the ids of a mirror's rows begin with; the same for ever. Call with `locked`.

    Args:
        folder: of all mirrors.
        name: of the mirror's folder.

    Raises:
        StoreError: the file of all numbers cannot be written.
    """
    file = folder / SLOTS_NAME
    known = _slots(file)
    if name not in known:
        known[name] = max(known.values(), default=0) + 1
        try:
            write_atomically(file, json.dumps(known, indent=1))
        except OSError as error:
            raise StoreError(
                f"cannot write {file}: {error.strerror}", "Check the free disk space."
            ) from error
    return known[name]


def _slots(file: Path) -> dict[str, int]:
    """Empty where there is no such file or something else is in it: a mirror whose number has changed is made
    anew."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {name: number for name, number in items if type(number) is int and 0 < number < MOST_SLOTS}


class InUse:
    """Tells other processes that a mirror is open, so that none takes the file from under its hands."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            StoreError: the folder cannot be written, or nothing can be locked in it.
        """
        self._descriptor = _open_lock(folder / LOCK_NAME, fcntl.LOCK_SH)

    def alone(self) -> bool:
        """Whether nobody else has it open; if so, nobody can open it until `shared` is called."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def shared(self) -> None:
        """Let others open it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """It is not open any more; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open_lock(file: Path, kind: int) -> int:
    """A descriptor that holds a lock until it is closed; waits for it."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind)
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        raise StoreError(f"cannot lock {file}: {error.strerror}", "Check the permissions.") from error
    return descriptor
