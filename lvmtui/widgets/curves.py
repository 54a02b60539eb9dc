"""From a snapshot's series to the curves of a chart. Nothing heavy is imported before there is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lvmtui.charts.figure import Curve
from lvmtui.snapshot import RunDetail, RunView, Series, Snapshot
from lvmtui.store.records import Evaluation, Event

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INTERVALS: Mapping[str, str] = {
    "val/hit1": "hit1_interval",
    "val/hit5": "hit5_interval",
    "val/hit10": "hit10_interval",
}
"""Metric -> the field of an evaluation that holds its confidence interval."""


class RunCurves:
    """Makes the curves of one run. The same object comes out as long as nothing about it changed, because
    charts are cached, and left as they are, by identity."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Series, tuple[object, ...], Curve]] = {}
        self._resumed: tuple[tuple[Event, ...], tuple[float, ...]] = ((), ())
        self._origin: tuple[Mapping[str, Series], float] = ({}, 0.0)

    def of(
        self,
        detail: RunDetail,
        key: str,
        axis: str,
        *,
        label: str = "",
        best_epoch: int | None = None,
        colour: str = "",
        marker: str = "",
        band: bool = False,
    ) -> Curve | None:
        """One metric as a curve; None when the run has no such metric.

        Args:
            detail: what was read of the run.
            key: the metric.
            axis: `epoch`, `step`, or `time` in seconds since the run's first value of any metric.
            label: the curve's name.
            best_epoch: where a star stands.
            colour: see `Curve.colour`.
            marker: see `Curve.marker`.
            band: with the confidence intervals of the evaluations, where the metric has them.
        """
        series = detail.series.get(key)
        if series is None or not len(series.value):
            return None
        resumed = self._resumed_of(detail)
        evaluations = detail.evaluations if band and key in INTERVALS else ()
        origin = self._origin_of(detail) if axis == "time" else 0.0
        made_of = (axis, label, best_epoch, colour, marker, resumed, origin, evaluations)
        kept = self._made.get(key)
        if kept is not None and kept[0] is series and kept[1] == made_of:
            return kept[2]
        low, high = band_of(series, evaluations, INTERVALS.get(key, ""))
        made = Curve(
            label=label,
            x=along(series, axis, origin),
            y=series.value,
            colour=colour,
            best_x=None if best_epoch is None else place_of_epoch(series, axis, best_epoch, origin),
            ticks=tuple(places_of_times(series, axis, resumed, origin)),
            low=low,
            high=high,
            marker=marker,
        )
        self._made[key] = (series, made_of, made)
        return made

    def last(self, key: str) -> Curve | None:
        """The curve that was made last of a metric."""
        kept = self._made.get(key)
        return kept[2] if kept is not None else None

    def extent(self, detail: RunDetail, axis: str, *, log: bool = False) -> tuple[float, float] | None:
        """Least and greatest x of all metrics, above zero if `log`; None without a point."""
        origin = self._origin_of(detail) if axis == "time" else 0.0
        ends = []
        for series in detail.series.values():
            x = along(series, axis, origin)
            first = int(x.searchsorted(0.0, side="right")) if log else 0
            if first < len(x):
                ends.append((float(x[first]), float(x[-1])))
        return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None

    def _resumed_of(self, detail: RunDetail) -> tuple[float, ...]:
        if self._resumed[0] is not detail.events:
            self._resumed = (detail.events, tuple(resumed_at(detail)))
        return self._resumed[1]

    def _origin_of(self, detail: RunDetail) -> float:
        if self._origin[0] is not detail.series:
            self._origin = (detail.series, origin_of(detail.series))
        return self._origin[1]


class CurveCache:
    """The curves of every run that is shown."""

    def __init__(self) -> None:
        self._runs: dict[int, RunCurves] = {}

    def of_run(self, run_id: int) -> RunCurves:
        """The curves of a run."""
        return self._runs.setdefault(run_id, RunCurves())

    def keep(self, run_ids: Iterable[int]) -> None:
        """Forget all other runs."""
        self._runs = {run_id: self.of_run(run_id) for run_id in run_ids}


def origin_of(series: Mapping[str, Series]) -> float:
    """When the first value of any metric was written, seconds since the epoch."""
    return min((float(item.time[0]) for item in series.values() if len(item.time)), default=0.0)


def along(series: Series, axis: str, origin: float = 0.0) -> NDArray[np.float64]:
    """The series' x values for an axis: `epoch`, `step`, or `time` in seconds since the origin."""
    if axis == "time":
        return series.time - origin
    return series.step if axis == "step" else series.epoch


def place_of_epoch(series: Series, axis: str, epoch: float, origin: float = 0.0) -> float | None:
    """Where the series' first point at or after an epoch lies on the axis; None: not reached yet."""
    import numpy as np

    found = int(np.searchsorted(series.epoch, epoch - 1e-9))
    return _place(series, axis, found, origin) if found < len(series.epoch) else None


def places_of_times(series: Series, axis: str, times: Sequence[float], origin: float = 0.0) -> list[float]:
    """Where the first point after each moment lies on the axis; moments after the last point are left out."""
    if not times:
        return []
    import numpy as np

    found = [int(np.searchsorted(series.time, when)) for when in times]
    return [_place(series, axis, place, origin) for place in found if place < len(series.time)]


def _place(series: Series, axis: str, place: int, origin: float) -> float:
    if axis == "time":
        return float(series.time[place]) - origin
    return float((series.step if axis == "step" else series.epoch)[place])


def band_of(
    series: Series, evaluations: Sequence[Evaluation], field: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | tuple[None, None]:
    """Lower and upper ends (n,) of the intervals at a series' points, NaN where an epoch has none; None
    without any."""
    known = {
        item.epoch: found for item in evaluations if field and (found := getattr(item, field)) is not None
    }
    if not known:
        return None, None
    import numpy as np

    ends = np.full((2, len(series.epoch)), np.nan)
    for place, epoch in enumerate(series.epoch.tolist()):
        interval = known.get(round(epoch))
        if interval is not None:
            ends[:, place] = interval.low, interval.high
    return ends[0], ends[1]


def resumed_at(detail: RunDetail) -> list[float]:
    """When the run was taken up again, seconds since the epoch."""
    times = []
    for event in detail.events:
        attempt = event.evidence.get("attempt")
        if event.kind == "started" and isinstance(attempt, int) and attempt > 1:
            times.append(event.time)
    return times


def views_of(snapshot: Snapshot, run_ids: Sequence[int]) -> list[RunView]:
    """The runs with these ids that are there, in the order of the ids."""
    wanted = set(run_ids)
    found = {view.run.id: view for view in snapshot.runs if view.run.id in wanted} if wanted else {}
    return [found[run_id] for run_id in run_ids if run_id in found]


def overlaid(snapshot: Snapshot, focused: int | None, marked: tuple[int, ...]) -> list[RunView]:
    """The runs to draw over each other: the marked ones in order, then the focused one. Unmarked: none.

    A run's position here is its colour and marker in the charts and in the list.
    """
    if not marked:
        return []
    others = [focused] if focused is not None and focused not in marked else []
    return views_of(snapshot, [*marked, *others])
