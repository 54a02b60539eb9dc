"""Which charts there are for which metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lvmtui.format import plain


@dataclass(frozen=True, slots=True)
class Chart:
    """What one chart shows."""

    title: str
    keys: tuple[str, ...]
    """Metrics of one run drawn over each other; of several runs, the first that a run has."""
    labels: tuple[str, ...] = ()
    """Their names at the lines' ends; empty for a single one, which the title names."""
    percent: bool = False
    levels: str = ""
    """Field of an evaluation whose baseline values and target are drawn as dashed lines."""


HITS = Chart(
    "Hit@K on validation",
    ("val/hit5", "val/hit1", "val/hit10"),
    ("@5", "@1", "@10"),
    percent=True,
    levels="hit5",
)

CHARTS = (
    HITS,
    Chart("loss", ("val/loss", "epoch/train_loss"), ("val", "train")),
    Chart("MRR", ("val/mrr",), levels="mrr"),
    Chart("cosine", ("val/cosine", "val/copyness"), ("target", "last")),
    Chart("train loss by step", ("train/loss",)),
    Chart("learning rate", ("train/lr",)),
    Chart("gradient norm", ("train/grad_norm",)),
    Chart("temperature", ("train/temperature",)),
    Chart("vectors/s", ("train/vectors_per_second",)),
    Chart("seconds an epoch", ("epoch/seconds",)),
    Chart("effective rank of the predictions", ("val/effective_rank",)),
    Chart("cosine between predictions", ("val/prediction_cosine",)),
)

TITLES: Mapping[str, str] = {
    "val/hit1": "Hit@1 on validation",
    "val/hit5": "Hit@5 on validation",
    "val/hit10": "Hit@10 on validation",
    "val/loss": "loss on validation",
    "epoch/train_loss": "loss on training data",
    "val/cosine": "cosine to the target",
    "val/copyness": "cosine to the last vector",
}
"""Names of metrics that share a chart where a single run is shown."""

LEVELS = ("hit1", "hit5", "hit10", "mrr")
"""Metrics that baselines have."""

FIRST = ("val/hit5", "val/mrr", "val/hit1", "val/hit10")
"""Metrics that stand before the others where runs are compared."""


def charts_of(keys: Iterable[str]) -> tuple[Chart, ...]:
    """The charts of one run with these metrics: the known ones in their order, then one for each other."""
    present = set(keys)
    known = tuple(chart for chart in CHARTS if present.intersection(chart.keys))
    others = sorted(present - {key for chart in CHARTS for key in chart.keys})
    return (*known, *(Chart(plain(key), (key,)) for key in others))


def overlays_of(keys: Iterable[str]) -> tuple[Chart, ...]:
    """A chart for each of these metrics of several runs: the usual ones in their order, then the others."""
    present = set(keys)
    usual = [(key, chart) for chart in CHARTS for key in chart.keys]
    usual.sort(key=lambda item: FIRST.index(item[0]) if item[0] in FIRST else len(FIRST))
    known = tuple(overlay_of(key, chart) for key, chart in usual if key in present)
    others = sorted(present - {key for key, _ in usual})
    return (*known, *(Chart(plain(key), (key,)) for key in others))


def overlay_of(key: str, chart: Chart) -> Chart:
    """The chart of one metric of several runs; `chart` shows it among others of one run."""
    field = key.removeprefix("val/")
    return Chart(
        TITLES.get(key, chart.title), (key,), percent=chart.percent, levels=field if field in LEVELS else ""
    )
