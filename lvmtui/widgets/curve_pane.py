"""One chart of a run: which metrics it draws, and where on it the mouse points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.message import Message

from lvmtui.figure import Axes, Curve, Level
from lvmtui.format import plain
from lvmtui.snapshot import RunDetail, Series
from lvmtui.widgets import curves
from lvmtui.widgets.look import chart_look
from lvmtui.widgets.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Chart:
    """What one chart of the grid shows."""

    title: str
    keys: tuple[str, ...]
    """Metrics drawn over each other."""
    labels: tuple[str, ...] = ()
    """Their names at the lines' ends; empty for a single one, which the title names."""
    percent: bool = False
    levels: str = ""
    """Field of an evaluation whose baseline values are drawn as dashed lines."""


CHARTS = (
    Chart("Hit@K on validation", ("val/hit5", "val/hit1", "val/hit10"), ("@5", "@1", "@10"), True, "hit5"),
    Chart("loss", ("val/loss", "epoch/train_loss"), ("val", "train")),
    Chart("MRR", ("val/mrr",), levels="mrr"),
    Chart("cosine", ("val/cosine", "val/copyness"), ("target", "last")),
    Chart("train loss by step", ("train/loss",)),
    Chart("learning rate", ("train/lr",)),
    Chart("gradient norm", ("train/grad_norm",)),
    Chart("temperature", ("train/temperature",)),
    Chart("vectors/s", ("train/vectors_per_second",)),
    Chart("seconds an epoch", ("epoch/seconds",)),
)


def charts_of(keys: Iterable[str]) -> list[Chart]:
    """The charts for these metrics: the known ones in their order, then one for each other metric."""
    present = set(keys)
    known = [chart for chart in CHARTS if present.intersection(chart.keys)]
    others = sorted(present - {key for chart in CHARTS for key in chart.keys})
    return known + [Chart(plain(key), (key,)) for key in others]


def origin_of(series: Mapping[str, Series]) -> float:
    """When the first value of any metric was written, seconds since the epoch."""
    return min((float(item.time[0]) for item in series.values() if len(item.time)), default=0.0)


class RunCurves:
    """Makes curves whose time axis has one origin for all metrics of the run. The same array comes out as
    long as the series is the same, because charts are cached by identity."""

    def __init__(self) -> None:
        self._times: dict[str, tuple[Series, float, NDArray[np.float64]]] = {}

    def of(self, detail: RunDetail, key: str, label: str, axis: str, best_epoch: int | None) -> Curve | None:
        """One metric; None when the run has no such metric."""
        made = curves.curve(detail, key, label, axis, best_epoch=best_epoch)
        if made is None or axis != "time":
            return made
        series, origin = detail.series[key], origin_of(detail.series)
        kept = self._times.get(key)
        if kept is None or kept[0] is not series or kept[1] != origin:
            kept = self._times[key] = (series, origin, series.time - origin)
        shift = float(series.time[0]) - origin
        return replace(
            made,
            x=kept[2],
            best_x=None if made.best_x is None else made.best_x + shift,
            ticks=tuple(tick + shift for tick in made.ticks),
        )


class CurvePane(Panel):
    """One chart."""

    DEFAULT_CSS = """
    CurvePane { height: 100%; padding: 0; }
    CurvePane.-ascii.-selected { border: ascii $primary; }
    CurvePane.-selected { border: round $primary; border-title-color: $primary; border-title-style: bold; }
    """

    @dataclass
    class Pointed(Message):
        """A place on the chart was clicked."""

        pane: CurvePane
        x: float | None
        twice: bool

    def __init__(self, chart: Chart) -> None:
        super().__init__()
        self.chart = chart
        self.curves: tuple[Curve, ...] = ()
        self._levels: tuple[Level, ...] = ()
        self._axes = Axes()

    def set_curves(self, made: Sequence[Curve], levels: Sequence[Level], axes: Axes) -> None:
        """What to draw."""
        self.curves, self._levels, self._axes = tuple(made), tuple(levels), axes
        self.redraw()

    def heading(self) -> str:
        return self.chart.title

    def draw(self, width: int, height: int) -> Sequence[Text]:
        return curves.chart(
            self.curves,
            width=width,
            height=height,
            levels=self._levels,
            axes=self._axes,
            look=chart_look(self),
            empty="no value yet",
        )

    @property
    def x_range(self) -> tuple[float, float] | None:
        """The range of x that is shown."""
        if self._axes.zoom:
            return self._axes.zoom
        ends = [(float(c.x[0]), float(c.x[-1])) for c in self.curves if len(c.x)]
        return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None

    def x_at(self, column: int) -> float | None:
        """The x that a column of the content stands for; found by the drawn axis."""
        axis = next((t.plain for t in reversed(self.lines) if t.plain.lstrip()[:1] in {"└", "+"}), "")
        shown = self.x_range
        left = len(axis) - len(axis.lstrip()) + 1
        columns = max(axis.rfind("─"), axis.rfind("┬"), axis.rfind("-")) + 1 - left
        if shown is None or columns < 2 or not left <= column < left + columns:
            return None
        return shown[0] + (column - left) / (columns - 1) * (shown[1] - shown[0])

    def on_click(self, event: events.Click) -> None:
        """Put the cursor here; twice: show this chart alone."""
        offset = event.get_content_offset(self)
        x = self.x_at(offset.x) if offset is not None else None
        self.post_message(self.Pointed(self, x, event.chain >= 2))
