"""A run that another store gives: its files come into a hidden folder beside the store, go on where they
broke off, and become a run of this store when all of it is there and checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui.errors import IllegalTransition, LvmtuiError, RemoteError, StoreError
from lvmtui.format import size as size_words
from lvmtui.launcher.places import open_store, run_folder
from lvmtui.remote.copies.copying import Channel, Offer, Piece, ask_for
from lvmtui.store.sources import Source, source_of

if TYPE_CHECKING:
    from lvmtui.store.copied_rows import Survey
    from lvmtui.store.copies import Taken
    from lvmtui.store.database import Database
    from lvmtui.store.records import Run

FOLDER = ".lvmtui-copies"
"""Where files are until their run is whole, beside the store."""

STAGED_NAME = "rows.db"
"""Rows on their way from the file that came into the store."""

STALE_SECONDS = 14 * 86_400.0
"""Copies that nobody went on with for so long are removed."""

SPARE_BYTES = 64 << 20
"""Of the disk are left free."""

LOCK_SECONDS = 40.0
"""Longer than an agent takes to notice that its client is gone."""

ROWS_FACTOR = 3
"""Rows take at most so many times their size as a file in the store."""


@dataclass(slots=True)
class Progress:
    """How far a copy is, in bytes of files and rows."""

    size: int = 0
    """Of all."""
    here: int = 0
    """That were here before."""
    done: int = 0
    """Of all that are here now."""
    name: str = ""
    """What is on its way now; empty: the rows."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A copy that was made."""

    run: Run
    """The copy, in the store that took it."""
    again: bool
    """Whether it was brought up to date, and not made."""
    rows: int
    size: int
    """Bytes that were sent."""
    state: str
    """What the run is in the store that gave it, where it is not over there."""
    left_out: Sequence[tuple[str, str]] = field(default_factory=tuple)


def take(
    store: str | os.PathLike[str],
    channel: Channel,
    offer: Offer,
    *,
    on_progress: Callable[[Progress], object] = lambda _: None,
    when_here: Callable[[], object] = lambda: None,
) -> Outcome:
    """Fetch what a store gives and make a run of it here, or bring its copy here up to date.

    Args:
        store: path or URL of the store that it goes to.
        channel: the conversation with the side that gives.
        offer: what it gives.
        on_progress: told now and then how far it is.
        when_here: called once nothing more is asked of the other side.

    Raises:
        StoreError: the store cannot be written, or what came is not a run's rows.
        IllegalTransition: the run is from this store, or its copy here went on by itself.
        RemoteError: the other side breaks off; what has come is kept, and the next try goes on from there.
    """
    with open_store(store, create=True) as database:
        copy = _copy_here(database, offer)
        with _Staging.opened(database, offer) as staging:
            if copy is not None and _is_same(copy, offer, run_folder(database, copy)):
                when_here()
                staging.forget()
                return Outcome(copy, True, 0, 0, offer.about["state"], offer.left_out)
            progress = Progress(size=offer.size)
            _fetch(staging, channel, offer, _folder_of(database, copy), progress, on_progress)
            when_here()
            try:
                taken = _take_in(database, staging, offer, copy)
            except LvmtuiError:
                staging.whole(offer.rows).unlink(missing_ok=True)  # with the same ones it would end alike
                raise
            staging.forget()
    sent = progress.done - progress.here
    return Outcome(taken.run, copy is not None, taken.rows, sent, offer.about["state"], offer.left_out)


# --- what there is already


def _source(offer: Offer) -> Source:
    told = {name: value for name, value in offer.about.items() if name not in {"name", "of"}}
    return Source(**told, sha256=offer.rows.sha256)


def _copy_here(database: Database, offer: Offer) -> Run | None:
    """The copy that is brought up to date.

    Raises:
        IllegalTransition: the run is from this very store, or its copy went on by itself.
    """
    from lvmtui.store.copies import copy_of, made_at
    from lvmtui.store.lifecycle import Status

    source = _source(offer)
    if source.made == made_at(database):
        raise IllegalTransition(
            f"#{source.number} is of this store, or of a copy of its file",
            "A run is copied to another store.",
        )
    first = offer.about.get("of")
    if first is not None and first[0] == made_at(database):
        raise IllegalTransition(
            f"#{source.number} there is a copy of #{first[1]} of this store", "The store has the run already."
        )
    copy = copy_of(database, first) if first is not None else None
    if copy is not None:
        raise IllegalTransition(
            f"#{source.number} there is a copy, and {copy.name} here is one of the same run",
            "Copy it from where it was made.",
        )
    copy = copy_of(database, source.identity)
    if copy is None:
        return None
    before = source_of(copy)
    if copy.status is not Status.DONE or before is None or copy.attempt != before.attempt:
        raise IllegalTransition(
            f"{copy.name} is the copy of it, and was taken up again in its own store since",
            f"It is a run of its own now; `lvmtui rm {copy.id}` and a new copy would begin anew.",
        )
    if copy.trashed is not None:
        raise IllegalTransition(
            f"{copy.name} is the copy of it, and is in the trash", f"`lvmtui restore {copy.id}` takes it out."
        )
    return copy


def _folder_of(database: Database, copy: Run | None) -> Path | None:
    return None if copy is None else run_folder(database, copy)


def _is_same(copy: Run, offer: Offer, folder: Path) -> bool:
    """Whether the copy has all that is offered."""
    before = source_of(copy)
    if before is None or before.sha256 != offer.rows.sha256:
        return False
    return all(_is_here(folder, piece) for piece in offer.files)


def _is_here(folder: Path, piece: Piece) -> bool:
    path = folder / piece.name
    is_plain = path.is_file() and not path.is_symlink() and path.stat().st_size == piece.size
    return is_plain and _sha256(path) == piece.sha256


# --- fetching


class _Staging:
    """The hidden folder of one copy: of each file what has come, named by what all of it comes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @contextmanager
    def opened(cls, database: Database, offer: Offer) -> Iterator[_Staging]:
        """The folder of a copy, made where needed, with nobody else working in it.

        Raises:
            StoreError: it cannot be made, or the same run is being copied already.
        """
        place = database.location.root / FOLDER
        _remove_stale(place)
        made, number, created = _source(offer).identity
        key = hashlib.sha256(f"{made!r} {number} {created!r}".encode()).hexdigest()[:24]
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            (place / key).mkdir(mode=0o700, exist_ok=True)
            handle = os.open(place / key, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise StoreError(f"cannot use {place}: {error.strerror}", "Check its permissions.") from error
        try:
            _lock(handle)
            os.utime(place / key)
            yield cls(place / key)
        finally:
            os.close(handle)

    def whole(self, piece: Piece) -> Path:
        """Where a piece is once all of it is there."""
        return self.folder / piece.sha256

    def part(self, piece: Piece) -> Path:
        """Where it is until then."""
        return self.folder / f"{piece.sha256}.part"

    def forget(self) -> None:
        """Remove what has come."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _lock(handle: int) -> None:
    """Wait until nobody else copies the same run: an agent whose client is gone may not know that yet.

    Raises:
        StoreError: somebody still does.
    """
    import fcntl

    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise StoreError("this run is being copied already", "Wait until that is done.") from error
        time.sleep(0.1)


def _remove_stale(place: Path) -> None:
    for folder in place.glob("*") if place.is_dir() else ():
        try:
            if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def _fetch(
    staging: _Staging,
    channel: Channel,
    offer: Offer,
    folder: Path | None,
    progress: Progress,
    on_progress: Callable[[Progress], object],
) -> None:
    """Have all pieces whole in the staging folder."""
    wanted = []
    for piece in {item.sha256: item for item in offer.pieces}.values():
        begin = _begin(staging, piece, folder)
        progress.here += begin
        if not staging.whole(piece).exists():
            wanted.append((piece, begin))
    distinct = {item.sha256: item.size for item in offer.pieces}
    progress.size = sum(distinct.values())
    progress.done = progress.here
    _check_room(staging.folder, progress.size - progress.here + ROWS_FACTOR * offer.rows.size)
    on_progress(progress)
    messages = ask_for(channel, wanted)
    for piece, begin in wanted:
        progress.name = piece.name
        _fetch_piece(staging, piece, begin, messages, progress, on_progress)
    on_progress(progress)


def _begin(staging: _Staging, piece: Piece, folder: Path | None) -> int:
    """From which byte on a piece is to be sent; its size where it is here already."""
    whole, part = staging.whole(piece), staging.part(piece)
    if not whole.exists() and folder is not None and piece.name and _is_here(folder, piece):
        _link(folder / piece.name, whole)
    if whole.exists():
        return piece.size
    try:
        size = part.stat().st_size
    except FileNotFoundError:
        return 0
    if size > piece.size:
        part.unlink()
        return 0
    return size


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise StoreError(
            f"{size_words(needed)} are to come, and {folder.parent.parent} has {size_words(free)} free",
            "Make room, or take another store with --store.",
        )


def _fetch_piece(
    staging: _Staging,
    piece: Piece,
    begin: int,
    messages: Iterator[dict[str, object]],
    progress: Progress,
    on_progress: Callable[[Progress], object],
) -> None:
    """Write what comes of a piece behind what is there, and see that all of it is what it should be.

    Raises:
        RemoteError: it is not.
        StoreError: the disk is full, ….
    """
    part = staging.part(piece)
    digest = _digest_of(part, begin)
    try:
        with part.open("ab") as file:
            file.truncate(begin)
            for message in messages:
                if message["m"] == "file":
                    theirs = message.get("sha256")
                    break
                data = message["data"]
                assert isinstance(data, bytes)
                file.write(data)
                digest.update(data)
                progress.done += len(data)
                on_progress(progress)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write {part}: {error.strerror}", "Check the free disk space.") from error
    if digest.hexdigest() != piece.sha256:
        part.unlink()
        name = piece.name or "its rows"
        if theirs == digest.hexdigest():
            raise RemoteError(
                f"{name} is damaged there: its sha256 is {str(theirs)[:12]}…, and it should be "
                f"{piece.sha256[:12]}…",
                "If it was being written just now, try again.",
            )
        raise RemoteError(f"{name} did not arrive as it was sent", "It was removed here; try again.")
    part.rename(staging.whole(piece))


def _digest_of(path: Path, size: int) -> hashlib._Hash:
    digest = hashlib.sha256()
    if size:
        with path.open("rb") as file:
            while data := file.read(1 << 20):
                digest.update(data)
    return digest


def _sha256(path: Path) -> str:
    from lvmtui.gates import sha256_of

    return sha256_of(path)


def _link(there: Path, here: Path) -> None:
    """The same file at another place; a copy where the disk knows no links."""
    try:
        os.link(there, here)
    except OSError:
        shutil.copyfile(there, here)


# --- taking in


def _take_in(database: Database, staging: _Staging, offer: Offer, copy: Run | None) -> Taken:
    from lvmtui.store.copied_rows import survey
    from lvmtui.store.copies import take_in

    before = source_of(copy) if copy is not None else None
    staged = staging.folder / STAGED_NAME if database.is_sqlite else None
    found: Survey = survey(staging.whole(offer.rows), before.tables if before else None, staged)
    files = {piece.name: piece.sha256 for piece in offer.files}
    placed: list[Path] = []

    def place(folder: Path) -> None:
        if copy is None:
            placed.append(folder)
        for piece in offer.files:
            _put(staging.whole(piece), folder, piece)

    try:
        taken = take_in(database, found, _source(offer), files, copy=copy, place=place)
    except BaseException:
        for folder in placed:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    for path in taken.superseded:
        (database.location.root / path).unlink(missing_ok=True)
    return taken


def _put(staged: Path, folder: Path, piece: Piece) -> None:
    """Put a file where it belongs, in place of an older one; goes through no link. No two names share a file:
    who writes to one would write to both."""
    place = folder
    for part in piece.name.split("/")[:-1]:
        place = place / part
        if place.is_symlink():
            raise StoreError(f"{place} is a link", "The run's folder is not to be trusted.")
        place.mkdir(exist_ok=True)
    target = folder / piece.name
    if target.exists() and target.samefile(staged):
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    if staged.stat().st_nlink == 1:
        _link(staged, temporary)
    else:
        shutil.copyfile(staged, temporary)
    temporary.replace(target)
