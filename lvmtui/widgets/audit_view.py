"""What the audits of a run and of its data found: evidence, severity, what to do; and the lag curve."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from lvmtui.audit_view import LAG_CURVE, lag_curves
from lvmtui.charts.figure import Axes, same_text
from lvmtui.findings import Finding, counted_by_severity
from lvmtui.format import ascii_text, counted, plain, wrap
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.store.records import Severity
from lvmtui.widgets.chart_kinds import Chart
from lvmtui.widgets.curve_pane import CurvePane
from lvmtui.widgets.look import Ink, ascii_only, ink
from lvmtui.widgets.scroll_keys import ScrollKeys

WIDE = 120
"""Cells from which on the lag curve stands beside the findings."""

_INDENT = 4


def headline(wrong: Sequence[Finding], passed: int, *, audited: bool) -> str:
    """The outcome in a line."""
    said = " and ".join(counted_by_severity(wrong)) or "nothing wrong was found"
    if not audited:
        return f"{said}; the data were not audited yet (`lvmtui audit DATA`)"
    return f"{said}; {counted(passed, 'check')} of the data passed"


def finding_lines(finding: Finding, width: int, colours: Ink) -> list[Text]:
    """A finding with its advice, wrapped to `width` cells."""
    colour = {Severity.ERROR: colours.error, Severity.WARN: colours.warning}.get(
        finding.severity, colours.success
    )
    where = "data" if finding.data else "run"
    word = "ok" if finding.passed else finding.severity.value
    lines = [Text(f"{finding.glyph} {word}  {plain(finding.check)}  ({where})", colour)]
    room = max(10, width - _INDENT)
    lines += [Text(" " * _INDENT + part, colours.text) for part in wrap(plain(finding.message), room, 6)]
    if finding.advice:
        advice = wrap(f"→ {plain(finding.advice)}", room, 6)
        lines += [Text(" " * _INDENT + part, colours.muted) for part in advice]
    return lines


def audit_lines(view: RunView, snapshot: Snapshot, width: int, colours: Ink) -> list[Text]:
    """Everything that the audits say, worst first, what passed last and in short."""
    outcomes = snapshot.audits.get(view.run.data_fingerprint or "", ())
    passed = [finding for finding in outcomes if finding.passed]
    said = headline(view.findings, len(passed), audited=bool(outcomes))
    worst = view.findings[0].severity if view.findings else Severity.INFO
    colour = {Severity.ERROR: colours.error, Severity.WARN: colours.warning}.get(worst, colours.success)
    glyph = view.findings[0].glyph if view.findings else "✔"
    lines = [Text(part, f"bold {colour}".strip()) for part in wrap(f"{glyph} {said}", width, 3)]
    for finding in view.findings:
        lines += [Text(""), *finding_lines(finding, width, colours)]
    if passed:
        lines += [Text(""), Text("passed", colours.muted)]
    for finding in passed:
        words = f"✔ {plain(finding.check)}: {plain(finding.message)}"
        first, *more = wrap(words, width - 2, 4)
        lines += [Text(first, colours.muted), *(Text(f"  {part}", colours.muted) for part in more)]
    return lines


class LagCurve(CurvePane):
    """Mean cosine of vectors so many places apart, beside what random pairs have."""

    DEFAULT_CSS = """
    LagCurve { height: 16; padding: 0; }
    """

    def __init__(self) -> None:
        super().__init__(Chart("lag curve", ()))
        self.said = "lag curve"
        self._shown: Finding | None = None

    def heading(self) -> str:
        return self.said

    def show(self, finding: Finding | None) -> None:
        """Draw the curve of a finding."""
        self.display = finding is not None
        if finding is None or finding == self._shown:
            return
        self._shown = finding
        horizon, lags = finding.evidence.get("horizon"), finding.evidence.get("lags") or [0]
        ends = isinstance(horizon, int) and horizon < lags[-1]
        self.said = f"mean cosine by lag{f' ─ nothing beyond lag {horizon}' if ends else ''}"
        self.set_curves(lag_curves(finding), (), Axes(x="lag", log_x=True, from_zero=True))


class FindingsList(Static):
    """The findings as text."""

    DEFAULT_CSS = """
    FindingsList { height: auto; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._of: tuple[RunView, Snapshot] | None = None
        self._lines: list[Text] = []

    def show(self, view: RunView, snapshot: Snapshot) -> None:
        """Show what was found about this run."""
        self._of = view, snapshot
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def _draw(self) -> None:
        width = self.content_size.width
        if self._of is None or width <= 0:
            return
        lines = audit_lines(*self._of, width, ink(self))
        if len(lines) == len(self._lines) and all(map(same_text, lines, self._lines)):
            return
        self._lines = lines
        text = Text("\n").join(lines)
        if ascii_only(self):
            text.plain = ascii_text(text.plain)
        self.update(text)


class AuditView(VerticalScroll, ScrollKeys):
    """The audits of one run."""

    DEFAULT_CSS = """
    AuditView { scrollbar-size-vertical: 1; }
    AuditView.-wide {
        layout: horizontal;
        & > FindingsList { width: 1fr; }
        & > LagCurve { width: 1fr; height: 100%; max-height: 24; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="audit-view")

    def compose(self) -> ComposeResult:
        yield FindingsList()
        yield LagCurve()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= WIDE, "-wide")

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:  # noqa: ARG002
        """Show what the audits of this run and its data found."""
        self.query_one(FindingsList).show(view, snapshot)
        outcomes = snapshot.audits.get(view.run.data_fingerprint or "", ())
        curve = next((finding for finding in outcomes if finding.check == LAG_CURVE), None)
        self.query_one(LagCurve).show(curve)
