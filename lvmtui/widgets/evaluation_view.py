"""What a run's best evaluation is worth: scores with intervals, baselines beside it, Hit@K for any K, and how
it was judged, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive

from lvmtui import commands
from lvmtui.charts.figure import Axes, Curve
from lvmtui.format import fit, interval, metric_name, number, percent, plain, signed, small, wrap
from lvmtui.leaderboard.protocols import protocol_words
from lvmtui.leaderboard.verdicts import GLYPHS as VERDICT_GLYPHS
from lvmtui.leaderboard.verdicts import Verdict, one_of_each, sentence, strongest, worth
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.store.records import Evaluation, Interval
from lvmtui.widgets.chart_kinds import Chart
from lvmtui.widgets.curve_pane import CurvePane
from lvmtui.widgets.look import Ink, ink
from lvmtui.widgets.meters import target_bars
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.run_summary import audit_badge
from lvmtui.widgets.scroll_keys import ScrollKeys

WIDE = 104
"""Cells from which on the parts stand side by side."""

TALL = 35
"""Lines from which on nothing has to be scrolled then."""


class ScorePanel(Panel):
    """The best evaluation's scores and verdict."""

    def heading(self) -> str:
        best = self.view.best if self.view else None
        return f"best evaluation ─ epoch {best.epoch}" if best else "best evaluation"

    def draw(self, width: int, height: int) -> Sequence[Text]:  # noqa: ARG002
        view, colours = self.view, ink(self)
        best = view.best if view else None
        if view is None or best is None or self.snapshot is None:
            return [Text("No evaluation yet: the first is made at the end of an epoch.", colours.muted)]
        baseline = strongest(self.snapshot.baselines.get(best.protocol_id, ()))
        return score_lines(view, best, baseline, width, colours)


def score_lines(
    view: RunView, best: Evaluation, baseline: Evaluation | None, width: int, colours: Ink
) -> list[Text]:
    """Scores, verdict and targets, in lines of at most `width` cells."""
    lines = [_hit_line(key, best, colours) for key in ("hit1", "hit5", "hit10")]
    others = (
        ("MRR", small(best.mrr), ""),
        ("cosine", small(best.cosine), "to the target"),
        ("copyness", small(best.copyness), "cosine to the last vector"),
        ("loss", number(best.loss), ""),
    )
    for name, value, meaning in others:
        lines.append(
            Text.assemble(f"{name:9}", (f"{value:>6}", colours.text), (f"  {meaning}", colours.muted))
        )
    found = worth(best, baseline, view.run.targets)
    colour = {
        Verdict.NOISE: colours.warning,
        Verdict.UNDER: colours.warning,
        Verdict.BELOW: colours.error,
        Verdict.NONE: colours.muted,
    }
    bold = f"bold {colour.get(found.verdict, colours.success)}"
    skill = f"; skill {signed(found.skill)} %" if found.skill is not None else ""
    said = f"{VERDICT_GLYPHS[found.verdict]} {sentence(found)}{skill}"
    lines += [Text(""), *(Text(part, bold) for part in wrap(said, width, 4))]
    if found.versus is not None and found.versus.detectable:
        least = percent(found.versus.detectable)
        unseen = f"a true difference below {least} points would probably go unseen in these queries"
        lines += [Text(part, colours.muted) for part in wrap(unseen, width, 2)]
    reached = {name: (getattr(best, name, None), goal) for name, goal in view.run.targets.items()}
    badge = audit_badge(view, width, colours)
    lines += [badge] if badge else []
    lines += target_bars(reached, width, colours)
    return lines


def _hit_line(key: str, best: Evaluation, colours: Ink) -> Text:
    bounds: Interval | None = getattr(best, f"{key}_interval")
    around = f"  {interval(bounds.low, bounds.high)}" if bounds else "  no interval"
    score = (f"{percent(getattr(best, key)):>6}", f"bold {colours.text}".strip())
    return Text.assemble(f"{metric_name(key):9}", score, (around, colours.muted))


class BaselinePanel(Panel):
    """The baselines under the same protocol, and what the run gains over each."""

    def heading(self) -> str:
        return "baselines, and what the run gains over them"

    def draw(self, width: int, height: int) -> Sequence[Text]:  # noqa: ARG002
        view, colours = self.view, ink(self)
        best = view.best if view else None
        protocol_id = best.protocol_id if best else (view.run.protocol_id if view else "")
        known = self.snapshot.baselines.get(protocol_id or "", ()) if self.snapshot else ()
        if not known:
            return [Text("No baseline was judged under the run's protocol yet.", colours.muted)]
        return baseline_lines(view, best, tuple(reversed(one_of_each(known))), width, colours)


def baseline_lines(
    view: RunView | None, best: Evaluation | None, baselines: Sequence[Evaluation], width: int, colours: Ink
) -> list[Text]:
    """A table: the run first, then the baselines, strongest first."""
    names = [plain(view.run.name) if view else "", *(plain(item.baseline or "") for item in baselines)]
    widest = min(max(map(len, names)), max(8, width - 41))
    head = f"{'':{widest}} {'Hit@1':>6} {'Hit@5':>6} {'Hit@10':>6} {'MRR':>5} {'gain':>6} {'skill':>6}"
    lines = [Text(fit(head, width), colours.muted)]
    if best is not None:
        lines.append(Text(fit(_scores(names[0], best, widest), width), f"bold {colours.text}".strip()))
    for name, item in zip(names[1:], baselines, strict=True):
        line = Text(_scores(name, item, widest))
        if best is not None:
            gain = best.hit5 - item.hit5
            colour = colours.error if gain < 0 else colours.success
            skill = gain / (1 - item.hit5) if item.hit5 < 1 else None
            line.append(f" {signed(gain):>6} {signed(skill):>6}", colour)
        lines.append(line)
    lines += [Text("")]
    note = "gain: Hit@5 in points; skill: share of what the baseline leaves that is gained, in percent"
    return lines + [Text(part, colours.muted) for part in wrap(note, width, 2)]


def _scores(name: str, item: Evaluation, widest: int) -> str:
    hits = " ".join(f"{percent(value):>6}" for value in (item.hit1, item.hit5, item.hit10))
    return f"{fit(name, widest):{widest}} {hits} {small(item.mrr):>5}"


class HitCurve(CurvePane):
    """Hit@K for every K, the run's over its best baseline's."""

    def __init__(self) -> None:
        super().__init__(Chart("Hit@K", ()))
        self.said = ""
        self.border_subtitle = "← → other K"

    def heading(self) -> str:
        return self.said


class ProtocolPanel(Panel):
    """How the scores were made."""

    def heading(self) -> str:
        return "how it was judged"

    def draw(self, width: int, height: int) -> Sequence[Text]:
        view = self.view
        best = view.best if view else None
        protocol_id = (best.protocol_id if best else None) or (view.run.protocol_id if view else None) or ""
        protocol = self.snapshot.protocols.get(protocol_id) if self.snapshot else None
        if protocol is None:
            return [Text("The protocol is recorded when the run first evaluates.", ink(self).muted)]
        parts = [part for text in protocol_words(protocol, best) for part in wrap(f"· {text}", width, 4)]
        return [Text(part, ink(self).text) for part in parts][:height]


class EvaluationView(VerticalScroll, ScrollKeys):
    """The best evaluation of one run."""

    DEFAULT_CSS = """
    EvaluationView {
        scrollbar-size-vertical: 1;
        & > ScorePanel { height: 20; }
        & > BaselinePanel { height: 15; }
        & > HitCurve { height: 12; padding: 0; border-subtitle-color: $foreground 60%; }
        & > ProtocolPanel { height: 14; }
    }
    EvaluationView.-wide {
        layout: grid;
        grid-size: 2;
        grid-columns: 1fr 1fr;
        grid-rows: 17 18;
        & > ScorePanel, & > BaselinePanel, & > HitCurve, & > ProtocolPanel { height: 100%; }
    }
    EvaluationView.-wide.-tall { grid-rows: 17 1fr; }
    """
    BINDINGS = [*commands.bindings("sideways")]

    k: reactive[int] = reactive(5, repaint=False)
    """The K that Hit@K is written out for."""

    def __init__(self) -> None:
        super().__init__(id="evaluation-view")
        self._view: RunView | None = None
        self._curves: tuple[Curve, ...] = ()
        self._known: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
        self._damage = ""

    def compose(self) -> ComposeResult:
        yield ScorePanel()
        yield BaselinePanel()
        yield HitCurve()
        yield ProtocolPanel()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= WIDE, "-wide")
        self.set_class(self.size.height >= TALL, "-tall")

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:
        """Show the best evaluation of this run."""
        for panel in self.query(Panel):
            panel.focused = view.run.id
            panel.snapshot = snapshot
        known = (detail.hit_curve, detail.baseline_hit_curve)
        if known != self._known or self._view is None:
            self._known = known
            self._curves = tuple(self._make_curves(view, detail))
        self._view = view
        self._damage = detail.damage
        self._draw_curve()

    def _make_curves(self, view: RunView, detail: RunDetail) -> Iterator[Curve]:
        import numpy as np

        baseline = plain(view.baseline.baseline or "") if view.baseline else ""
        for label, values in (
            (plain(view.run.name), detail.hit_curve),
            (baseline, detail.baseline_hit_curve),
        ):
            if values:
                yield Curve(label, np.arange(1.0, len(values) + 1), np.array(values, dtype=np.float64))

    def _draw_curve(self) -> None:
        panel = self.query_one(HitCurve)
        panel.said = self._said()
        axes = Axes(x="K", percent=True, cursor=float(self.k), from_zero=True)
        panel.set_curves(self._curves, (), axes)

    def _said(self) -> str:
        own, base = (values[self.k - 1] if len(values) >= self.k else None for values in self._known)
        if own is None:
            return f"Hit@K ─ {plain(self._damage)}" if self._damage else "Hit@K for any K"
        said = f"Hit@{self.k} {percent(own)}"
        if base is not None:
            said += f" ─ best baseline {percent(base)} ─ gain {signed(own - base)}"
        return said

    def watch_k(self) -> None:
        self._draw_curve()

    def _most(self) -> int:
        return max(1, len(self._known[0]))

    def action_cursor_left(self) -> None:
        """Take the next smaller K."""
        self.k = max(1, self.k - 1)

    def action_cursor_right(self) -> None:
        """Take the next greater K."""
        self.k = min(self._most(), self.k + 1)

    def on_curve_pane_pointed(self, message: CurvePane.Pointed) -> None:
        """Take the K that was clicked."""
        message.stop()
        self.focus()
        if message.x is not None:
            self.k = min(max(1, round(message.x)), self._most())
