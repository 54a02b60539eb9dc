"""Negatives: vectors of the training split that a prediction has to be told apart from."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.candidates import SAME_VECTOR
from engine.data.npy import take
from engine.data.progress import Progress, silent
from engine.data.split import SplitView

PAIRS = 2**31
"""Pairs of vectors that mining compares at most: minutes, whatever the size of the split."""
LEAST_CANDIDATES = 1024
_BLOCK = 512
"""Targets whose neighbours are looked for together."""


class Drawn(NamedTuple):
    """Negatives of one step."""

    vectors: NDArray[np.float32]
    """(K, D)"""
    documents: NDArray[np.int64]
    """(K,) document that each of them is of."""


class Bank:
    """Negatives for `nce` and `rank`: training vectors, drawn anew for each step.

    A pure function of seed and step: there is nothing to save for a resume.
    """

    def __init__(self, split: SplitView, *, size: int, seed: int) -> None:
        self._split = split
        self._size = min(size, len(split))
        self._seed = seed

    def draw(self, step: int) -> Drawn:
        """The negatives of the optimiser step number `step`, from 0; -1: of the validation loss."""
        random = np.random.default_rng([self._seed, step + 1])
        positions = np.sort(random.choice(len(self._split), self._size, replace=False, shuffle=False))
        return Drawn(
            take(self._split.data.vectors, self._split.rows[positions]), self._split.document[positions]
        )


class HardNegatives:
    """For each training vector the k others most like it (Robinson et al., Contrastive Learning with Hard
    Negative Samples, 2021, take them from the batch; here they are exact neighbours).

    Left out are near duplicates (cosine above `SAME_VECTOR`), which may be right answers too, and what
    stands before the vector in its own document, which can never be the next vector and is not in a query's
    pool either. Neighbours are looked for among all training vectors, or, where that would be more than
    `PAIRS` comparisons, among as many of them, drawn once, as keep it below. A pure function of split, k and
    seed.

    Args:
        split: the training split.
        k: neighbours of each vector.
        seed: of the draw.
        device: where the comparing is done.
    """

    def __init__(self, split: SplitView, *, k: int, seed: int, device: torch.device) -> None:
        self._split = split
        self._k = k
        self._seed = seed
        self._device = device
        self._table: NDArray[np.int32] | None = None

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The hard negatives of targets.

        Args:
            rows: (B, T) rows of the targets in the data, all of them of the split.

        Returns:
            (B, T, k, D), of any norm; zeros where a target has fewer neighbours.
        """
        neighbours = self.mine()[np.searchsorted(self._split.rows, rows)]
        found = take(self._split.data.vectors, self._split.rows[neighbours])
        found[neighbours < 0] = 0.0
        return found

    def mine(self, progress: Progress = silent) -> NDArray[np.int32]:
        """Find all neighbours, unless that is done.

        Returns:
            (n, k) positions in the split, most similar first; -1 where there are fewer.
        """
        if self._table is None:
            self._table = self._mined(progress)
        return self._table

    @torch.no_grad()
    def _mined(self, progress: Progress) -> NDArray[np.int32]:
        split, n = self._split, len(self._split)
        positions = self._candidates()
        candidates = self._unit(take(split.data.vectors, split.rows[positions]))
        column = torch.arange(len(positions), device=self._device)
        table = np.full((n, self._k), -1, np.int32)
        for begin in range(0, n, _BLOCK):
            end = min(begin + _BLOCK, n)
            cosine = self._unit(split.take(begin, end)) @ candidates.T
            # Candidates are in reading order: what a target must not be told from is one range of them.
            first = self._column(np.searchsorted(positions, split.document_start[begin:end]))
            last = self._column(np.searchsorted(positions, np.arange(begin, end), side="right"))
            before = (column >= first) & (column < last)
            cosine.masked_fill_((cosine > SAME_VECTOR) | before, -torch.inf)
            value, index = cosine.topk(min(self._k, len(positions)))
            found = np.where(value.cpu().isfinite().numpy(), positions[index.cpu().numpy()], -1)
            table[begin:end, : found.shape[1]] = found
            progress("looking for hard negatives", end, n)
        return table

    def _candidates(self) -> NDArray[np.int64]:
        n = len(self._split)
        count = min(n, max(LEAST_CANDIDATES, PAIRS // n))
        random = np.random.default_rng([self._seed, 0, 1])
        return np.sort(random.choice(n, count, replace=False, shuffle=False))

    def _unit(self, vectors: NDArray[np.float32]) -> Tensor:
        return functional.normalize(torch.from_numpy(vectors).to(self._device), dim=-1)

    def _column(self, numbers: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(numbers).to(self._device)[:, None]
