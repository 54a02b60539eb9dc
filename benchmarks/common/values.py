"""The curves of the synthetic data sets: the same numbers for every program that is compared. No imports but
the standard library's, since another program's Python reads it as well."""

import math

NAMES = (
    *("val/hit5", "val/hit1", "val/hit10", "val/loss", "epoch/train_loss", "val/mrr", "val/cosine"),
    *("val/copyness", "train/loss", "train/lr", "train/grad_norm", "train/temperature"),
    *(f"extra/metric_{number}" for number in range(8)),
)
"""Metrics as a run of this project logs them, and some more."""


def value(run: int, metric: int, step: int, steps: int) -> float:
    """A falling curve with noise; no two runs or metrics have the same."""
    noise = ((step * 2654435761 + run * 40503 + metric * 97) % 1000) / 1000
    return math.exp(-3 * step / steps) * (1 + metric / 10 + run / 100) + 0.05 * noise
