"""How much room the store's disk has."""

from __future__ import annotations

import shutil

from lvmtui.alerts.kinds import DiskSpace
from lvmtui.store.location import Location

DISK_SECONDS = 30.0
"""Between two looks."""


def disk_space(store: str) -> DiskSpace | None:
    """The file system that a store is on; None where it is no file, or the system does not say.

    Args:
        store: path or URL, as given by the user.
    """
    path = Location.parse(store).path
    if path is None:
        return None
    try:
        usage = shutil.disk_usage(path if path.exists() else path.parent)
    except OSError:
        return None
    return DiskSpace(str(path), usage.free, usage.total)
