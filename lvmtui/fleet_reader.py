"""The local store and the mirrors of watched hosts, read as one store.

What is about a run goes to the store that the run is in; what is about a protocol to all of them: the same
protocol is the same data, the same queries and the same candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lvmtui.errors import StoreMissing, UsageError
from lvmtui.remote.hosts import slot_of
from lvmtui.store.location import Location, Rows
from lvmtui.store.reader import Reader
from lvmtui.store.records import Evaluation, Event, Protocol, QueryFact, Run

Item = TypeVar("Item")


def open_fleet(store: str | None, mirrors: Sequence[Path]) -> FleetReader:
    """Open several stores to read.

    Args:
        store: path or URL of the local one; None: it is not wanted. One that does not exist has no runs.
        mirrors: of hosts.

    Raises:
        StoreError: one cannot be read.
        StoreMissing: there is none at all.
    """
    from lvmtui.remote.mirrors.reader import open_mirror
    from lvmtui.store.sqlite import open_reader

    readers: dict[int, Reader] = {}
    try:
        if store is not None:
            try:
                readers[0] = Reader(open_reader(store))
            except StoreMissing:
                if not mirrors:
                    raise
        for path in mirrors:
            mirror = open_mirror(path)
            readers[mirror.slot] = mirror
    except BaseException:
        for reader in readers.values():
            reader.database.close()
        raise
    return FleetReader(readers)


class _Sources:
    """The open stores of a fleet; those that nothing says which of them is meant are the first one's."""

    def __init__(self, readers: Mapping[int, Reader]) -> None:
        self._readers = readers
        self._first = next(iter(readers.values())).database

    @property
    def location(self) -> Location:
        """Where the first store is."""
        return self._first.location

    @property
    def is_sqlite(self) -> bool:
        """Whether the first store is a file."""
        return self._first.is_sqlite

    def select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """What a query finds in the first store."""
        return self._first.select(sql, parameters)

    def data_version(self) -> int | None:
        """Of the first store."""
        return self._first.data_version()

    def close(self) -> None:
        """Close all of them."""
        for reader in self._readers.values():
            reader.database.close()


class FleetReader(Reader):
    """Reads runs, evaluations, protocols and facts of several stores."""

    def __init__(self, readers: Mapping[int, Reader]) -> None:
        """
        Args:
            readers: slot -> an open store; the local one has 0. One at least.
        """
        super().__init__(_Sources(readers))
        self._readers = readers

    def _of(self, run_id: int) -> Reader:
        """
        Raises:
            UsageError: the run is in none of these stores.
        """
        reader = self._readers.get(slot_of(run_id))
        if reader is None:
            raise UsageError("the run is on a machine that is not watched" if slot_of(run_id) else "no store")
        return reader

    def run(self, run_id: int) -> Run:
        """One run.

        Raises:
            RunNotFound: there is none with this id.
        """
        return self._of(run_id).run(run_id)

    def runs(self, after_revision: int = 0) -> list[Run]:
        """Runs of all stores, those of each changed since a revision of its own."""
        return [run for reader in self._readers.values() for run in reader.runs(after_revision)]

    def best_evaluation(self, run: Run) -> Evaluation | None:
        """The evaluation at the run's best epoch, ranks included."""
        return self._of(run.id).best_evaluation(run)

    def evaluations(self, run_id: int, after: int = 0) -> list[Evaluation]:
        """Evaluations of a run's model, in order."""
        return self._of(run_id).evaluations(run_id, after)

    def baselines(self, protocol_id: str) -> list[Evaluation]:
        """The baselines' evaluations under one protocol, weakest first; of each one that has ranks, the local
        store's before others'."""
        found = self._first(
            lambda reader: reader.baselines(protocol_id),
            key=lambda item: (item.baseline, item.split, item.context),
            is_whole=lambda item: bool(item.ranks),
        )
        return sorted(found, key=lambda item: (item.hit5, item.id))

    def protocols(self) -> list[Protocol]:
        """Every protocol that something was judged under, once, with the queries' documents if any store has
        them."""
        found = self._first(
            Reader.protocols, key=lambda item: item.id, is_whole=lambda item: bool(item.query_groups)
        )
        return sorted(found, key=lambda item: item.id)

    def query_facts(self, protocol_id: str) -> dict[str, QueryFact]:
        """What is known of the queries of a protocol, by name."""
        found = self._first(
            lambda reader: reader.query_facts(protocol_id).values(),
            key=lambda item: item.name,
            is_whole=lambda item: bool(item.packed),
        )
        return {fact.name: fact for fact in found}

    def events_of_kind(self, *kinds: str, after: int = 0) -> list[Event]:
        """Events of some kinds with an id above `after`, of all runs and of none, oldest first."""
        found = [
            event for reader in self._readers.values() for event in reader.events_of_kind(*kinds, after=after)
        ]
        return sorted(found, key=lambda event: event.time)

    def _first(
        self,
        read: Callable[[Reader], Iterable[Item]],
        *,
        key: Callable[[Item], Hashable],
        is_whole: Callable[[Item], bool],
    ) -> Iterator[Item]:
        """Of what stands under each key in any store, the first that is whole; the first, if none is."""
        found: dict[Hashable, Item] = {}
        for reader in self._readers.values():
            for item in read(reader):
                name = key(item)
                if name not in found or (is_whole(item) and not is_whole(found[name])):
                    found[name] = item
        return iter(found.values())


def without_ranks(reader: Reader, run_ids: Sequence[int]) -> list[Run]:
    """Of these runs those of which something is missing that comparing them takes: the ranks of their best
    evaluation, of a baseline under its protocol, or the documents of its queries."""
    complete: dict[str, bool] = {}
    protocols = {item.id: bool(item.query_groups) for item in reader.protocols()}
    found = []
    for run in map(reader.run, run_ids):
        best = reader.best_evaluation(run)
        if best is None:
            continue
        key = best.protocol_id
        if key not in complete:
            complete[key] = protocols.get(key, False) and all(item.ranks for item in reader.baselines(key))
        if not (best.ranks and complete[key]):
            found.append(run)
    return found
