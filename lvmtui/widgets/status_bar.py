"""The line at the top: which store, how many runs in which state, and how fresh this is. Below it, how the
watched hosts are, and as long as something is wrong with the store, what that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from time import localtime

from rich.cells import cell_len
from rich.text import Text

from lvmtui import format as fmt
from lvmtui.host_words import is_doubtful
from lvmtui.snapshot import GLYPHS, Contact, Snapshot, State
from lvmtui.store.records import Shelf
from lvmtui.widgets.host_line import host_line
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


BANNER_LINES = 3
"""A problem is told in so many lines at most."""


class StatusBar(Panel):
    """One line, one on the watched hosts, and a banner while the store cannot be read. The time is when
    something last changed, so an idle dashboard paints nothing."""

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

    _hosts: tuple[tuple[object, ...], Text] = ((), Text())
    """What the line on hosts was made of, and that line."""

    def watch_snapshot(self) -> None:
        """Make room for hosts and banner, or take it away again."""
        snapshot = self.snapshot
        below = banner(snapshot, self.content_size.width, ink(self))
        lines = 1 + (snapshot is not None and bool(snapshot.hosts)) + len(below)
        if self.styles.height is None or self.styles.height.value != lines:
            self.styles.height = lines
        super().watch_snapshot()

    def on_resize(self) -> None:
        self.watch_snapshot()
        super().on_resize()

    def draw(self, width: int, height: int) -> Sequence[Text]:  # noqa: ARG002
        snapshot, colours = self.snapshot, ink(self)
        unread = getattr(self.app, "unread_events", 0)
        lines = [status_line(snapshot, width, colours, unread)]
        if snapshot is not None and snapshot.hosts:
            lines.append(self._host_line(snapshot, width, colours))
        return [*lines, *banner(snapshot, width, colours)]

    def _host_line(self, snapshot: Snapshot, width: int, colours: Ink) -> Text:
        """Made again only where something in it differs: snapshots come ten times a second."""
        made_of = (snapshot.hosts, localtime(snapshot.taken)[:3], width, colours)
        if self._hosts[0] != made_of:
            self._hosts = made_of, host_line(snapshot.hosts, snapshot.taken, width, colours)
        return self._hosts[1]


def banner(snapshot: Snapshot | None, width: int, colours: Ink) -> list[Text]:
    """What is wrong with the store, in whole lines; nothing when all is well."""
    if snapshot is None or not snapshot.problem or width <= 0:
        return []
    said = [line for line in fmt.plain_lines(snapshot.problem) if line]
    # Without runs the whole of it stands below.
    again = ["it is looked at again as soon as it changes"]
    words = f"⚠ {' · '.join([*said, *again] if snapshot.runs else said[:1])}"
    style = f"bold reverse {colours.error}".strip()
    return [Text(line.ljust(width), style) for line in fmt.wrap(words, width, BANNER_LINES)]


def status_line(snapshot: Snapshot | None, width: int, colours: Ink, unread: int = 0) -> Text:
    """Exactly one line of at most `width` cells.

    Args:
        unread: events and alerts that nobody has seen on their screen yet.
    """
    left = Text().append("lvmtui", f"bold {colours.primary}".strip())
    if snapshot is None:
        return left.append("  reading the store…", colours.muted)
    middle = Text("") if snapshot.problem and not snapshot.runs else _counts(snapshot, colours)
    said = "as of" if snapshot.problem else "changed"
    right = Text.assemble(
        (f"{unread} new · " if unread else "", colours.accent),
        (f"{said} {fmt.clock(snapshot.taken)}", colours.muted),
    )
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
    """`▶ 2 running  ◷ 1 queued`, what there is none of left out. Runs of which nobody knows whether they
    still train or wait, as their hosts do not answer, count as silent."""
    doubtful = _doubtful(snapshot)
    line = Text()
    for word, state, counted in COUNTED:
        if state is State.COMPLETED and doubtful:
            line.append("  " if line else "").append(f"? {doubtful.total()} silent", colours.muted)
        number = snapshot.count(*counted) - sum(doubtful[state] for state in counted)
        if number:
            line.append("  " if line else "")
            line.append(f"{GLYPHS[state]} {number} {word}", colours.of_state(state))
    return line or Text("no runs yet · n launches one", colours.muted)


def _doubtful(snapshot: Snapshot) -> Counter[State]:
    """How many runs may have gone on since their host was last heard of, by the state they had then."""
    if all(host.contact is Contact.LIVE for host in snapshot.hosts):
        return Counter()
    views = (view for view in snapshot.runs if view.run.shelf is Shelf.RUNS or view.state.is_active)
    return Counter(view.state for view in views if is_doubtful(view))
