"""Files that are either whole or not there: written beside, synced, then renamed."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LEFTOVER_SECONDS = 3600.0


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old one or the whole new one.

    Raises:
        OSError: it cannot be written; nothing has changed.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a power cut.

    Raises:
        OSError: the disk refuses.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A new folder beside `target` to fill; it is gone afterwards unless it was moved away.

    Raises:
        OSError: it cannot be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-", dir=target.parent))
    try:
        os.chmod(folder, 0o777 & ~_umask())
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(target: Path) -> None:
    """Remove what processes killed long ago have left of `folder_beside(target)`."""
    for folder in target.parent.glob(f".{target.name}.new-*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFTOVER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def move_into_place(folder: Path, target: Path) -> None:
    """Sync a filled folder and rename it to `target`, which must be free or an empty folder.

    Raises:
        OSError: `target` has content by now, or the disk refuses.
    """
    for path in folder.iterdir():
        sync(path)
    sync(folder)
    os.rename(folder, target)
    sync(target.parent)


def replace_folder(folder: Path, target: Path) -> None:
    """As `move_into_place`, but what is at `target` gives way; processes that have it open keep it.

    Raises:
        OSError: the disk refuses; the old folder is still there.
    """
    with folder_beside(target) as aside:
        old = aside / target.name
        os.rename(target, old)
        try:
            move_into_place(folder, target)
        except OSError:
            os.rename(old, target)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
