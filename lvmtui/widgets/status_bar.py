"""The line at the top: which store, how many runs in which state, and how fresh this is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from rich.cells import cell_len
from rich.text import Text

from lvmtui import format as fmt
from lvmtui.snapshot import GLYPHS, Snapshot, State
from lvmtui.widgets.look import Ink, ink
from lvmtui.widgets.panel import Panel

COUNTED: tuple[tuple[str, State, tuple[State, ...]], ...] = (
    ("running", State.RUNNING, (State.STARTING, State.RUNNING, State.STOPPING)),
    ("queued", State.QUEUED, (State.QUEUED,)),
    ("done", State.COMPLETED, (State.COMPLETED, State.EARLY_STOPPED)),
    ("stopped", State.STOPPED, (State.STOPPED,)),
    ("failed", State.FAILED, (State.FAILED,)),
    ("lost", State.LOST, (State.LOST,)),
)
"""Word, the state whose glyph and colour it has, and the states it counts."""


class StatusBar(Panel):
    """One line. The time is when something last changed, so an idle dashboard paints nothing."""

    DEFAULT_CSS = """
    StatusBar {
        border: none;
        height: 1;
        padding: 0 1;
        background: $panel;
        color: $foreground;
    }
    StatusBar.-ascii { border: none; }
    """

    def draw(self, width: int, height: int) -> Sequence[Text]:  # noqa: ARG002
        return [status_line(self.snapshot, width, ink(self))]


def status_line(snapshot: Snapshot | None, width: int, colours: Ink) -> Text:
    """Exactly one line of at most `width` cells; a problem with the store takes the place of the counts."""
    left = Text().append("lvmtui", f"bold {colours.primary}".strip())
    if snapshot is None:
        return left.append("  reading the store…", colours.muted)
    middle = (
        Text(f"⚠ {fmt.plain(snapshot.problem)}", f"bold {colours.error}")
        if snapshot.problem
        else _counts(snapshot, colours)
    )
    right = Text(f"changed {fmt.clock(snapshot.taken)}", colours.muted)
    if left.cell_len + middle.cell_len + 4 > width:
        middle.truncate(max(0, width - left.cell_len - 2), overflow="ellipsis")
        return left.append("  ").append_text(middle)
    room = width - left.cell_len - middle.cell_len - 4
    name = fmt.fit(fmt.plain(PurePath(snapshot.store).name or snapshot.store), min(room, 32))
    if room >= 6:
        left.append(f"  {name}", colours.muted)
    gap = max(2, (width - middle.cell_len) // 2 - left.cell_len)
    if left.cell_len + gap + middle.cell_len > width:
        gap = max(2, width - left.cell_len - middle.cell_len)
    left.append(" " * gap).append_text(middle)
    if width - left.cell_len >= cell_len(right.plain) + 2:
        left.append(" " * (width - left.cell_len - right.cell_len)).append_text(right)
    return left


def _counts(snapshot: Snapshot, colours: Ink) -> Text:
    """`▶ 2 running  ◷ 1 queued`, what there is none of left out."""
    line = Text()
    for word, state, counted in COUNTED:
        number = snapshot.count(*counted)
        if number:
            line.append("  " if line else "")
            line.append(f"{GLYPHS[state]} {number} {word}", colours.of_state(state))
    return line or Text("no runs yet · n launches one", colours.muted)
