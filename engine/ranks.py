"""Exact ranks of predictions among the vectors of a pool, in bounded memory.

Scores are cosines. Tiles of the pool are compared with every query in fast arithmetic whose error is bounded
(`engine.ranking.margins`); the few candidates that lie too near to the target's own score to tell are scored
again in float64. So ranks are those of a float64 computation, whatever the processor, the device, the tiles
and the threads, and a tie is a tie.
"""

from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.split import SplitView
from engine.protocol import NEAR_DUPLICATE, Queries
from engine.ranking.comparing import compare
from engine.ranking.pairs import Pairs, exact_cosines, gather, unit_rows
from lvmtui.errors import DataError, TrainingError

__all__ = ["TIE", "Pairs", "exact_cosines", "gather", "near_duplicates", "rank", "unit_rows"]

TIE = 1e-9
"""Cosines that differ by less are equal: far above the rounding of float64, far below any real difference."""


def near_duplicates(split: SplitView, queries: Queries, device: torch.device) -> Pairs:
    """Every query with each of its candidates that counts as its target, the target itself first of all.

    Raises:
        DataError: vectors that are not finite or zero, or nearly all vectors are duplicates.
    """
    targets = torch.from_numpy(split.data.vectors[split.rows[queries.positions]].astype(np.float32))
    cutoff = np.full(len(queries), NEAR_DUPLICATE)
    found: list[Pairs] = []
    total = 0
    with closing(compare(targets, cutoff, split, queries, device, None)) as compared:
        for part in compared:
            same = part.cosines > NEAR_DUPLICATE
            found.append(Pairs(part.pairs.query[same], part.pairs.position[same]))
            total += int(same.sum())
            if total > 256 * len(queries) + 1_000_000:
                raise DataError(
                    f"the vectors of the {split.name} split are nearly all alike: more than 256 of them lie "
                    f"within a cosine of {NEAR_DUPLICATE} of the average target",
                    "Remove duplicates, or subtract the mean from the vectors.",
                )
    query = np.concatenate([pairs.query for pairs in found])
    position = np.concatenate([pairs.position for pairs in found])
    order = np.lexsort((query, position))
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
    wrong = unit_rows(predictions)[1]
    if wrong is not None:
        raise TrainingError(
            f"the prediction for query {wrong} of {len(queries)} is zero or not finite",
            "Training has diverged: a lower learning rate or gradient clipping may help.",
        )
    best = np.full(len(queries), -np.inf)
    np.maximum.at(best, duplicates.query, exact_cosines(predictions, split, duplicates))
    cutoff = best - TIE
    above = np.zeros(len(queries), np.int64)
    with closing(compare(predictions, cutoff, split, queries, device, duplicates)) as compared:
        for part in compared:
            above[part.first : part.first + len(part.above)] += part.above
            beaten = part.pairs.query[part.cosines >= cutoff[part.pairs.query]]
            above += np.bincount(beaten, minlength=len(above))
    return (above + 1).astype(np.uint32)
