"""What the Compare screen reads, in threads: comparisons of runs, and what context length does to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lvmtui.compare.scaling import SMALLEST, Scaling
from lvmtui.compare.side_by_side import SideBySide, read_side_by_side
from lvmtui.snapshot import RunView
from lvmtui.widgets.compare_scaling import Pools

if TYPE_CHECKING:
    from lvmtui.remote.fleet import Fleet

Load = Callable[[Sequence[int]], SideBySide]
"""Reads and compares the runs with these ids; called in a thread."""

Scale = Callable[[Sequence[int], Pools], Scaling]
"""Reads what context length does to the runs with these ids; called in a thread."""

Key = tuple[tuple[int, int], ...]
"""What a comparison depends on: each run and its best evaluation."""


def key_of(views: Sequence[RunView]) -> Key:
    """What a comparison of these runs depends on."""
    return tuple((view.run.id, view.best.id if view.best else 0) for view in views)


def comparison_from(fleet: Fleet) -> Load:
    """Reads and compares runs of all stores; what hosts have of them is fetched first. Runs on hosts that do
    not answer are left out where their ranks are not here yet."""

    def load(run_ids: Sequence[int]) -> SideBySide:
        missed: dict[int, str] = {}
        with fleet.reading(run_ids, missed=missed) as reader:
            found = read_side_by_side(reader, [reader.run(run_id) for run_id in run_ids])
        left_out = tuple(
            replace(item, reason=missed.get(item.run.id, item.reason)) for item in found.left_out
        )
        return replace(found, left_out=left_out)

    return load


def scaling_from(fleet: Fleet) -> Scale:
    """Reads what context length does to runs of all stores; what hosts have of them is fetched first."""

    def scale(run_ids: Sequence[int], pools: Pools) -> Scaling:
        from lvmtui.compare import judged_scaling, published_scaling

        if pools is Pools.PUBLISHED:
            items = published_scaling.published_by_phases()
            return published_scaling.published_scaling(items, "published", SMALLEST)
        with fleet.reading(run_ids) as reader:
            runs = [reader.run(run_id) for run_id in run_ids]
            pool = SMALLEST if pools is Pools.EQUAL else None
            return judged_scaling.read_scaling(reader, runs, pool=pool)

    return scale
