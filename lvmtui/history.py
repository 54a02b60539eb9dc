"""Reads what a run has logged, piece by piece: a short history in full, a long one thinned by the store.

A piece takes some ten milliseconds, so that what else is wanted gets its turn in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvmtui.store.reader import Point, Reader

PIECE_ROWS = 10_000
"""Values that are read at once."""

OVERLAID_KEYS = ("val/hit5", "val/loss", "epoch/train_loss")
"""Metrics that the dashboard draws of marked runs, most wanted first."""

FIRST_KEYS = (*OVERLAID_KEYS, "val/hit1", "val/hit10", "train/loss")
"""Metrics that the dashboard draws, most wanted first: they are read before the others."""

LONG_ROWS = 150_000
"""A run with more values than this is thinned by the store."""

STRETCHES = 1_000
"""Parts of a long history. Of each metric, the least and the greatest value of each part are read."""

PIECE_STRETCHES = 20
"""Parts of a long history that are read at once."""

SPARSE = 4
"""A long history that is scattered among more than so many times as many values of other runs is read in
full: stretches of the store are then mostly somebody else's."""

Piece = Mapping[str, Sequence["Point"]]
"""Metric -> its values in order of arrival."""


class History:
    """What one run has logged after one id and up to another."""

    def __init__(self, reader: Reader, run_id: int, *, after: int, upto: int) -> None:
        self._reader = reader
        self._run_id = run_id
        self.upto = upto
        keys = sorted(reader.metric_keys(run_id), key=_importance)
        self._left = dict.fromkeys(keys, after)
        """Metrics that are not read to their end -> id of the last value that is."""
        self._ends: dict[str, Point] = {}
        """Metrics of a long history -> their last value; and their first, until it is handed out."""
        self._firsts: dict[str, Point] = {}
        self._next, self._stretch = upto, 0
        if not (after or reader.origin):
            # A mirror is thinned already, and its values are not in the order of their steps.
            self._plan()

    def _plan(self) -> None:
        """See whether the history is long, and how to divide it."""
        count = self._reader.metric_count(self._run_id)
        if count <= LONG_ROWS or not self._reader.database.is_sqlite:
            return
        firsts = {key: self._reader.metric_points(self._run_id, key, limit=1)[0] for key in self._left}
        begin = min(point[0] for point in firsts.values()) - 1
        span = self.upto - begin
        if span <= SPARSE * count:
            self._ends = {key: self._reader.last_metric_point(self._run_id, key) for key in self._left}
            self._next, self._stretch = begin, -(-span // STRETCHES)
            self._firsts = firsts

    @property
    def wanted(self) -> int | None:
        """How much the next piece is wanted, 0 most; None when all of it is read."""
        key = next(iter(self._left), None)
        return None if key is None else 0 if self._stretch else _importance(key)

    def awaits(self, key: str) -> bool:
        """Whether values of a metric are left to read."""
        return key in self._left

    def go_on(self, upto: int) -> None:
        """Have more to read: what came after its end, up to another id."""
        for key in self._reader.metric_keys(self._run_id):
            self._left.setdefault(key, self.upto)
        self._left = {key: self._left[key] for key in sorted(self._left, key=_importance)}
        self.upto = upto

    @property
    def is_thinned(self) -> bool:
        """Whether values are left out."""
        return bool(self._stretch)

    def read(self) -> Piece:
        """The next piece."""
        return self._read_thinned() if self._stretch else self._read_full()

    def _read_full(self) -> Piece:
        key = next(iter(self._left))
        points = self._reader.metric_points(
            self._run_id, key, after=self._left[key], upto=self.upto, limit=PIECE_ROWS
        )
        if len(points) == PIECE_ROWS:
            self._left[key] = points[-1][0]
        else:
            del self._left[key]
        return {key: points}

    def _read_thinned(self) -> Piece:
        found: dict[str, list[Point]] = {}
        if self._firsts:
            found = {key: [point] for key, point in self._firsts.items()}
            self._firsts = {}
        for _ in range(PIECE_STRETCHES):
            end = min(self._next + self._stretch, self.upto)
            for key, points in self._reader.metric_extremes(self._run_id, after=self._next, upto=end).items():
                held = found.setdefault(key, [])
                held += [point for point in points if not held or point[0] > held[-1][0]]
            self._next = end
            if end == self.upto:
                for key, last in self._ends.items():
                    held = found.setdefault(key, [])
                    if not held or last[0] > held[-1][0]:
                        held.append(last)
                self._left.clear()
                break
        return found


def _importance(key: str) -> int:
    return FIRST_KEYS.index(key) if key in FIRST_KEYS else len(FIRST_KEYS)
