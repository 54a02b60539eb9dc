"""The events of all runs as a table, and what there is to say of the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.content import Content

from lvmtui import format as fmt
from lvmtui.alerts.kinds import GLYPHS
from lvmtui.store.records import Severity
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.event_rows import WORDS, EventRow, evidence_pairs, midnight, when
from lvmtui.widgets.look import ink
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.row_table import Column, Line, RowTable

COLUMNS = (
    Column("new", ""),
    Column("when", "when"),
    Column("mark", "", priority=1),
    Column("severity", "severity", priority=3, wider_than="mark"),
    Column("kind", "what", shrinks=True),
    Column("run", "run", priority=2, shrinks=True),
    Column("message", "message", shrinks=True),
)

NARROW = 100
"""Below this width, severities have their sign only: the message needs the room."""

STYLES = {Severity.INFO: "", Severity.WARN: "$warning", Severity.ERROR: "$error"}


class EventList(RowTable):
    """Rows, newest first. A line is made once for each."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, opens=True, id="event-list")
        self._made: dict[tuple[str, bool, bool], Line] = {}

    def show_rows(self, rows: Sequence[EventRow], new: frozenset[str], now: float, empty: str) -> None:
        """Show these rows.

        Args:
            rows: from top to bottom.
            new: keys of those that were not there at the last visit.
            now: seconds since the epoch: what happened today has no date.
            empty: what is said where there are no rows.
        """
        self.empty = empty
        made = {}
        began = midnight(now)
        for row in rows:
            known = (row.key, row.key in new, row.time >= began)
            made[known] = self._made.get(known) or _line(row, is_new=known[1], today=known[2])
        self._made = made
        self.show(list(made.values()), columns=self._fitting())

    def _fitting(self) -> tuple[Column, ...]:
        narrow = 0 < self.size.width < NARROW
        return tuple(column for column in COLUMNS if not (narrow and column.key == "severity"))

    def on_resize(self) -> None:
        self.columns = self._fitting()
        super().on_resize()


def _line(row: EventRow, *, is_new: bool, today: bool) -> Line:
    style = STYLES[row.severity]
    glyph = GLYPHS[row.severity]
    return Line(
        row.key,
        {
            "new": Content.styled("•" if is_new else " ", "bold $accent"),
            "when": Content.styled(when(row.time, today=today), MUTED),
            "mark": Content.styled(glyph, style or MUTED),
            "severity": Content.styled(f"{glyph} {WORDS[row.severity]}", style or MUTED),
            "kind": Content.styled(row.kind, style),
            "run": Content(row.run),
            "message": Content.styled(row.message, style),
        },
    )


class EventDetail(Panel):
    """The whole message and the evidence of one event."""

    def __init__(self) -> None:
        super().__init__(id="event-detail")
        self._row: EventRow | None = None

    def show_row(self, row: EventRow | None) -> None:
        """Show another event."""
        if row != self._row:
            self._row = row
            self.redraw()

    def heading(self) -> str:
        row = self._row
        if row is None:
            return "evidence"
        parts = [row.kind, row.run, fmt.stamp(row.time)[:10], fmt.clock(row.time)]
        return " · ".join(filter(None, parts))

    def draw(self, width: int, height: int) -> Sequence[Text]:
        row, colours = self._row, ink(self)
        if row is None:
            return []
        colour = {Severity.WARN: colours.warning, Severity.ERROR: colours.error}.get(row.severity, "")
        pairs = evidence_pairs(row.evidence)
        room = height - min(len(pairs), max(1, height // 4)) if pairs else height
        stop = "." if row.advice and not row.message.endswith((".", "!", "?")) else ""
        said = f"{GLYPHS[row.severity]} {row.message}{stop} {row.advice}".rstrip()
        lines = [Text(line, colour) for line in fmt.wrap(said, width, room)]
        if not pairs:
            return lines
        return [*lines, *_in_columns(pairs, width, height - len(lines), colours.muted)]


def _in_columns(pairs: Sequence[tuple[str, str]], width: int, height: int, muted: str) -> list[Text]:
    """`name value` pairs, one after another, on as many lines as there are."""
    lines = [Text()]
    for name, value in pairs:
        shown = Text.assemble((f"{name} ", muted), value)
        line = lines[-1]
        if line and line.cell_len + 3 + shown.cell_len > width and len(lines) < height:
            lines.append(shown)
        else:
            line.append("   " if line else "").append_text(shown)
    return lines
