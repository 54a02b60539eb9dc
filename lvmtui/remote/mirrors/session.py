"""What one process knows while it writes a mirror: the open file, and what the agent has announced."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lvmtui.remote.hosts import global_id
from lvmtui.remote.mirrors.checks import Table, tables


class Session:
    """An open mirror, within a conversation with an agent."""

    def __init__(
        self, connection: sqlite3.Connection, folder: Path, slot: int, refuse: Callable[[str], None]
    ) -> None:
        """
        Args:
            connection: to write to, without transactions of its own.
            folder: the mirror's.
            slot: what its ids begin with.
            refuse: told why a row is not kept.
        """
        self._connection = connection
        self.folder = folder
        self.slot = slot
        self.refuse = refuse
        self.names: dict[str, tuple[str, ...]] = {}
        """Table -> the columns of the rows that come in."""
        self.text = 0
        """Characters in rows of runs that were put in since they were counted last."""
        self.events = 0
        """Events that were put in since the oldest were dropped."""
        self.token = ""
        """Of the state that the agent was told of."""
        self.generations: dict[int, int] = {}
        """Run -> its generation when what is known of it was said to the agent last."""

    def begin(self) -> None:
        """Forget what the agent before has announced."""
        self.names.clear()
        self.generations.clear()
        self.token = str(self.one("SELECT token FROM mirror"))

    def table(self, name: str) -> Table:
        """How rows of a table are checked."""
        return tables(self.slot)[name]

    def id(self, number: int) -> int:
        """The id here of a row there."""
        return global_id(self.slot, number)

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Carry out a statement.

        Returns:
            How many rows it has changed.
        """
        return self._connection.execute(sql, values).rowcount

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """The same for many rows."""
        return self._connection.executemany(sql, rows).rowcount

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Everything that a query finds."""
        return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first value that a query finds; None where it finds nothing."""
        row = self._connection.execute(sql, values).fetchone()
        return row[0] if row else None

    def tick(self) -> int:
        """A number greater than all before; call inside a transaction."""
        self.run("UPDATE mirror SET counter = counter + 1")
        return int(self.one("SELECT counter FROM mirror"))

    def tell(self, what: str, run_ids: Iterable[int]) -> None:
        """Have readers look anew at something of some runs (0: of none) that they may have read already."""
        found = list(run_ids)
        if found:
            number = self.tick()
            self.run_many(
                "INSERT INTO mirror_change VALUES (?, ?, ?) "
                "ON CONFLICT (what, run_id) DO UPDATE SET number = excluded.number",
                [(what, run_id, number) for run_id in found],
            )

    def generation(self, run_id: int) -> int | None:
        """Which of a run's states this is; None where nothing is known of it."""
        found = self.one("SELECT generation FROM mirror_run WHERE run_id = ?", (run_id,))
        return None if found is None else int(found)

    def is_ours(self, run_id: int) -> bool:
        """Whether what the agent takes for known of a run still is."""
        return run_id in self.generations and self.generations[run_id] == self.generation(run_id)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything within, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
