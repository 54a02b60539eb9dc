"""Which events are new. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lvmtui.store.records import Event


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


def _is_unseen(event: Event, seen: int, began: float) -> bool:
    return event.id > seen if seen else event.time >= began
