"""Every epoch of a run in numbers, newest first, the best one marked."""

from __future__ import annotations

import math
from collections.abc import Mapping

from textual.content import Content

from lvmtui.format import MISSING, clock, duration, number, percent, small, thousands
from lvmtui.snapshot import RunDetail, RunView, Series, Snapshot
from lvmtui.store.records import Evaluation
from lvmtui.widgets.cells import with_interval
from lvmtui.widgets.row_table import Column, Line, RowTable

COLUMNS = (
    Column("best", ""),
    Column("epoch", "epoch", right=True),
    Column("hit1", "Hit@1", right=True, priority=2),
    Column("hit5", "Hit@5", right=True),
    Column("hit5_interval", "Hit@5 [95 %]", right=True, priority=1, wider_than="hit5"),
    Column("hit10", "Hit@10", right=True, priority=2),
    Column("mrr", "MRR", right=True, priority=3),
    Column("val_loss", "val loss", right=True, priority=4),
    Column("train_loss", "train loss", right=True, priority=5),
    Column("cosine", "cosine", right=True, priority=7),
    Column("copyness", "copyness", right=True, priority=8),
    Column("step", "step", right=True, priority=9),
    Column("seconds", "took", right=True, priority=6),
    Column("time", "at", right=True, priority=10),
)


class EpochsTable(RowTable):
    """The epochs of one run."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, empty="No epoch is finished yet.", id="epochs-table")

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:  # noqa: ARG002
        """Show the epochs of this run."""
        self.show(epoch_lines(view, detail))


def epoch_lines(view: RunView, detail: RunDetail) -> list[Line]:
    """One line an epoch, newest first. A loss that was not finite shows as NaN."""
    evaluations = {item.epoch: item for item in detail.evaluations}
    series = {
        key: by_epoch(detail.series.get(name))
        for key, name in (
            ("train_loss", "epoch/train_loss"),
            ("val_loss", "val/loss"),
            ("seconds", "epoch/seconds"),
        )
    }
    epochs = sorted({*evaluations, *series["train_loss"], *series["val_loss"]}, reverse=True)
    best = view.run.progress.best_epoch
    return [
        Line(str(epoch), _cells(epoch, evaluations.get(epoch), series, is_best=epoch == best))
        for epoch in epochs
    ]


def by_epoch(series: Series | None) -> dict[int, float]:
    """Epoch -> value, the last one where an epoch has several; NaN stays NaN."""
    if series is None:
        return {}
    pairs = zip(series.epoch.tolist(), series.value.tolist(), strict=True)
    return {round(epoch): value for epoch, value in pairs}


def _cells(
    epoch: int, evaluation: Evaluation | None, series: Mapping[str, Mapping[int, float]], *, is_best: bool
) -> dict[str, Content]:
    style = "$success bold" if is_best else ""
    cells = {
        "best": Content.styled("★" if is_best else " ", "$warning"),
        "epoch": Content.styled(str(epoch), style),
        "val_loss": _loss(series["val_loss"], epoch),
        "train_loss": _loss(series["train_loss"], epoch),
        "seconds": Content(duration(series["seconds"].get(epoch))),
    }
    if evaluation is None:
        return cells
    return cells | {
        "hit1": Content(percent(evaluation.hit1)),
        "hit5": Content.styled(percent(evaluation.hit5), style),
        "hit5_interval": with_interval(evaluation.hit5, evaluation.hit5_interval, style),
        "hit10": Content(percent(evaluation.hit10)),
        "mrr": Content(small(evaluation.mrr)),
        "cosine": Content(small(evaluation.cosine)),
        "copyness": Content(small(evaluation.copyness)),
        "step": Content(thousands(evaluation.step)),
        "time": Content(clock(evaluation.time)),
    }


def _loss(values: Mapping[int, float], epoch: int) -> Content:
    value = values.get(epoch)
    if value is None:
        return Content(MISSING)
    if not math.isfinite(value):
        return Content.styled("NaN", "$error")
    return Content(number(value))
