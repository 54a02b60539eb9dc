"""Starts and signals runs: the only place that starts engine processes. Knows no screen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui.errors import IllegalTransition, LaunchError
from lvmtui.liveness import lost_reason, process_alive, process_start_time
from lvmtui.reading import LOG_NAME
from lvmtui.requirements import check_data, require_train
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import NewRun, Run

if TYPE_CHECKING:
    from lvmtui.recipe import Recipe
    from lvmtui.store.database import Database

REMOTE_SILENCE = 60.0
"""Seconds of silence after which a run may be resumed although its process, on another host, cannot be
looked at."""

KILL_SECONDS = 10.0
"""How long a killed process may take to disappear."""


def launch(
    store_target: str | os.PathLike[str],
    phase: str,
    overrides: Sequence[str] | Mapping[str, str] = (),
    *,
    note: str = "",
) -> Run:
    """Make a run of a phase and start its process, detached from this one.

    Args:
        store_target: path or URL; the store is made when there is none.
        phase: name of a recipe, or path of a `.toml` file.
        overrides: `key=value` texts, or field name -> value text.
        note: anything worth remembering about the run.

    Raises:
        RecipeError: unknown phase, wrong field or value.
        MissingDependency: the extra `train` is not installed.
        DataError: the vector set is not there.
        StoreError: the store cannot be written.
        LaunchError: the process could not be started; the run is recorded as failed.
    """
    from lvmtui import recipe as recipes

    if isinstance(overrides, Mapping):
        overrides = [f"{key}={value}" for key, value in overrides.items()]
    changed = recipes.parse_overrides(overrides)
    recipe = recipes.load(phase, changed)
    require_train()
    check_data(recipe.data.path)
    resolved = _with_absolute_data(recipe)
    new = NewRun(
        phase=recipe.name,
        recipe=resolved.to_json(),
        recipe_hash=resolved.hash,
        seed=recipe.train.seed,
        model=recipe.model.name,
        context=recipe.data.context,
        watch=recipe.stop.metric,
        data=recipe.data.path,
        epochs=recipe.train.epochs,
        patience=recipe.stop.patience,
        targets=recipe.target_scores(),
        overrides=changed,
        note=note,
    )
    with open_store(store_target, create=True) as database:
        from lvmtui.store.control import Controller

        return _start(database, Controller(database).create_run(new))


def resume(store_target: str | os.PathLike[str], run_id: int) -> Run:
    """Start a stopped, failed or lost run again; it goes on from its last checkpoint.

    A run whose process is gone is first recorded as lost. A queued run that nobody has started is started.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it is active, or has nothing left to do.
        LaunchError: its process is silent but still there, or cannot be looked at from here.
        RecipeError, MissingDependency, DataError: as for `launch`.
    """
    from lvmtui import recipe as recipes
    from lvmtui.store.control import Controller
    from lvmtui.store.reader import Reader

    with open_store(store_target) as database, _alone(database, run_id):
        run = Reader(database).run(run_id)
        check_data(recipes.from_json(run.recipe).data.path)
        require_train()
        if run.status is Status.QUEUED and run.pid is None:
            return _start(database, run)
        controller = Controller(database)
        if run.status is not Status.DONE:
            controller.mark_lost(run, _proven_loss(run))
        return _start(database, controller.requeue(run_id))


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

    with open_store(store_target) as database, _alone(database, run_id):
        controller, reader = Controller(database), Reader(database)
        run = reader.run(run_id)
        reason = lost_reason(run, time.time())
        if reason and process_alive(run) is False:
            controller.mark_lost(run, reason)
            if reader.run(run_id).result is Result.LOST:  # it may just have ended by itself
                raise IllegalTransition(
                    f"{run.name} does not run any more: {reason}",
                    f"It is recorded as lost; `lvmtui resume {run_id}` goes on from its last checkpoint.",
                )
        asked = controller.request_stop(run_id)
        # Before `starting` the engine may not handle signals yet; it finds the request by itself.
        if asked.status in {Status.STARTING, Status.RUNNING} and asked.pid and process_alive(asked):
            _signal(asked.pid, signal.SIGTERM)
        return asked


def kill(store_target: str | os.PathLike[str], run_id: int) -> Run:
    """Kill a run's process and all it started, at once; what came after the last checkpoint is lost.

    Only on the host it runs on, and only the very process that was recorded.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it is over, or has no process yet.
        LaunchError: it runs on another host, or will not die.
    """
    from lvmtui.store.control import Controller, describe, requester
    from lvmtui.store.reader import Reader

    with open_store(store_target) as database, _alone(database, run_id):
        reader, controller = Reader(database), Controller(database)
        run = reader.run(run_id)
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
            _kill_group(run)
            reason = f"killed by {requester()}"
        controller.mark_lost(run, reason)
        return reader.run(run_id)


def run_engine(args: Sequence[str]) -> int:
    """Run the engine's own command line on this terminal.

    Returns:
        Its exit code; 128 + the signal's number where a signal ended it.
    """
    process = subprocess.Popen([sys.executable, "-P", "-m", "engine", *args])
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue  # the terminal has sent it to the engine as well, which ends by itself
        return code if code >= 0 else 128 - code


def ask_engine(args: Sequence[str]) -> tuple[int, str]:
    """Run the engine's own command line on this terminal, but for what it prints on standard output.

    Returns:
        Its exit code, and what it printed.
    """
    command = [sys.executable, "-P", "-m", "engine", *args]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, text=True)
    return done.returncode, done.stdout


def start_engine(args: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the engine's command line detached from this process, which it outlives.

    Args:
        log: file that what it says is appended to; its folder is made where needed.

    Raises:
        OSError: the file or the process cannot be made.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "engine", *args],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def collect(process: subprocess.Popen[bytes]) -> None:
    """Take note of a process's end whenever it comes, so that nothing of it stays behind."""
    threading.Thread(target=process.wait, name=f"reaper-{process.pid}", daemon=True).start()


def run_python(code: str, *, seconds: float) -> tuple[int, str]:
    """Run a few lines of Python in a process of their own: what they import or crash is theirs.

    Returns:
        Exit code and output, errors included; code 124 when it took longer than `seconds`.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return 124, f"no answer within {seconds:.0f} s"
    return done.returncode, done.stdout


@contextmanager
def open_store(
    target: str | os.PathLike[str], *, create: bool = False, read_only: bool = False
) -> Iterator[Database]:
    """A store, closed at the end; see `Database.open`."""
    from lvmtui.store.database import Database

    database = Database.open(target, create=create, read_only=read_only)
    try:
        yield database
    finally:
        database.close()


def run_folder(database: Database, run: Run) -> Path:
    """Where a run's files are.

    Raises:
        LaunchError: the store names a folder outside its own; somebody else may have written it.
    """
    root = database.location.root.resolve()
    folder = (root / run.folder).resolve()
    if folder == root or not folder.is_relative_to(root):
        raise LaunchError(
            f"{run.name} has its files in {run.folder!r}, outside the store's folder",
            "The store is damaged or not to be trusted.",
        )
    return folder


@contextmanager
def _alone(database: Database, run_id: int) -> Iterator[None]:
    """Let only one process at a time decide about a run: looking at its process and recording what follows
    from that is no single transaction. Locks the run's folder."""
    import fcntl

    from lvmtui.store.reader import Reader

    folder = run_folder(database, Reader(database).run(run_id))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise LaunchError(
            f"cannot use the folder {folder}: {error.strerror}",
            "Check its permissions and the free disk space.",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _with_absolute_data(recipe: Recipe) -> Recipe:
    """The recipe with the vector set's full path, so that it can be resumed from another folder."""
    if recipe.data.path == "demo":
        return recipe
    path = str(Path(recipe.data.path).expanduser().resolve())
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": path})})


def _proven_loss(run: Run) -> str:
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


def _start(database: Database, run: Run) -> Run:
    """Start the process of a queued run and record it."""
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
    controller.spawned(run.id, pid=process.pid, process_started=started, host=socket.gethostname())
    collect(process)
    return Reader(database).run(run.id)


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has just ended by itself needs none.

    Raises:
        LaunchError: the process belongs to another user.
    """
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise LaunchError(
            f"process {pid} belongs to another user", "Ask its owner, or use an account that may signal it."
        ) from error


def _kill_group(run: Run) -> None:
    pid = run.pid
    if pid is None:
        return
    try:
        # Engines lead a process group of their own. Anything else is no group of ours to kill.
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            _signal(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise LaunchError(
            f"process {pid} belongs to another user", "Ask its owner, or use an account that may signal it."
        ) from error
    deadline = time.monotonic() + KILL_SECONDS
    while process_alive(run):
        if time.monotonic() > deadline:
            raise LaunchError(
                f"process {pid} does not end",
                "It may hang in the kernel (a network file system, a driver); see `ps`.",
            )
        time.sleep(0.02)
