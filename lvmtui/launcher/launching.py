"""Making runs and starting their processes."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui import this_host
from lvmtui.errors import UsageError
from lvmtui.launcher.filling import fill, start_claimed
from lvmtui.launcher.places import open_store
from lvmtui.requirements import DEMO, check_recipe, require_train
from lvmtui.store import slots
from lvmtui.store.records import NewRun, Run

if TYPE_CHECKING:
    from lvmtui.recipe import Recipe, Written
    from lvmtui.store.database import Database

MOST_RUNS = 200
"""Runs that one command launches at most: more is a slip of the hand."""

_DEVICE = re.compile(r"cpu|mps|cuda(:[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Start:
    """When and where a run is to start."""

    queue: bool = False
    """It waits its turn; else it starts at once, whatever is in use."""
    priority: int = 0
    """Higher goes first."""
    held: bool = False
    """It waits until it is let go."""
    after: int | None = None
    """Id of a run that has to end well before."""
    device: str = ""
    """`cpu`, `cuda`, `cuda:1`, `mps`; empty: as the recipe says."""
    host: str | None = None
    """Host that may take it up from the queue; empty: any that sees the store; None: this one."""

    @property
    def waits(self) -> bool:
        """Whether it goes into the queue."""
        return self.queue or self.held or self.after is not None


NOW = Start()


def launch(
    store_target: str | os.PathLike[str],
    phase: str | Written,
    overrides: Sequence[str] | Mapping[str, str] = (),
    *,
    note: str = "",
    start: Start = NOW,
) -> Run:
    """Make a run of a phase and start its process, detached from this one; or put it into the queue.

    Args:
        store_target: path or URL; the store is made when there is none.
        phase: name of a recipe, path of a `.toml` file, or a recipe's text.
        overrides: `key=value` texts, or field name -> value text.
        note: anything worth remembering about the run.
        start: when and where.

    Returns:
        The run; without a process where it waits.

    Raises:
        RecipeError: unknown phase, wrong field or value.
        UsageError: a device or a priority that there cannot be.
        RunNotFound: it is to wait for a run that is not there.
        MissingDependency: the extra `train` is not installed.
        DataError: the vector set is not there, or the recipe does not fit it.
        StoreError: the store cannot be written.
        LaunchError: the process could not be started; the run is recorded as failed.
    """
    new = _checked(phase, overrides, note=note, start=start)
    with open_store(store_target, create=True) as database:
        from lvmtui.store.control import Controller
        from lvmtui.store.reader import Reader

        _check_awaited(database, start)
        if start.waits:
            run = Controller(database).create_run(new)
            fill(database)
            return Reader(database).run(run.id)
        return start_claimed(database, Controller(database).create_run(new, this_host.worker()))


def launch_group(
    store_target: str | os.PathLike[str],
    phases: Sequence[str | Written],
    overrides: Sequence[str] | Mapping[str, str] = (),
    *,
    seeds: int = 1,
    jobs: int = 1,
    note: str = "",
    start: Start = NOW,
) -> list[Run]:
    """Make several runs as one group, and start the first of them, or put all into the queue.

    The others wait in the queue; each run that ends takes up the next (see `lvmtui.store.queue`). No
    dashboard has to be open.

    Args:
        store_target: path or URL; the store is made when there is none.
        phases: names of recipes, ranges of them (`phase-1..phase-3`), paths of `.toml` files, or texts.
        overrides: as for `launch`; for all of them.
        seeds: runs of each, from the recipe's own seed on.
        jobs: how many run at once; they may share a device.
        note: anything worth remembering about the runs.
        start: when and where.

    Returns:
        The runs, in the order in which they are taken up: seed by seed, so that an early end leaves each
        phase with equally many.

    Raises:
        UsageError: no runs, or far too many; a device that there cannot be.
        RecipeError, RunNotFound, MissingDependency, DataError: as for `launch`; if one is bad, none is made.
        StoreError: the store cannot be written.
        LaunchError: a process could not be started.
    """
    news = check_group(phases, overrides, seeds=seeds, jobs=jobs, note=note, start=start)
    with open_store(store_target, create=True) as database:
        from lvmtui.store.control import Controller
        from lvmtui.store.reader import Reader

        _check_awaited(database, start)
        worker = None if start.waits else this_host.worker()
        label = "+".join(phase if isinstance(phase, str) else phase.name for phase in phases)[:60]
        made = Controller(database).create_group(news, label, jobs=jobs, worker=worker)
        if start.waits:
            fill(database)
        for run in made:
            if run.pid is not None:
                start_claimed(database, run)
        return [Reader(database).run(run.id) for run in made]


def check_group(
    phases: Sequence[str | Written],
    overrides: Sequence[str] | Mapping[str, str] = (),
    *,
    seeds: int = 1,
    jobs: int = 1,
    note: str = "",
    start: Start = NOW,
) -> list[NewRun]:
    """What `launch_group` would make, with nothing wrong that can be seen without a store.

    Raises:
        UsageError, RecipeError, MissingDependency, DataError: as for `launch_group`.
    """
    from lvmtui import recipe as recipes

    expanded = (recipes.expand(phase) if isinstance(phase, str) else [phase] for phase in phases)
    names = list(dict.fromkeys(name for found in expanded for name in found))
    if min(seeds, jobs, len(names)) < 1:
        raise UsageError("there is nothing to launch", "Give at least one phase, one seed and one job.")
    if len(names) * seeds > MOST_RUNS:
        raise UsageError(f"that would be {len(names) * seeds} runs", f"At most {MOST_RUNS} at once.")
    return [
        _checked(name, overrides, note=note, start=start, later=k) for k in range(seeds) for name in names
    ]


def _check_awaited(database: Database, start: Start) -> None:
    from lvmtui.store.reader import Reader

    if start.after is not None:
        Reader(database).run(start.after)


def _checked(
    phase: str | Written,
    overrides: Sequence[str] | Mapping[str, str],
    *,
    note: str,
    start: Start,
    later: int = 0,
) -> NewRun:
    """A run to be, with nothing wrong that can be seen from here.

    Args:
        later: how far its seed is behind the recipe's.
    """
    from lvmtui import recipe as recipes

    slots.check_priority(start.priority)
    if start.device and not _DEVICE.fullmatch(start.device):
        raise UsageError(f"there is no device {start.device!r}", "Known: cpu, cuda, cuda:0, cuda:1, …, mps.")
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
        device_wanted=start.device or recipe.train.device.replace("auto", ""),
        host_wanted=socket.gethostname() if start.host is None else start.host,
        priority=start.priority,
        held=start.held,
        after=start.after,
    )


def _with_absolute_data(recipe: Recipe) -> Recipe:
    """The recipe with the vector set's full path, so that it can be resumed from another folder."""
    if recipe.data.path == DEMO:
        return recipe
    path = str(Path(recipe.data.path).expanduser().resolve())
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"path": path})})
