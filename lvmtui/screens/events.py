"""Events of all runs, and the alerts of this session."""

from __future__ import annotations

import math
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.signal import Signal
from textual.widgets import Static

from lvmtui import commands
from lvmtui.alerts.kinds import Alert
from lvmtui.alerts.unseen import newest_ids, unseen, untold
from lvmtui.format import counted, plain, stamp
from lvmtui.messages import EventsSeen, RunFocused, RunOpened
from lvmtui.screens.base import LvmScreen
from lvmtui.snapshot import Snapshot
from lvmtui.store.records import Event
from lvmtui.widgets.cells import FAINT
from lvmtui.widgets.event_list import EventDetail, EventList
from lvmtui.widgets.event_rows import EventRow, alert_rows, event_row, fits, newest_first, words_of
from lvmtui.widgets.row_table import RowTable
from lvmtui.widgets.status_bar import StatusBar
from lvmtui.widgets.text_filter import TextFilter

NOTHING = (
    "Nothing has happened yet. What runs report stands here: launched, started, new bests, findings of the "
    "audit, stopped; and alerts, which `lvmtui alerts ls` explains."
)


class EventsScreen(LvmScreen):
    """Every event, newest first. What is new since the last visit has a dot."""

    CSS_PATH = "events.tcss"
    AUTO_FOCUS = "EventList"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *commands.bindings("filter", "attention"),
        *(binding for binding in commands.bindings("app") if binding.id == "back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, EventRow] = {}
        self._events: tuple[Event, ...] | None = None
        """Those that rows were made of."""
        self._read: list[EventRow] = []
        self._alerts: tuple[Alert, ...] = ()
        self._alert_rows: list[EventRow] = []
        self._seen: tuple[int, ...] | None = None
        """Newest event at the last visit, 0 before the first; None: this visit has not begun."""
        self._alerts_seen = 0
        self._follows = True
        """The cursor is on the newest event and stays there as more come."""
        self._drawn: tuple[object, ...] = ()
        """What else the rows that are shown depend on."""

    def compose(self) -> ComposeResult:
        yield StatusBar().data_bind(LvmScreen.snapshot)
        yield Static(id="summary", markup=False)
        yield EventList()
        yield EventDetail()
        yield TextFilter("words that must be there; -word: must not be")
        yield from super().compose()

    def on_mount(self) -> None:
        signal = getattr(self.app, "alerts_signal", None)
        if isinstance(signal, Signal):
            signal.subscribe(self, lambda _: self._update())

    def on_screen_suspend(self) -> None:
        """The visit is over: what was there is no longer new."""
        self._seen = None

    def watch_snapshot(self) -> None:
        """Show what is new."""
        self._update()

    def watch_options(self) -> None:
        """Show what another filter lets through."""
        self._update()

    def _update(self) -> None:
        snapshot = self.snapshot
        if snapshot is None or not self.is_mounted:
            return
        alerts: tuple[Alert, ...] = getattr(self.app, "alerts", ())
        self._begin_visit()
        moved = self._take_up(snapshot, alerts)
        options = self.options
        # A row says when it was, and the day of the reading decides how.
        drawn = (options.events_filter, options.events_attention, self._seen, stamp(snapshot.taken)[:10])
        if not moved and drawn == self._drawn:
            return
        self._drawn = drawn
        words = words_of(options.events_filter)
        shown = [
            row
            for row in newest_first([*self._read, *self._alert_rows])
            if (row.is_attention or not options.events_attention) and fits(row, words)
        ]
        self._rows = {row.key: row for row in shown}
        table = self.query_one(EventList)
        table.show_rows(shown, self._new(), snapshot.taken, self._empty())
        if self._follows and shown:
            table.move_to(shown[0].key)
        self._show_detail()
        self.query_one(EventDetail).display = bool(self._read or self._alert_rows)
        self._summarise(len(self._rows))
        if moved and self.is_current:
            newest = newest_ids(snapshot.events, self.options.seen)
            self.post_message(EventsSeen(newest, len(alerts)))

    def _begin_visit(self) -> None:
        if self._seen is None:
            self._seen = self.options.seen
            self._alerts_seen = getattr(self.app, "alerts_seen", 0)

    def _take_up(self, snapshot: Snapshot, alerts: tuple[Alert, ...]) -> bool:
        """Make rows of what is new; returns whether anything is."""
        moved = False
        if self._events is not snapshot.events:
            known = {row.key: row for row in self._read}
            names = {view.run.id: view.run.name for view in snapshot.runs}
            self._read = [known.get(f"event-{e.id}") or event_row(e, names) for e in snapshot.events]
            moved = True
        if moved or self._alerts is not alerts:
            self._events, self._alerts = snapshot.events, alerts
            self._alert_rows = alert_rows(untold(alerts, snapshot.events))
            moved = True
        return moved

    def _new(self) -> frozenset[str]:
        seen, began = self._seen or (), getattr(self.app, "began", math.inf)
        fresh = unseen(self._events or (), seen, began)
        events = (f"event-{event.id}" for event in fresh)
        alerts = alert_rows(untold(self._alerts[self._alerts_seen :], self._events or ()))
        return frozenset([*events, *(row.key for row in alerts)])

    def _empty(self) -> str:
        total = len(self._read) + len(self._alert_rows)
        if not total:
            return NOTHING
        if self.options.events_filter:
            return f"None of {counted(total, 'event')} has these words. / changes them, then esc clears them."
        return f"None of {counted(total, 'event')} is a warning or an error. ! shows all."

    def _summarise(self, shown: int) -> None:
        alerts = len(self._alert_rows)
        total = len(self._read) + alerts
        new = len(self._new())
        of = f" of {total}" if shown != total else ""
        parts = [
            (f" {shown}{of} events" if total != 1 else " 1 event", "bold"),
            (f" · {counted(alerts, 'alert')} in this session" if alerts else "", ""),
            (f" · • {new} new" if new else "", "$accent"),
            (" · ! only warnings and errors" if self.options.events_attention else "", "$warning"),
            (f" · / {plain(self.options.events_filter)}" if self.options.events_filter else "", "$warning"),
        ]
        if total and not (self.options.events_filter or self.options.events_attention):
            parts.append((" · / filters · ! warnings only", FAINT))
        summary = Content.assemble(*parts)
        line = self.query_one("#summary", Static)
        if not (isinstance(line.content, Content) and summary.is_same(line.content)):
            line.update(summary)

    @property
    def row(self) -> EventRow | None:
        """What the cursor is on."""
        return self._rows.get(self.query_one(EventList).cursor or "")

    def _show_detail(self) -> None:
        self.query_one(EventDetail).show_row(self.row)

    @on(RowTable.Moved)
    def follow(self, message: RowTable.Moved) -> None:
        """Show the evidence; commands are about the run of the event."""
        message.stop()
        self._follows = message.key == next(iter(self._rows), None)
        self._show_detail()
        row = self.row
        if row is not None and row.run_id is not None:
            self.post_message(RunFocused(row.run_id))

    @on(RowTable.Opened)
    def open_run(self, message: RowTable.Opened) -> None:
        """Open the run of the event."""
        message.stop()
        row = self.row
        if row is not None and row.run_id is not None:
            self.post_message(RunOpened(row.run_id))
        elif row is not None:
            self.notify("This is about no run that is in the store.", markup=False)

    def action_filter(self) -> None:
        """Type words that events must have."""
        self.query_one(TextFilter).open(self.options.events_filter)

    @on(TextFilter.Changed)
    def filter_by(self, message: TextFilter.Changed) -> None:
        """Show only events with these words."""
        message.stop()
        self.change_options(events_filter=message.text)

    def action_attention(self) -> None:
        """Show only warnings and errors, or all again."""
        self.change_options(events_attention=not self.options.events_attention)

    async def action_back(self) -> None:
        """Show all events again, or leave."""
        if self.options.events_filter or self.options.events_attention:
            self.change_options(events_filter="", events_attention=False)
        else:
            await self.run_action("app.dashboard")

    def applicable(self, command: str) -> bool:
        """Nothing here can be overlaid."""
        return command != "mark" and super().applicable(command)
