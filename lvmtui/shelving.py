"""Puts runs where the user wants them: pins, the archive, the trash. Opens the store, and settles first what
became of a run whose process is gone. Knows no screen."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from lvmtui.launcher import open_store
from lvmtui.liveness import lost_reason
from lvmtui.store.lifecycle import Status
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.store.database import Database
    from lvmtui.store.shelves import Deleted, Kept

Target = str | os.PathLike[str]


def pin(store: Target, run_id: int, on: bool = True) -> Run:
    """`lvmtui.store.shelves.pin`."""
    from lvmtui.store import shelves

    with open_store(store) as database:
        return shelves.pin(database, run_id, on)


def archive(store: Target, run_id: int, on: bool = True) -> Run:
    """`lvmtui.store.shelves.archive`."""
    from lvmtui.store import shelves

    with open_store(store) as database:
        return shelves.archive(database, run_id, on)


def trash(store: Target, run_id: int) -> Run:
    """`lvmtui.store.shelves.trash`; a run whose process is gone is recorded as lost first.

    Raises:
        LaunchError: its process is silent, but may still be at work.
    """
    from lvmtui.store import shelves

    with open_store(store) as database:
        _settle(database, run_id)
        return shelves.trash(database, run_id)


def restore(store: Target, run_id: int) -> Run:
    """`lvmtui.store.shelves.restore`."""
    from lvmtui.store import shelves

    with open_store(store) as database:
        return shelves.restore(database, run_id)


def put_back(store: Target, run_id: int, before: Kept, names: Collection[str]) -> Run:
    """`lvmtui.store.shelves.put_back`."""
    from lvmtui.store import shelves

    with open_store(store) as database:
        return shelves.put_back(database, run_id, before, names)


def annotate(store: Target, run_id: int, *, note: str | None = None, tags: str | None = None) -> Run:
    """Change a run's note or tags; what is None stays.

    Returns:
        The run as it was before.

    Raises:
        RunNotFound: there is no such run.
    """
    from lvmtui.store.control import Controller
    from lvmtui.store.reader import Reader

    with open_store(store) as database:
        before = Reader(database).run(run_id)
        Controller(database).annotate(run_id, note=note, tags=tags)
        return before


def in_trash(store: Target, older_than: float = 0.0) -> list[Run]:
    """`lvmtui.store.shelves.in_trash`."""
    from lvmtui.store import shelves

    with open_store(store, read_only=True) as database:
        return shelves.in_trash(database, older_than)


def delete_for_good(store: Target, run_ids: Sequence[int]) -> list[Deleted]:
    """`lvmtui.store.shelves.delete_for_good`."""
    from lvmtui.store import shelves

    with open_store(store) as database:
        return shelves.delete_for_good(database, run_ids)


def _settle(database: Database, run_id: int) -> None:
    """Record that a run is lost, where that is proven."""
    from lvmtui.launcher.steering import proven_loss
    from lvmtui.store.control import Controller
    from lvmtui.store.reader import Reader

    run = Reader(database).run(run_id)
    if run.status is not Status.DONE and lost_reason(run, time.time()) is not None:
        Controller(database).mark_lost(run, proven_loss(run))
