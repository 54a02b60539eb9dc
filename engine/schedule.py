"""What is different in each optimiser step: its learning rate, and how much context it trains with."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np


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


@dataclass(frozen=True)
class Contexts:
    """Random context lengths, so that one model serves short and long contexts: log-uniform, because what a
    vector more tells falls with the length.

    A pure function of seed and step: there is nothing to save for a resume.
    """

    shortest: int
    """Vectors; 0: always the longest."""
    longest: int
    seed: int

    def length(self, step: int) -> int:
        """Vectors of context in the optimiser step number `step`, counted from 0."""
        if not 0 < self.shortest < self.longest:
            return self.longest
        share = np.random.default_rng([self.seed, step, 2]).random()
        drawn = self.shortest * ((self.longest + 1) / self.shortest) ** share
        return min(int(drawn), self.longest)
