"""Text files as documents."""

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.data.progress import Progress
from lvmtui.errors import DataError


@dataclass(frozen=True, slots=True)
class Document:
    """One text in reading order."""

    title: str
    text: str


@dataclass
class Sources:
    """What was read of the files given."""

    documents: list[Document] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    """Files in folders that are no text: why -> how many."""


def read_texts(paths: Sequence[Path], progress: Progress) -> Sources:
    """Read text files, one document each, in the order given; folders give each file inside, by name.

    Hidden files are left out. What is no text is an error when it was named itself, and skipped with a count
    inside a folder.

    Raises:
        DataError: a file is missing, empty or binary, or there is nothing to read.
    """
    sources = Sources()
    files = list(_expand(paths))
    seen: set[Path] = set()
    for number, (path, title, named) in enumerate(files, 1):
        if (resolved := path.resolve()) in seen:
            continue
        seen.add(resolved)
        try:
            sources.documents.append(Document(title, _read(path)))
        except _Unusable as error:
            if named:
                raise DataError(f"{path} {error.why}", error.hint) from error
            sources.skipped[error.kind] = sources.skipped.get(error.kind, 0) + 1
        progress("reading", number, len(files))
    if not sources.documents:
        raise DataError(
            f"no text files in {', '.join(map(str, paths))}", "Give text files, or folders that hold some."
        )
    return sources


def _expand(paths: Iterable[Path]) -> Iterable[tuple[Path, str, bool]]:
    """(file, title, was it named itself) for every file meant."""
    for path in paths:
        if not path.is_dir():
            yield path, path.name, True
            continue
        for folder, names, files in os.walk(path):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(file for file in files if not file.startswith(".")):
                inside = Path(folder) / name
                yield inside, inside.relative_to(path).as_posix(), False


class _Unusable(Exception):
    """A file that is no text."""

    def __init__(self, kind: str, why: str, hint: str) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.hint = hint


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _Unusable("no file", "is no file", "Give text files, or folders that hold some.")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise _Unusable("missing", "does not exist", "Check the path.") from error
    except OSError as error:
        raise _Unusable(
            "unreadable", f"cannot be read: {error.strerror}", "Check its permissions."
        ) from error
    if b"\0" in content:
        raise _Unusable("binary", "is binary, not text", "Save it as plain UTF-8 text first.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unusable(
            "not UTF-8",
            f"is not UTF-8 text (byte {error.start})",
            f"If it is text in another encoding: iconv -f latin1 -t utf-8 {path.name} > converted.txt",
        ) from error
    if not text.strip():
        raise _Unusable("empty", "is empty", "Leave it out.")
    return text
