"""What is told of single runs while a client looks at them: the most wanted first, then what is new."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lvmtui.remote.agent.curves import History, zoomed
from lvmtui.remote.agent.looked_run import LookedRun, curve_messages
from lvmtui.remote.agent.ranks import Ranks
from lvmtui.remote.agent.rewinding import Rewinds
from lvmtui.remote.agent.rows import Rows
from lvmtui.remote.agent.store import Store
from lvmtui.remote.agent.wire import Message

MOST_RUNS = 500
"""Runs that are remembered, the ones looked at included."""

MOST_FETCHES = 10_000
"""Runs whose ranks are asked for and were not told yet; what is asked beyond that is passed over."""

LIVE_ROWS = 4_000
"""New values of metrics that are told at once; with more of them, the runs' own are looked up and thinned."""

_AXES = ("step", "epoch", "time")


class Looking:
    """The runs that a client looks at, or has looked at."""

    def __init__(
        self, store: Store, rows: Rows, rewinds: Rewinds, again: Callable[[int], list[Message]]
    ) -> None:
        """
        Args:
            store: what to read.
            rows: says rows.
            rewinds: is told what was said.
            again: tells what the list has of a run whose rows were dropped.
        """
        self._again = again
        self._store = store
        self._rows = rows
        self._rewinds = rewinds
        self._ranks = Ranks(store)
        self._known: dict[int, LookedRun] = {}
        self._wanted: list[int] = []
        """Runs that are looked at, the most wanted first."""
        self._head = store.newest("metric")
        """Id of a metric's value: what is complete of the curves is so up to here."""
        self._guessed: int | None = None
        """A run that nobody has asked for yet."""
        self._zooms: list[tuple[int, str, History]] = []
        self._fetches: list[int] = []

    def want(self, entries: Any, taken: int) -> None:
        """Turn to other runs.

        Args:
            entries: those of the message `want`.
            taken: bytes of the stream that the client had taken in when it said so.
        """
        before, guessed = set(self._wanted), self._guessed
        self._wanted, self._guessed = [], None
        for entry in entries if isinstance(entries, (list, tuple)) else ():
            run = _run_of(entry)
            if run is None or run in self._wanted or len(self._wanted) == MOST_RUNS:
                continue
            self._wanted.append(run)
            known = self._known.pop(run, None) or LookedRun(self._store, self._rows, self._ranks, run)
            # The ones looked at last stand last, and are remembered longest.
            self._known[run] = known
            if self._rewinds.is_outdated(run, taken):
                entry = {**entry, "keys": {}, "scores": 0}
            known.turn_to(entry, taken, is_again=run not in before or run == guessed)
        for run in before - set(self._wanted):
            if run in self._known:
                self._known[run].turn_away()
        while len(self._known) > max(MOST_RUNS, len(self._wanted)):
            del self._known[next(iter(self._known))]

    def guess(self, run: int) -> None:
        """Tell of a run, once, that is likely to be wanted by a client that has nothing of it."""
        if not self._wanted:
            self.want([{"run": run, "level": "all"}], 0)
            self._guessed = run

    def zoom(self, message: Mapping[str, Any]) -> None:
        """Tell every value of a stretch, before anything else."""
        run = _run_of(message)
        axis, low, high = (message.get(name) for name in ("axis", "low", "high"))
        keys = message.get("keys")
        numbers = all(isinstance(end, (int, float)) and abs(end) < 1e15 for end in (low, high))
        if run is None or axis not in _AXES or not numbers or not isinstance(keys, list):
            return
        found = [
            (run, key, zoomed(self._store, run, key, axis, low, high))  # type: ignore[arg-type]
            for key in keys[:100]
            if isinstance(key, str)
        ]
        self._zooms = [item for item in found if not item[2].is_over]

    def fetch(self, runs: Any) -> None:
        """Tell the ranks of runs, before anything else but what is enlarged."""
        if isinstance(runs, list):
            room = MOST_FETCHES - len(self._fetches)
            self._fetches += [run for run in runs[: min(1000, room)] if _is_id(run)]

    @property
    def has_more(self) -> bool:
        """Whether something that is wanted was not told yet."""
        return bool(self._zooms or self._fetches) or self._next_run() is not None

    def _next_run(self) -> LookedRun | None:
        left = [known for known in map(self._known.get, self._wanted) if known and known.wanted is not None]
        return min(left, key=lambda known: known.wanted or 0, default=None)

    def next(self) -> list[Message]:
        """The next piece of what is wanted."""
        if self._zooms:
            run, key, history = self._zooms[0]
            points = history.read()
            if history.is_over:
                self._zooms.pop(0)
            return curve_messages(run, {key: points}, "zoom", thinned=history.is_thinned)
        if self._fetches:
            messages = self._ranks.of_run(self._fetches[0], with_all_baselines=True)
            return [*messages, {"m": "detailed", "run": self._fetches.pop(0)}]
        known = self._next_run()
        if known is None:
            return []
        if known.is_new and self._rewinds.is_missing(known.run, known.points, known.score):
            return self.rewound(known.run)
        known.is_new = False
        messages = known.next()
        self._note(known)
        if known.run == self._guessed and known.wanted is None:
            self.want([], 0)
        return messages

    def rewound(self, run: int) -> list[Message]:
        """Begin a run anew that has dropped rows."""
        if run in self._known:
            self._known[run].begin_again()
        return self._again(run)

    def forget(self, runs: Collection[int]) -> None:
        """Let go of runs that have left the store."""
        for run in runs:
            self._known.pop(run, None)
        self._wanted = [run for run in self._wanted if run not in runs]

    def news(self, changed: Collection[int], moved_best: Collection[int]) -> list[Message]:
        """What is new of the runs that are looked at.

        Args:
            changed: runs whose row has changed.
            moved_best: those of which another evaluation is the best now.
        """
        messages = self._new_points()
        for run in self._wanted:
            known = self._known.get(run)
            if known is not None:
                messages += known.news(run in changed, run in moved_best)
                self._note(known)
        return messages

    def logs(self) -> list[Message]:
        """New lines of the logs that are looked at."""
        return [
            message for run in self._wanted if run in self._known for message in self._known[run].new_log()
        ]

    def _new_points(self) -> list[Message]:
        newest = self._store.newest("metric")
        live = {run: known for run in self._wanted if (known := self._known.get(run))}
        before, self._head = self._head, newest
        if newest <= before or not live:
            return []
        # The plus keeps SQLite from going through everything that the runs ever wrote, by its index.
        query = (
            "SELECT run_id, key, id, step, epoch, time, value FROM metric WHERE id > :after AND id <= :upto "
            f"AND +run_id IN ({', '.join(map(str, live))}) ORDER BY id LIMIT {LIVE_ROWS + 1}"
        )
        found = self._store.select(query, {"after": before, "upto": newest})
        if len(found) > LIVE_ROWS:
            for known in live.values():
                known.fall_behind()
            return []
        by_run: dict[int, dict[str, list[Any]]] = {}
        for run, key, *point in found:
            by_run.setdefault(run, {}).setdefault(key, []).append(tuple(point))
        return [message for run, points in by_run.items() for message in live[run].new_points(points)]

    def _note(self, known: LookedRun) -> None:
        for key, number in known.points.items():
            self._rewinds.said_points(known.run, key, number)

    def cursors(self) -> list[Message]:
        """How far the runs that are looked at were told, where that has moved."""
        return [message for known in self._looked() for message in known.cursors()]

    def _looked(self) -> Sequence[LookedRun]:
        return [self._known[run] for run in self._wanted if run in self._known]

    def sent(self, upto: int) -> None:
        """Take note that all that was told so far ends at this byte of the stream."""
        self._rewinds.sent(upto)
        for known in self._looked():
            known.sent(upto)


def _run_of(entry: Any) -> int | None:
    """The run that something that came in is about; None: none."""
    run = entry.get("run") if isinstance(entry, dict) else None
    return run if _is_id(run) else None


def _is_id(value: Any) -> bool:
    """Whether it can be the id of a row."""
    return type(value) is int and 0 < value < 1 << 62
