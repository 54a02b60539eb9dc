"""Curves, events, log and checkpoints of one run that is looked at, read little by little."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lvmtui import stats
from lvmtui.errors import StoreCorrupt
from lvmtui.history import History
from lvmtui.logtail import LogTail
from lvmtui.series import Array, min_max
from lvmtui.snapshot import CloseUp, RunDetail, Series, Slicing
from lvmtui.store.records import Checkpoint, Evaluation, Event, Latency, Protocol, Run

if TYPE_CHECKING:
    from lvmtui.store.reader import Place, Point, Reader

CURVE_POINTS = 20_000
"""A curve with more points than this is thinned."""

CURVE_COLUMNS = 2_000
"""Columns that a thinned curve keeps first, least, greatest and last point of."""

EVENTS_KEPT = 500

MOST_K = 100
"""Hit@K is worked out for K up to this."""


CLOSE_UP_POINTS = 10_000
"""An enlarged stretch of a thinned curve is read in full when it has no more points than this: with more,
what is kept is as fine as a terminal draws."""


class Curve:
    """One metric of one run as it grows."""

    def __init__(self) -> None:
        self._rows = np.empty((5, 64))
        """Id, step, epoch, time, value; a column a point, ascending by step."""
        self._count = 0
        self._close: Array | None = None
        """Every point of a stretch, in the same rows."""
        self.is_thinned = False
        """Whether points were left out."""

    def extend(self, points: Sequence[Point]) -> None:
        """Add points in order of arrival; no value becomes NaN."""
        new = np.array(points, dtype=np.float64).T
        end = self._count + new.shape[1]
        if end > self._rows.shape[1]:
            grown = np.empty((5, max(end, 2 * self._rows.shape[1])))
            grown[:, : self._count] = self._rows[:, : self._count]
            self._rows = grown
        self._rows[:, self._count : end] = new
        previous = self._rows[1, max(0, self._count - 1) : end]
        self._count = end
        if np.any(np.diff(previous) < 0):
            held = self._rows[:, :end]
            self._rows = held[:, np.argsort(held[1], kind="stable")]
        if self._count > CURVE_POINTS:
            self._thin()

    def _thin(self) -> None:
        rows = self._rows[:, : self._count]
        # A little is added so that equal steps stay apart and the kept points can be found again.
        position = rows[1] + np.arange(self._count) * 1e-6
        kept, _ = min_max(position, rows[4], position[0], position[-1], CURVE_COLUMNS)
        self._rows = rows[:, np.searchsorted(position, kept)]
        self._count = self._rows.shape[1]
        self.is_thinned = True

    def around(self, close_up: CloseUp, origin: float) -> tuple[Place, Place] | None:
        """Ids and steps of the points that are kept just outside a stretch; None where nothing is in it.

        Args:
            close_up: the stretch.
            origin: time of the run's first value.
        """
        ids, step, epoch, time, _ = self._rows[:, : self._count]
        x = {"step": step, "epoch": epoch}.get(close_up.axis, time - origin)
        first = max(0, int(np.searchsorted(x, close_up.low, side="left")) - 1)
        last = min(self._count - 1, int(np.searchsorted(x, close_up.high, side="right")))
        if first >= last:
            return None
        return (int(ids[first]), int(step[first])), (int(ids[last]), int(step[last]))

    def set_close(self, points: Sequence[Point]) -> None:
        """Have every point of a stretch; with no points, of none."""
        self._close = np.array(points, dtype=np.float64).T if len(points) else None

    def series(self) -> Series:
        """The points so far. A view: rows are only ever added behind it, or moved elsewhere."""
        rows = self._rows[:, : self._count]
        if self._close is not None:
            first = np.searchsorted(rows[1], self._close[1, 0], side="left")
            last = np.searchsorted(rows[1], self._close[1, -1], side="right")
            rows = np.concatenate([rows[:, :first], self._close, rows[:, last:]], axis=1)
        _, step, epoch, time, value = rows
        return Series(step=step, epoch=epoch, time=time, value=value)


def hit_curve(ranks: bytes) -> tuple[float, ...]:
    """Hit@K for K = 1 … `MOST_K` from packed ranks; empty without ranks."""
    values = stats.unpack_ranks(ranks)
    if not len(values):
        return ()
    counts = np.bincount(np.minimum(values, MOST_K + 1), minlength=MOST_K + 2)
    return tuple((np.cumsum(counts[1 : MOST_K + 1]) / len(values)).tolist())


def sliced(
    reader: Reader, best: Evaluation, baseline: Evaluation | None, protocol: Protocol | None
) -> tuple[Slicing, ...]:
    """An evaluation by lane, position, context and similarity, beside a baseline; empty where the store has
    no facts about the queries."""
    from lvmtui.slices import slicings

    facts = reader.query_facts(best.protocol_id)
    if not (facts and best.ranks and protocol is not None and protocol.query_groups):
        return ()
    return slicings(
        stats.unpack_ranks(best.ranks),
        stats.unpack_ranks(baseline.ranks) if baseline is not None and baseline.ranks else None,
        facts,
        stats.unpack_ranks(protocol.query_groups),
        context=best.context,
    )


class Detail:
    """What is read of one run only while it is looked at."""

    def __init__(self, root: Path, run: Run) -> None:
        self.run_id = run.id
        self._curves: dict[str, Curve] = {}
        self._series: dict[str, Series] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._evaluations: tuple[Evaluation, ...] = ()
        self._log = LogTail(root, run)
        self._position = 0
        """Id of a metric value: every value up to it is in the curves, once no history is left to read."""
        self._history: History | None = None
        """What is left to read up to there."""
        self._last_event = 0
        self._checkpoints: tuple[Checkpoint, ...] = ()
        self._hits: tuple[float, ...] = ()
        self._baseline_hits: tuple[float, ...] = ()
        self._slices: tuple[Slicing, ...] = ()
        self._damage = ""
        self._hits_of: tuple[int, int] | None = None
        """Ids of the two evaluations behind the Hit@K curves."""
        self._detail = RunDetail()

    def forget_history(self) -> None:
        """Read curves and evaluations again from their start: they were rewritten."""
        self._curves.clear()
        self._series.clear()
        self._history = None
        self._evaluations = ()
        self._position = 0

    def forget_scores(self) -> None:
        """Read evaluations again from the first: some were put before others."""
        self._evaluations = ()

    def forget_events(self) -> None:
        """Read events again from the first: some were put before others."""
        self._events.clear()
        self._last_event = 0

    def forget_hits(self) -> None:
        """Work out again what takes ranks: there are others."""
        self._hits_of = None

    def read_history_upto(self, reader: Reader, upto: int) -> None:
        """Find out what there is to read after `position`, up to the id `upto`."""
        if self._history is None:
            self._history = History(reader, self.run_id, after=self._position, upto=upto)
        else:
            self._history.go_on(upto)
        self._end_history()

    @property
    def position(self) -> int:
        """Id of a metric value: all up to it are in the curves, or in what is left to read of the history."""
        return self._position if self._history is None else self._history.upto

    def add_new(self, found: Mapping[str, Sequence[Point]], upto: int) -> None:
        """Add all values after `position` up to the id `upto`, but for metrics whose history is not read to
        its end: they come with it."""
        history = self._history
        for key, points in found.items():
            if history is None or not history.awaits(key):
                self.add(key, points)
        if history is None:
            self._position = upto
        else:
            history.upto = upto

    @property
    def history_wanted(self) -> int | None:
        """How much the next piece of history is wanted, 0 most; None when nothing is left to read."""
        return None if self._history is None else self._history.wanted

    def read_history(self) -> None:
        """Read the next piece of history."""
        if self._history is not None:
            thinned = self._history.is_thinned
            for key, points in self._history.read().items():
                self.add(key, points)
                self._curves[key].is_thinned |= thinned
            self._end_history()

    def read_close_up(self, reader: Reader, close_up: CloseUp | None) -> None:
        """Have every point of a stretch in the curves that are thinned; None: of no stretch any more."""
        origin = min((float(series.time[0]) for series in self._series.values()), default=0.0)
        for key, curve in self._curves.items():
            if curve.is_thinned:
                curve.set_close(self._close_points(reader, key, curve, close_up, origin))
                self._series[key] = curve.series()

    def _close_points(
        self, reader: Reader, key: str, curve: Curve, close_up: CloseUp | None, origin: float
    ) -> Sequence[Point]:
        ends = None if close_up is None else curve.around(close_up, origin)
        if ends is None:
            return ()
        limit = CLOSE_UP_POINTS + 1
        points = reader.metric_stretch(self.run_id, key, *ends, limit=limit)
        return points if len(points) < limit else ()

    def _end_history(self) -> None:
        if self._history is not None and self._history.wanted is None:
            self._position = self._history.upto
            self._history = None

    def add(self, key: str, points: Sequence[Point]) -> None:
        """Add values of a metric in order of arrival."""
        if points:
            curve = self._curves.setdefault(key, Curve())
            curve.extend(points)
            self._series[key] = curve.series()

    def read(self, reader: Reader) -> None:
        """Read what the store has new, but for curves."""
        scores = reader.scores(self.run_id, after=self._evaluations[-1].id if self._evaluations else 0)
        if scores:
            self._evaluations += tuple(scores)
        first = EVENTS_KEPT if not self._last_event else None
        events = reader.events(after=self._last_event, run_id=self.run_id, limit=first)
        if events:
            self._events.extend(events)
            self._last_event = events[-1].id
        checkpoints = tuple(reader.checkpoints(self.run_id))
        if checkpoints != self._checkpoints:
            self._checkpoints = checkpoints

    def read_hits(
        self,
        reader: Reader,
        run: Run,
        best: Evaluation | None,
        baseline: Evaluation | None,
        protocol: Protocol | None,
    ) -> bool:
        """Work out Hit@K of the best evaluation and of the strongest baseline, where they are new, and the
        best evaluation's slices.

        Ranks are large, so they are not kept.

        Returns:
            Whether something was worked out.
        """
        wanted = (best.id if best else 0, baseline.id if baseline else 0)
        if wanted == self._hits_of:
            return False
        self._hits_of = wanted
        self._hits = self._baseline_hits = ()
        self._slices = ()
        self._damage = ""
        full = reader.best_evaluation(run) if best is not None else None
        if best is None or full is None:
            return False
        known = reader.baselines(best.protocol_id)
        same = [item for item in known if baseline is not None and item.id == baseline.id]
        try:
            self._hits = hit_curve(full.ranks)
            self._baseline_hits = hit_curve(same[0].ranks) if same else ()
            self._slices = sliced(reader, full, same[0] if same else None, protocol)
        except (StoreCorrupt, ValueError) as error:
            # One damaged value must not hide everything else of the store.
            self._damage = error.message if isinstance(error, StoreCorrupt) else str(error)
        return True

    def build(self, latencies: tuple[Latency, ...] = ()) -> RunDetail:
        """The detail as it is now; the same object as before when nothing in it changed."""
        old = self._detail
        log = self._log.read()
        events = tuple(self._events)
        same_series = old.series.keys() == self._series.keys() and all(
            old.series[key] is series for key, series in self._series.items()
        )
        new = RunDetail(
            series=old.series if same_series else MappingProxyType(dict(self._series)),
            evaluations=self._evaluations,
            events=events,
            log=log,
            checkpoints=self._checkpoints,
            hit_curve=self._hits,
            baseline_hit_curve=self._baseline_hits,
            slices=self._slices,
            damage=self._damage,
            latencies=latencies,
        )
        if not (same_series and _same_but_series(old, new)):
            self._detail = new
        return self._detail


def _same_but_series(first: RunDetail, second: RunDetail) -> bool:
    """Arrays cannot be compared as a whole; everything else is."""
    names = (name for name in RunDetail.__dataclass_fields__ if name != "series")
    return all(getattr(first, name) == getattr(second, name) for name in names)
