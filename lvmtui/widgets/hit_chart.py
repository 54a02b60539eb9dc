"""Hit@K of the focused run against its baselines, or Hit@5 of the marked runs over each other."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lvmtui import format as fmt
from lvmtui.figure import Axes, Curve, Level
from lvmtui.leaderboard.verdicts import one_of_each
from lvmtui.snapshot import RunView, Snapshot, State
from lvmtui.widgets import curves
from lvmtui.widgets.look import chart_look
from lvmtui.widgets.panel import Panel

SHOWN = (("val/hit5", "@5"), ("val/hit10", "@10"), ("val/hit1", "@1"))
"""Metrics of a single run; the first is drawn on top and carries the star."""

TALL = 16
"""Lines from which on every baseline is drawn, not just the strongest and copy-last."""


class HitChart(Panel):
    """The dashboard's main chart."""

    def heading(self) -> str:
        view = self.view
        if view is None:
            return "Hit@K on validation"
        shown = view.best or view.last
        parts = ["Hit@5 of marked runs" if self._overlay() else "Hit@K on validation"]
        if shown is not None:
            parts.append(f"n {fmt.thousands(shown.n)} · pool {fmt.thousands(shown.pool)}")
        if view.run.progress.best_epoch is not None:
            parts.append(f"best ep {view.run.progress.best_epoch}")
        return " ─ ".join(parts) + _drawn_how(self.options.log_y, self.options.smoothing)

    def _overlay(self) -> list[RunView]:
        return curves.overlaid(self.snapshot, self.focused, self.marked) if self.snapshot else []

    def draw(self, width: int, height: int) -> Sequence[Text]:
        overlay = self._overlay()
        shown = self._overlaid_curves(overlay) if overlay else self._own_curves()
        options = self.options
        return curves.chart(
            shown,
            width=width,
            height=height,
            levels=self._levels(overlay, height) if shown else (),
            axes=Axes(
                x=options.axis,
                percent=True,
                log_y=options.log_y,
                smoothing=options.smoothing,
                from_zero=not overlay,
            ),
            look=chart_look(self),
            empty=why_empty(self.snapshot, self.view, "an evaluation"),
        )

    def _own_curves(self) -> list[Curve]:
        view, detail = self.view, self.detail
        if view is None or detail is None:
            return []
        made = [
            curves.curve(
                detail,
                key,
                label,
                self.options.axis,
                best_epoch=view.run.progress.best_epoch if position == 0 else None,
            )
            for position, (key, label) in enumerate(SHOWN)
        ]
        return [curve for curve in made if curve is not None]

    def _overlaid_curves(self, overlay: Sequence[RunView]) -> list[Curve]:
        assert self.snapshot is not None
        look = chart_look(self)
        made = []
        for position, view in enumerate(overlay):
            detail = self.snapshot.details.get(view.run.id)
            curve = detail and curves.curve(
                detail,
                "val/hit5",
                view.run.name,
                self.options.axis,
                best_epoch=view.run.progress.best_epoch,
                colour=look.colour(position),
            )
            if curve:
                made.append(curve)
        return made

    def _levels(self, overlay: Sequence[RunView], height: int) -> tuple[Level, ...]:
        """Hit@5 of the baselines, the strongest first; none when the runs were judged differently."""
        protocols = {
            view.run.protocol_id
            for view in (*overlay, *(() if overlay or self.view is None else (self.view,)))
        }
        if len(protocols) != 1 or self.snapshot is None:
            return ()
        known = self.snapshot.baselines.get(next(iter(protocols)) or "", ())
        baselines = list(reversed(one_of_each(known)))
        if height < TALL:
            baselines = [b for b in baselines if b is baselines[0] or b.baseline == "copy-last"]
        prefix = "" if overlay else "@5 "
        return tuple(Level(f"{prefix}{fmt.plain(b.baseline or '')}", b.hit5) for b in baselines)


def _drawn_how(log_y: bool, smoothing: float) -> str:
    """What was changed about how curves are drawn, so that nobody is misled."""
    said = [" ─ log-y"] if log_y else []
    return "".join([*said, *([f" ─ smoothed {smoothing:g}"] if smoothing else [])])


def why_empty(snapshot: Snapshot | None, view: RunView | None, missing: str) -> str:
    """Why there is no curve, and the key that helps."""
    if snapshot is None:
        return "reading the store…"
    if view is None:
        return "choose a run to see its curves" if snapshot.runs else "no runs yet · n launches one"
    if view.run.id not in snapshot.details:
        return "reading…"
    if view.state is State.QUEUED:
        return "queued: curves appear once it runs"
    if view.state.is_active:
        return f"waiting for {missing}"
    return f"ended without {missing}" + (" · r resume" if view.state.is_resumable else "")
