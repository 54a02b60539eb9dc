"""Predictions whose ranks are known, judged anew before each evaluation: a judge that errs says so.

Three kinds, for the same few queries: the true targets (must rank first), shuffled targets (must do as chance
does), and the last vector (must get what it always got). The ranks they must get are found once, by a plain
float64 scan of the pool that shares no code with `engine.ranks.rank`.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.split import SplitView
from engine.protocol import Positions, Queries
from engine.ranks import TIE, Pairs, gather
from lvmtui.errors import TrainingError

ORACLE, SHUFFLED = range(2)
_NAMES = ("the true targets", "shuffled targets", "the last vectors")
_BLOCK = 1024
_UNLIKELY = 1e-6
"""Shares that chance makes as seldom as this are not chance."""
_SLACK = 0.05
"""Topics make shuffled targets a little better or worse than chance."""
_REPORT = "The vectors have changed since the run began, or this is a bug in lvmtui: please report it."

Floats = NDArray[np.float64]
Ranks = NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class SelfCheck:
    """Known predictions for m queries: each query stands there three times in a row, once for each kind."""

    predictions: Tensor
    """(3m, D) float32."""
    asked: Queries
    """3m, by their places in the pool."""
    duplicates: Pairs
    """Each of them with the candidates that count as its target."""
    known: Ranks
    """(3m,) what they must get."""

    @classmethod
    def prepare(
        cls,
        index: Positions,
        split: SplitView,
        asked: Queries,
        pool: SplitView,
        placed: Queries,
        duplicates: Pairs,
        near: float | None,
    ) -> "SelfCheck":
        """Find out by brute force what the known predictions must get.

        Args:
            index: (m,) the queries to check with, ascending.
            split: the stream that is predicted.
            asked: the queries in it.
            pool: the candidates.
            placed: where the queries' targets stand among them.
            duplicates: the candidates that count as each query's target.
            near: cosine above which a candidate counts as the target; None: no other one does.

        Raises:
            TrainingError: true or shuffled targets get what they cannot get.
        """
        m = len(index)
        targets = gather(split, asked.positions[index])
        last = gather(split, asked.positions[index] - 1)
        order = _derangement(m)
        true, copied = np.split(_cosines(np.concatenate([targets, last]), pool), 2)
        reference = _Reference.of(true, placed.subset(index), near)
        known = [reference.ranks(scores) for scores in (true, true[order], copied)]
        reference.check_oracle(known[ORACLE])
        made = np.stack([targets, targets[order], last], axis=1).reshape(3 * m, -1)
        pairs = duplicates.subset(index, len(asked))
        check = cls(
            torch.from_numpy(made.astype(np.float32)),
            placed.subset(np.repeat(index, 3)),
            Pairs((3 * pairs.query[:, None] + np.arange(3)).ravel(), np.repeat(pairs.position, 3)),
            np.stack(known, axis=1).ravel(),
        )
        if m > 1:
            check._check_shuffled(len(pool))
        return check

    def verify(self, found: Ranks) -> None:
        """See that the known predictions got (3m,) the ranks that they must get.

        Raises:
            TrainingError: one of them did not.
        """
        for kind, name in enumerate(_NAMES):
            now, then = found[kind::3], self.known[kind::3]
            wrong = int(np.count_nonzero(now != then))
            if wrong:
                raise TrainingError(
                    f"self-check failed: {name} as predictions get other ranks than they must for {wrong} of "
                    f"{len(then)} queries: Hit@1 = {_hit(now, 1):.2%}, not {_hit(then, 1):.2%}; "
                    f"mean rank {now.mean():.1f}, not {then.mean():.1f}",
                    _REPORT,
                )

    def _check_shuffled(self, pool: int) -> None:
        """Shuffled targets must do as chance does, both ways, at the ranks that matter and at the median.

        Queries of one document are alike: they count as Kish's effective number of independent ones. How
        unlikely a share is among them has Chernoff's bound.
        """
        asked = self.asked.subset(np.arange(SHUFFLED, len(self.asked), 3))
        counted = np.bincount(self.duplicates.query, minlength=len(self.asked))[SHUFFLED::3]
        ranks = self.known[SHUFFLED::3]
        candidates = pool - (asked.positions - asked.document_start)
        per_document = np.bincount(asked.groups)
        independent = per_document.sum() ** 2 / (per_document**2).sum()
        # The copies of a target are found together at one extreme, each by itself at the other.
        places = candidates - counted + 1
        for name, k in (("1", 1), ("5", 5), ("10", 10), ("half the pool", np.ceil(places / 2))):
            low = float(np.minimum(k / places, 1).mean())
            high = float(np.minimum(k * counted / candidates, 1).mean())
            found = float((ranks <= k).mean())
            nearest = min(max(found, low - _SLACK), high + _SLACK)
            if independent * _divergence(found, nearest) > -math.log(_UNLIKELY):
                raise TrainingError(
                    f"self-check failed: shuffled targets as predictions give Hit@{name} = {found:.1%}, "
                    f"chance is {low:.1%}",
                    "This is a bug in lvmtui: please report it with the data's fingerprint.",
                )


@dataclass(frozen=True, eq=False)
class _Reference:
    """Ranks by brute force in float64, for m targets."""

    scores: Floats
    """(m, pool) cosine of each target with each candidate."""
    same: NDArray[np.bool_]
    """(m, pool) the candidates that count as the target."""
    out: NDArray[np.bool_]
    """(m, pool) the candidates that stand before the target in its own document."""

    @classmethod
    def of(cls, scores: Floats, placed: Queries, near: float | None) -> "_Reference":
        """For targets at m places, of known cosines (m, pool)."""
        place = np.arange(scores.shape[1])
        itself = place == placed.positions[:, None]
        out = (place >= placed.document_start[:, None]) & (place < placed.positions[:, None])
        same = itself if near is None else itself | ((scores > near) & ~out)
        return cls(scores, same, out)

    def ranks(self, scores: Floats) -> Ranks:
        """Ranks (m,) of the targets by the scores (m, pool) that predictions give the candidates."""
        best = np.where(self.same, scores, -np.inf).max(axis=1, keepdims=True)
        above = (scores >= best - TIE) & ~self.same & ~self.out
        ranks: Ranks = (1 + above.sum(axis=1)).astype(np.uint32)
        return ranks

    def check_oracle(self, known: Ranks) -> None:
        """The true targets rank first; where only they count as such, behind their exact copies."""
        behind = ((self.scores >= 1 - TIE) & ~self.same & ~self.out).sum(axis=1)
        if (known != 1 + behind).any():
            raise TrainingError(
                f"self-check failed: the true targets as predictions give Hit@1 = {_hit(known, 1):.2%}, not "
                f"{float((behind == 0).mean()):.2%}",
                "This is a bug in lvmtui: please report it with the data's fingerprint.",
            )


def _cosines(vectors: Floats, pool: SplitView) -> Floats:
    """(m, pool) cosines in float64 of vectors (m, D) with all candidates."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.empty((len(vectors), len(pool)))
    for start in range(0, len(pool), _BLOCK):
        place = np.arange(start, min(start + _BLOCK, len(pool)))
        candidates = gather(pool, place)
        cosines[:, place] = unit @ candidates.T / np.linalg.norm(candidates, axis=1)
    return cosines


def _derangement(m: int) -> Positions:
    """A shuffle of m things that leaves none in its place (but for m = 1)."""
    order = np.random.default_rng(0).permutation(m)
    shuffled = np.empty_like(order)
    shuffled[order] = np.roll(order, 1)
    return shuffled


def _divergence(found: float, chance: float) -> float:
    """Kullback and Leibler's divergence of two coins."""
    chance = min(max(chance, 1e-12), 1 - 1e-12)
    heads = found * math.log(found / chance) if found > 0 else 0.0
    tails = (1 - found) * math.log((1 - found) / (1 - chance)) if found < 1 else 0.0
    return heads + tails


def _hit(ranks: Ranks, k: int) -> float:
    return float((ranks <= k).mean())
