"""Where runs are kept: on top, put aside, in the trash, and what is deleted for good."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from lvmtui.errors import IllegalTransition, StoreError
from lvmtui.store import runs, slots, tables
from lvmtui.store.control import describe, requester
from lvmtui.store.convert import event_columns, to_run
from lvmtui.store.database import Database
from lvmtui.store.records import Event, Run, Severity, Shelf

_EVENT = runs.table(tables.EventRow)
_PROMOTION = runs.table(tables.PromotionRow)

RUNS_FOLDER = "runs"
"""The folder of the store's in which each run has its own."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What people say about a run, and where it is kept: all that can be taken back."""

    pinned: bool = False
    archived: bool = False
    trashed: float | None = None
    note: str = ""
    tags: str = ""


def kept_of(run: Run) -> Kept:
    """How a run is kept now."""
    return Kept(run.pinned, run.archived, run.trashed, run.note, run.tags)


def pin(database: Database, run_id: int, on: bool = True) -> Run:
    """Keep a run on top of lists, or no longer.

    Returns:
        The run as it was before, here and below.

    Raises:
        RunNotFound: there is no such run.
    """
    with database.write() as connection:
        run = runs.get(connection, run_id)
        if run.pinned != on:
            runs.change(connection, run_id, pinned=on)
        return run


def archive(database: Database, run_id: int, on: bool = True) -> Run:
    """Take a run out of lists and leaderboards, or bring it back.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it is in the trash.
    """
    with database.write() as connection:
        run = runs.get(connection, run_id)
        runs.check_not_in_trash(run)
        if run.archived != on:
            runs.change(connection, run_id, archived=on)
            _tell(connection, run_id, *(("archived", "archived") if on else ("unarchived", "brought back")))
        return run


def trash(database: Database, run_id: int) -> Run:
    """Put a run into the trash: nothing of it is lost yet. A queued one does not start from there.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: a process works on it, or an alias points at it.
    """
    with database.write() as connection:
        run = runs.get(connection, run_id)
        _check_free(connection, run)
        if run.shelf is not Shelf.TRASH:
            runs.change(connection, run_id, trashed=time.time())
            _tell(connection, run_id, "trashed", "put into the trash")
        return run


def restore(database: Database, run_id: int) -> Run:
    """Take a run out of the trash, to where it was before.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it is not in the trash.
    """
    with database.write() as connection:
        run = runs.get(connection, run_id)
        if run.shelf is not Shelf.TRASH:
            raise IllegalTransition(f"{run.name} is not in the trash", "`lvmtui trash` lists what is.")
        runs.change(connection, run_id, trashed=None)
        _tell(connection, run_id, "restored", "taken out of the trash")
        return run


def put_back(database: Database, run_id: int, before: Kept, names: Collection[str]) -> Run:
    """Keep a run as it was kept before; this is how a change is undone.

    Args:
        database: the store.
        run_id: the run.
        before: how it was kept.
        names: the fields of `before` that the change was about; others stay as they are.

    Raises:
        RunNotFound: there is no such run any more.
        IllegalTransition: it goes to the trash, and a process works on it or an alias points at it.
    """
    with database.write() as connection:
        run = runs.get(connection, run_id)
        now = kept_of(run)
        if "trashed" in names and before.trashed is not None and now.trashed is None:
            _check_free(connection, run)
        changed = {
            name: getattr(before, name) for name in names if getattr(before, name) != getattr(now, name)
        }
        if changed:
            runs.change(connection, run_id, **changed)
            if not changed.keys().isdisjoint({"trashed", "archived"}):
                _tell(connection, run_id, "restored", f"put back into {_shelf_words(before)}")
        return run


def in_trash(database: Database, older_than: float = 0.0) -> list[Run]:
    """The runs in the trash, the longest there first.

    Args:
        database: the store.
        older_than: only those that have been there for so many seconds.
    """
    latest = time.time() - older_than
    query = select(runs.RUN).where(runs.RUN.c.trashed <= latest).order_by(runs.RUN.c.trashed, runs.RUN.c.id)
    with database.read() as connection:
        return [to_run(dict(row)) for row in connection.execute(query).mappings()]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted for good."""

    run: Run
    size: int = 0
    """Bytes of its files."""
    leftover: str = ""
    """Where files of it remain that could not be deleted; empty where none do."""


def delete_for_good(database: Database, run_ids: Sequence[int]) -> list[Deleted]:
    """Delete runs that are in the trash with all that belongs to them: metrics, evaluations, checkpoints,
    events, promotions, latencies, and their folders. What the store knows of data and baselines stays.

    All of them or, where one may not be deleted, none. The folders are renamed first and come back if the
    rows cannot be deleted, so that there is never a run without its files.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: one is not in the trash, a process works on it, or an alias points at it.
        StoreError: the store names a folder that is not the run's own, or it cannot be moved.
    """
    moved: list[tuple[Path, Path]] = []
    try:
        with database.write() as connection:
            found = [runs.get(connection, run_id) for run_id in dict.fromkeys(run_ids)]
            for run in found:
                if run.shelf is not Shelf.TRASH:
                    raise IllegalTransition(
                        f"{run.name} is not in the trash", f"First: `lvmtui rm {run.id}`."
                    )
                _check_free(connection, run)
            folders = [own_folder(database, connection, run) for run in found]
            aside = [_put_aside(folder, moved) for folder in folders]
            for run in found:
                _delete_rows(connection, run)
            _keep_revision(connection, max((run.revision for run in found), default=0))
    except BaseException:
        for folder, place in moved:
            place.rename(folder)
        raise
    return [_delete_files(run, place) for run, place in zip(found, aside, strict=True)]


def own_folder(database: Database, connection: Connection, run: Run) -> Path | None:
    """The folder that is this run's alone; None where it has none.

    Raises:
        StoreError: it lies elsewhere than where runs have theirs, is a link, or another run has it too.
    """
    if not run.folder:
        return None
    root = database.location.root.resolve()
    folder = root / run.folder
    try:
        safe = folder.resolve() == root / RUNS_FOLDER / folder.name and not folder.is_symlink()
    except OSError:
        safe = False
    if not safe or folder.name in {"", ".", ".."}:
        raise StoreError(
            f"{run.name} has its files in {run.folder!r}, which is no folder in {root / RUNS_FOLDER}",
            "The store is damaged or not to be trusted; nothing was deleted.",
        )
    alike = select(runs.RUN.c.id).where(runs.RUN.c.id != run.id, runs.RUN.c.folder == run.folder)
    other = connection.execute(alike).scalar()
    if other is not None:
        raise StoreError(
            f"{run.name} and run #{other} have the same folder {run.folder!r}; nothing was deleted"
        )
    return folder


def _put_aside(folder: Path | None, moved: list[tuple[Path, Path]]) -> Path | None:
    """Rename a folder, in place, to one that no run has; None where there is none."""
    if folder is None or not folder.is_dir():
        return None
    place = folder.with_name(f".deleted-{folder.name}-{uuid.uuid4().hex[:8]}")
    try:
        folder.rename(place)
    except OSError as error:
        raise StoreError(f"cannot delete {folder}: {error.strerror}", "Check its permissions.") from error
    moved.append((folder, place))
    return place


def _delete_rows(connection: Connection, run: Run) -> None:
    # Promotions point at checkpoints as well, which go with the run.
    connection.execute(delete(_PROMOTION).where(_PROMOTION.c.run_id == run.id))
    connection.execute(delete(runs.RUN).where(runs.RUN.c.id == run.id))
    _tell(connection, None, "deleted", f"{run.name} deleted for good", Severity.WARN)


def _keep_revision(connection: Connection, newest: int) -> None:
    """See that revisions go on from what readers have seen: one that comes twice would be passed over."""
    left = connection.execute(select(func.max(runs.RUN.c.id))).scalar()
    if left is not None:
        values = {"revision": max(newest + 1, runs.next_revision(connection))}
        connection.execute(runs.RUN.update().where(runs.RUN.c.id == left).values(**values))


def _delete_files(run: Run, place: Path | None) -> Deleted:
    if place is None:
        return Deleted(run)
    size = _size(place)
    shutil.rmtree(place, ignore_errors=True)
    return Deleted(run, size, leftover=str(place) if place.exists() else "")


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; links are not followed."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except OSError:
                continue
    return total


def _check_free(connection: Connection, run: Run) -> None:
    """Refuse what would pull a run away from under a process or an alias."""
    if slots.is_taken(run):
        hint = f"Stop it first: `lvmtui stop {run.id}`, or S in the dashboard."
        raise IllegalTransition(f"{run.name} is {describe(run)}", hint)
    newest = select(func.max(_PROMOTION.c.id)).group_by(_PROMOTION.c.alias).scalar_subquery()
    query = select(_PROMOTION.c.alias).where(_PROMOTION.c.id.in_(newest), _PROMOTION.c.run_id == run.id)
    alias = connection.execute(query).scalar()
    if alias is not None:
        raise IllegalTransition(f"{run.name} is the {alias}", "Promote another run first.")


def _shelf_words(kept: Kept) -> str:
    if kept.trashed is not None:
        return "the trash"
    return "the archive" if kept.archived else "the runs"


def _tell(
    connection: Connection, run_id: int | None, kind: str, what: str, severity: Severity = Severity.INFO
) -> None:
    """Record what was done, and by whom."""
    row: dict[str, Any] = event_columns(
        Event(kind, f"{what} by {requester()}", time.time(), severity), run_id
    )
    connection.execute(insert(_EVENT), [row])
