"""Pairs of a query and a candidate, and their cosines in float64."""

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.split import SplitView
from engine.protocol import Positions

PAIRS = 8192
"""Pairs whose vectors are in memory together."""
DENSE_SHARE = 16
"""From one in so many pairs on, a whole matrix product is cheaper than the pairs alone."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of a query and a candidate, sorted by candidate."""

    query: Positions
    """(m,) index among the queries."""
    position: Positions
    """(m,) position in the pool's stream."""

    def subset(self, index: Positions, n: int) -> "Pairs":
        """The pairs of some of the n queries, numbered anew."""
        number = np.full(n, -1)
        number[index] = np.arange(len(index))
        kept = number[self.query] >= 0
        return Pairs(number[self.query[kept]], self.position[kept])


def gather(split: SplitView, positions: Positions) -> Floats:
    """The vectors (m, D) at any positions, float64."""
    return np.asarray(split.data.vectors[split.rows[positions]], np.float64)


def unit_rows(vectors: Tensor) -> tuple[Tensor, int | None]:
    """Rows (n, D) at unit length, float32 on the CPU, and the index of the first row that has none: NaN,
    zero, or a norm that float32 cannot hold."""
    rows = vectors.detach().to("cpu", torch.float32)
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=torch.float64).float()
    wrong = torch.nonzero(~(torch.isfinite(norms) & (norms >= torch.finfo(torch.float32).tiny)).flatten())
    return rows / norms, int(wrong[0]) if len(wrong) else None


def exact_rows(vectors: Tensor) -> Tensor:
    """Rows (n, D) at unit length, float64 on the CPU."""
    rows = vectors.detach().to("cpu", torch.float64)
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / lengths


def exact_cosines(vectors: Tensor, split: SplitView, pairs: Pairs) -> Floats:
    """Cosines (m,) in float64 of rows of `vectors` (n, D), by `pairs.query`, with the split's vectors."""
    rows = vectors.detach().to("cpu", torch.float32)
    result = np.empty(len(pairs.query))
    for start in range(0, len(result), PAIRS):
        part = slice(start, start + PAIRS)
        query, row = np.unique(pairs.query[part], return_inverse=True)
        position, column = np.unique(pairs.position[part], return_inverse=True)
        left = exact_rows(rows[torch.from_numpy(query)])
        right = exact_rows(torch.from_numpy(gather(split, position)))
        order = np.argsort(row, kind="stable")
        result[part][order] = products_at(left, right, row[order], column[order])
    return result


def products_at(left: Tensor, right: Tensor, row: Positions, column: Positions) -> Floats:
    """Products (m,) of rows of `left` (n, D) with rows of `right` (t, D), float64 on the CPU.

    Args:
        row: (m,) rows of `left`, ascending.
        column: (m,) rows of `right`.
    """
    columns = torch.from_numpy(column)
    if len(row) * DENSE_SHARE >= len(left) * len(right):
        every: Floats = (left @ right.T)[torch.from_numpy(row), columns].numpy()
        return every
    _allow_sparse()
    ends = torch.from_numpy(np.searchsorted(row, np.arange(len(left) + 1)))
    none = torch.zeros(len(row), dtype=torch.float64)
    wanted = torch.sparse_csr_tensor(ends, columns, none, (len(left), len(right)))
    some: Floats = torch.sparse.sampled_addmm(wanted, left, right.T, beta=0.0).values().numpy()
    return some


@cache
def _allow_sparse() -> None:
    """Torch warns once, at its first sparse matrix, that these are new; what is used here is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1), dtype=torch.float64)
