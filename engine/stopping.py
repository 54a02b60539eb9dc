"""Early stopping: end training when the watched metric has not improved for a while."""

from collections.abc import Mapping
from typing import Any

_ROUNDING = 1e-12


class EarlyStopping:
    """Counts evaluations without a gain (Prechelt, *Early Stopping - But When?*, 1998); higher is better.

    A gain is a value above that of the last gain, and above it by `min_delta` or more, so that many small
    steps add up.

    Args:
        patience: evaluations without a gain after which training ends.
        min_delta: least gain that counts, in the metric's own unit: a recipe's is in queries, and is divided
            by their number.
        min_steps: optimiser steps before evaluations without a gain are counted.
    """

    def __init__(self, *, patience: int, min_delta: float = 0.0, min_steps: int = 0) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.min_steps = min_steps
        self.used = 0
        """Evaluations since the last gain."""
        self.best: float | None = None
        """The highest value so far."""
        self.best_epoch: int | None = None
        self._reference: float | None = None

    def update(self, value: float, *, epoch: int, step: int) -> bool:
        """Take note of one evaluation.

        Returns:
            Whether it is the highest value so far.
        """
        if self._reference is None or self._is_gain(value, self._reference):
            self._reference = value
            self.used = 0
        elif step >= self.min_steps:
            self.used += 1
        if self.best is not None and value <= self.best:
            return False
        self.best, self.best_epoch = value, epoch
        return True

    def _is_gain(self, value: float, reference: float) -> bool:
        # Scores are numbers of queries over n: their differences are off by rounding.
        return value > reference and value - reference >= self.min_delta - _ROUNDING

    @property
    def value_to_beat(self) -> float | None:
        """What the next value must exceed to count as a gain, or reach, where there is a least gain; None
        before the first."""
        return None if self._reference is None else self._reference + self.min_delta

    @property
    def exhausted(self) -> bool:
        """Whether training should end now."""
        return self.used >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on counting."""
        return {
            "used": self.used,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "reference": self._reference,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.used = int(state["used"])
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self._reference = state["reference"]
