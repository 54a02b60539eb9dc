"""What the checks on a run look at: its plan, its curves, its evaluations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Evaluation, Versus

if TYPE_CHECKING:
    from lvmtui.recipe import Recipe

POINTS = 4096
"""Points of a curve that the checks look at, at most: longer ones are averaged over neighbours."""
ANNEALED = 0.3
"""Share of the peak learning rate up to which a rate counts as come down."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run set out to do."""

    steps: int
    """Optimiser steps at most."""
    steps_per_epoch: int
    warmup: int
    """Optimiser steps of warm-up."""
    windows: int | None
    """Training windows an epoch; None where that is not known."""
    per_step: int
    """Windows of one optimiser step: batch times accumulation."""
    peak: float
    """Highest learning rate."""
    schedule: str
    """After the warm-up: `cosine` or `constant`."""
    ema: float
    """Decay of the averaged weights; 0 for none."""
    every: int
    """Epochs between two evaluations."""
    metric: str
    """What early stopping watches: `hit1`, `hit5`, `hit10` or `mrr`."""
    patience: int
    """Evaluations without a gain before stopping."""
    min_steps: int
    """Optimiser steps before patience counts."""


def plan_of(recipe: Recipe, *, steps: int, steps_per_epoch: int, windows: int | None) -> Plan:
    """What a recipe sets out to do.

    Args:
        steps: optimiser steps at most.
        windows: training windows an epoch; None where that is not known.
    """
    train, stop = recipe.train, recipe.stop
    return Plan(
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        warmup=round(train.warmup * steps),
        windows=windows,
        per_step=train.batch * train.accumulation,
        peak=train.lr,
        schedule=train.schedule,
        ema=train.ema,
        every=recipe.evaluate.every,
        metric=stop.metric,
        patience=stop.patience,
        min_steps=stop.min_steps,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A metric of the optimiser steps, where it was finite."""

    step: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """(n,) ascending."""
    value: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """(n,)"""

    def __len__(self) -> int:
        return len(self.step)


def curve(step: ArrayLike, value: ArrayLike, most: int = POINTS) -> Curve:
    """A curve of at most `most` points: steps and values (n,), those that are not finite left out, neighbours
    averaged where there are more."""
    steps, values = np.asarray(step, np.float64), np.asarray(value, np.float64)
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    together = -(-len(steps) // most)
    if together > 1:
        whole = len(steps) // together * together
        steps, values = (part[:whole].reshape(-1, together).mean(axis=1) for part in (steps, values))
    return Curve(steps, values)


@dataclass(frozen=True, slots=True, eq=False)
class RunHistory:
    """What a run has been through so far."""

    plan: Plan | None
    """None where the recipe cannot be read: checks that need it say nothing."""
    step: int = 0
    """Optimiser steps done."""
    loss: Curve = Curve()
    """Training loss of each step."""
    rate: Curve = Curve()
    """Learning rate of each step."""
    grad_norm: Curve = Curve()
    """Before clipping."""
    skipped: tuple[int, ...] = ()
    """Steps whose loss or gradient was NaN or infinite."""
    evaluations: tuple[Evaluation, ...] = ()
    """Of the validation split, oldest first. With their ranks, chance is judged query by query."""
    versus: Versus | None = None
    """The best evaluation against the strongest baseline."""
    result: Result | None = None
    """How the run ended; None while it runs."""

    @property
    def trained(self) -> bool:
        """Whether training came to its own end: the last epoch, or the end of patience."""
        return self.result in {Result.COMPLETED, Result.EARLY_STOPPED}

    @property
    def metric(self) -> str:
        """What early stopping watches."""
        return self.plan.metric if self.plan else "hit5"

    @property
    def best(self) -> int | None:
        """Index of the evaluation with the highest watched metric, the first of equals."""
        values = self.watched()
        return int(np.argmax(values)) if len(values) else None

    def watched(self) -> NDArray[np.float64]:
        """(evaluations,) the watched metric."""
        return np.array([getattr(item, self.metric) for item in self.evaluations], np.float64)
