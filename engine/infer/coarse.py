"""A first pass of a search over an 8-bit copy of the pool: a quarter of the bytes of float32.

A search for one query takes as long as reading the pool. The copy tells each cosine up to a bound that is
known for every row, so that a few rows remain which may be among the nearest, and no other can be.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BLOCK = 1 << 14
"""Rows that are rounded together."""
_STEPS = 127
_FINER = np.float32(2 * _STEPS)
"""A first step in second steps: what rounding leaves, half a step at most, fits 8 bits."""
_MOST = 1 / 8
"""Share of the rows above which what remains is no longer few."""


def is_fast() -> bool:
    """Whether this processor has instructions for products of 8-bit integers. Without them torch multiplies
    slowly, or with sums that overflow."""
    known = torch.cpu.get_capabilities()
    return bool(torch.backends.mkldnn.enabled and (known.get("avx512_vnni") or known.get("avx_vnni")))


class Coarse:
    """Unit vectors as 8-bit integers, with what the rounding of each loses.

    Of a row u its difference from the mean row m is kept, v = u - m, as s p with integers p and a scale s:
    `q·m` is the same for all rows and changes no order. The query q becomes t + e with t in twice 8 bits.
    Then `|q·v - t·(s p)| <= |q| |v - s p| + |e| |s p|` (Cauchy-Schwarz), and `t·p` is summed exactly.

    Args:
        unit: (N, D) float32.
        room: what products of unit vectors in float32 are off by at most.
    """

    def __init__(self, unit: Tensor, room: float) -> None:
        self._room = room
        self._rounded = torch.empty(unit.shape, dtype=torch.int8)
        self._scale = torch.empty(len(unit))
        self._lost = torch.empty(len(unit))
        mean = unit.mean(dim=0)
        for first in range(0, len(unit), _BLOCK):
            part = slice(first, first + _BLOCK)
            self._rounded[part], self._scale[part], left = _round(unit[part] - mean)
            self._lost[part] = torch.linalg.vector_norm(left, dim=1) + room

    def near(self, query: Tensor, k: int, exclude: Tensor | None) -> Tensor | None:
        """Rows (m,) in ascending order among which the k nearest of a unit query (1, D) are, for k <= N; None
        where they are too many to be of use.

        Args:
            query: float32.
            k: at most as many as there are rows not excluded.
            exclude: (N,) bool.
        """
        twice, scale, left = _round_twice(query[0].numpy())
        # The copy first: what is multiplied with one vector in the other order takes three times as long.
        products = torch._int_mm(self._rounded, torch.from_numpy(twice).t()).float()
        score = torch.add(products[:, 0], products[:, 1], alpha=1 / float(_FINER))
        score.mul_(self._scale).mul_(scale)
        lower = score - self._lost
        if exclude is not None:
            lower.masked_fill_(exclude, -torch.inf)
        # No difference from the mean is longer than 2, nor, rounded, than 3.
        unsure = 2 * (3 * left + self._room)
        bar = float(lower.topk(k).values[-1]) - unsure
        rows = torch.from_numpy(np.flatnonzero((score.add_(self._lost) >= bar).numpy()))
        if exclude is not None:
            rows = rows[~exclude[rows]]
        return rows if len(rows) <= max(k, _MOST * len(score)) else None


def _round_twice(query: NDArray[np.float32]) -> tuple[NDArray[np.int8], float, float]:
    """A query (D,) as 8-bit integers and those of what they leave, in steps finer by `_FINER` (2, D); the
    scale of the first; and the norm of what both leave."""
    scale = float(np.abs(query).max()) / _STEPS
    steps = query / np.float32(scale)
    first = np.rint(steps)
    steps -= first
    second = np.rint(steps * _FINER)
    steps -= second / _FINER
    return np.stack([first, second]).astype(np.int8), scale, scale * float(np.linalg.norm(steps))


def _round(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (n, D) as 8-bit integers, their scales (n,), and what is left of them (n, D)."""
    scale = rows.abs().amax(dim=1).clamp_(min=torch.finfo(torch.float32).tiny * _STEPS) / _STEPS
    rounded = (rows / scale[:, None]).round_()
    return rounded.to(torch.int8), scale, rows - rounded * scale[:, None]
