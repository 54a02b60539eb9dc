"""What a precision costs: Hit@K on the validation split, query by query against fp32."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.evaluate import Judge
from engine.infer import Predictor
from engine.predict import predict_queries
from lvmtui import stats
from lvmtui.store.records import Interval

Ranks = NDArray[np.uint32]

HITS = (1, 5, 10)


def predictions_of(predictor: Predictor, judge: Judge) -> Tensor:
    """The predictor's predictions (n, D) for the judge's queries, as training judges them."""
    recipe = predictor.recipe
    return predict_queries(
        predictor.model,
        judge,
        context=recipe.data.context,
        batch=recipe.train.batch,
        device=predictor.device,
    )


@dataclass(frozen=True)
class Change:
    """A score minus that in fp32 over the same queries."""

    difference: float
    interval: Interval | None
    """95 %, by paired bootstrap over documents; None where a single document has queries."""


@dataclass(frozen=True)
class Quality:
    """Hit@1, 5 and 10 in one precision."""

    hits: tuple[float, float, float]
    changes: tuple[Change, ...] = ()
    """One for each; empty for fp32 itself."""

    @property
    def lost(self) -> float:
        """Hit@5 lost against fp32, as a fraction; below 0 where it is gained."""
        return 0.0 - self.changes[1].difference if self.changes else 0.0


def quality_of(ranks: Ranks, reference: Ranks | None, groups: NDArray[np.int64]) -> Quality:
    """Compare ranks (n,) in one precision with those in fp32.

    Args:
        ranks: of the queries.
        reference: of the same queries in fp32; None where these are they.
        groups: document number of each query.
    """
    one, five, ten = (float(stats.hits(ranks, k).mean()) for k in HITS)
    if reference is None:
        return Quality((one, five, ten))
    paired = len(np.unique(groups)) > 1
    return Quality((one, five, ten), tuple(_change(ranks, reference, groups, k, paired=paired) for k in HITS))


def _change(ranks: Ranks, reference: Ranks, groups: NDArray[np.int64], k: int, *, paired: bool) -> Change:
    ours, theirs = stats.hits(ranks, k), stats.hits(reference, k)
    if not paired:
        return Change(float(ours.mean()) - float(theirs.mean()), None)
    found = stats.paired_bootstrap(ours, theirs, groups)
    return Change(found.difference, found.interval)
