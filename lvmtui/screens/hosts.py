"""Watched hosts: how each of them is, why, what to do about it, and what waits for it."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from lvmtui import commands, host_words
from lvmtui.format import counted, plain
from lvmtui.host_words import Standing
from lvmtui.messages import HostTried, RequestWithdrawn, RunFocused, RunOpened
from lvmtui.screens.base import LvmScreen
from lvmtui.snapshot import Contact, HostView, PendingRequest
from lvmtui.widgets.cells import FAINT
from lvmtui.widgets.host_table import HostDetail, HostPlace, HostTable, places
from lvmtui.widgets.row_table import RowTable
from lvmtui.widgets.status_bar import StatusBar

NO_HOSTS = """No other machine is watched. Those that ssh reaches can be, by the
names that it knows; their runs then stand beside yours.

lvmtui hosts add gpu1     watch gpu1 from the next start on
lvmtui --host gpu1        watch it this once
lvmtui --host all         watch all that were added
lvmtui hosts test gpu1    what does not work, step by step

Nothing needs to be installed there to look on. To change runs there,
lvmtui does."""

COUNTED = {
    Standing.LIVE: "live",
    Standing.READONLY: "read-only",
    Standing.READING: "reading",
    Standing.CONNECTING: "connecting",
    Standing.TROUBLE: "in trouble",
    Standing.OFFLINE: "offline",
}


class HostsScreen(LvmScreen):
    """Every watched host, and below each what it was asked for and has not answered."""

    CSS_PATH = "hosts.tcss"
    AUTO_FOCUS = "HostTable"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *commands.bindings("hosts"),
        *(binding for binding in commands.bindings("app") if binding.id == "back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[str, HostPlace] = {}
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield StatusBar().data_bind(LvmScreen.snapshot)
        yield Static(id="summary", markup=False)
        yield HostTable()
        yield HostDetail()
        yield from super().compose()

    def watch_snapshot(self) -> None:
        """Show what is new."""
        self._update()

    def _update(self) -> None:
        snapshot = self.snapshot
        if snapshot is None or not self.is_mounted:
            return
        drawn = (snapshot.hosts, snapshot.runs if snapshot.hosts else ())
        if drawn == self._drawn and self._places:
            return
        self._drawn = drawn
        shown = places(snapshot.hosts)
        self._places = {place.key: place for place in shown}
        self.query_one(HostTable).show_places(shown, snapshot, NO_HOSTS)
        self.query_one(HostDetail).display = bool(shown)
        self._show_detail()
        self._summarise(snapshot.hosts)
        self.refresh_bindings()

    def _summarise(self, hosts: tuple[HostView, ...]) -> None:
        standings = [host_words.standing(host) for host in hosts]
        numbers = [f"{standings.count(how)} {word}" for how, word in COUNTED.items() if how in standings]
        waiting = host_words.requests(hosts)
        parts = [counted(len(hosts), "host"), *numbers]
        if waiting:
            parts.append(f"{counted(waiting, 'request')} {'waits' if waiting == 1 else 'wait'}")
        said = f" {' · '.join(parts)}" if hosts else " no host is watched"
        hint = " · enter shows its runs" if hosts else ""
        room = self.size.width - len(said) >= len(hint)
        words = Content.assemble((said, "bold"), (hint if room else "", FAINT))
        line = self.query_one("#summary", Static)
        if not (isinstance(line.content, Content) and words.is_same(line.content)):
            line.update(words)

    @property
    def place(self) -> HostPlace | None:
        """What the cursor is on."""
        return self._places.get(self.query_one(HostTable).cursor or "") if self.is_mounted else None

    @property
    def cursor_run(self) -> int | None:
        """Id of the run that the request under the cursor is about."""
        place = self.place
        return place.request.run_id if place is not None and place.request is not None else None

    def _show_detail(self) -> None:
        now = self.snapshot.taken if self.snapshot else 0.0
        self.query_one(HostDetail).show_place(self.place, now)

    @on(RowTable.Moved)
    def follow(self, message: RowTable.Moved) -> None:
        """Show the host; commands are about the run of the request."""
        message.stop()
        self._show_detail()
        self.refresh_bindings()
        if self.cursor_run is not None:
            self.post_message(RunFocused(self.cursor_run))
        self.update_keys()

    @on(RowTable.Opened)
    async def open_place(self, message: RowTable.Opened) -> None:
        """Show the runs of the host, or the run that the request is about."""
        message.stop()
        place = self.place
        if place is None:
            return
        if self.snapshot is not None and self.snapshot.view(self.cursor_run) is not None:
            self.post_message(RunOpened(self.cursor_run or 0))
        elif place.request is None:
            self.change_options(filter=f"host={place.host.name}", filter_is_regex=False)
            await self.run_action("app.dashboard")
        else:
            self.notify("This is about no run that is known here.", markup=False)

    def action_try_host(self) -> None:
        """Try to reach the host under the cursor at once."""
        place = self.place
        if place is None:
            return
        if not _may_be_tried(place.host):
            self.notify(f"{place.host.name} is {place.host.contact.value}", markup=False)
            return
        self.post_message(HostTried(place.host.name))

    def action_withdraw(self) -> None:
        """Take back the request under the cursor, or the only one of the host under it."""
        place = self.place
        if place is None:
            return
        request = place.request or _only_unsent(place.host)
        if request is None:
            several = any(not item.sent for item in place.host.pending)
            words = "put the cursor on one of them" if several else "nothing waits to be sent to it"
            self.notify(f"{place.host.name}: {words}", markup=False)
        elif request.sent:
            said = f"{place.host.name} was sent it already: {plain(request.words)}"
            self.notify(said, severity="warning", markup=False)
        else:
            self.post_message(RequestWithdrawn(place.host.name, request.id))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is withdrawn where nothing may be changed."""
        if action == "withdraw" and getattr(self.app, "readonly", False):
            return False
        return super().check_action(action, parameters)

    async def action_back(self) -> None:
        """Leave; the filter of runs, which is not shown here, stays as it is."""
        await self.run_action("app.dashboard")

    def applicable(self, command: str) -> bool:
        """Only what can be done with what is under the cursor."""
        place = self.place
        if command == "try-host":
            return place is not None and _may_be_tried(place.host)
        if command == "withdraw":
            return place is not None and any(
                not item.sent for item in ((place.request,) if place.request else place.host.pending)
            )
        if command == "open":
            return place is not None
        about_runs = command in {"mark", "stop", "resume", "promote"}
        if about_runs and (command == "mark" or self.cursor_run is None):
            return False
        return super().applicable(command)


def _only_unsent(host: HostView) -> PendingRequest | None:
    unsent = [item for item in host.pending if not item.sent]
    return unsent[0] if len(unsent) == 1 else None


def _may_be_tried(host: HostView) -> bool:
    """Whether connecting anew may change something: where lvmtui was not installed, it may be now."""
    return host.contact is Contact.OFFLINE or (host.contact is Contact.LIVE and not host.version)
