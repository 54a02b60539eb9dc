"""Hit@K of the focused run against its baselines, or Hit@5 of the marked runs over each other."""

from __future__ import annotations

from lvmtui import format as fmt
from lvmtui.host_words import is_elsewhere
from lvmtui.widgets.chart_kinds import HITS, overlay_of
from lvmtui.widgets.lone_chart import LoneChart


class HitChart(LoneChart):
    """The dashboard's main chart."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        overlaid = overlay_of("val/hit5", HITS)
        super().__init__(HITS, overlaid, "an evaluation", id=id, classes=classes)

    def caption(self, room: int) -> str:
        view = self.view
        if view is None:
            return self.chart.title
        shown = view.best or view.last
        overlay, snapshot = self.overlay(), self.snapshot
        parts = ["Hit@5 of marked runs" if overlay else self.chart.title]
        if absent := sum(is_elsewhere(item, snapshot) for item in overlay) if snapshot else 0:
            parts.append(f"{absent} of {len(overlay)} offline")
        if shown is not None:
            parts.append(f"n {fmt.thousands(shown.n)} · pool {fmt.thousands(shown.pool)}")
        if view.run.progress.best_epoch is not None:
            parts.append(f"best ep {view.run.progress.best_epoch}")
        return fmt.joined(parts, room, " ─ ")
