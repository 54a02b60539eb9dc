"""From a run that has ended to the next in the queue, in the same process.

The process becomes the next run's engine by replacing itself: nothing of the run before stays in its memory
or on its device, and it keeps the id that the store knows it by.
"""

import errno
import logging
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import NoReturn

from sqlalchemy.exc import SQLAlchemyError

from lvmtui import this_host
from lvmtui.errors import LvmtuiError
from lvmtui.store import queue, slots
from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.records import Run

log = logging.getLogger("engine")

LOG_NAME = "run.log"
"""File of a run's folder that its process writes what it says to; `lvmtui.reading` reads it."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors that no other run's folder would be spared."""

_MOST_FILES = 1 << 16
"""Files that a process is taken to have open at most: limits can be a billion, and closing takes time."""


def hand_over(database: Database, run_id: int, *, code: int) -> int:
    """Claim the next run of the queue and become its engine.

    A run whose log cannot be opened is recorded as failed, and the one after it is taken up; none where the
    disk is full or may not be written, which would be the end of them all.

    Args:
        database: closed before this process is replaced.
        run_id: the run that has ended.
        code: what this process is to exit with where nothing may start.

    Returns:
        `code`; where something may start, this does not return.
    """
    try:
        queue.clear_dead(database, partial(this_host.proof_of_loss, time.time()))
        while (following := queue.take_next(database, run_id, this_host.worker())) is not None:
            folder = database.location.root / following.folder
            try:
                output = _open_log(folder)
            except OSError as error:
                message = f"{following.name} could not be started: {error.strerror} ({error.filename})"
                log.error("%s", message)
                Controller(database).spawn_failed(following.id, message)
                if error.errno in _NO_ROOM:
                    return code
                continue
            log.info("%s is next", following.name)
            store = database.location.url
            database.close()
            _become(following, store, output)
    except (SQLAlchemyError, LvmtuiError) as error:
        log.error("the next run of the queue could not be taken up: %s", error)
    return code


def fill_other_slots(database: Database) -> None:
    """Have what else may start on this host started, by a process of its own: one that has ended can become
    only one other, and its end may have let several go."""
    try:
        ready = queue.turns(database, this_host.worker())
    except (SQLAlchemyError, LvmtuiError) as error:
        log.error("the queue could not be read: %s", error)
        return
    if any(turn.why is slots.Why.NOTHING for turn in ready):
        words = ["-m", "lvmtui", "--store", database.location.url, "queue", "start"]
        os.posix_spawn(sys.executable, [sys.executable, "-P", *words], os.environ, setsid=True)


def _open_log(folder: Path) -> int:
    """A descriptor of the log in a run's folder, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)


def _become(run: Run, store: str, output: int) -> NoReturn:
    """Replace this process by the engine of another run, with its log as output."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Drivers of devices keep files open; what is not closed here would outlive the run.
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), _MOST_FILES))
    words = [str(run.id), "--store", store]
    os.execv(sys.executable, [sys.executable, "-P", "-m", "engine", *words])
