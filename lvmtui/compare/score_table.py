"""Scores per query of everything that is compared under one protocol, and paired tests on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lvmtui.compare.contest import Contender, Entry, Measure, Pair, PairTest, Score
from lvmtui.errors import StoreCorrupt
from lvmtui.store.records import Evaluation, Interval, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_COLUMNS = 64
"""Scores that one bootstrap takes at once: memory stays bounded with many runs."""

_PAIRS_A_RESAMPLING = 28
"""Pairs that the usual number of resamples is enough for: the least p that they allow must stay small when
it is corrected."""


class ScoreTable:
    """The scores, name by name."""

    def __init__(self, protocol: Protocol | None, measures: Sequence[Measure]) -> None:
        from lvmtui import stats

        self._measures = measures
        packed = protocol.query_groups if protocol is not None else b""
        self.groups = stats.unpack_ranks(packed)
        """(n,) document of each query; empty where that is not known."""
        self.documents = len(set(self.groups.tolist()))
        self.values: dict[str, Floats] = {}
        """Name of an entry -> its scores (n, measures)."""

    def add_run(self, contender: Contender, copy_of: str = "") -> Entry:
        run = contender.run
        entry = self.add(contender.evaluation, run.name)
        return replace(
            entry,
            run_id=run.id,
            phase=run.phase,
            seed=run.seed,
            recipe_hash=run.recipe_hash,
            created=run.created,
            copy_of=copy_of,
        )

    def add(self, evaluation: Evaluation, name: str) -> Entry:
        import numpy as np

        from lvmtui import stats

        ranks = stats.unpack_ranks(evaluation.ranks)
        if not ranks.all():
            raise StoreCorrupt(f"the stored ranks of {name} are damaged: one is 0", "Judge it again.")
        values = np.stack([measure.of(ranks) for measure in self._measures], axis=1)
        self.values[name] = values
        means = values.mean(axis=0).tolist()
        scores = {
            measure.key: Score(mean, bounds)
            for measure, mean, bounds in zip(
                self._measures, means, self._intervals(values, evaluation), strict=True
            )
        }
        return Entry(name, None, replace(evaluation, ranks=b""), scores)

    def _intervals(self, values: Floats, evaluation: Evaluation) -> list[Interval | None]:
        """Those that the scores were stored with, so that a score has one interval wherever it is shown;
        computed for other K and for the MRR."""
        stored = [getattr(evaluation, f"{measure.key}_interval", None) for measure in self._measures]
        if all(stored):
            return stored
        computed = self._computed_intervals(values)
        return [known or new for known, new in zip(stored, computed, strict=True)]

    def _computed_intervals(self, values: Floats) -> list[Interval | None]:
        from lvmtui import stats

        n = len(values)
        if self.documents >= 2 and len(self.groups) == n:
            return list(stats.bootstrap_intervals(values, self.groups))
        return [
            stats.wilson_interval(int(column.sum()), n) if measure.k else None
            for measure, column in zip(self._measures, values.T, strict=True)
        ]

    def _problem(self, first: Entry, second: Entry) -> str:
        """Why two entries cannot be paired; empty where they can."""
        one, other = len(self.values[first.name]), len(self.values[second.name])
        if not len(self.groups):
            return "the documents of the queries are not recorded"
        if not one == other == len(self.groups):
            return f"the queries differ: {one}, {other} and {len(self.groups)}"
        return "" if self.documents >= 2 else "one document is not enough to tell chance apart"

    def pairs(self, chosen: Sequence[tuple[Entry, Entry]]) -> list[Pair]:
        """PairTest each pair, all measures at once."""
        problems = [self._problem(first, second) for first, second in chosen]
        sound = [pair for pair, problem in zip(chosen, problems, strict=True) if not problem]
        step = max(1, _COLUMNS // len(self._measures))
        times = math.ceil(len(sound) / _PAIRS_A_RESAMPLING)
        tested = iter(
            [
                tests
                for start in range(0, len(sound), step)
                for tests in self._tests(sound[start : start + step], times)
            ]
        )
        return [
            Pair(first, second, {} if problem else next(tested), problem)
            for (first, second), problem in zip(chosen, problems, strict=True)
        ]

    def _tests(self, chosen: Sequence[tuple[Entry, Entry]], times: int) -> list[dict[str, PairTest]]:
        import numpy as np

        from lvmtui import stats

        gains = np.concatenate([self.values[a.name] - self.values[b.name] for a, b in chosen], axis=1)
        resamples = times * stats.RESAMPLES
        found = iter(stats.paired_bootstraps(np.zeros(len(gains)), -gains, self.groups, resamples=resamples))
        return [
            {
                measure.key: self._with_mcnemar(PairTest(*next(found)), first, second, column)
                for column, measure in enumerate(self._measures)
            }
            for first, second in chosen
        ]

    def _with_mcnemar(self, test: PairTest, first: Entry, second: Entry, column: int) -> PairTest:
        from lvmtui import stats

        if not self._measures[column].k:
            return test
        counts = stats.mcnemar(
            self.values[first.name][:, column] > 0, self.values[second.name][:, column] > 0
        )
        return replace(test, only_first=counts.only_first, only_second=counts.only_second, mcnemar=counts.p)
