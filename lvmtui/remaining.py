"""How long a training will go on: at most, and if it gets no better."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lvmtui.store.records import Progress, Run


class Remaining(NamedTuple):
    """Seconds that are left."""

    worst: float
    """If every epoch is trained."""
    likely: float
    """If no evaluation from now on is a gain: never more than `worst`."""


def remaining(progress: Progress, *, every: int = 1, min_steps: int = 0) -> Remaining | None:
    """What is left of a training, at the pace of its last finished epoch.

    Args:
        progress: how far it is.
        every: epochs between two evaluations (`evaluate.every`); the last epoch has one in any case.
        min_steps: optimiser steps before patience counts (`stop.min_steps`).

    Returns:
        None before the first epoch is finished.
    """
    if progress.epoch_seconds is None or not progress.epochs:
        return None
    per_epoch = progress.steps / progress.epochs
    begun = progress.step / per_epoch if per_epoch else 0.0
    # A resumed or just finished epoch counts whole, whatever rounding says of its steps.
    done = min(max(begun, progress.epoch), progress.epochs)
    last = min(_last_epoch(progress, per_epoch, every, min_steps), progress.epochs)
    pace = progress.epoch_seconds
    return Remaining((progress.epochs - done) * pace, max(0.0, last - done) * pace)


def _last_epoch(progress: Progress, per_epoch: float, every: int, min_steps: int) -> int:
    """The epoch whose evaluation uses up the patience, if none is a gain; where there is no patience, the
    last one."""
    misses = progress.patience - progress.patience_used
    if progress.patience <= 0:
        return progress.epochs
    if misses <= 0:
        return progress.epoch
    counts_from = math.ceil(min_steps / per_epoch) if per_epoch else 0
    first = max(progress.epoch + 1, counts_from)
    evaluated = -(-first // every)
    return (evaluated + misses - 1) * every


def remaining_of(run: Run) -> Remaining | None:
    """What is left of a run that trains; None before its first epoch is finished."""
    every, min_steps = 1, 0
    try:
        recipe = json.loads(run.recipe)
        every, min_steps = int(recipe["evaluate"]["every"]), int(recipe["stop"]["min_steps"])
    except (ValueError, KeyError, TypeError):
        # A recipe of another version: what every version has done is taken for granted.
        pass
    return remaining(run.progress, every=max(1, every), min_steps=min_steps)
