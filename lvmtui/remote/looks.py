"""What of all stores is looked at."""

from __future__ import annotations

from typing import NamedTuple

from lvmtui.remote.hosts import slot_of
from lvmtui.snapshot import CloseUp


class Looks(NamedTuple):
    """What of one store, or of all, is looked at."""

    run_ids: tuple[int, ...] = ()
    """The most wanted first."""
    glanced_at: frozenset[int] = frozenset()
    """Those of which only the overlaid metrics are wanted."""
    close_up: CloseUp | None = None
    devices: bool = False
    """Whether sensors are."""

    def of_slot(self, slot: int) -> Looks:
        """What of one store is looked at."""
        return Looks(
            tuple(run_id for run_id in self.run_ids if slot_of(run_id) == slot),
            frozenset(run_id for run_id in self.glanced_at if slot_of(run_id) == slot),
            self.close_up,
            self.devices,
        )
