"""Watched hosts as a table, each with what waits for it, and all that there is to say of one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.content import Content

from lvmtui import format as fmt
from lvmtui import host_words
from lvmtui.host_words import GLYPHS, Standing
from lvmtui.snapshot import HostView, PendingRequest, Snapshot, State
from lvmtui.widgets.cells import INK, MUTED
from lvmtui.widgets.host_line import colour_of
from lvmtui.widgets.look import Ink, ink
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.row_table import Column, Line, RowTable

COLUMNS = (
    Column("host", "host"),
    Column("state", "state", shrinks=True, least=48),
    Column("next", "next try", priority=2),
    Column("running", "running", right=True, priority=1),
    Column("queued", "queued", right=True, priority=3),
    Column("done", "done", right=True, priority=4),
    Column("trip", "round trip", right=True, priority=5),
    Column("version", "lvmtui", priority=6),
    Column("clock", "clock", priority=7),
    Column("store", "store", priority=8, shrinks=True),
)

REQUEST = "◷"
"""The sign of something that waits for a host."""

COUNTED: Mapping[str, frozenset[State]] = {
    "running": frozenset({State.STARTING, State.RUNNING, State.STOPPING}),
    "queued": frozenset({State.QUEUED}),
}
"""Column -> the states that it counts; all others are done."""


COUNTS = (*COUNTED, "done")


@dataclass(frozen=True, slots=True)
class HostPlace:
    """What the cursor can be on: a host, or something that waits for it."""

    host: HostView
    request: PendingRequest | None = None

    @property
    def key(self) -> str:
        """Tells it from all others."""
        return f"{self.host.name}/{self.request.id}" if self.request else self.host.name


def places(hosts: Sequence[HostView]) -> list[HostPlace]:
    """The hosts in their order, and below each what waits for it."""
    return [
        place
        for host in hosts
        for place in (HostPlace(host), *(HostPlace(host, request) for request in host.pending))
    ]


class HostTable(RowTable):
    """A line a host, and below it a line for every request that it has not answered."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, opens=True, id="host-table")

    def show_places(self, shown: Sequence[HostPlace], snapshot: Snapshot, empty: str) -> None:
        """Show these hosts and requests.

        Args:
            shown: from top to bottom.
            snapshot: what they are part of.
            empty: what is said where there are none.
        """
        self.empty = empty
        counted = _counted(snapshot)
        lines = [
            Line(place.key, dict(_request_cells(place.request, place.host, snapshot.taken)))
            if place.request
            else Line(place.key, dict(_host_cells(place.host, counted, snapshot.taken)))
            for place in shown
        ]
        columns = [column for column in COLUMNS if _is_filled(column, lines)]
        before = self.cursor
        self.show(lines, columns=columns)
        # After the last request of a host the cursor must not be on another one, whose it was not.
        own = [place.key for place in shown if place.host.name == (before or "").partition("/")[0]]
        if own and self.cursor not in own:
            self.move_to(own[-1])


def _is_filled(column: Column, lines: Sequence[Line]) -> bool:
    """Whether anything stands in a column that says something only of some hosts."""
    return column.key not in {"clock", "next"} or any(line.cells.get(column.key) for line in lines)


def _counted(snapshot: Snapshot) -> Counter[tuple[str, str]]:
    """(host, column) -> runs."""
    found: Counter[tuple[str, str]] = Counter()
    for view in snapshot.runs:
        if view.run.origin:
            column = next((name for name, states in COUNTED.items() if view.state in states), "done")
            found[view.run.origin, column] += 1
    return found


def _host_cells(
    host: HostView, counted: Mapping[tuple[str, str], int], now: float
) -> Iterator[tuple[str, Content]]:
    how = host_words.standing(host)
    quiet = MUTED if how in {Standing.OFFLINE, Standing.CONNECTING} else ""
    colour = colour_of(how, INK)
    yield "host", Content.styled(f"{GLYPHS[how]} {host.name}", colour)
    yield "state", Content(_state(host, how, now))
    yield "next", Content.styled(fmt.clock(host.next_try) if host.next_try is not None else "", MUTED)
    numbers = [counted.get((host.name, column), 0) for column in COUNTS]
    is_known = host.is_whole or any(numbers)
    for column, number in zip(COUNTS, numbers, strict=True):
        yield column, Content.styled(fmt.thousands(number) if is_known else fmt.MISSING, quiet)
    trip = host_words.milliseconds(host.round_trip) if host.round_trip is not None else fmt.MISSING
    yield "trip", Content.styled(trip, quiet)
    if host.version or how in {Standing.LIVE, Standing.READONLY}:
        yield "version", Content.styled(fmt.plain(host.version) or "none there", quiet or MUTED)
    yield "clock", Content.styled(host_words.clock_difference(host), INK.warning)
    yield "store", Content.styled(fmt.plain(host.store), MUTED)


def _state(host: HostView, how: Standing, now: float) -> str:
    """`live`, `offline since 14:02 · it refuses connections`; what has a column of its own left out."""
    if how in {Standing.LIVE, Standing.READONLY, Standing.READING}:
        return how.value
    if how is Standing.OFFLINE:
        first, reason = host_words.offline(host, now), fmt.plain(host.reason)
        return first if first.startswith("no answer") else f"{first} · {reason}"
    return host_words.said(host, now)[0]


def _request_cells(request: PendingRequest, host: HostView, now: float) -> Iterator[tuple[str, Content]]:
    yield "host", Content.styled(f"  {REQUEST}", INK.accent)
    yield (
        "state",
        Content.assemble(
            (_said(request, host), INK.accent),
            (f" · {host_words.sent_words(request, host)}", MUTED),
            (f" · asked {host_words.moment(request.made, now)}", MUTED),
        ),
    )


def _said(request: PendingRequest, host: HostView) -> str:
    """What was asked for; the host, which stands above, is not named again."""
    return fmt.plain(request.words).replace(f"@{host.name}", "")


class HostDetail(Panel):
    """Everything that is known of one host: why it is as it is, what to do, and what waits for it."""

    def __init__(self) -> None:
        super().__init__(id="host-detail")
        self._place: HostPlace | None = None
        self._now = 0.0

    def show_place(self, place: HostPlace | None, now: float) -> None:
        """Show another host or request; what happened on the day of `now` has no date."""
        self._place, self._now = place, now
        self.redraw()

    def heading(self) -> str:
        place = self._place
        if place is None:
            return ""
        host, request = place.host, place.request
        return f"{host.name} · {_said(request, host)}" if request else host.name

    def draw(self, width: int, height: int) -> Sequence[Text]:
        if self._place is None:
            return []
        lines: list[Text] = []
        for words, style in _paragraphs(self._place, self._now, ink(self)):
            lines += [Text(line, style) for line in fmt.wrap(words, width, max(0, height - len(lines)))]
        return lines


def _paragraphs(place: HostPlace, now: float, colours: Ink) -> Iterator[tuple[str, str]]:
    """What there is to say, with its style, the most important first."""
    host, request = place.host, place.request
    if request is not None:
        key = "" if request.sent else " · W takes it back"
        asked = f"asked {fmt.stamp(request.made)[:10]} {fmt.clock(request.made)}"
        yield f"{REQUEST} {asked} · {host_words.sent_words(request, host)}{key}", colours.accent
    how = host_words.standing(host)
    yield f"{GLYPHS[how]} {_standing_words(host, how, now)}", colour_of(how, colours)
    if host.hint:
        yield fmt.plain(host.hint), colours.text
    if host.readonly:
        yield f"Nothing can be changed there: {fmt.plain(host.readonly)}", colours.text
    if difference := host_words.clock_difference(host):
        yield f"⚠ Its clock is {difference} of this one.", colours.warning
    yield f"store   {fmt.plain(host.store) or 'not known yet'}", colours.muted
    if host.version:
        yield f"lvmtui  {fmt.plain(host.version)}", colours.muted
    elif how in {Standing.LIVE, Standing.READONLY}:
        yield "lvmtui  none: its store is read through python3", colours.muted
    if request is None:
        for waiting in host.pending:
            sent = host_words.sent_words(waiting, host)
            yield f"{REQUEST} {_said(waiting, host)} · {sent}", colours.accent


def _standing_words(host: HostView, how: Standing, now: float) -> str:
    if how is Standing.OFFLINE:
        again = " · C tries now"
        return f"{host_words.said(host, now)[0]}{again}"
    if how is Standing.TROUBLE:
        return f"connected, but its store cannot be read: {fmt.plain(host.reason)}"
    return host_words.said(host, now)[0] if how is not Standing.LIVE else _live_words(host)


def _live_words(host: HostView) -> str:
    trip = f" · a round trip takes {host_words.milliseconds(host.round_trip)}" if host.round_trip else ""
    return f"live: what happens there is shown as it happens{trip}"
