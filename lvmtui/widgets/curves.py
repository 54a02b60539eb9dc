"""From a snapshot's series to the curves of a chart. Nothing heavy is imported before there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from lvmtui.figure import Axes, Curve, Level, Look, message_lines
from lvmtui.snapshot import RunDetail, RunView, Series, Snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def along(series: Series, axis: str) -> NDArray[np.float64]:
    """The series' x values for an axis: `epoch`, `step`, or `time` in seconds since its first point."""
    if axis == "time":
        return series.time - series.time[0] if len(series.time) else series.time
    return series.step if axis == "step" else series.epoch


def curve(
    detail: RunDetail, key: str, label: str, axis: str, *, best_epoch: int | None = None, colour: str = ""
) -> Curve | None:
    """One metric of a run as a curve; None when the run has no such metric."""
    series = detail.series.get(key)
    if series is None or not len(series.value):
        return None
    return Curve(
        label=label,
        x=along(series, axis),
        y=series.value,
        colour=colour,
        best_x=None if best_epoch is None else place_of_epoch(series, axis, best_epoch),
        ticks=tuple(places_of_times(series, axis, resumed_at(detail))),
    )


def place_of_epoch(series: Series, axis: str, epoch: float) -> float | None:
    """Where the series' first point at or after an epoch lies on the axis; None: not reached yet."""
    import numpy as np

    found = int(np.searchsorted(series.epoch, epoch - 1e-9))
    return float(along(series, axis)[found]) if found < len(series.epoch) else None


def places_of_times(series: Series, axis: str, times: Sequence[float]) -> list[float]:
    """Where the first point after each moment lies on the axis; moments after the last point are left out."""
    import numpy as np

    found = [int(np.searchsorted(series.time, when)) for when in times]
    return [float(along(series, axis)[place]) for place in found if place < len(series.time)]


def resumed_at(detail: RunDetail) -> list[float]:
    """When the run was taken up again, seconds since the epoch."""
    times = []
    for event in detail.events:
        attempt = event.evidence.get("attempt")
        if event.kind == "started" and isinstance(attempt, int) and attempt > 1:
            times.append(event.time)
    return times


def overlaid(snapshot: Snapshot, focused: int | None, marked: tuple[int, ...]) -> list[RunView]:
    """The runs to draw over each other: the marked ones in order, then the focused one. Unmarked: none.

    A run's position here is its colour and marker in the charts and in the list.
    """
    if not marked:
        return []
    ids = [*marked, *([focused] if focused is not None and focused not in marked else [])]
    return [view for run_id in ids if (view := snapshot.view(run_id)) is not None]


def chart(
    curves: Sequence[Curve],
    *,
    width: int,
    height: int,
    axes: Axes,
    look: Look,
    empty: str,
    levels: Sequence[Level] = (),
) -> Sequence[Text]:
    """`charts.curve_chart`, which loads numpy, or `empty` in the middle where there is no curve."""
    if not curves:
        return message_lines(empty, width, height, look)
    from lvmtui.charts import curve_chart

    return curve_chart(curves, width=width, height=height, levels=levels, axes=axes, look=look, empty=empty)
