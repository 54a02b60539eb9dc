"""Forgets a host that is not watched any more: the copy of its runs, and what it was to be asked for."""

from __future__ import annotations

import shutil
from contextlib import closing, suppress
from pathlib import Path

from lvmtui.errors import LvmtuiError, UsageError
from lvmtui.remote.hosts import Host
from lvmtui.remote.mirrors import places as mirror_places
from lvmtui.remote.outbox import Entry, Outbox, outbox_file


def requests_left(host: Host) -> list[Entry]:
    """What the host was asked for and has not answered; empty where that cannot be read."""
    with suppress(LvmtuiError), closing(Outbox(outbox_file(host))) as outbox:
        return outbox.unanswered()
    return []


def forget(host: Host, folder: Path | None = None) -> None:
    """Delete the mirror and the outbox of a host. The number of its ids stays its own.

    Args:
        folder: where the mirrors of all hosts are; None: in the user's cache.

    Raises:
        UsageError: an open lvmtui watches it, or a file cannot be deleted.
    """
    place = folder or mirror_places.mirrors_folder()
    own = place / mirror_places.folder_name(host)
    try:
        if own.is_dir():
            with mirror_places.locked(place), closing(mirror_places.InUse(own)) as use:
                if not use.alone():
                    raise UsageError(f"an open lvmtui watches {host.name}", "End that one first.")
                shutil.rmtree(own)
        file = outbox_file(host)
        for name in (file.name, f"{file.name}-journal"):
            file.with_name(name).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot delete {error.filename}: {error.strerror}") from error
