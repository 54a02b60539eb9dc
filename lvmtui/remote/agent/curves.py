"""Values of metrics: a short history in full, a long one as the least and the greatest of each stretch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lvmtui.remote.agent.packing import Point
from lvmtui.remote.agent.store import Row, Store

OVERLAID_KEYS = ("val/hit5", "val/loss", "epoch/train_loss")
"""Metrics that the dashboard draws of marked runs, most wanted first; as in `lvmtui.history`."""

FIRST_KEYS = (*OVERLAID_KEYS, "val/hit1", "val/hit10", "train/loss")
"""Metrics that the dashboard draws, most wanted first."""

FULL_POINTS = 600
"""As many values of a metric are sent as they are."""

STRETCHES = 200
"""Parts of a longer history: a terminal draws about as many columns."""

ZOOM_POINTS = 10_000
"""As many values of an enlarged stretch are sent; of more, the extremes of `ZOOM_STRETCHES`."""

ZOOM_STRETCHES = 1_000

PIECE_ROWS = 20_000
"""Values that are looked at in one go: some ten milliseconds."""

_OF_KEY = "FROM metric WHERE run_id = :run AND key = :key"
_POINT = "SELECT id, step, epoch, time, value"
_AXES = {"step": "step", "epoch": "epoch", "time": "time"}


def metric_keys(store: Store, run: int) -> list[str]:
    """Names of a run's metrics, most wanted first. One step into the index for each."""
    keys: list[str] = []
    following = "SELECT min(key) FROM metric WHERE run_id = :run AND key > :key"
    while (key := store.one(following, {"run": run, "key": keys[-1] if keys else ""})) is not None:
        keys.append(key)
    return sorted(keys, key=lambda key: FIRST_KEYS.index(key) if key in FIRST_KEYS else len(FIRST_KEYS))


class History:
    """What one metric of one run has after one id, and up to another; read piece by piece."""

    def __init__(
        self,
        store: Store,
        run: int,
        key: str,
        *,
        after: int = 0,
        upto: int | None = None,
        full: int = FULL_POINTS,
        stretches: int = STRETCHES,
    ) -> None:
        """
        Args:
            store: where it is.
            run: whose.
            key: the metric.
            after: id of the last value that is known.
            upto: id of the last value that is wanted; None: the newest there is now.
            full: leave nothing out of as many values.
            stretches: parts of a longer history.
        """
        self._store = store
        self._of = {"run": run, "key": key}
        self._stretches = stretches
        newest = store.one(f"SELECT max(id) {_OF_KEY}", self._of) or 0
        self.upto = newest if upto is None else min(newest, upto)
        """Id of the last value."""
        self._after = min(after, self.upto)
        self._first = self._after
        count = store.one(f"SELECT count(*) {_OF_KEY} AND id > :after AND id <= :upto", self._range())
        self.is_thinned = count > full
        """Whether values are left out."""
        self._stretch = max(1, -(-count // stretches))

    def _range(self) -> dict[str, Any]:
        return {**self._of, "after": self._after, "upto": self.upto}

    @property
    def is_over(self) -> bool:
        """Whether all of it is read."""
        return self._after >= self.upto

    def read(self) -> list[Point]:
        """The next piece."""
        among = f"{_OF_KEY} AND id > :after AND id <= :upto ORDER BY id LIMIT {PIECE_ROWS}"
        if not self.is_thinned:
            points = self._store.select(f"{_POINT} {among}", self._range())
            self._after = points[-1][0] if len(points) == PIECE_ROWS else self.upto
            return points
        with self._store.moment():
            rows = self._store.select(f"SELECT id, value {among}", self._range())
            ids = _extremes(rows, self._stretch)
            if self._after == self._first and rows:
                ids.add(rows[0][0])
            if rows and rows[-1][0] == self.upto:
                ids.add(self.upto)
            points = self._points(sorted(ids))
        self._after = rows[-1][0] if len(rows) == PIECE_ROWS else self.upto
        return points

    def _points(self, ids: Sequence[int]) -> list[Point]:
        query = f"{_POINT} FROM metric WHERE id = :id"
        return [row for number in ids for row in self._store.select(query, {"id": number})]


def _extremes(rows: Sequence[Row], stretch: int) -> set[int]:
    """Ids of the least and the greatest value of each stretch of rows, and of one without a value."""
    found: set[int] = set()
    for begin in range(0, len(rows), stretch):
        part = rows[begin : begin + stretch]
        values = [(value, number) for number, value in part if value is not None]
        if len(values) < len(part):
            found.add(next(number for number, value in part if value is None))
        if values:
            found.add(min(values)[1])
            found.add(max(values)[1])
    return found


def zoomed(store: Store, run: int, key: str, axis: str, low: float, high: float) -> History:
    """The values of a stretch of the x axis, and one on each side of it.

    Args:
        store: where they are.
        run: whose.
        key: the metric.
        axis: `step`, `epoch`, or `time` in seconds since the run's first value.
        low: where it begins.
        high: where it ends.
    """
    column = _AXES[axis]
    if axis == "time":
        origin = (
            store.one("SELECT time FROM metric WHERE run_id = :run ORDER BY id LIMIT 1", {"run": run}) or 0.0
        )
        low, high = low + origin, high + origin
    with store.moment():
        first = _last_below(store, run, key, column, low)
        last = _first_above(store, run, key, column, high)
        return History(
            store, run, key, after=first - 1, upto=last, full=ZOOM_POINTS, stretches=ZOOM_STRETCHES
        )


def _last_below(store: Store, run: int, key: str, column: str, limit: float) -> int:
    """Id of the last value before a place on the axis; of the first value where there is none before."""
    ends = store.select(f"SELECT min(id), max(id) {_OF_KEY}", {"run": run, "key": key})
    low, high = ends[0] if ends and ends[0][0] is not None else (0, 0)
    # A run's steps, epochs and times grow with the ids of its values.
    while low < high:
        middle = (low + high + 1) // 2
        below = f"SELECT id, {column} < :limit {_OF_KEY} AND id <= :id ORDER BY id DESC LIMIT 1"
        found = store.select(below, {"run": run, "key": key, "id": middle, "limit": limit})
        if found and found[0][1]:
            low = middle
        else:
            high = middle - 1 if not found else max(low, found[0][0] - 1)
    return int(store.one(f"SELECT max(id) {_OF_KEY} AND id <= :id", {"run": run, "key": key, "id": low}) or 0)


def _first_above(store: Store, run: int, key: str, column: str, limit: float) -> int:
    """Id of the first value behind a place on the axis; of the last value where there is none behind."""
    before = _last_below(store, run, key, column, limit)
    above = f"SELECT id {_OF_KEY} AND id >= :id AND {column} > :limit ORDER BY id LIMIT 1"
    found = store.one(above, {"run": run, "key": key, "id": before, "limit": limit})
    return int(found or store.one(f"SELECT max(id) {_OF_KEY}", {"run": run, "key": key}) or 0)
