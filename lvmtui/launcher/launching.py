"""Making runs and starting their processes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui.errors import LaunchError, UsageError
from lvmtui.launcher.places import open_store, run_folder
from lvmtui.launcher.processes import collect, start_engine
from lvmtui.liveness import process_start_time
from lvmtui.reading import LOG_NAME
from lvmtui.requirements import DEMO, check_recipe, require_train
from lvmtui.store.records import NewRun, Run

if TYPE_CHECKING:
    from lvmtui.recipe import Recipe
    from lvmtui.store.database import Database

MOST_RUNS = 200
"""Runs that one command launches at most: more is a slip of the hand."""


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
        DataError: the vector set is not there, or the recipe does not fit it.
        StoreError: the store cannot be written.
        LaunchError: the process could not be started; the run is recorded as failed.
    """
    new = _checked(phase, overrides, note=note)
    with open_store(store_target, create=True) as database:
        from lvmtui.store.control import Controller

        return start_run(database, Controller(database).create_run(new))


def launch_group(
    store_target: str | os.PathLike[str],
    phases: Sequence[str],
    overrides: Sequence[str] | Mapping[str, str] = (),
    *,
    seeds: int = 1,
    jobs: int = 1,
    note: str = "",
) -> list[Run]:
    """Make several runs as one group, and start the first of them.

    The others wait in the queue; each run that ends takes up the next (see `lvmtui.store.groups`), unless its
    process is killed from outside: `resume` of a waiting run goes on then. No dashboard has to be open.

    Args:
        store_target: path or URL; the store is made when there is none.
        phases: names of recipes, ranges of them (`phase-1..phase-3`), or paths of `.toml` files.
        overrides: as for `launch`; for all of them.
        seeds: runs of each, from the recipe's own seed on.
        jobs: how many run at once.
        note: anything worth remembering about the runs.

    Returns:
        The runs, in the order in which they are taken up: seed by seed, so that an early end leaves each
        phase with equally many.

    Raises:
        UsageError: no runs, or far too many.
        RecipeError, MissingDependency, DataError: as for `launch`; if one is bad, none is made.
        StoreError: the store cannot be written.
        LaunchError: a process could not be started.
    """
    from lvmtui import recipe as recipes

    names = list(dict.fromkeys(name for text in phases for name in recipes.expand(text)))
    if min(seeds, jobs, len(names)) < 1:
        raise UsageError("there is nothing to launch", "Give at least one phase, one seed and one job.")
    if len(names) * seeds > MOST_RUNS:
        raise UsageError(f"that would be {len(names) * seeds} runs", f"At most {MOST_RUNS} at once.")
    news = [_checked(name, overrides, note=note, later=k) for k in range(seeds) for name in names]
    with open_store(store_target, create=True) as database:
        from lvmtui.store.control import Controller
        from lvmtui.store.reader import Reader

        made = Controller(database).create_group(news, "+".join(phases)[:60])
        for run in made[:jobs]:
            start_run(database, run)
        return [Reader(database).run(run.id) for run in made]


def _checked(
    phase: str, overrides: Sequence[str] | Mapping[str, str], *, note: str, later: int = 0
) -> NewRun:
    """A run to be, with nothing wrong that can be seen from here.

    Args:
        later: how far its seed is behind the recipe's.
    """
    from lvmtui import recipe as recipes

    if isinstance(overrides, Mapping):
        overrides = [f"{key}={value}" for key, value in overrides.items()]
    changed = recipes.parse_overrides(overrides)
    recipe = recipes.load(phase, changed)
    if later:
        changed["train.seed"] = str(recipe.train.seed + later)
        recipe = recipes.load(phase, changed)
    require_train()
    check_recipe(recipe)
    resolved = _with_absolute_data(recipe)
    return NewRun(
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


def _with_absolute_data(recipe: Recipe) -> Recipe:
    """The recipe with the vector set's full path, so that it can be resumed from another folder."""
    if recipe.data.path == DEMO:
        return recipe
    path = str(Path(recipe.data.path).expanduser().resolve())
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": path})})


def start_run(database: Database, run: Run, *, after: int | None = None) -> Run:
    """Start the process of a queued run and record it.

    Args:
        after: the run of its group that has ended; where another process was quicker to take this one up,
            the process goes on to the next.

    Raises:
        LaunchError: the process could not be started; the run is recorded as failed.
    """
    from lvmtui.store.control import Controller
    from lvmtui.store.reader import Reader

    controller = Controller(database)
    log = run_folder(database, run) / LOG_NAME
    words = [str(run.id), "--store", database.location.url]
    if after is not None:
        words += ["--after", str(after)]
    try:
        process = start_engine(words, log)
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
