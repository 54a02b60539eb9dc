"""What a list of runs shows: first all that a client lacks, newest first, then what changes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lvmtui.remote.agent.rewinding import Rewinds
from lvmtui.remote.agent.rows import Rows, plain
from lvmtui.remote.agent.scores import Scores
from lvmtui.remote.agent.store import Row, Store
from lvmtui.remote.agent.wire import Message

BATCH_RUNS = 25
"""Runs in one batch of the list."""

EVENTS = 500
"""Newest events that are listed."""

TOLD_KINDS = ("audit", "test_look")
"""Kinds of events that views of runs are worked out from: all of them are listed."""

DEVICE_SECONDS = 180.0
"""How far back readings of devices are listed."""

HEARTBEAT_SECONDS = 5.0
"""Between two heartbeats that are told of a run of which nothing else has changed."""

DEVICE_PACE = 1.0
"""Seconds between two messages of device readings."""

CLOCK_SECONDS = 5.0
"""By so much the clock may have been set back between two moments that are compared."""

MOST_UNFINISHED = 5_000
"""Runs whose processes are looked for, newest first."""

MOST_RANGES = 40_000
"""Ranges of ids in one message."""

_LONG_TEXT = 64
_CURSORS = ("event", "promotion", "latency", "device")
_TABLE_OF = {"device": "device_sample"}


def cursor(have: Mapping[str, Any], name: str) -> int:
    """A number of what a client says that it has; 0 where it says none."""
    value = have.get(name)
    return value if type(value) is int and 0 < value < 1 << 62 else 0


class Listing:
    """What was said of the list of runs, and what is to be said."""

    def __init__(self, store: Store, rows: Rows, have: Mapping[str, Any], now: float) -> None:
        """
        Args:
            store: what to read.
            rows: says rows.
            have: what the client has of this store; empty: nothing.
            now: seconds since the epoch.
        """
        self._store = store
        self._rows = rows
        self._begun = now
        self._names = store.columns("run")
        self._place = {name: place for place, name in enumerate(self._names)}
        self._said: dict[int, list[Any]] = {}
        """Runs -> their row as it was said last; of long texts a hash."""
        self._said_beat: dict[int, float] = {}
        """Runs -> when a heartbeat of them was said last."""
        self._unfinished: set[int] = set()
        self._awaited: set[int] = set()
        """Runs that are left to list."""
        self._controls: list[Row] = []
        self._device_said = 0.0
        self._listed: Message | None = None
        self.rewinds = Rewinds(store)
        self.moved_best: set[int] = set()
        """Runs whose best epoch has moved since the news before."""
        self.changed: set[int] = set()
        """Runs whose row has changed since then."""
        self.gone: set[int] = set()
        """Runs that were deleted since then."""
        self._had = {name: cursor(have, name) for name in _CURSORS}
        since = cursor(have, "revision")
        with store.moment():
            self._made, self._revision = store.mark()
            self._scores = Scores(store, rows, self.rewinds, cursor(have, "evaluation"))
            self._heads = {name: store.newest(_TABLE_OF.get(name, name)) for name in _CURSORS}
            found = store.select("SELECT id, revision FROM run ORDER BY id DESC")
            self._remember_unchanged(since)
        self._ids = {run for run, _ in found}
        self._left: deque[Callable[[], list[Message]]] = deque()
        self._plan([run for run, revision in found if revision > since], bool(have), have.get("time"), now)

    def _remember_unchanged(self, since: int) -> None:
        """What the client has of unfinished runs, so that only what changes of them is said."""
        if since:
            where = "WHERE revision <= :since AND status != 'done'"
            for row in self._store.rows("run", where, {"since": since}):
                self._say(row)

    def _plan(self, runs: Sequence[int], has: bool, last: Any, now: float) -> None:
        self._awaited = set(runs)
        away = last if isinstance(last, (int, float)) and has else None
        for begin in range(0, len(runs), BATCH_RUNS):
            batch = runs[begin : begin + BATCH_RUNS]
            self._left.append(lambda batch=batch: self._list_runs(batch, has, away))  # type: ignore[misc]
        self._left.append(self._scores.baselines)
        self._left.append(lambda: [{"m": "runs", "ranges": _ranges(self._ids)}])
        for table in ("promotion", "latency"):
            self._left.append(lambda table=table: self._after(table, self._had[table]))  # type: ignore[misc]
        self._left.append(lambda: self._controls_now(always=True))
        self._left.append(self._events_at_first)
        self._left.append(lambda: self._devices_at_first(now))
        self._left.append(self._end)

    @property
    def has_more(self) -> bool:
        """Whether something is left to list."""
        return bool(self._left)

    def next(self) -> list[Message]:
        """The next piece of the list."""
        with self._store.moment():
            messages = self._left[0]()
        self._left.popleft()
        return messages

    def _list_runs(self, batch: Sequence[int], has: bool, last: float | None) -> list[Message]:
        runs = self._store.rows("run", f"WHERE id IN ({', '.join(map(str, batch))}) ORDER BY id DESC")
        messages = self._rewound(runs, has, last)
        messages += self._runs_whole(runs)
        messages += self._scores.of_runs(batch, {row[self._place["protocol_id"]] for row in runs})
        self._awaited.difference_update(batch)
        return messages

    def _rewound(self, runs: Sequence[Row], has: bool, last: float | None) -> list[Message]:
        """Runs that were resumed since the client was here: it has rows that may be gone."""
        messages: list[Message] = []
        for row in runs:
            run, attempt, started = (row[self._place[name]] for name in ("id", "attempt", "started"))
            if (attempt or 0) <= 1:
                continue
            # Without the time of the last contact, any that has changed may be one.
            resumed = has and (last is None or (started or 0.0) > last - CLOCK_SECONDS)
            if resumed:
                messages += [self.rewinds.tell(run), *self._latencies_of(run)]
            if row[self._place["status"]] != "done":
                self.rewinds.watch(run, is_known=resumed or not has)
        return messages

    def _latencies_of(self, run: int) -> list[Message]:
        return self._rows.replace("latency", self._store.rows("latency", "WHERE run_id = :run", {"run": run}))

    def _after(self, table: str, after: int) -> list[Message]:
        rows = self._store.rows(table, "WHERE id > :after ORDER BY id", {"after": after})
        return self._rows.replace(table, rows)

    def _events_at_first(self) -> list[Message]:
        kinds = ", ".join(f"'{kind}'" for kind in TOLD_KINDS)
        newest = f"SELECT id FROM event ORDER BY id DESC LIMIT {EVENTS}"
        where = f"WHERE id > :after AND (kind IN ({kinds}) OR id IN ({newest})) ORDER BY id"
        return self._rows.replace("event", self._store.rows("event", where, {"after": self._had["event"]}))

    def _devices_at_first(self, now: float) -> list[Message]:
        rows = self._store.rows(
            "device_sample",
            "WHERE id > :after AND time >= :since ORDER BY id",
            {"after": self._had["device"], "since": now - DEVICE_SECONDS},
        )
        return self._rows.replace("device_sample", rows)

    def _end(self) -> list[Message]:
        self._listed = {"m": "listed", "have": self.have()}
        return [self._listed]

    def have(self) -> dict[str, Any]:
        """What a client has that was told everything so far: for its next greeting."""
        # The time tells which runs were resumed while a client was away.
        heads = {"revision": self._revision, "evaluation": self._scores.head, **self._heads}
        return {"made": self._made, **heads, "time": round(time.time(), 1)}

    def listed_again(self) -> list[Message]:
        """What is to be sent in the next greeting, if it has moved on."""
        if self._listed is None or self.has_more:
            return []
        have = self.have()
        if {**have, "time": 0} == {**self._listed["have"], "time": 0}:
            return []
        self._listed = {"m": "listed", "have": have}
        return [self._listed]

    def is_other_store(self) -> bool:
        """Whether other contents stand in the file than before, such as a copy from another day."""
        made, revision = self._store.mark()
        return made != self._made or revision < self._revision

    def changes(self, now: float) -> list[Message]:
        """What has changed in the rows of runs since the last time, and which runs are gone."""
        changed = self._store.rows("run", "WHERE revision > :after ORDER BY id", {"after": self._revision})
        messages: list[Message] = []
        new: list[Row] = []
        self.moved_best, self.changed, self.gone = set(), set(), set()
        for row in changed:
            run = row[self._place["id"]]
            self.changed.add(run)
            self._revision = max(self._revision, row[self._place["revision"]])
            if run in self._awaited:
                continue
            if run not in self._said:
                new.append(row)
                self.moved_best.add(run)
                if self._may_be_resumed(row):
                    self.rewinds.watch(run, is_known=False)
                continue
            messages += self._change(run, row, now)
        self._ids.update(row[self._place["id"]] for row in changed)
        return self._runs_whole(new) + messages + self._gone()

    def _may_be_resumed(self, row: Row) -> bool:
        """Whether a run that was not said may have been taken up again since its client had all of it."""
        attempt, started = row[self._place["attempt"]] or 0, row[self._place["started"]] or 0.0
        is_recent = started > self._begun - CLOCK_SECONDS
        return attempt > 1 and (is_recent or row[self._place["status"]] != "done")

    def news(self) -> list[Message]:
        """What else is new since the last time."""
        messages = self._scores.news(self.moved_best)
        for table in ("promotion", "latency", "event"):
            messages += self._after(table, self._heads[table])
            self._heads[table] = max(self._heads[table], self._store.newest(table))
        return messages + self._controls_now() + self._new_devices()

    def _runs_whole(self, rows: Sequence[Row]) -> list[Message]:
        for row in rows:
            self._say(row)
        return self._rows.replace("run", rows)

    def _change(self, run: int, row: Row, now: float) -> list[Message]:
        said, short = self._said[run], _shortened(row)
        self._note_status(run, row)
        different = {name for name, place in self._place.items() if said[place] != short[place]}
        quiet = now - self._said_beat.get(run, 0.0)
        if different <= {"heartbeat", "revision"} and 0 <= quiet < HEARTBEAT_SECONDS:
            return []
        if 0 <= quiet < 1.0:
            different.discard("heartbeat")
        if "heartbeat" in different:
            self._said_beat[run] = now
        if "attempt" in different and (row[self._place["attempt"]] or 0) > 1:
            self.rewinds.watch(run, is_known=False)
        if "best_epoch" in different:
            self.moved_best.add(run)
        for name in different:
            said[self._place[name]] = short[self._place[name]]
        values = dict(zip(self._names, plain(row)[0]))
        if "heartbeat" in different and values["heartbeat"] is not None:
            values["heartbeat"] = round(values["heartbeat"], 2)
        return [
            {
                "m": "change",
                "run": run,
                "set": {name: values[name] for name in self._names if name in different},
            }
        ]

    def _gone(self) -> list[Message]:
        if self._store.one("SELECT count(*) FROM run") >= len(self._ids):
            return []
        self.gone = self._ids - {run for (run,) in self._store.select("SELECT id FROM run")}
        self._ids -= self.gone
        for run in self.gone:
            self._said.pop(run, None)
            self._unfinished.discard(run)
            self.rewinds.forget(run)
        return [{"m": "gone", "runs": sorted(self.gone)}]

    def again(self, run: int) -> list[Message]:
        """What the list has of a run whose rows were dropped, in place of what was said."""
        self.rewinds.forget(run)
        return [self.rewinds.tell(run), *self._scores.of_runs([run]), *self._latencies_of(run)]

    def rewound(self) -> list[int]:
        """Runs that have dropped rows which were said."""
        found = []
        for run in self.rewinds.watched:
            row = self._store.rows("run", "WHERE id = :run", {"run": run})
            if not row:
                self.rewinds.forget(run)
                continue
            status, step = row[0][self._place["status"]], row[0][self._place["step"]]
            if self.rewinds.has_dropped(run, status, step):
                found.append(run)
        return found

    def _controls_now(self, *, always: bool = False) -> list[Message]:
        rows = self._store.rows("control", "WHERE acknowledged IS NULL ORDER BY id")
        if rows == self._controls and not always:
            return []
        self._controls = rows
        return self._rows.all("control", rows)

    def _new_devices(self) -> list[Message]:
        now = time.monotonic()
        if now - self._device_said < DEVICE_PACE:
            return []
        messages = self._after("device_sample", self._heads["device"])
        if messages:
            self._device_said = now
            self._heads["device"] = self._store.newest("device_sample")
        return messages

    def unfinished(self, columns: Sequence[str]) -> list[Row]:
        """Values of columns of the runs that are not done; the id stands first."""
        if not self._unfinished:
            return []
        names = ", ".join(column if column in self._place else "NULL" for column in columns)
        newest = sorted(self._unfinished, reverse=True)[:MOST_UNFINISHED]
        return self._store.select(f"SELECT id, {names} FROM run WHERE id IN ({', '.join(map(str, newest))})")

    def _say(self, row: Row) -> None:
        """Take note that a whole row is said."""
        run = row[self._place["id"]]
        self._said[run] = _shortened(row)
        self._note_status(run, row)

    def _note_status(self, run: int, row: Row) -> None:
        is_done = row[self._place["status"]] == "done"
        (self._unfinished.discard if is_done else self._unfinished.add)(run)


def _shortened(row: Row) -> list[Any]:
    return [hash(value) if isinstance(value, str) and len(value) > _LONG_TEXT else value for value in row]


def _ranges(ids: Collection[int]) -> list[list[int]]:
    """Ids as ranges, ascending; the oldest ones as one range where there are too many."""
    found: list[list[int]] = []
    for number in sorted(ids):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    if len(found) > MOST_RANGES:
        found = [[found[0][0], found[-MOST_RANGES][1]], *found[1 - MOST_RANGES :]]
    return found
