"""What of a run is given to another store: its rows of one moment, and the files that belong to them."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lvmtui.errors import IllegalTransition
from lvmtui.launcher.places import open_store, run_folder
from lvmtui.reading import LOG_NAME
from lvmtui.remote.copies.copying import MOST_FILES, ROWS, Offer, Piece, is_safe_name
from lvmtui.store.lifecycle import ACTIVE, Status
from lvmtui.store.sources import source_of

if TYPE_CHECKING:
    from lvmtui.store.database import Database
    from lvmtui.store.records import Checkpoint, Run

TRIES = 40
"""How often a run that trains is looked at anew because a checkpoint of its rows had just gone."""

DUMPS = 5
"""How often all of its rows are read because its checkpoints moved on meanwhile."""

CHECKPOINTS = "checkpoints/"


@dataclass(slots=True)
class Given:
    """A run that is ready to be given."""

    run: Run
    offer: Offer
    _rows: BinaryIO
    _held: Mapping[str, int]
    """Checkpoints by name, open: training may delete them while they are on their way."""
    _folder: Path

    def open_piece(self, piece: Piece) -> BinaryIO:
        """A piece's bytes from its beginning.

        Raises:
            OSError: the file has gone, or is something else now.
        """
        if piece.name == ROWS:
            return _duplicate(self._rows.fileno())
        if piece.name in self._held:
            return _duplicate(self._held[piece.name])
        return os.fdopen(_open_below(self._folder, piece.name), "rb")


@contextmanager
def giving(store: str | os.PathLike[str], run: str) -> Iterator[Given]:
    """A run's rows and files, as they are at one moment, held until the end.

    Args:
        store: path or URL of the store.
        run: the run as users name it: `17`, `phase-3 #17`, `last`.

    Raises:
        StoreError: the store cannot be read.
        RunNotFound: there is no such run.
        IllegalTransition: it has not begun yet.
        LaunchError: the store names a folder outside its own.
    """
    from lvmtui.store.reader import Reader

    with open_store(store, read_only=True) as database, ExitStack() as stack:
        yield _given(database, Reader(database).resolve(run).id, stack)


@contextmanager
def giving_log(store: str | os.PathLike[str], run: str) -> Iterator[Given]:
    """The log of a run, as `giving`: no rows, and no other file."""
    from lvmtui.store.reader import Reader

    with open_store(store, read_only=True) as database, ExitStack() as stack:
        found = Reader(database).resolve(run)
        folder = run_folder(database, found)
        files = _Files(folder, f"{found.folder}/", stack)
        if (folder / LOG_NAME).is_file():
            files.take(LOG_NAME)
        rows = stack.enter_context(tempfile.TemporaryFile())
        piece = Piece(ROWS, 0, hashlib.sha256().hexdigest())
        offer = Offer(_about(database, found), piece, tuple(files.pieces), tuple(files.left_out))
        yield Given(found, offer, rows, {}, folder)


def _given(database: Database, run_id: int, stack: ExitStack) -> Given:
    from lvmtui.store.reader import Reader

    dumps = 0
    for attempt in range(1, TRIES + 1):
        with ExitStack() as opened:
            before = _checkpoints(database, run_id)
            run = Reader(database).run(run_id)
            folder = run_folder(database, run)
            found = _Files(folder, f"{run.folder}/", opened)
            # Opened at once: a training replaces its checkpoints all the time.
            found.take_checkpoints(before)
            may_settle = run.status in ACTIVE and attempt < TRIES and dumps < DUMPS
            if found.missing and may_settle:
                continue
            rows = opened.enter_context(tempfile.TemporaryFile())
            run, rows_piece = _dump(database, run_id, rows)
            dumps += 1
            if may_settle and _checkpoints(database, run_id) != before:
                continue
            found.take_others()
            stack.push(opened.pop_all())
            break
    offer = Offer(_about(database, run), rows_piece, tuple(found.pieces), tuple(found.left_out))
    return Given(run, offer, rows, found.held, folder)


def _about(database: Database, run: Run) -> dict[str, Any]:
    from lvmtui.store.copies import made_at

    about: dict[str, Any] = {
        **{"host": socket.gethostname(), "store": database.location.where, "made": made_at(database)},
        **{"number": run.id, "created": run.created, "revision": run.revision, "attempt": run.attempt},
        "state": "" if run.status is Status.DONE else run.status.value,
        **{"time": time.time(), "name": run.name},
    }
    first = source_of(run)
    if first is not None:
        about["of"] = list(first.identity)
    return about


def _dump(database: Database, run_id: int, file: Any) -> tuple[Run, Piece]:
    from lvmtui.store.copied_rows import dump

    digest = hashlib.sha256()

    def write(line: bytes) -> None:
        digest.update(line)
        file.write(line)

    run = dump(database, run_id, write)
    if run.status in {Status.QUEUED, Status.STARTING} and not run.attempt:
        raise IllegalTransition(
            f"{run.name} cannot be copied: it has not begun", "`lvmtui launch` begins the same one elsewhere."
        )
    file.flush()
    return run, Piece(ROWS, file.tell(), digest.hexdigest())


def _checkpoints(database: Database, run_id: int) -> list[Checkpoint]:
    from lvmtui.store.reader import Reader

    return Reader(database).checkpoints(run_id)


@dataclass(slots=True)
class _Files:
    """The files of a run's folder that are given."""

    folder: Path
    prefix: str
    """The folder as paths in the store have it."""
    stack: ExitStack
    pieces: list[Piece] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    missing: bool = False

    def take_checkpoints(self, rows: list[Checkpoint]) -> None:
        """Open the files of checkpoints; what they should come to is what their rows say."""
        for row in rows:
            name = row.path.removeprefix(self.prefix)
            if not row.path.startswith(self.prefix) or not is_safe_name(name):
                self.left_out.append((row.path, "it is not in the run's folder"))
                continue
            try:
                handle = _open_below(self.folder, name)
            except OSError as error:
                self.missing = True
                self.left_out.append((name, error.strerror or str(error)))
                continue
            self.stack.callback(os.close, handle)
            self.held[name] = handle
            self.pieces.append(Piece(name, os.fstat(handle).st_size, row.sha256))

    def take_others(self) -> None:
        """Everything else that is a plain file and not hidden. Files among the checkpoints that no row
        tells of are half-written, or about to go."""
        for name in sorted(_names(self.folder)):
            if name in self.held or name.startswith(CHECKPOINTS):
                continue
            if not is_safe_name(name) or len(self.pieces) >= MOST_FILES:
                self.left_out.append((name, "its name cannot be used elsewhere, or there are too many"))
                continue
            self.take(name)

    def take(self, name: str) -> None:
        """One plain file, up to where it ends now."""
        try:
            handle = _open_below(self.folder, name)
        except OSError as error:
            self.left_out.append((name, error.strerror or str(error)))
            return
        with os.fdopen(handle, "rb") as file:
            size = os.fstat(handle).st_size
            self.pieces.append(Piece(name, *_hashed(file, size)))


def _names(folder: Path) -> Iterator[str]:
    """Files below a folder, relative to it; links are not followed, what is hidden is left out."""
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(path, name), folder)


def _hashed(file: BinaryIO, size: int) -> tuple[int, str]:
    """How much of a file there is, `size` at most, and its sha256: a log may grow meanwhile."""
    digest, left = hashlib.sha256(), size
    while left and (data := file.read(min(left, 1 << 20))):
        digest.update(data)
        left -= len(data)
    return size - left, digest.hexdigest()


def _open_below(folder: Path, name: str) -> int:
    """Open a plain file below a folder to read, going through no link on the way.

    Raises:
        OSError: it is not there, or something else.
    """
    *parts, last = name.split("/")
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = below
        # Without waiting: a pipe of that name would stand still until somebody writes to it.
        handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(0, "it is no plain file")
    return handle


def _duplicate(handle: int) -> BinaryIO:
    """A file's bytes from the beginning, by a handle that stays open; read by one at a time."""
    file = os.fdopen(os.dup(handle), "rb")
    file.seek(0)
    return file
