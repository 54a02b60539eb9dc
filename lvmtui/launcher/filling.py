"""Starting what is next in the queue, by whoever notices that its slot is free."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from lvmtui import this_host
from lvmtui.errors import LaunchError, MissingDependency
from lvmtui.launcher.places import open_store, run_folder
from lvmtui.launcher.processes import collect, start_engine
from lvmtui.liveness import process_start_time
from lvmtui.reading import LOG_NAME
from lvmtui.requirements import require_train
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.store.database import Database


def fill_slots(store_target: str | os.PathLike[str]) -> list[Run]:
    """Record runs of this host as lost whose process is proven to be dead, and start all of the queue that
    may start here. Safe to call from several places at once.

    Returns:
        The runs that were started.

    Raises:
        StoreMissing, StoreError: there is no store, or it cannot be written.
        MissingDependency: something may start, but the extra `train` is not installed.
        LaunchError: a process could not be started; its run is recorded as failed, and no other is started.
    """
    with open_store(store_target) as database:
        return fill(database)


def fill(database: Database) -> list[Run]:
    """`fill_slots` of an open store."""
    from lvmtui.store import queue, slots

    queue.clear_dead(database, partial(this_host.proof_of_loss, time.time()))
    worker = this_host.worker()
    if all(turn.why is not slots.Why.NOTHING for turn in queue.turns(database, worker)):
        return []
    require_train()
    started = []
    while (run := queue.claim_next(database, worker)) is not None:
        started.append(start_claimed(database, run))
    return started


def fill_if_possible(database: Database) -> None:
    """`fill` after something else was done: that what it started is in trouble is another run's matter, and
    recorded there."""
    with suppress(LaunchError, MissingDependency):
        fill(database)


def start_claimed(database: Database, run: Run) -> Run:
    """Start the process of a run that this one has claimed, and record it.

    Raises:
        LaunchError: the process could not be started; the run is recorded as failed.
    """
    from lvmtui.store.control import Controller
    from lvmtui.store.reader import Reader

    controller = Controller(database)
    log = run_folder(database, run) / LOG_NAME
    try:
        process = start_engine([str(run.id), "--store", database.location.url], log)
    except OSError as error:
        message = f"{run.name} could not be started: {error.strerror or error} ({error.filename or log})"
        controller.spawn_failed(run.id, message)
        raise LaunchError(
            message, f"Check the free disk space and the permissions of {log.parent}."
        ) from error
    # Asked for before anybody collects the child: until then its entry stays, even if it has died already.
    started = process_start_time(process.pid) or time.time()
    controller.spawned(run.id, pid=process.pid, process_started=started, host=run.host or "")
    collect(process)
    return Reader(database).run(run.id)
