"""Training and validation loss of the focused run, or one loss of each marked run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lvmtui.figure import Axes, Curve
from lvmtui.snapshot import RunDetail
from lvmtui.widgets import curves
from lvmtui.widgets.hit_chart import why_empty
from lvmtui.widgets.look import chart_look
from lvmtui.widgets.panel import Panel


class LossChart(Panel):
    """Loss by step where steps are recorded, else by epoch."""

    def heading(self) -> str:
        overlaid = bool(self.snapshot and curves.overlaid(self.snapshot, self.focused, self.marked))
        return "loss ─ validation of marked runs" if overlaid else "loss ─ train/val"

    def draw(self, width: int, height: int) -> Sequence[Text]:
        options = self.options
        return curves.chart(
            self._curves(),
            width=width,
            height=height,
            axes=Axes(x=options.axis, log_y=options.log_y, smoothing=options.smoothing),
            look=chart_look(self),
            empty=why_empty(self.snapshot, self.view, "a loss"),
        )

    def _curves(self) -> list[Curve]:
        if self.snapshot is None:
            return []
        look = chart_look(self)
        made: list[Curve | None] = []
        for position, view in enumerate(curves.overlaid(self.snapshot, self.focused, self.marked)):
            detail = self.snapshot.details.get(view.run.id)
            key = "val/loss" if detail and "val/loss" in detail.series else "epoch/train_loss"
            colour = look.colour(position)
            made.append(
                curves.curve(detail, key, view.run.name, self.options.axis, colour=colour) if detail else None
            )
        if not made and self.detail is not None:
            axis = self.options.axis
            made = [
                curves.curve(self.detail, "val/loss", "val", axis, colour=look.colour(1)),
                curves.curve(self.detail, train_key(self.detail), "train", axis, colour=look.colour(0)),
            ]
        return [curve for curve in made if curve is not None]


def train_key(detail: RunDetail) -> str:
    """The finest training loss that there is."""
    return "train/loss" if "train/loss" in detail.series else "epoch/train_loss"
