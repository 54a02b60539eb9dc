"""What can be predicted of a vector set without training: its baselines, without a run."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from engine.baselines import compute_baselines
from engine.baselines.kept import kept_baselines
from engine.data.locate import resolve_data
from engine.data.progress import Progress, silent
from engine.device import choose_device
from engine.task import task_of
from lvmtui.recipe import build
from lvmtui.store.database import Database
from lvmtui.store.records import Evaluation, Protocol
from lvmtui.store.writer import Writer

_NOBODY = 0
"""Baselines are no run's."""


@dataclass(frozen=True)
class Predictable:
    """The baselines of one protocol and context."""

    protocol: Protocol
    baselines: tuple[Evaluation, ...]


def baselines_of(
    path: str,
    *,
    context: int,
    protocol: str,
    split_seed: int,
    stride: int = 0,
    within_document: bool = False,
    store: str | Path | None = None,
    progress: Progress = silent,
) -> Predictable:
    """Every baseline of a vector set on its validation split.

    Args:
        path: folder of a vector set, or `demo`.
        context: vectors before the predicted one.
        protocol: `doc-v1` or `window-v0`.
        stride: vectors between two windows, for `window-v0`; 0: half the context.
        within_document: contexts are kept inside documents, for `doc-v1`.
        store: a run store that they are taken from, or kept in.

    Raises:
        DataError: the data cannot be opened or judged on.
        StoreError: the store cannot be used.
    """
    data = resolve_data(path, progress)
    device = choose_device("auto")
    recipe = build(
        {
            "name": "baselines",
            "data": {
                "path": path,
                "context": context,
                "stride": stride,
                "within_document": within_document,
            },
            "evaluate": {"protocol": protocol, "split_seed": split_seed},
        }
    )
    progress("setting up the judge", 0, 0)
    task = task_of(recipe, data)
    splits, judge = task.splits, task.judge("validation", device)
    progress("computing the baselines", 0, 0)
    if store is None:
        found = compute_baselines(splits, judge, context=context, device=device)
    else:
        with closing(Database.open(store, create=False)) as database:
            writer = Writer(database, _NOBODY)
            found = kept_baselines(
                judge, splits, context=context, device=device, call=lambda work: work(writer)
            )
    return Predictable(judge.protocol, tuple(found))
