"""Curves, events, log and checkpoints of one run that is looked at, read little by little."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lvmtui import stats
from lvmtui.logtail import LogTail
from lvmtui.series import min_max
from lvmtui.snapshot import RunDetail, Series, Slicing
from lvmtui.store.records import Checkpoint, Evaluation, Event, Latency, MetricPoint, Protocol, Run

if TYPE_CHECKING:
    from lvmtui.store.reader import Reader

CURVE_POINTS = 20_000
"""A curve with more points than this is thinned."""

CURVE_COLUMNS = 2_000
"""Columns that a thinned curve keeps first, least, greatest and last point of."""

EVENTS_KEPT = 500

MOST_K = 100
"""Hit@K is worked out for K up to this."""


class Curve:
    """One metric of one run as it grows."""

    def __init__(self) -> None:
        self._rows = np.empty((4, 64))
        self._count = 0

    def extend(self, points: list[MetricPoint]) -> None:
        """Add points in order of arrival."""
        new = np.array([(p.step, p.epoch, p.time, p.value) for p in points], dtype=np.float64).T
        end = self._count + new.shape[1]
        if end > self._rows.shape[1]:
            grown = np.empty((4, max(end, 2 * self._rows.shape[1])))
            grown[:, : self._count] = self._rows[:, : self._count]
            self._rows = grown
        self._rows[:, self._count : end] = new
        previous = self._rows[0, max(0, self._count - 1) : end]
        self._count = end
        if np.any(np.diff(previous) < 0):
            held = self._rows[:, :end]
            self._rows = held[:, np.argsort(held[0], kind="stable")]
        if self._count > CURVE_POINTS:
            self._thin()

    def _thin(self) -> None:
        rows = self._rows[:, : self._count]
        # A little is added so that equal steps stay apart and the kept points can be found again.
        position = rows[0] + np.arange(self._count) * 1e-6
        kept, _ = min_max(position, rows[3], position[0], position[-1], CURVE_COLUMNS)
        self._rows = rows[:, np.searchsorted(position, kept)]
        self._count = self._rows.shape[1]

    def series(self) -> Series:
        """The points so far. A view: rows are only ever added behind it, or moved elsewhere."""
        step, epoch, time, value = self._rows[:, : self._count]
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
        self._log = LogTail(root, run)
        self._last_metric = 0
        self._last_event = 0
        self._checkpoints: tuple[Checkpoint, ...] = ()
        self._hits: tuple[float, ...] = ()
        self._baseline_hits: tuple[float, ...] = ()
        self._slices: tuple[Slicing, ...] = ()
        self._hits_of: tuple[int, int] | None = None
        """Ids of the two evaluations behind the Hit@K curves."""
        self._detail = RunDetail()

    def forget_curves(self) -> None:
        """Read the curves again from their start: they were rewritten."""
        self._curves.clear()
        self._series.clear()
        self._last_metric = 0

    def read(self, reader: Reader) -> None:
        """Read what the store has new."""
        points = reader.metrics(self.run_id, after=self._last_metric)
        by_key: dict[str, list[MetricPoint]] = {}
        for point in points:
            by_key.setdefault(point.key, []).append(point)
        for key, found in by_key.items():
            curve = self._curves.setdefault(key, Curve())
            curve.extend(found)
            self._series[key] = curve.series()
        if points:
            self._last_metric = points[-1].id
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
    ) -> None:
        """Work out Hit@K of the best evaluation and of the strongest baseline, where they are new, and the
        best evaluation's slices.

        Ranks are large, so they are not kept.
        """
        wanted = (best.id if best else 0, baseline.id if baseline else 0)
        if wanted == self._hits_of:
            return
        self._hits_of = wanted
        self._hits = self._baseline_hits = ()
        self._slices = ()
        full = reader.best_evaluation(run)
        if best is None or full is None:
            return
        self._hits = hit_curve(full.ranks)
        known = reader.baselines(best.protocol_id)
        same = [item for item in known if baseline is not None and item.id == baseline.id]
        self._slices = sliced(reader, full, same[0] if same else None, protocol)
        self._baseline_hits = hit_curve(same[0].ranks) if same else ()

    def build(self, evaluations: tuple[Evaluation, ...], latencies: tuple[Latency, ...] = ()) -> RunDetail:
        """The detail as it is now; the same object as before when nothing in it changed."""
        old = self._detail
        log = self._log.read()
        events = tuple(self._events)
        same_series = old.series.keys() == self._series.keys() and all(
            old.series[key] is series for key, series in self._series.items()
        )
        new = RunDetail(
            series=old.series if same_series else MappingProxyType(dict(self._series)),
            evaluations=evaluations,
            events=events,
            log=log,
            checkpoints=self._checkpoints,
            hit_curve=self._hits,
            baseline_hit_curve=self._baseline_hits,
            slices=self._slices,
            latencies=latencies,
        )
        if not (same_series and _same_but_series(old, new)):
            self._detail = new
        return self._detail


def _same_but_series(first: RunDetail, second: RunDetail) -> bool:
    """Arrays cannot be compared as a whole; everything else is."""
    names = (name for name in RunDetail.__dataclass_fields__ if name != "series")
    return all(getattr(first, name) == getattr(second, name) for name in names)
