"""Exact ranks of predictions among the vectors of a split, in bounded memory.

Scores are cosines. One pass of float32 matrix products over tiles of the pool counts what is clearly above
the target; the few candidates that lie too near to the target's own score to tell are scored again in
float64. So ranks are those of a float64 computation, whatever the device, the tiles and the threads, and a
tie is a tie.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.split import SplitView
from engine.protocol import NEAR_DUPLICATE, Positions, Queries
from lvmtui.errors import DataError, TrainingError

TIE = 1e-9
"""Cosines that differ by less are equal: far above the rounding of float64, far below any real difference."""
TILE = 1024
"""Candidates, and queries, scored together: the scores stay in the processor's cache."""
EXACT_PAIRS = 4096
"""Pairs scored together in float64."""
DENSE_SHARE = 16
"""From one in so many undecided scores on, a whole block is cheaper to score in float64."""
EXCLUDED = -2.0
"""Below every cosine."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of a query and a candidate, sorted by candidate."""

    query: Positions
    """(m,) index among the queries."""
    position: Positions
    """(m,) position in the split's stream."""

    def subset(self, index: Positions, n: int) -> "Pairs":
        """The pairs of some of the n queries, numbered anew."""
        number = np.full(n, -1)
        number[index] = np.arange(len(index))
        kept = number[self.query] >= 0
        return Pairs(number[self.query[kept]], self.position[kept])


def unit_rows(vectors: Tensor) -> tuple[Tensor, int | None]:
    """Rows (n, D) at unit length, float32 on the CPU, and the index of the first row that has none: NaN,
    zero, or a norm that float32 cannot hold."""
    rows = vectors.detach().to("cpu", torch.float32)
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    wrong = torch.nonzero(~(torch.isfinite(norms) & (norms > 0)).flatten())
    return rows / norms, int(wrong[0]) if len(wrong) else None


def tiles(split: SplitView, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    """The split's vectors at unit length, some at a time, with the position of the first.

    Raises:
        DataError: a vector is not finite, or zero.
    """
    for start in range(0, len(split), TILE):
        rows, wrong = unit_rows(torch.from_numpy(split.take(start, min(start + TILE, len(split)))))
        if wrong is not None:
            raise DataError(
                f"vector {split.rows[start + wrong]} of {split.data.path} is zero or not finite",
                "`lvmtui data build` drops such vectors; others have to be removed by hand.",
            )
        yield start, rows.to(device)


def gather(split: SplitView, positions: Positions) -> Floats:
    """The vectors (m, D) at any positions, float64."""
    return np.asarray(split.data.vectors[split.rows[positions]], np.float64)


def exact_cosines(vectors: Tensor, split: SplitView, pairs: Pairs) -> Floats:
    """Cosines (m,) in float64 of rows of `vectors` (n, D), by `pairs.query`, with the split's vectors."""
    rows = vectors.detach().to("cpu", torch.float32).numpy()
    result = np.empty(len(pairs.query))
    for start in range(0, len(result), EXACT_PAIRS):
        part = slice(start, start + EXACT_PAIRS)
        left = rows[pairs.query[part]].astype(np.float64)
        right = gather(split, pairs.position[part])
        lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        result[part] = np.einsum("md,md->m", left, right) / lengths
    return result


def near_duplicates(split: SplitView, queries: Queries, device: torch.device) -> Pairs:
    """Every query with each of its candidates that counts as its target, the target itself first of all.

    Raises:
        DataError: vectors that are not finite or zero, or nearly all vectors are duplicates.
    """
    targets = torch.from_numpy(split.data.vectors[split.rows[queries.positions]].astype(np.float32))
    unit = unit_rows(targets)[0].to(device)
    band = _band(targets.shape[1])
    found: list[Pairs] = []
    total = 0
    for first, scores, start in _scores(unit, split, device):
        _exclude(scores, queries, first, start)
        near = torch.nonzero(scores > NEAR_DUPLICATE - band).cpu().numpy()
        sure = (scores[near[:, 0], near[:, 1]] > NEAR_DUPLICATE + band).cpu().numpy()
        pairs = Pairs(near[:, 0] + first, near[:, 1] + start)
        unsure = Pairs(pairs.query[~sure], pairs.position[~sure])
        sure[~sure] = exact_cosines(targets, split, unsure) > NEAR_DUPLICATE
        found.append(Pairs(pairs.query[sure], pairs.position[sure]))
        total += int(sure.sum())
        if total > 256 * len(queries) + 1_000_000:
            raise DataError(
                f"the vectors of the {split.name} split are nearly all alike: more than 256 of them lie "
                f"within a cosine of {NEAR_DUPLICATE} of the average target",
                "Remove duplicates, or subtract the mean from the vectors.",
            )
    query = np.concatenate([pairs.query for pairs in found])
    position = np.concatenate([pairs.position for pairs in found])
    order = np.argsort(position, kind="stable")
    return Pairs(query[order], position[order])


def rank(
    predictions: Tensor, split: SplitView, queries: Queries, duplicates: Pairs, device: torch.device
) -> NDArray[np.uint32]:
    """Ranks (n,) from 1 (best) of the targets, given predictions (n, D) in the order of the queries.

    1 + the candidates that are no near duplicate of the target and score as high as the best of the target
    and its duplicates, or higher.

    Raises:
        TrainingError: a prediction is not finite, or zero.
    """
    unit, wrong = unit_rows(predictions)
    if wrong is not None:
        raise TrainingError(
            f"the prediction for query {wrong} of {len(queries)} is zero or not finite",
            "Training has diverged: a lower learning rate or gradient clipping may help.",
        )
    unit = unit.to(device)
    best = np.full(len(queries), -np.inf)
    np.maximum.at(best, duplicates.query, exact_cosines(predictions, split, duplicates))
    band = _band(unit.shape[1])
    low, high = (
        torch.from_numpy((best + side * band).astype(np.float32)).to(device)[:, None] for side in (-1, 1)
    )
    above = np.zeros(len(queries), np.int64)
    for first, scores, start in _scores(unit, split, device):
        rows = slice(first, first + len(scores))
        _exclude(scores, queries, first, start)
        inside = _within(duplicates, first, start, scores)
        scores[torch.from_numpy(inside.query - first), torch.from_numpy(inside.position - start)] = EXCLUDED
        # Summing booleans into int32 is several times as fast as into the default int64.
        clear = (scores > high[rows]).sum(1, dtype=torch.int32)
        open_rows = torch.nonzero((scores >= low[rows]).sum(1, dtype=torch.int32) != clear)[:, 0]
        above[rows] += clear.cpu().numpy()
        if len(open_rows):
            part = scores[open_rows]
            undecided = (part >= low[rows][open_rows]) & (part <= high[rows][open_rows])
            at = torch.nonzero(undecided).cpu().numpy()
            pairs = Pairs(open_rows.cpu().numpy()[at[:, 0]] + first, at[:, 1] + start)
            equal = _exact(predictions, split, pairs, scores.numel()) >= best[pairs.query] - TIE
            above += np.bincount(pairs.query[equal], minlength=len(above))
    return (above + 1).astype(np.uint32)


def _scores(unit: Tensor, split: SplitView, device: torch.device) -> Iterator[tuple[int, Tensor, int]]:
    """(first query, scores of a block of queries with a tile, first position of the tile). The scores' memory
    is used again for the next block."""
    memory = torch.empty(TILE * TILE, device=device)
    with _full_precision():
        for start, tile in tiles(split, device):
            for first in range(0, len(unit), TILE):
                block = unit[first : first + TILE]
                scores = memory[: len(block) * len(tile)].view(len(block), len(tile))
                yield first, torch.mm(block, tile.T, out=scores), start


@contextmanager
def _full_precision() -> Iterator[None]:
    """Float32 products without TF32 or bfloat16 inside, which training may have allowed."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _exclude(scores: Tensor, queries: Queries, first: int, start: int) -> None:
    """Take out what stands before each query in its own document, the last vector included."""
    position = queries.positions[first : first + len(scores)]
    document = queries.document_start[first : first + len(scores)]
    # Both grow with the query, so the queries whose past reaches into this tile are neighbours.
    a = int(np.searchsorted(position, start, side="right"))
    b = int(np.searchsorted(document, start + scores.shape[1], side="left"))
    if a >= b:
        return
    left = max(0, int(document[a]) - start)
    right = min(scores.shape[1], int(position[b - 1]) - start)
    if left >= right:
        return
    column = np.arange(left, right) + start
    past = (column >= document[a:b, None]) & (column < position[a:b, None])
    scores[a:b, left:right].masked_fill_(torch.from_numpy(past).to(scores.device), EXCLUDED)


def _within(pairs: Pairs, first: int, start: int, scores: Tensor) -> Pairs:
    """The pairs that lie in this block of scores."""
    a, b = np.searchsorted(pairs.position, [start, start + scores.shape[1]])
    query, position = pairs.query[a:b], pairs.position[a:b]
    inside = (query >= first) & (query < first + len(scores))
    return Pairs(query[inside], position[inside])


def _exact(vectors: Tensor, split: SplitView, pairs: Pairs, size: int) -> Floats:
    """`exact_cosines` of pairs inside one block of `size` scores, by a matrix product where they are many."""
    if len(pairs.query) * DENSE_SHARE < size:
        return exact_cosines(vectors, split, pairs)
    query, row = np.unique(pairs.query, return_inverse=True)
    position, column = np.unique(pairs.position, return_inverse=True)
    left = vectors.detach().to("cpu", torch.float32).numpy()[query].astype(np.float64)
    right = gather(split, position)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    scores: Floats = (left @ right.T)[row, column]
    return scores


def _band(dim: int) -> float:
    """More than float32 products of unit vectors of this dimension are off by: rounding errors grow with the
    square root of the dimension."""
    return max(1e-6, 1e-7 * math.sqrt(dim))
