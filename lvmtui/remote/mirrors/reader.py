"""Reading a mirror like any store: its runs know where they come from, and what is lost the host says.

Rows do not arrive in the order of their ids: the newest runs come first, and of a run what is looked at. So a
reader that goes on from what it knows is told what was written elsewhere (`Reader.written_over`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lvmtui.errors import RunNotFound, StoreCorrupt
from lvmtui.remote.hosts import global_id
from lvmtui.store.location import Source
from lvmtui.store.reader import Place, Point, Reader, WrittenOver
from lvmtui.store.records import MetricPoint, Run
from lvmtui.store.sqlite import BUSY_SECONDS, open_reader


def open_mirror(path: str | os.PathLike[str], *, busy_seconds: float = BUSY_SECONDS) -> MirrorReader:
    """Open a mirror to read.

    Args:
        path: of its file (`Mirror.path`).
        busy_seconds: how long to wait for a lock on the whole file.

    Raises:
        StoreMissing: there is none.
        StoreCorrupt: it is no mirror.
        StoreError: it cannot be opened.
    """
    source = open_reader(Path(path), busy_seconds=busy_seconds)
    try:
        return MirrorReader(source)
    except BaseException:
        source.close()
        raise


class MirrorReader(Reader):
    """Reads what is known of a host's store."""

    def __init__(self, database: Source) -> None:
        """
        Raises:
            StoreCorrupt: it is no mirror.
        """
        super().__init__(database)
        has_table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'mirror'"
        found = database.select("SELECT host, slot FROM mirror").values if self._one(has_table) else ()
        if not found:
            raise StoreCorrupt(
                f"{database.location.where} is no copy of a host's runs", "It is only a cache: delete it."
            )
        self.origin, self.slot = str(found[0][0]), int(found[0][1])

    def run(self, run_id: int) -> Run:
        """One run, by its id here or its number there.

        Raises:
            RunNotFound: there is none.
        """
        wanted = run_id if run_id > global_id(self.slot, 0) else global_id(self.slot, run_id)
        try:
            return super().run(wanted)
        except RunNotFound:
            number = wanted - global_id(self.slot, 0)
            raise RunNotFound(
                f"there is no run #{number} on {self.origin}", f"`lvmtui ls --host {self.origin}` lists them."
            ) from None

    def history_mark(self) -> tuple[float, int]:
        """When the mirror began to be filled, and a count of its changes."""
        made = self._one("SELECT min(applied) FROM schema_version")
        return float(made or 0.0), int(self._one("SELECT counter FROM mirror"))

    def written_over(self, after: int | None) -> tuple[int, WrittenOver]:
        """What has been written elsewhere than behind all other rows."""
        mark = int(self._one("SELECT counter FROM mirror"))
        found: dict[str, set[int]] = {}
        if after is not None and mark > after:
            query = "SELECT what, run_id FROM mirror_change WHERE number > :after"
            for what, run_id in self.database.select(query, {"after": after}).values:
                found.setdefault(what, set()).add(run_id)
        return mark, found

    def thinned(self, run_id: int) -> frozenset[str]:
        """The metrics of a run of which values were left out."""
        query = "SELECT key FROM mirror_curve WHERE run_id = :run AND thinned"
        return frozenset(key for (key,) in self.database.select(query, {"run": run_id}).values)

    def lost_reasons(self) -> Mapping[int, str]:
        """Ids of unfinished runs whose process is gone, as their host says -> why it thinks so."""
        return dict(map(tuple, self.database.select(_LOST).values))

    def log_bytes(self, run_id: int) -> int:
        """Up to which byte of a run's log there it is known here; the file here may have only its end."""
        found = self.database.select("SELECT log FROM mirror_run WHERE run_id = :run", {"run": run_id}).values
        return int(found[0][0]) if found else 0

    def metrics(self, run_id: int, after: int = 0, keys: Sequence[str] | None = None) -> list[MetricPoint]:
        """Metric values of a run, in the order in which they were logged."""
        found = super().metrics(run_id, after, keys)
        return sorted(found, key=lambda point: point.step)

    def metric_stretch(
        self, run_id: int, key: str, first: Place, last: Place, *, limit: int
    ) -> Sequence[Point]:
        """Values of one metric from one of them to another, ascending by step; at most so many."""
        query = (
            "SELECT id, step, epoch, time, value FROM metric WHERE run_id = :run AND key = :key "
            "AND step BETWEEN :first AND :last ORDER BY step, origin LIMIT :limit"
        )
        parameters = {"run": run_id, "key": key, "first": first[1], "last": last[1], "limit": limit}
        return self._points(query, parameters)


_LOST = "SELECT run_id, reason FROM mirror_lost"
