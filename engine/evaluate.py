"""Judging predictions under `doc-v1`: ranks, scores with intervals, and the predictions of a model."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.split import SplitView
from engine.data.vectors import VectorSet
from engine.models.base import NextVectorModel
from engine.protocol import (
    LEAST_CANDIDATES,
    NAME,
    Positions,
    Queries,
    protocol_id,
    protocol_spec,
    select_queries,
)
from engine.ranks import Pairs, exact_cosines, gather, near_duplicates, rank
from lvmtui import stats
from lvmtui.errors import DataError, TrainingError
from lvmtui.store.records import Evaluation, Interval, Protocol

CHECKED = 512
"""Queries that the self-checks look at, at most."""


@dataclass(frozen=True, eq=False)
class Judge:
    """`doc-v1` on one split. What does not depend on the predictions is computed once, by `build`."""

    protocol: Protocol
    split: SplitView
    within_document: bool
    device: torch.device
    """Where scores are computed."""
    asked: Queries
    duplicates: Pairs
    """Each query with the candidates that count as its target."""

    @classmethod
    def build(
        cls,
        data: VectorSet,
        splits: Mapping[str, SplitView],
        split_name: str,
        *,
        split_seed: int,
        within_document: bool,
        device: torch.device,
    ) -> "Judge":
        """Set up the judge of one split, and check that it judges rightly.

        Raises:
            DataError: no queries, too few candidates, vectors that are all alike, zero or not finite.
            TrainingError: a self-check failed.
        """
        split = splits[split_name]
        asked = select_queries(split)
        duplicates = near_duplicates(split, asked, device)
        copies = np.bincount(duplicates.query, minlength=len(asked)) - 1
        _check_distinct(split, asked, copies)
        spec = protocol_spec(
            data_fingerprint=data.fingerprint,
            split_name=split_name,
            split_seed=split_seed,
            within_document=within_document,
        )
        protocol = Protocol(
            id=protocol_id(spec),
            name=NAME,
            data_fingerprint=data.fingerprint,
            spec=spec,
            split=split_name,
            n=len(asked),
            pool=len(split),
            duplicate_share=float((copies > 0).mean()),
            documents=asked.documents,
            query_groups=stats.pack_ranks(asked.groups),
        )
        judge = cls(protocol, split, within_document, device, asked, duplicates)
        judge.self_check()
        return judge

    @property
    def queries(self) -> Positions:
        """(n,) the positions in the split's stream that are to be predicted, ascending."""
        return self.asked.positions

    def targets(self, index: Positions | None = None) -> Tensor:
        """The true vectors (n, D) of all or some queries, float32 on the CPU."""
        positions = self.queries if index is None else self.queries[index]
        return torch.from_numpy(gather(self.split, positions).astype(np.float32))

    def rank(self, predictions: Tensor, index: Positions | None = None) -> NDArray[np.uint32]:
        """Ranks (n,) of the targets, 1 is best.

        Args:
            predictions: (n, D), any device and norm.
            index: which queries they are for, ascending; None for all.

        Raises:
            TrainingError: a prediction is zero or not finite.
        """
        asked = self.asked if index is None else self.asked.subset(index)
        duplicates = self.duplicates if index is None else self.duplicates.subset(index, len(self.asked))
        return rank(predictions, self.split, asked, duplicates, self.device)

    def evaluation(
        self,
        predictions: Tensor,
        *,
        epoch: int,
        step: int,
        loss: float | None = None,
        baseline: str | None = None,
        context: int = 0,
        details: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """Judge predictions (n, D) in the order of the queries.

        Args:
            loss: the validation loss; None for 1 - mean cosine.
            details: kept with the evaluation; the interval of the MRR is added.

        Raises:
            TrainingError: a prediction is zero or not finite.
        """
        ranks = self.rank(predictions)
        everyone = np.arange(len(self.asked))
        cosine = float(exact_cosines(predictions, self.split, Pairs(everyone, self.queries)).mean())
        copyness = float(exact_cosines(predictions, self.split, Pairs(everyone, self.queries - 1)).mean())
        scores = [stats.hits(ranks, k) for k in (1, 5, 10)] + [stats.reciprocal_ranks(ranks)]
        hit1, hit5, hit10, mrr = stats.bootstrap_intervals(np.column_stack(scores), self.asked.groups)
        return Evaluation(
            protocol_id=self.protocol.id,
            split=self.protocol.split,
            epoch=epoch,
            step=step,
            time=time.time(),
            hit1=stats.hit_at(ranks, 1),
            hit5=stats.hit_at(ranks, 5),
            hit10=stats.hit_at(ranks, 10),
            mrr=stats.mrr(ranks),
            n=self.protocol.n,
            pool=self.protocol.pool,
            hit1_interval=hit1,
            hit5_interval=hit5,
            hit10_interval=hit10,
            interval_method=f"bootstrap over {len(np.unique(self.asked.groups))} documents",
            loss=1 - cosine if loss is None else loss,
            cosine=cosine,
            copyness=copyness,
            ranks=stats.pack_ranks(ranks),
            baseline=baseline,
            context=context,
            details={**(details or {}), "mrr_interval": _bounds(mrr)},
        )

    def self_check(self) -> None:
        """The true targets must rank first; other queries' targets must do no better than chance.

        Raises:
            TrainingError: they do not: no score of this judge could be trusted.
        """
        index = spread(len(self.asked), CHECKED)
        targets = self.targets(index)
        oracle = stats.hit_at(self.rank(targets, index), 1)
        if oracle < 1:
            raise TrainingError(
                f"self-check failed: the true targets as predictions give Hit@1 = {oracle:.2%}, not 100 %",
                "This is a bug in lvmtui, or broken memory: please report it with the data's fingerprint.",
            )
        shuffled = self.rank(targets[np.random.default_rng(0).permutation(len(index))], index)
        asked = self.asked.subset(index)
        candidates = len(self.split) - (asked.positions - asked.document_start)
        counted = np.bincount(self.duplicates.query, minlength=len(self.asked))[index]
        for k in (1, 5, 10):
            # A target with copies is found as often as one of them is.
            chance = float(np.minimum(k * counted / candidates, 1).mean())
            found = stats.hit_at(shuffled, k)
            if found > chance + 6 * np.sqrt(chance * (1 - chance) / len(index)) + 0.05:
                raise TrainingError(
                    f"self-check failed: shuffled targets give Hit@{k} = {found:.1%}, chance is {chance:.1%}",
                    "This is a bug in lvmtui: please report it with the data's fingerprint.",
                )


def predict_queries(
    model: NextVectorModel, judge: Judge, *, context: int, batch: int, device: torch.device
) -> Tensor:
    """A model's predictions (n, D) for the judge's queries, float32 on `device`, in their order.

    The model runs over overlapping windows of `context` vectors, half a context apart, and each query takes
    the earliest window that reaches it: it sees at least half a context of predecessors and at most a whole
    one, or all there are. A pure function of model, split and arguments; the model is in evaluation mode
    meanwhile.

    Args:
        context: vectors that a window holds.
        batch: windows in one forward pass.
        device: where the model is.
    """
    plan = _plan_windows(judge, context)
    predictions = torch.empty(len(judge.asked), judge.split.data.vectors.shape[1], device=device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for first in range(0, len(plan.start), batch):
                windows = slice(first, first + batch)
                x = torch.from_numpy(_windows(judge.split, plan.start[windows], plan.length[windows]))
                output, _ = model(x.to(device))
                a, b = np.searchsorted(plan.window, [first, first + len(x)])
                row = torch.from_numpy(plan.window[a:b] - first).to(device)
                column = torch.from_numpy(plan.offset[a:b]).to(device)
                query = torch.from_numpy(plan.query[a:b]).to(device)
                predictions[query] = output[row, column].float()
    finally:
        model.train(was_training)
    return predictions


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which window predicts which query; windows longest first, queries by window."""

    start: Positions
    """(w,) position of each window's first vector."""
    length: Positions
    """(w,) vectors in it that are needed."""
    query: Positions
    """(n,) query number."""
    window: Positions
    """(n,) the window that predicts it, ascending."""
    offset: Positions
    """(n,) the place in the window that stands right before the query."""


def _plan_windows(judge: Judge, context: int) -> _Plan:
    stride = max(1, context // 2)
    base = judge.asked.document_start if judge.within_document else np.zeros_like(judge.queries)
    predecessors = judge.queries - base
    start = base + stride * np.maximum(0, -(-(predecessors - context) // stride))
    offset = judge.queries - 1 - start
    starts, window = np.unique(start, return_inverse=True)
    length = np.zeros(len(starts), np.int64)
    np.maximum.at(length, window, offset + 1)
    # Windows of similar length share a batch: little padding.
    order = np.argsort(-length, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    by_window = np.argsort(place[window], kind="stable")
    return _Plan(starts[order], length[order], by_window, place[window][by_window], offset[by_window])


def _windows(split: SplitView, starts: Positions, lengths: Positions) -> NDArray[np.float32]:
    """Vectors (b, longest, D). Shorter windows go on with their last vector: models are causal, and what
    they say there is not used."""
    longest = int(lengths.max())
    rows = []
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        vectors = split.take(start, start + length)
        rows.append(np.concatenate([vectors, np.repeat(vectors[-1:], longest - length, axis=0)]))
    return np.stack(rows)


def _check_distinct(split: SplitView, asked: Queries, copies: Positions) -> None:
    """Raises DataError where so many candidates count as the target that Hit@10 says nothing."""
    others = len(split) - (asked.positions - asked.document_start) - 1 - copies
    lacking = float((others + 1 < LEAST_CANDIDATES).mean())
    if lacking:
        raise DataError(
            f"the vectors of the {split.name} split are too much alike to judge on: for {lacking:.1%} of the "
            f"queries fewer than {LEAST_CANDIDATES} candidates differ from the target",
            "Look for duplicates or constant vectors with `lvmtui data info`.",
        )


def spread(n: int, most: int) -> Positions:
    """At most `most` of n numbers, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _bounds(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
