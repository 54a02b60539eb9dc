"""A store's place, a run's folder, and who may decide about a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui.errors import LaunchError
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.store.database import Database
    from lvmtui.store.location import Source


@contextmanager
def open_store(
    target: str | os.PathLike[str], *, create: bool = False, read_only: bool = False
) -> Iterator[Database]:
    """A store, closed at the end; see `Database.open`.

    Raises:
        StoreError: as `Database.open`; or what is done with it fails, because the disk is full, ….
    """
    from sqlalchemy.exc import OperationalError

    from lvmtui.store.database import Database
    from lvmtui.store.location import cannot_use

    database = Database.open(target, create=create, read_only=read_only)
    try:
        yield database
    except OperationalError as error:
        raise cannot_use(database.location, error.orig) from error
    finally:
        database.close()


def run_folder(store: Source, run: Run) -> Path:
    """Where a run's files are.

    Raises:
        LaunchError: the store names a folder outside its own; somebody else may have written it.
    """
    root = store.location.root.resolve()
    folder = (root / run.folder).resolve()
    if folder == root or not folder.is_relative_to(root):
        raise LaunchError(
            f"{run.name} has its files in {run.folder!r}, outside the store's folder",
            "The store is damaged or not to be trusted.",
        )
    return folder


@contextmanager
def alone(database: Database, run_id: int) -> Iterator[None]:
    """Let only one process at a time decide about a run: looking at its process and recording what follows
    from that is no single transaction. Locks the run's folder."""
    import fcntl

    from lvmtui.store.reader import Reader

    folder = run_folder(database, Reader(database).run(run_id))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise LaunchError(
            f"cannot use the folder {folder}: {error.strerror}",
            "Check its permissions and the free disk space.",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
