"""Bootstrap over groups (documents): sums of each group, then means over groups drawn with replacement."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 10_000
"""Bootstrap resamples unless told otherwise."""

_BLOCK = 1 << 19
"""Resampled documents held at once: 2 MiB of draws."""


def group_sums(table: Floats, groups: ArrayLike) -> tuple[Floats, Floats]:
    """Per group the sums (G, m) of scores (n, m) and the number of queries (G,).

    Raises:
        ValueError: wrong shapes, not finite, or fewer than 2 groups.
    """
    labels = np.asarray(groups)
    if table.ndim != 2 or labels.shape != table.shape[:1]:
        raise ValueError(f"scores {table.shape} and groups {labels.shape} do not fit")
    if not np.isfinite(table).all():
        raise ValueError("scores must be finite")
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError("at least 2 groups are needed to resample them")
    sums: Floats = np.stack([np.bincount(index, column) for column in table.T], axis=1).astype(np.float64)
    return sums, counts.astype(np.float64)


def resampled_sums(totals: Floats, resamples: int, seed: int) -> Floats:
    """Sums (resamples, m) of totals (G, m) over G groups drawn with replacement: how often each is drawn,
    times its totals. A few thousand draws at a time, so that memory stays bounded."""
    groups = len(totals)
    generator = np.random.default_rng(seed)
    drawn = np.empty((resamples, totals.shape[1]))
    rows = max(1, _BLOCK // groups)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        draws = generator.integers(0, groups, (size, groups), dtype=np.int32)
        draws += groups * np.arange(size, dtype=np.int32)[:, None]
        times = np.bincount(draws.ravel(), minlength=size * groups).reshape(size, groups)
        drawn[start : start + size] = times.astype(np.float64) @ totals
    return drawn
