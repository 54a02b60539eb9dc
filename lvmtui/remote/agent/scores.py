"""The evaluations that a list of runs shows, and what they are judged under."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from lvmtui.remote.agent.rewinding import Rewinds
from lvmtui.remote.agent.rows import Rows
from lvmtui.remote.agent.store import Row, Store
from lvmtui.remote.agent.wire import Message

_NEWEST = "SELECT max(id) FROM evaluation WHERE run_id = run.id AND split"
_LISTED = (
    f"{_NEWEST} = 'validation'",
    f"{_NEWEST} = 'validation' AND epoch = run.best_epoch",
    f"{_NEWEST} = 'test'",
)


class Scores:
    """What was said of evaluations, and what is to be said."""

    def __init__(self, store: Store, rows: Rows, rewinds: Rewinds, had: int) -> None:
        """
        Args:
            store: what to read.
            rows: says rows.
            rewinds: is told what was said.
            had: id of an evaluation up to which the client has the baselines.
        """
        self._store = store
        self._rows = rows
        self._rewinds = rewinds
        self._had = had
        self.head = store.newest("evaluation")
        """Id of the newest evaluation that was there when it was looked last."""
        self._protocols: set[str] = set()
        """Protocols that were said, with their baselines."""
        names = store.columns("evaluation")
        self._id, self._run, self._protocol, self._split = (
            names.index(name) for name in ("id", "run_id", "protocol_id", "split")
        )

    def of_runs(self, runs: Collection[int], protocols: Collection[Any] = ()) -> list[Message]:
        """Of each of some runs the best, the newest and the newest test evaluation.

        Args:
            runs: ids.
            protocols: ids of those that their rows name.
        """
        return self._with_protocols(self._listed(runs), protocols)

    def _listed(self, runs: Collection[int]) -> list[Row]:
        chosen = ", ".join(map(str, runs))
        ids = " UNION ".join(f"SELECT ({query}) FROM run WHERE run.id IN ({chosen})" for query in _LISTED)
        return self._store.rows("evaluation", f"WHERE id IN ({ids}) ORDER BY id")

    def baselines(self) -> list[Message]:
        """Baselines that the client lacks, of protocols that no run is listed under."""
        where = "WHERE run_id IS NULL AND id > :after ORDER BY id"
        rows = self._store.rows("evaluation", where, {"after": self._had})
        return self._with_protocols([], {row[self._protocol] for row in rows})

    def news(self, moved_best: Collection[int]) -> list[Message]:
        """Every new evaluation: it is the newest of its run, or a baseline.

        Args:
            moved_best: runs whose best epoch has moved, perhaps to an older one: they are said again.
        """
        rows = self._store.rows("evaluation", "WHERE id > :after ORDER BY id", {"after": self.head})
        if rows:
            self.head = rows[-1][self._id]
        if moved_best:
            new = {row[self._id] for row in rows}
            rows = [*[row for row in self._listed(moved_best) if row[self._id] not in new], *rows]
        return self._with_protocols(rows) if rows else []

    def _with_protocols(self, scores: Sequence[Row], protocols: Collection[Any] = ()) -> list[Message]:
        """Evaluations, and before them what they are judged under, where that was not said."""
        wanted = {row[self._protocol] for row in scores} | {item for item in protocols if item}
        messages: list[Message] = []
        for protocol in sorted(wanted - self._protocols):
            messages += self._protocol_messages({"protocol": protocol, "had": self._had})
        self._protocols |= wanted
        for row in scores:
            if row[self._run] is not None and row[self._split] == "validation":
                self._rewinds.said_score(row[self._run], row[self._id])
        return messages + self._rows.replace("evaluation", scores)

    def _protocol_messages(self, parameters: dict[str, Any]) -> list[Message]:
        found = self._store.rows("protocol", "WHERE id = :protocol", parameters)
        where = "WHERE protocol_id = :protocol AND run_id IS NULL AND id > :had ORDER BY id"
        baselines = self._store.rows("evaluation", where, parameters)
        return self._rows.replace("protocol", found) + self._rows.replace("evaluation", baselines)
