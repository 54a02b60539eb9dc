"""From a run that has ended to the next of its group, in the same process.

The process becomes the next run's engine by replacing itself: nothing of the run before stays in its memory
or on its device, and it keeps the id that the store knows it by.
"""

import logging
import os
import socket
import sys
from pathlib import Path

import psutil
from sqlalchemy.exc import SQLAlchemyError

from lvmtui.errors import LvmtuiError
from lvmtui.store import groups
from lvmtui.store.database import Database
from lvmtui.store.records import Run

log = logging.getLogger("engine")

LOG_NAME = "run.log"
"""File of a run's folder that its process writes what it says to; `lvmtui.reading` reads it."""

_MOST_FILES = 1 << 16
"""Files that a process is taken to have open at most: limits can be a billion, and closing takes time."""


def hand_over(database: Database, run_id: int, *, code: int) -> int:
    """Claim the next run of an ended run's group and become its engine.

    Args:
        database: closed before this process is replaced.
        run_id: the run that has ended.
        code: what this process is to exit with where nothing waits.

    Returns:
        `code`; where something waits, this does not return.
    """
    process_started = psutil.Process().create_time()
    try:
        following = groups.take_next(
            database, run_id, pid=os.getpid(), process_started=process_started, host=socket.gethostname()
        )
    except (SQLAlchemyError, LvmtuiError) as error:
        log.error("the next run of the group could not be taken up: %s", error)
        return code
    if following is None:
        return code
    log.info("%s is next", following.name)
    store, folder = database.location.url, database.location.root / following.folder
    database.close()
    _become(following, store, folder, after=run_id)
    return code


def _become(run: Run, store: str, folder: Path, *, after: int) -> None:
    """Replace this process by the engine of another run, with its log as output."""
    folder.mkdir(parents=True, exist_ok=True)
    output = os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Drivers of devices keep files open; what is not closed here would outlive the run.
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), _MOST_FILES))
    words = [str(run.id), "--store", store, "--after", str(after)]
    os.execv(sys.executable, [sys.executable, "-P", "-m", "engine", *words])
