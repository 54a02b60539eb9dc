"""Training and validation loss of the focused run, or one loss of each marked run."""

from __future__ import annotations

from collections.abc import Mapping

from lvmtui.snapshot import Series
from lvmtui.widgets.chart_kinds import Chart
from lvmtui.widgets.lone_chart import LoneChart

LOSSES = Chart("loss ─ train/val", ("val/loss", "train/loss"), ("val", "train"))
BY_EPOCH = Chart("loss ─ train/val", ("val/loss", "epoch/train_loss"), ("val", "train"))
OVERLAID = Chart("val loss ─ marked runs", ("val/loss", "epoch/train_loss"))


class LossChart(LoneChart):
    """Loss by step where steps are recorded, else by epoch."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(LOSSES, OVERLAID, "a loss", id=id, classes=classes)

    def chart_alone(self, series: Mapping[str, Series]) -> Chart:
        """With the finest training loss that there is."""
        return LOSSES if "train/loss" in series else BY_EPOCH
