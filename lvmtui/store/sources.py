"""Where copied runs are from, as their rows tell. Standard library only."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lvmtui.store.records import Run


@dataclass(frozen=True, slots=True)
class TableCopied:
    """The rows of one table that came with a copy."""

    rows: int = 0
    sha256: str = ""
    """Of their lines."""
    ids: tuple[tuple[int, int], ...] = ()
    """What they are here: first and last of each stretch."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a run was copied from; `Run.source` as JSON."""

    host: str
    """Name of the machine, as it calls itself."""
    store: str
    """Path of the store there."""
    made: float
    """When that store was made."""
    number: int
    """The run there."""
    created: float
    """When the run was."""
    revision: int = 0
    attempt: int = 0
    state: str = ""
    """Its status there where it was not over: `running`, …; empty: it was."""
    time: float = 0.0
    """When it was copied, by the clock there."""
    sha256: str = ""
    """Of all its rows as they were sent."""
    tables: Mapping[str, TableCopied] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[float, int, float]:
        """What tells the run from all others, whatever its machine is called."""
        return self.made, self.number, self.created


def source_of(run: Run) -> Source | None:
    """Where a run was copied from; None where it was made here, or nobody can tell."""
    try:
        found = json.loads(run.source) if run.source else None
        if not isinstance(found, dict):
            return None
        kept = {
            name: TableCopied(item["rows"], item["sha256"], tuple((a, b) for a, b in item["ids"]))
            for name, item in found.pop("tables", {}).items()
        }
        return Source(**found, tables=kept)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def copies_among(runs: Iterable[Run]) -> dict[int, str]:
    """Which runs are copies of others among them, which say nothing that those do not say.

    A copy has the time at which its original was made, to the microsecond. One that was resumed where it is
    has become a run of its own.

    Returns:
        Id of each copy -> label of its original.
    """
    alike: dict[tuple[float, str, int], list[Run]] = {}
    for run in runs:
        alike.setdefault((run.created, run.recipe_hash, run.seed), []).append(run)
    found: dict[int, str] = {}
    for same in alike.values():
        if len(same) > 1:
            first = min(same, key=lambda run: (bool(run.source), bool(run.origin), run.id))
            found |= {run.id: first.label for run in same if run is not first and _is_copy(run, first)}
    return found


def _is_copy(run: Run, first: Run) -> bool:
    source = source_of(run)
    if source is None:  # a file of a store was copied as a whole
        return run.origin != first.origin and run.number == first.number
    return source.attempt == run.attempt


def copied_from(run: Run) -> str:
    """Where a run was copied from, in words; empty where it was made in its store."""
    source = source_of(run)
    if source is None:
        return ""
    state = f", {source.state} there then" if source.state else ""
    return f"#{source.number} of {source.store} on {source.host}{state}"
