"""The part of the App that tells what is worth interrupting somebody for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import App
from textual.signal import Signal

from lvmtui.alerts.disk import DISK_SECONDS, disk_space
from lvmtui.alerts.kinds import Alert, Kind
from lvmtui.alerts.unseen import unseen, untold
from lvmtui.alerts.watch import Watch
from lvmtui.config import Config, ViewOptions
from lvmtui.format import counted
from lvmtui.messages import EventsSeen
from lvmtui.snapshot import Snapshot
from lvmtui.store.records import Severity
from lvmtui.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from textual.timer import Timer

    from lvmtui.alerts.notify import Notifier

ALERTS_KEPT = 500

TOASTS = 3
"""Alerts of one moment that get a toast each; more of them share one."""

BEST_SECONDS = 10.0
"""Of a run's new bests, one toast in this time."""

TOAST_SEVERITIES = {Severity.INFO: "information", Severity.WARN: "warning", Severity.ERROR: "error"}
TOAST_SECONDS = {Severity.INFO: 6, Severity.WARN: 10, Severity.ERROR: 15}


class Alerting(App[int]):
    """Looks at every snapshot for alerts, and tells each once."""

    store: str
    snapshot: Snapshot | None
    readonly: bool
    config = Config()
    options: ViewOptions

    def __init__(self) -> None:
        super().__init__()
        self.alerts: tuple[Alert, ...] = ()
        """Those of this session, oldest first."""
        self.alerts_signal: Signal[tuple[Alert, ...]] = Signal(self, "alerts")
        self.tells_alerts = True
        """False: nobody is there to be told, as where a single frame is drawn."""
        self.alerts_seen = 0
        """How many of the session's alerts were on the events screen."""
        self._watch: Watch | None = None
        self._looks_again: Timer | None = None
        self._notifier: Notifier | None = None
        self._best_told: dict[int | None, float] = {}
        self.began = time.time()
        """When the session began."""

    def look_for_alerts(self) -> None:
        """Look at the newest snapshot; call it for each, at once."""
        if self.snapshot is None or not self.tells_alerts:
            return
        if self._watch is None:
            settings = self.config.alerts
            self._watch = Watch(stall_factor=settings.stall_factor, disk=settings.disk_free)
            self.look_at_disk()
            self.set_interval(DISK_SECONDS, self.look_at_disk)
        self.tell_alerts(self._watch.look(self.snapshot, time.time()))
        if self._looks_again is not None:
            self._looks_again.stop()
        again = self._watch.again
        self._looks_again = None if again is None else self.set_timer(again + 0.1, self.look_for_alerts)

    @work(exclusive=True, group="disk")
    async def look_at_disk(self) -> None:
        """Look whether the store's disk is nearly full. A network disk may take its time."""
        space = await asyncio.to_thread(disk_space, self.store)
        if space is not None and self._watch is not None:
            self.tell_alerts(self._watch.look_at_disk(space, time.time()))

    @on(EventsSeen)
    def take_note_of_visit(self, message: EventsSeen) -> None:
        """Nothing that was shown is unread any more."""
        self.alerts_seen = message.alerts
        self._count_anew()
        options = self.options.having_seen(message.newest)
        if options != self.options:
            self.options = options
            self.remember()

    def remember(self) -> None:
        """Write what is to be remembered, soon."""
        raise NotImplementedError

    @property
    def unread_events(self) -> int:
        """Events and alerts since the events screen was last seen; since the start, if it never was."""
        if self.snapshot is None:
            return 0
        fresh = unseen(self.snapshot.events, self.options.seen, self.began)
        return len(fresh) + len(untold(self.alerts[self.alerts_seen :], self.snapshot.events))

    def tell_alerts(self, alerts: Sequence[Alert]) -> None:
        """Tell alerts on every way that the user wants."""
        settings = self.config.alerts
        wanted = [alert for alert in alerts if alert.kind in settings.kinds]
        if not wanted:
            return
        kept = (*self.alerts, *wanted)[-ALERTS_KEPT:]
        self.alerts_seen = max(0, self.alerts_seen - (len(self.alerts) + len(wanted) - len(kept)))
        self.alerts = kept
        self.alerts_signal.publish(self.alerts)
        self._count_anew()
        self._toast([alert for alert in wanted if self._gets_toast(alert)])
        self._write_codes(wanted)
        if not self.readonly:
            self._hand_over(wanted)

    def _count_anew(self) -> None:
        """Have the top line say how much is unread: no snapshot comes of that."""
        for bar in self.screen.query(StatusBar):
            bar.redraw()

    def _gets_toast(self, alert: Alert) -> bool:
        if alert.kind is Kind.NO_ANSWER and not self.readonly:
            return False  # `look_after_stopping` has offered to kill it
        if alert.kind is not Kind.NEW_BEST:
            return True
        late = alert.time - self._best_told.get(alert.run_id, 0.0) >= BEST_SECONDS
        if late:
            self._best_told[alert.run_id] = alert.time
        return late

    def _toast(self, alerts: Sequence[Alert]) -> None:
        if len(alerts) > TOASTS:
            worst = max(alerts, key=lambda alert: list(Severity).index(alert.severity)).severity
            shown = [alert.text for alert in alerts[:TOASTS]]
            more = f"and {len(alerts) - TOASTS} more; they are among the events"
            self._toast_one("\n".join([*shown, more]), counted(len(alerts), "alert"), worst)
            return
        for alert in alerts:
            self._toast_one(alert.message, alert.run, alert.severity)

    def _toast_one(self, message: str, title: str, severity: Severity) -> None:
        level = TOAST_SEVERITIES[severity]
        self.notify(
            message,
            title=title,
            severity=level,  # type: ignore[arg-type]
            timeout=TOAST_SECONDS[severity],
            markup=False,
        )

    def _write_codes(self, alerts: Sequence[Alert]) -> None:
        """Bell and desktop notifications; one bell for all alerts of a moment."""
        from lvmtui.alerts.notify import BELL, terminal_codes

        codes = "".join(terminal_codes(alert, self.config.alerts) for alert in alerts[-TOASTS:])
        if codes and self._driver is not None and not self.is_headless:
            bell = BELL if BELL in codes else ""
            self._driver.write(codes.replace(BELL, "") + bell)

    def _hand_over(self, alerts: Sequence[Alert]) -> None:
        """To the user's command and webhook."""
        if self._notifier is None:
            from lvmtui.alerts.notify import Notifier

            self._notifier = Notifier(self.config.alerts, self.store, self._failed)
        for alert in alerts:
            self._notifier.tell(alert)

    def _failed(self, words: str) -> None:
        """Called in the notifier's thread."""
        self.call_later(self.notify, words, title="Alerts", severity="warning", timeout=10, markup=False)
