"""Scores query by query, as judged or on another pool. numpy is imported when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lvmtui.compare.scaling import HITS, How
from lvmtui.leaderboard.equating import Judged
from lvmtui.store.records import Evaluation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ranks = NDArray[np.uint32]


class QueryScores:
    """Scores (n, 3) of an evaluation query by query, in the order of `HITS`, on a pool of a size.

    None where its ranks are not stored or do not fit the queries.
    """

    def __init__(self, judged: Judged | None, pool: int | None, evaluations: Sequence[Evaluation]) -> None:
        """
        Args:
            evaluations: all that will be asked for: where they are cut to a smaller pool, equal ranks among
                equally many candidates are worked out once for all of them.
        """
        self.judged, self.pool = judged, pool
        self._made: dict[int, Floats | None] = {}
        self._table: tuple[NDArray[np.int64], Floats] | None = None
        if self.how is How.RANKS:
            self._table = self._chances(evaluations)

    def __call__(self, evaluation: Evaluation) -> Floats | None:
        if evaluation.id not in self._made or not evaluation.id:
            self._made[evaluation.id] = self._scores(evaluation)
        return self._made[evaluation.id]

    def _ranks(self, evaluation: Evaluation) -> Ranks | None:
        from lvmtui import stats

        ranks = stats.unpack_ranks(evaluation.ranks)
        if not len(ranks) or self.judged is None or len(ranks) != len(self.judged.candidates):
            return None
        if self.pool is not None and (ranks.min() < 1 or (ranks > self.judged.candidates).any()):
            return None
        return ranks

    def _chances(self, evaluations: Sequence[Evaluation]) -> tuple[NDArray[np.int64], Floats] | None:
        """Every pair of rank and candidates, as one ascending number (u,), and its chances (u, 3)."""
        import numpy as np

        from lvmtui import stats

        every = [ranks for item in evaluations if (ranks := self._ranks(item)) is not None]
        if not every or self.judged is None or self.pool is None:
            return None
        # Sorted by hand: np.unique goes by hashing here, which takes ten times as long for millions.
        keys = np.sort(np.concatenate([self._keys(ranks) for ranks in every]))
        keys = keys[np.r_[True, keys[1:] != keys[:-1]]]
        base = int(self.judged.candidates.max()) + 1
        ranks, own = keys // base, keys % base
        pool = self.pool
        return keys, np.column_stack([stats.equated_hits(ranks, own, pool, item.k) for item in HITS])

    def _keys(self, ranks: Ranks) -> NDArray[np.int64]:
        import numpy as np

        assert self.judged is not None
        own = self.judged.candidates
        keys: NDArray[np.int64] = ranks.astype(np.int64) * (int(own.max()) + 1) + own
        return keys

    def _scores(self, evaluation: Evaluation) -> Floats | None:
        import numpy as np

        from lvmtui import stats

        ranks = self._ranks(evaluation)
        if ranks is None or self.judged is None:
            return None
        if self.pool is None:
            return np.column_stack([stats.hits(ranks, item.k) for item in HITS]).astype(np.float64)
        if self._table is not None:
            keys, chances = self._table
            return np.asarray(chances[np.searchsorted(keys, self._keys(ranks))])
        own, pool = self.judged.candidates, self.pool
        return np.column_stack([stats.equated_hits(ranks, own, pool, item.k) for item in HITS])

    @property
    def how(self) -> How:
        """Where the scores come from."""
        from lvmtui import stats

        if self.pool is None or self.judged is None:
            return How.JUDGED
        beyond = stats.is_extrapolated(self.judged.candidates, self.pool)
        return How.FORECAST if beyond else How.RANKS
