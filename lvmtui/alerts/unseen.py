"""Which events are new, and which alerts say no more than an event. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter

from lvmtui.alerts.kinds import Alert, Kind
from lvmtui.remote.hosts import slot_of
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

_ID = attrgetter("id")

TWIN_SECONDS = 120.0
"""An alert comes at most so long after the event that says the same."""


def newest_ids(events: Sequence[Event], before: Collection[int] = ()) -> tuple[int, ...]:
    """Ids of the newest event of each store.

    Args:
        events: in any order.
        before: what this has returned earlier; counts for stores of which nothing is there now.
    """
    newest = {slot_of(event_id): event_id for event_id in before}
    newest |= {slot_of(event_id): event_id for event_id in sorted(map(_ID, events))}
    return tuple(newest.values())


def unseen(events: Sequence[Event], seen: int | Collection[int], began: float) -> Sequence[Event]:
    """The events that are new to whoever looks.

    Args:
        events: oldest first.
        seen: id of the newest that was looked at, of each store; 0 or none: none of it ever was.
        began: when the looking began; before the first look, only what came since is new.
    """
    known = {slot_of(event_id): event_id for event_id in ([seen] if isinstance(seen, int) else seen)}
    newest = {slot_of(event_id): event_id for event_id in newest_ids(events)}
    for slot, event_id in newest.items():
        if event_id < known.get(slot, 0):
            known[slot] = 0  # another store is in the place of the one that was looked at
    if all(event_id == known.get(slot) for slot, event_id in newest.items()):
        return ()
    return [event for event in events if _is_unseen(event, known.get(slot_of(event.id), 0), began)]


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
