"""Large values: ranks of evaluations, groups of a protocol's queries, facts about them. Each is told once."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from typing import Any

from lvmtui.remote.agent.store import Store
from lvmtui.remote.agent.wire import Message

MOST_BYTES = 700_000
"""A larger value fits no message, in base64, and is left out."""

MOST_SAID = 100_000
"""Evaluations that a client is believed to have the ranks of."""

_BEST = (
    "SELECT e.id, e.protocol_id FROM evaluation e JOIN run r ON r.id = e.run_id AND e.epoch = r.best_epoch "
    "WHERE e.run_id = :run AND e.split = 'validation' ORDER BY e.id DESC LIMIT 1"
)
_BASELINES = (
    "SELECT id FROM evaluation WHERE protocol_id = :protocol AND baseline IS NOT NULL "
    "AND split = 'validation' ORDER BY hit5 DESC, mrr DESC"
)


class Ranks:
    """Tells what a client needs to compare runs query by query."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said: set[tuple[str, Any]] = set()

    def has(self, evaluations: Any) -> None:
        """Take note of evaluations whose ranks the client has."""
        if isinstance(evaluations, list) and len(self._said) < MOST_SAID:
            self._said.update(("evaluation", item) for item in evaluations[:10_000] if type(item) is int)

    def of_run(self, run: int, *, with_all_baselines: bool = False) -> list[Message]:
        """Ranks of a run's best evaluation and the strongest baseline, and what is known of the queries."""
        with self._store.moment():
            best = self._store.select(_BEST, {"run": run})
            if not best:
                return []
            number, protocol = best[0]
            baselines = [item for (item,) in self._store.select(_BASELINES, {"protocol": protocol})]
            wanted = [number, *(baselines if with_all_baselines else baselines[:1])]
            return [*self._ranks(wanted), *self._facts(protocol)]

    def _ranks(self, numbers: Collection[int]) -> list[Message]:
        messages: list[Message] = []
        for number in numbers:
            if ("evaluation", number) in self._said:
                continue
            packed = self._store.one("SELECT ranks FROM evaluation WHERE id = :id", {"id": number})
            messages += _large("evaluation", number, "ranks", packed)
            self._said.add(("evaluation", number))
        return messages

    def _facts(self, protocol: str) -> list[Message]:
        if ("protocol", protocol) in self._said:
            return []
        groups = self._store.one("SELECT query_groups FROM protocol WHERE id = :id", {"id": protocol})
        messages = _large("protocol", protocol, "query_groups", groups)
        if self._store.columns("query_fact"):
            facts = "SELECT name, packed, meta FROM query_fact WHERE protocol_id = :id ORDER BY name"
            for name, packed, meta in self._store.select(facts, {"id": protocol}):
                messages += _large("query_fact", protocol, "packed", packed, name=name, meta=meta)
        self._said.add(("protocol", protocol))
        return messages


def _large(table: str, number: Any, column: str, data: Any, **more: Any) -> list[Message]:
    if not isinstance(data, bytes) or len(data) > MOST_BYTES:
        return []
    text = b64encode(data).decode("ascii")
    return [{"m": "ranks", "table": table, "id": number, "column": column, "data": text, **more}]
