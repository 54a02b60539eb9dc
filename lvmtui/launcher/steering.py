"""Stopping, killing and resuming runs."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from lvmtui import this_host
from lvmtui.errors import IllegalTransition, LaunchError
from lvmtui.launcher.filling import fill_if_possible, start_claimed
from lvmtui.launcher.places import alone, open_store
from lvmtui.launcher.processes import kill_group, send_signal
from lvmtui.liveness import lost_reason, process_alive
from lvmtui.requirements import check_recipe, require_train
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.store.database import Database

REMOTE_SILENCE = 60.0
"""Seconds of silence after which a run may be resumed although its process, on another host, cannot be
looked at."""


def resume(store_target: str | os.PathLike[str], run_id: int, *, wait: bool = False) -> Run:
    """Start a stopped, failed or lost run again; it goes on from its last checkpoint.

    A run whose process is gone is first recorded as lost. One that waits in the queue is started as well,
    whatever it waits for.

    Args:
        store_target: path or URL of the store.
        run_id: the run.
        wait: put it into the queue; else it starts at once, whatever is in use.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it is active, in the trash, or has nothing left to do.
        LaunchError: its process is silent but still there, or cannot be looked at from here.
        RecipeError, MissingDependency, DataError: as for `launch`.
    """
    from lvmtui import recipe as recipes
    from lvmtui.store import queue
    from lvmtui.store.control import Controller
    from lvmtui.store.reader import Reader

    with open_store(store_target) as database, alone(database, run_id):
        run = Reader(database).run(run_id)
        check_recipe(recipes.from_json(run.recipe))
        require_train()
        if run.status is Status.QUEUED and run.pid is None:
            if wait:
                return run
            return start_claimed(database, queue.claim_this(database, run_id, this_host.worker()))
        controller = Controller(database)
        if run.status is not Status.DONE:
            controller.mark_lost(run, proven_loss(run))
        if not wait:
            return start_claimed(database, controller.requeue(run_id, this_host.worker()))
        controller.requeue(run_id)
        fill_if_possible(database)
        return Reader(database).run(run_id)


def stop(store_target: str | os.PathLike[str], run_id: int) -> Run:
    """Ask a run to finish its batch, write a checkpoint and end.

    The request is a row in the store, so it reaches engines on any host; a process on this one is nudged.

    Returns:
        The run after the request; it says `stopping` only once its engine has answered.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it is stopping already, over, or lost; what is lost is recorded as such.
    """
    from lvmtui.store.control import Controller
    from lvmtui.store.reader import Reader

    with open_store(store_target) as database, alone(database, run_id):
        controller, reader = Controller(database), Reader(database)
        run = reader.run(run_id)
        reason = lost_reason(run, time.time())
        if reason and process_alive(run) is False:
            controller.mark_lost(run, reason)
            if reader.run(run_id).result is Result.LOST:  # it may just have ended by itself
                fill_if_possible(database)
                raise IllegalTransition(
                    f"{run.name} does not run any more: {reason}",
                    f"It is recorded as lost; `lvmtui resume {run_id}` goes on from its last checkpoint.",
                )
        asked = controller.request_stop(run_id)
        # Before `starting` the engine may not handle signals yet; it finds the request by itself.
        if asked.status in {Status.STARTING, Status.RUNNING} and asked.pid and process_alive(asked):
            send_signal(asked.pid, signal.SIGTERM)
        return asked


def stop_group(store_target: str | os.PathLike[str], run_id: int) -> list[Run]:
    """Stop a run and all that were launched with it: what waits leaves the queue, what runs is asked to stop.

    Returns:
        The runs that were stopped or asked to.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it was launched alone, or nothing of its group runs or waits any more.
    """
    from lvmtui.store import queue
    from lvmtui.store.lifecycle import can_stop
    from lvmtui.store.reader import Reader

    with open_store(store_target) as database:
        run = Reader(database).run(run_id)
        if run.group is None:
            raise IllegalTransition(f"{run.name} was launched alone", f"`lvmtui stop {run_id}` stops it.")
        found = [one for one in queue.members(database, run.group) if can_stop(one.status)]
    # The queue first: what ends would take up the next.
    found.sort(key=lambda one: (one.pid is not None, one.id))
    asked = []
    for one in found:
        try:
            asked.append(stop(store_target, one.id))
        except IllegalTransition:
            continue  # it has ended by itself, or is lost
    if not asked:
        raise IllegalTransition(
            f"nothing of {run.group} runs or waits any more", "`lvmtui ls` shows how each has ended."
        )
    return asked


def kill(store_target: str | os.PathLike[str], run_id: int) -> Run:
    """Kill a run's process and all it started, at once; what came after the last checkpoint is lost. What
    waits for its slot is started: the killed process cannot take it up.

    Only on the host it runs on, and only the very process that was recorded.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it is over, or has no process yet.
        LaunchError: it runs on another host, or will not die.
    """
    from lvmtui.store.reader import Reader

    with open_store(store_target) as database:
        with alone(database, run_id):
            _kill(database, run_id)
        fill_if_possible(database)
        return Reader(database).run(run_id)


def _kill(database: Database, run_id: int) -> None:
    from lvmtui.store.control import Controller, describe, requester
    from lvmtui.store.queue import is_being_started
    from lvmtui.store.reader import Reader

    reader, controller = Reader(database), Controller(database)
    run = reader.run(run_id)
    if is_being_started(run):
        raise IllegalTransition(f"{run.name} is just being started", "Try again in a moment.")
    if run.status is Status.DONE or run.pid is None:
        raise IllegalTransition(
            f"{run.name} has no process to kill: it is {describe(run)}",
            f"`lvmtui stop {run_id}` takes it out of the queue." if run.status is Status.QUEUED else "",
        )
    alive = process_alive(run)
    if alive is None:
        raise LaunchError(
            f"{run.name} runs on {run.host}, not on {socket.gethostname()}",
            f"Use `lvmtui stop {run_id}`, or kill process {run.pid} on {run.host}.",
        )
    reason = lost_reason(run, time.time()) or f"process {run.pid} is gone"
    if alive:
        kill_group(run)
        reason = f"killed by {requester()}"
    controller.mark_lost(run, reason)


def proven_loss(run: Run) -> str:
    """Why an unfinished run counts as lost.

    Raises:
        IllegalTransition: it does not.
        LaunchError: it may still be at work.
    """
    from lvmtui.store.control import describe

    reason = lost_reason(run, time.time())
    if reason is None:
        raise IllegalTransition(
            f"{run.name} cannot be resumed: it is {describe(run)}",
            f"`lvmtui stop {run.id}` ends it first." if run.status is not Status.STOPPING else "",
        )
    alive = process_alive(run)
    if alive:
        raise LaunchError(
            f"{run.name} is silent ({reason}) but its process {run.pid} is still there",
            f"End it first: `lvmtui kill {run.id}`.",
        )
    silence = time.time() - (run.heartbeat or 0.0)
    if alive is None and silence < REMOTE_SILENCE:
        raise LaunchError(
            f"{run.name} is silent ({reason}), but its process is on {run.host} and may still be there",
            f"Resume it there, or wait until it has been silent for {REMOTE_SILENCE:.0f} s.",
        )
    return reason
