"""The learning rate of each optimiser step."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then constant or half a cosine down to zero (Loshchilov & Hutter, SGDR, 2017).

    A pure function of the step: there is nothing to save for a resume.
    """

    peak: float
    total: int
    """Optimiser steps of the whole training."""
    warmup: float
    """Share of `total` spent warming up, 0 to 1."""
    kind: Literal["cosine", "constant"]

    def rate(self, step: int) -> float:
        """The rate of the optimiser step number `step`, counted from 0."""
        warm = round(self.warmup * self.total)
        if step < warm:
            return self.peak * (step + 1) / warm
        if self.kind == "constant":
            return self.peak
        share = (step - warm) / max(1, self.total - warm)
        return self.peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
