"""Changing what waits in the queue, then starting what may start because of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from lvmtui.errors import IllegalTransition
from lvmtui.launcher.filling import fill_if_possible
from lvmtui.launcher.places import open_store
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.store.database import Database

Target = str | os.PathLike[str]
Where = Callable[[Sequence[Run], int], int]
"""Of the other waiting runs in order, and of where a run stands now: how many are to go before it."""


def first(_others: Sequence[Run], _now: int) -> int:
    """To the front."""
    return 0


def last(others: Sequence[Run], _now: int) -> int:
    """To the end."""
    return len(others)


def earlier(_others: Sequence[Run], now: int) -> int:
    """One place towards the front."""
    return now - 1


def later(_others: Sequence[Run], now: int) -> int:
    """One place towards the end."""
    return now + 1


def before(run: Run) -> Where:
    """Just before another waiting run."""

    def where(others: Sequence[Run], _now: int) -> int:
        for k, other in enumerate(others):
            if other.id == run.id:
                return k
        raise IllegalTransition(
            f"{run.name} is none of the others that wait", "`lvmtui queue` lists what does."
        )

    return where


def move(store_target: Target, run_id: int, where: Where) -> Run:
    """Put a waiting run somewhere else in the queue; past runs of another priority it takes theirs.

    Returns:
        The run; at work, if it could start because of it.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it does not wait.
    """
    return _change(store_target, run_id, lambda queue, database, _: queue.move(database, run_id, where))


def hold(store_target: Target, run_id: int) -> Run:
    """Keep a waiting run back until it is let go. Returns and raises as `move`."""
    return _change(store_target, run_id, lambda queue, database, by: queue.hold(database, run_id, by))


def release(store_target: Target, run_id: int) -> Run:
    """Let a waiting run go: it is held no longer, and does not wait for one that has not ended well. Returns
    and raises as `move`."""
    return _change(store_target, run_id, lambda queue, database, by: queue.release(database, run_id, by))


def set_priority(store_target: Target, run_id: int, priority: int) -> Run:
    """Give a waiting run another priority. Returns and raises as `move`.

    Raises:
        UsageError: there is no such priority.
    """
    return _change(
        store_target, run_id, lambda queue, database, by: queue.set_priority(database, run_id, priority, by)
    )


def set_after(store_target: Target, run_id: int, other: int | None) -> Run:
    """Let a waiting run wait for the end of another; None: of none. Returns and raises as `move`.

    Raises:
        UsageError: they would wait for each other.
    """
    return _change(
        store_target, run_id, lambda queue, database, by: queue.set_after(database, run_id, other, by)
    )


def _change(store_target: Target, run_id: int, change: Callable[[ModuleType, Database, str], object]) -> Run:
    """Change the queue, and start what may start then.

    Args:
        change: of `lvmtui.store.queue`, which is slow to load, of the open store, and of who asks.
    """
    from lvmtui.store import queue
    from lvmtui.store.control import requester
    from lvmtui.store.reader import Reader

    with open_store(store_target) as database:
        change(queue, database, requester())
        fill_if_possible(database)
        return Reader(database).run(run_id)
