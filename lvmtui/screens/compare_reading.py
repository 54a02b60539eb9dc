"""What the Compare screen reads, in threads: comparisons of runs, and what context length does to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lvmtui.compare.scaling import SMALLEST, Scaling
from lvmtui.compare.side_by_side import SideBySide, read_side_by_side
from lvmtui.snapshot import RunView
from lvmtui.widgets.compare_scaling import Pools

Load = Callable[[Sequence[int]], SideBySide]
"""Reads and compares the runs with these ids; called in a thread."""

Scale = Callable[[Sequence[int], Pools], Scaling]
"""Reads what context length does to the runs with these ids; called in a thread."""

Key = tuple[tuple[int, int], ...]
"""What a comparison depends on: each run and its best evaluation."""


def key_of(views: Sequence[RunView]) -> Key:
    """What a comparison of these runs depends on."""
    return tuple((view.run.id, view.best.id if view.best else 0) for view in views)


def comparison_from(store: str) -> Load:
    """Reads and compares runs of a store."""

    def load(run_ids: Sequence[int]) -> SideBySide:
        from lvmtui.store.database import Database
        from lvmtui.store.reader import Reader

        database = Database.open(store, create=False, read_only=True)
        try:
            reader = Reader(database)
            return read_side_by_side(reader, [reader.run(run_id) for run_id in run_ids])
        finally:
            database.close()

    return load


def scaling_from(store: str) -> Scale:
    """Reads what context length does to runs of a store."""

    def scale(run_ids: Sequence[int], pools: Pools) -> Scaling:
        from lvmtui.compare import judged_scaling, published_scaling

        if pools is Pools.PUBLISHED:
            items = published_scaling.published_by_phases()
            return published_scaling.published_scaling(items, "published", SMALLEST)
        from lvmtui.store.database import Database
        from lvmtui.store.reader import Reader

        database = Database.open(store, create=False, read_only=True)
        try:
            reader = Reader(database)
            runs = [reader.run(run_id) for run_id in run_ids]
            pool = SMALLEST if pools is Pools.EQUAL else None
            return judged_scaling.read_scaling(reader, runs, pool=pool)
        finally:
            database.close()

    return scale
