"""Where training stands."""

from dataclasses import dataclass


@dataclass
class Position:
    """Where training stands: saved with every checkpoint."""

    epoch: int = 0
    """Epochs finished."""
    step_in_epoch: int = 0
    """Optimiser steps done of the running epoch."""
    step: int = 0
    """Optimiser steps done."""
    loss_sum: float = 0.0
    """Of the running epoch, over windows."""
    windows: int = 0
    """Windows in `loss_sum`."""
    seconds: float = 0.0
    """Spent training in the running epoch."""
    non_finite: int = 0
    """Steps skipped in a row."""
    saved_best: float | None = None
    """The watched metric of the checkpoint marked best."""
    epoch_seconds: float | None = None
    """What the last finished epoch took."""
