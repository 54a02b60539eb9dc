"""Judging predictions under a protocol: ranks, and scores with intervals."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.split import SplitView
from engine.data.vectors import VectorSet
from engine.protocol import (
    NEAR_DUPLICATE,
    Positions,
    Queries,
    protocol_id,
    protocol_spec,
    select_queries,
)
from engine.ranks import Pairs, exact_cosines, gather, near_duplicates, rank, unit_rows
from engine.selfcheck import SelfCheck
from lvmtui import stats
from lvmtui.errors import DataError
from lvmtui.splits import LEAST_CANDIDATES, Blocks, no_documents
from lvmtui.store.records import Evaluation, Interval, Protocol

CHECKED = 64
"""Queries that the self-checks look at, at most."""
_CHECK_SCORES = 8_000_000
"""Scores that preparing them may hold: in a huge pool fewer queries are looked at."""


@dataclass(frozen=True, eq=False)
class Judge:
    """One protocol on one split. What does not depend on the predictions is computed once, at the start."""

    protocol: Protocol
    split: SplitView
    """The stream that contexts are taken from."""
    within_document: bool
    device: torch.device
    """Where scores are computed."""
    asked: Queries
    """By their places in `split`."""
    pool: SplitView
    """The candidates: under `doc-v1` the split itself."""
    placed: Queries
    """The same queries by the places of their targets in `pool`."""
    duplicates: Pairs
    """Each query with the candidates that count as its target."""
    check: SelfCheck
    window: int | None
    """Vectors of every context, where the protocol fixes them; None: as many as there are, up to the model's
    context."""
    independent: str
    """Why queries count as independent trials, for Wilson's interval; empty: documents are resampled."""
    other: Callable[[str], "Judge"]
    """The judge of another split like this one."""

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
        """Set up the judge of one split under `doc-v1`, and check that it judges rightly.

        Args:
            data: the vector set.
            splits: what `split_documents` made of it.
            split_name: which of them to judge on.
            split_seed: what they were split with.
            within_document: keep contexts inside the query's document.
            device: where scores are computed.

        Raises:
            DataError: no queries, too few candidates, vectors that are all alike, zero or not finite; or
                contexts are to be kept inside documents that there are none of.
            TrainingError: a self-check failed.
        """
        if within_document and not data.has_documents:
            raise no_documents(data.path)
        split = splits[split_name]
        asked = select_queries(split)
        spec = protocol_spec(
            data_fingerprint=data.fingerprint,
            split_name=split_name,
            split_seed=split_seed,
            within_document=within_document,
            blocks=None if data.has_documents else Blocks.of(len(data)),
        )
        independent = ""
        if not data.has_documents:
            independent = "the data have no documents"
        elif asked.groups[0] == asked.groups[-1]:
            independent = "all in one document"

        def other(name: str) -> "Judge":
            return cls.build(
                data, splits, name, split_seed=split_seed, within_document=within_document, device=device
            )

        return cls.assemble(
            spec,
            split,
            asked,
            split,
            asked,
            near=NEAR_DUPLICATE,
            within_document=within_document,
            independent=independent,
            device=device,
            other=other,
        )

    @classmethod
    def assemble(
        cls,
        spec: Mapping[str, Any],
        split: SplitView,
        asked: Queries,
        pool: SplitView,
        placed: Queries,
        *,
        near: float | None,
        within_document: bool,
        independent: str,
        device: torch.device,
        other: Callable[[str], "Judge"],
        window: int | None = None,
    ) -> "Judge":
        """A judge from its parts; see the fields.

        Args:
            spec: everything that decides what a score means; hashed into the protocol's id.
            near: cosine above which a candidate counts as the target; None: only the target itself does.

        Raises:
            DataError: vectors that are all alike, zero or not finite.
            TrainingError: a self-check failed.
        """
        data = split.data
        duplicates = near_duplicates(pool, placed, device)
        copies = np.bincount(duplicates.query, minlength=len(placed)) - 1
        _check_distinct(pool, placed, copies)
        if near is None:
            duplicates = Pairs(np.arange(len(placed)), placed.positions)
        protocol = Protocol(
            id=protocol_id(spec),
            name=spec["name"],
            data_fingerprint=data.fingerprint,
            spec=spec,
            split=spec["split"]["name"],
            n=len(asked),
            pool=len(pool),
            duplicate_share=float((copies > 0).mean()),
            documents=asked.documents if data.has_documents else 0,
            query_groups=stats.pack_ranks(asked.groups),
        )
        index = spread(len(asked), min(CHECKED, max(1, _CHECK_SCORES // len(pool))))
        check = SelfCheck.prepare(index, split, asked, pool, placed, duplicates, near)
        judge = cls(
            protocol,
            split,
            within_document,
            device,
            asked,
            pool,
            placed,
            duplicates,
            check,
            window,
            independent,
            other,
        )
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

    def check_context(self, context: int) -> None:
        """Refuse contexts of another length than the protocol's own.

        Raises:
            DataError: it has one, and this is another.
        """
        if self.window is not None and context != self.window:
            raise DataError(
                f"protocol {self.protocol.name} {self.protocol.id} judges on windows of {self.window} "
                f"vectors, not {context}",
                "Under this protocol another context is another task: its scores have an id of their own.",
            )

    def rank(self, predictions: Tensor, index: Positions | None = None) -> NDArray[np.uint32]:
        """Ranks (n,) of the targets, 1 is best.

        Args:
            predictions: (n, D), any device and norm.
            index: which queries they are for, ascending; None for all.

        Raises:
            TrainingError: a prediction is zero or not finite.
        """
        placed = self.placed if index is None else self.placed.subset(index)
        duplicates = self.duplicates if index is None else self.duplicates.subset(index, len(self.placed))
        return rank(predictions, self.pool, placed, duplicates, self.device)

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
        """Judge predictions (n, D) in the order of the queries, after the self-checks.

        Args:
            loss: the validation loss; None for 1 - mean cosine.
            details: kept with the evaluation; the interval of the MRR is added.

        Raises:
            TrainingError: a prediction is zero or not finite, or a self-check failed.
        """
        ranks = self._checked_ranks(predictions)
        everyone = np.arange(len(self.asked))
        cosine = float(exact_cosines(predictions, self.split, Pairs(everyone, self.queries)).mean())
        copyness = float(exact_cosines(predictions, self.split, Pairs(everyone, self.queries - 1)).mean())
        bounds = self._intervals(ranks)
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
            hit1_interval=bounds.hits[0],
            hit5_interval=bounds.hits[1],
            hit10_interval=bounds.hits[2],
            interval_method=bounds.method,
            loss=1 - cosine if loss is None else loss,
            cosine=cosine,
            copyness=copyness,
            ranks=stats.pack_ranks(ranks),
            baseline=baseline,
            context=context,
            details={**(details or {}), **bounds.details},
        )

    def self_check(self) -> None:
        """The true targets must rank first, shuffled ones do as chance does, and the last vectors get the
        ranks that they always got.

        Raises:
            TrainingError: they do not: no score of this judge could be trusted.
        """
        check = self.check
        check.verify(rank(check.predictions, self.pool, check.asked, check.duplicates, self.device))

    def _checked_ranks(self, predictions: Tensor) -> NDArray[np.uint32]:
        """`rank` of all queries, the self-checks in the same pass over the pool: alone they would cost as
        much again where the pool is large and the queries are few."""
        if unit_rows(predictions)[1] is not None:
            return self.rank(predictions)
        both = self._with_check
        rows = predictions.detach().to("cpu", torch.float32)
        ranks = rank(
            torch.cat([rows, self.check.predictions])[both.order],
            self.pool,
            both.placed,
            both.duplicates,
            self.device,
        )
        own = np.empty_like(ranks)
        own[both.order] = ranks
        self.check.verify(own[len(rows) :])
        return own[: len(rows)]

    @cached_property
    def _with_check(self) -> "_Merged":
        return _Merged.of(self.placed, self.duplicates, self.check)

    def _intervals(self, ranks: NDArray[np.uint32]) -> "_Bounds":
        """95 % intervals of the scores that ranks (n,) come to."""
        groups = self.asked.groups
        documents = len(np.unique(groups))
        scores = [stats.hits(ranks, k) for k in (1, 5, 10)] + [stats.reciprocal_ranks(ranks)]
        if not self.independent:
            *hits, mrr = stats.bootstrap_intervals(np.column_stack(scores), groups)
            return _Bounds(hits, f"bootstrap over {documents} documents", {"mrr_interval": _pair(mrr)})
        hits = [stats.wilson_interval(int(score.sum()), len(ranks)) for score in scores[:3]]
        details: dict[str, Any] = {}
        if documents > 1:
            mrr = stats.bootstrap_interval(scores[3], groups)
            unit = "documents" if self.split.data.has_documents else "stretches"
            details = {
                "mrr_interval": _pair(mrr),
                "mrr_interval_method": f"bootstrap over {documents} {unit}",
            }
        return _Bounds(hits, f"Wilson over {len(ranks)} queries: {self.independent}", details)


@dataclass(frozen=True, eq=False)
class _Merged:
    """The queries and those of the self-checks, by their places in the pool."""

    order: Positions
    """Which of queries and checks, one after the other, stands at each place."""
    placed: Queries
    duplicates: Pairs

    @classmethod
    def of(cls, placed: Queries, duplicates: Pairs, check: SelfCheck) -> "_Merged":
        parts = (placed, check.asked)
        positions, starts, groups = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("positions", "document_start", "groups")
        )
        order = np.argsort(positions, kind="stable")
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        query = number[np.concatenate([duplicates.query, check.duplicates.query + len(placed)])]
        position = np.concatenate([duplicates.position, check.duplicates.position])
        by_position = np.lexsort((query, position))
        return cls(
            order,
            Queries(positions[order], starts[order], groups[order], placed.documents),
            Pairs(query[by_position], position[by_position]),
        )


@dataclass(frozen=True)
class _Bounds:
    """The intervals of one evaluation."""

    hits: Sequence[Interval]
    """Of Hit@1, Hit@5 and Hit@10."""
    method: str
    details: Mapping[str, Any]
    """The interval of the MRR, where there is one."""


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


def _pair(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
