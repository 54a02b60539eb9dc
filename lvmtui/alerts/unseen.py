"""Which events are new, and which alerts say no more than an event. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lvmtui.alerts.kinds import Alert, Kind
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Event

EVENTS: Mapping[Kind, str] = {
    Kind.NEW_BEST: "best",
    Kind.EARLY_STOP: Result.EARLY_STOPPED.value,
    Kind.COMPLETED: Result.COMPLETED.value,
    Kind.FAILED: Result.FAILED.value,
    Kind.LOST: Result.LOST.value,
}
"""Kind of an alert -> kind of the store's event that says the same."""

TWIN_SECONDS = 120.0
"""An alert comes at most so long after the event that says the same."""


def unseen(events: Sequence[Event], seen: int, began: float) -> Sequence[Event]:
    """The newest events, as far as they are new to whoever looks.

    Args:
        events: oldest first.
        seen: id of the newest that was looked at; 0: none ever was.
        began: when the looking began; before the first look, only what came since is new.
    """
    if events and events[-1].id < seen:
        seen = 0  # another store is in the place of the one that was looked at
    count = 0
    while count < len(events) and _is_unseen(events[-1 - count], seen, began):
        count += 1
    return events[len(events) - count :]


def untold(alerts: Sequence[Alert], events: Sequence[Event]) -> list[Alert]:
    """Alerts that no event of the store says too.

    Args:
        alerts: oldest first.
        events: oldest first.
    """
    if not alerts:
        return []
    began = alerts[0].time - TWIN_SECONDS
    newest: dict[tuple[int | None, str], float] = {}
    for event in reversed(events):
        if event.time < began:
            break
        newest.setdefault((event.run_id, event.kind), event.time)
    return [
        alert
        for alert in alerts
        if newest.get((alert.run_id, EVENTS.get(alert.kind, "")), 0.0) < alert.time - TWIN_SECONDS
    ]


def _is_unseen(event: Event, seen: int, began: float) -> bool:
    return event.id > seen if seen else event.time >= began
