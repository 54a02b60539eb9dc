"""Scores from the ranks of the targets, 1 being best."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def hits(ranks: ArrayLike, k: int) -> NDArray[np.bool_]:
    """Whether each rank (n,) is within the first k."""
    return np.asarray(np.asarray(ranks) <= k)


def reciprocal_ranks(ranks: ArrayLike) -> NDArray[np.float64]:
    """1 / rank for each rank (n,); their mean is the MRR."""
    return 1.0 / np.asarray(ranks, np.float64)


def hit_at(ranks: ArrayLike, k: int) -> float:
    """Hit@k: the share of ranks (n,) within the first k; NaN for none."""
    within = hits(ranks, k)
    return float(within.mean()) if within.size else math.nan


def mrr(ranks: ArrayLike) -> float:
    """Mean reciprocal rank of ranks (n,); NaN for none."""
    values = reciprocal_ranks(ranks)
    return float(values.mean()) if values.size else math.nan
