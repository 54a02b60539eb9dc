"""Where a store is, and what reading it needs. Standard library only, as for the dashboard."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lvmtui.errors import StoreCorrupt, StoreError, StoreMissing, StoreTooNew

DEFAULT_STORE = "runs.db"
STORE_VARIABLE = "LVMTUI_STORE"
"""Environment variable that names the store where `--store` does not."""
SQLITE = "sqlite:///"
SCHEMA = 5
"""The schema version that this lvmtui writes; `migrations` makes it."""
VERSIONS_TABLE = "schema_version"
_OTHER_PLACE = f"with --store PATH or {STORE_VARIABLE}"


@dataclass(frozen=True)
class Location:
    """Where a store is."""

    url: str
    root: Path
    """The folder that the paths of runs and checkpoints are relative to."""
    path: Path | None
    """The database file; None when the store is not a file."""

    @classmethod
    def parse(cls, target: str | os.PathLike[str]) -> "Location":
        """Read a file path, a `sqlite:///` URL or another database URL."""
        text = os.fspath(target)
        if "://" in text and not text.startswith(SQLITE):
            return cls(url=text, root=Path.cwd(), path=None)
        path = Path(text.removeprefix(SQLITE)).expanduser().absolute()
        return cls(url=f"{SQLITE}{path}", root=path.parent, path=path)

    @property
    def where(self) -> str:
        """How to name the store in a message."""
        return str(self.path) if self.path else self.url


class Rows(NamedTuple):
    """What a query has found."""

    columns: Sequence[str]
    values: Sequence[Sequence[Any]]
    """One sequence a row, in the order of `columns`."""


class Source(Protocol):
    """An open store that a `Reader` asks: `database.Database` or `sqlite.SqliteStore`."""

    @property
    def location(self) -> Location: ...

    @property
    def is_sqlite(self) -> bool: ...

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Everything that a query finds, of one moment; parameters stand in it as `:name`."""

    def data_version(self) -> int | None:
        """Moves whenever *another* connection has committed; None where the database cannot tell."""

    def close(self) -> None:
        """Close the connection; safe to call twice."""


def check_file(path: Path, *, create: bool) -> None:
    """See that there is a file, or make the folder that it goes into.

    Raises:
        StoreMissing: there is none and `create` is false.
        StoreError: it is a folder, or no folder can be made.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder, not a run store", f"Did you mean {path / 'runs.db'}?")
    if path.exists():
        return
    if not create:
        raise StoreMissing(
            f"there is no run store at {path}",
            f"Launch a run to make one (`lvmtui demo`), or name another {_OTHER_PLACE}.",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {path.parent}: {error.strerror}") from error


def cannot_open(location: Location, reason: object) -> StoreError:
    """The database refuses, though the file may be sound."""
    hint = "Check the path, the free disk space and the permissions."
    if location.path is not None and not os.access(location.path.parent, os.W_OK):
        hint = f"The folder {location.path.parent} is not writable; SQLite needs that even to read."
    return StoreError(f"cannot open {location.where}: {reason}", hint)


def cannot_use(location: Location, reason: object) -> StoreError:
    """An open database refuses: the disk is full, the file may not be written, it is locked for long."""
    hint = "Check the free disk space, the permissions, and whether another program holds the file."
    return StoreError(f"cannot use {location.where}: {reason}", hint)


def not_readable(location: Location, reason: object) -> StoreCorrupt:
    """The file is no database, or a damaged one."""
    return StoreCorrupt(
        f"{location.where} is not a readable run store: {reason}",
        f"Restore it from a copy, or choose another place {_OTHER_PLACE}.",
    )


def damaged_json(location: Location, reason: object) -> StoreCorrupt:
    """A column that holds JSON was written over."""
    return StoreCorrupt(
        f"{location.where} is damaged: a column that holds JSON cannot be read ({reason})",
        f"Restore it from a copy, or choose another place {_OTHER_PLACE}.",
    )


def foreign(where: str) -> StoreCorrupt:
    """A database of something else."""
    return StoreCorrupt(
        f"{where} is a database, but not a run store of lvmtui", f"Choose another place {_OTHER_PLACE}."
    )


def too_new(where: str, program: object, version: int) -> StoreTooNew:
    """A store with a schema that is not known here."""
    return StoreTooNew(
        f"{where} was written by lvmtui {program} (schema {version}; this one knows up to {SCHEMA})",
        "Upgrade lvmtui, or choose another store with --store PATH.",
    )
