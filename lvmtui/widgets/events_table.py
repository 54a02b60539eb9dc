"""What happened to a run: launched, resumed, new bests, stopped, promoted, alerts."""

from __future__ import annotations

from textual.content import Content

from lvmtui.alerts.kinds import GLYPHS
from lvmtui.format import clock, plain, stamp
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.store.records import Event
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.event_list import STYLES
from lvmtui.widgets.row_table import Column, Line, RowTable

COLUMNS = (
    Column("when", "when", priority=1),
    Column("severity", "what"),
    Column("message", "message", shrinks=True),
    Column("evidence", "evidence", priority=2),
)


class EventsTable(RowTable):
    """The events of one run, newest first."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, empty="Nothing has happened to this run yet.", id="events-table")

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:  # noqa: ARG002
        """Show the events of this run."""
        self.show([_line(event) for event in reversed(detail.events)])


def _line(event: Event) -> Line:
    glyph, style = GLYPHS[event.severity], STYLES[event.severity]
    evidence = "  ".join(f"{plain(str(key))}={plain(str(value))}" for key, value in event.evidence.items())
    return Line(
        str(event.id),
        {
            "when": Content.styled(f"{stamp(event.time)[:10]} {clock(event.time)}", MUTED),
            "severity": Content.styled(f"{glyph} {plain(event.kind).replace('_', ' ')}", style or MUTED),
            "message": Content.styled(plain(event.message), style),
            "evidence": Content.styled(evidence, MUTED),
        },
    )
