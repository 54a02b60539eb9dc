"""What a comparison of runs consists of, as frozen records. numpy is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lvmtui.checks.comparing import LEAST_SEEDS
from lvmtui.format import METRIC_NAMES
from lvmtui.store.records import Evaluation, Interval, Protocol, Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ranks = NDArray[np.uint32]

LEVEL = 0.05
"""A difference with a p below this is more than chance."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A score per query."""

    k: int
    """Of Hit@K; 0 for the reciprocal rank, whose mean is the MRR."""

    @property
    def key(self) -> str:
        """`hit5`, `mrr`."""
        return f"hit{self.k}" if self.k else "mrr"

    @property
    def name(self) -> str:
        """`Hit@5`, `MRR`."""
        return METRIC_NAMES.get(self.key, f"Hit@{self.k}")

    def of(self, ranks: Ranks) -> Floats:
        """The score (n,) of each query."""
        from lvmtui import stats

        return stats.hits(ranks, self.k).astype(float) if self.k else stats.reciprocal_ranks(ranks)


MRR = Measure(0)
HIT5 = Measure(5)
MEASURES = (Measure(1), HIT5, Measure(10), MRR)
"""What is always compared."""


def measures_with(measure: Measure) -> tuple[Measure, ...]:
    """`MEASURES` and this one, by K, the MRR last."""
    return (*sorted({*MEASURES, measure} - {MRR}, key=lambda item: item.k), MRR)


@dataclass(frozen=True, slots=True)
class Contender:
    """A run at its best evaluation, ranks included."""

    run: Run
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Score:
    """The mean of a measure over the queries."""

    value: float
    interval: Interval | None
    """None where there is nothing to resample."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that is compared, or a baseline."""

    name: str
    run_id: int | None
    """None for a baseline."""
    evaluation: Evaluation
    """Without ranks."""
    scores: Mapping[str, Score]
    """By the measure's key."""
    phase: str = ""
    seed: int | None = None
    recipe_hash: str = ""
    created: float = 0.0
    """When the run was; seconds since the epoch."""
    copy_of: str = ""
    """Label of the run among those compared that this one is a copy of."""

    @property
    def context(self) -> int:
        """Vectors that it may look at."""
        return self.evaluation.context

    @property
    def label(self) -> str:
        """As short as can be told apart: `#17`, or `#17@gpu1`; of a baseline its name."""
        return self.name if self.run_id is None else f"#{self.name.rpartition('#')[2]}"


@dataclass(frozen=True, slots=True)
class PairTest:
    """One measure of two entries over the same queries."""

    difference: float
    """First minus second, a fraction."""
    interval: Interval
    p: float
    """Two-sided, by paired bootstrap over documents."""
    detectable: float
    """The smallest true difference that these queries would show at the 5 % level with a power of 80 %."""
    adjusted: float | None = None
    """`p` after Holm's correction over all pairs of runs; None against a baseline."""
    only_first: int | None = None
    """Queries that only the first hits; None for the MRR."""
    only_second: int | None = None
    mcnemar: float | None = None
    """McNemar's exact p; takes queries as independent."""

    @property
    def decisive(self) -> float:
        """The p that decides: the corrected one where there is one."""
        return self.p if self.adjusted is None else self.adjusted

    @property
    def is_clear(self) -> bool:
        """Whether the difference is more than chance."""
        return self.decisive < LEVEL

    def flipped(self) -> PairTest:
        """The same, second minus first."""
        return replace(
            self,
            difference=-self.difference,
            interval=Interval(-self.interval.high, -self.interval.low),
            only_first=self.only_second,
            only_second=self.only_first,
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two entries of one protocol."""

    first: Entry
    second: Entry
    tests: Mapping[str, PairTest]
    """By the measure's key; empty where they cannot be paired."""
    problem: str = ""
    """Why they cannot be paired."""

    def unsureness(self, measure: Measure) -> tuple[float, float]:
        """What pairs are sorted by: the surest, then the largest difference first; the untested last."""
        test = self.tests.get(measure.key)
        return (test.p, -abs(test.difference)) if test else (2.0, 0.0)

    def better_first(self, measure: Measure) -> Pair:
        """The same with the better one first."""
        test = self.tests.get(measure.key)
        if test is None or test.difference >= 0:
            return self
        tests = {key: item.flipped() for key, item in self.tests.items()}
        return replace(self, first=self.second, second=self.first, tests=tests)


@dataclass(frozen=True, slots=True)
class SeedScore:
    """One measure over the seeds of a recipe."""

    mean: float
    sd: float | None
    """Sample standard deviation; None for a single seed."""
    interval: Interval | None
    """Mean ends of the seeds' own intervals: what the queries leave open."""


@dataclass(frozen=True, slots=True)
class SeedGroup:
    """The runs of one recipe under one protocol that count: of several with one seed the newest."""

    name: str
    recipe_hash: str
    runs: tuple[Entry, ...]
    """Oldest first, each with another seed."""
    left_out: tuple[Entry, ...]
    """Runs that do not count: a newer one has the same seed, or they are copies of others here."""
    scores: Mapping[str, SeedScore]
    """By the measure's key."""

    @property
    def repeated(self) -> tuple[int, ...]:
        """Those with a seed that a newer run has."""
        return tuple(run.run_id or 0 for run in self.left_out if not run.copy_of)


@dataclass(frozen=True, slots=True)
class SeedTest:
    """One measure of two recipes."""

    difference: float
    """Mean of the first minus mean of the second."""
    overlap: bool
    """The recipes' intervals overlap, or one is not known."""
    interval: Interval | None = None
    """Of the difference, over documents and seeds; None on too few seeds or documents."""
    p: float | None = None


@dataclass(frozen=True, slots=True)
class RecipeTest:
    """Two recipes over their seeds."""

    first: SeedGroup
    second: SeedGroup
    tests: Mapping[str, SeedTest]
    """By the measure's key."""

    @property
    def seeds(self) -> tuple[int, int]:
        """Seeds of the first and of the second."""
        return len(self.first.runs), len(self.second.runs)

    @property
    def enough(self) -> bool:
        """Whether there are seeds enough for a verdict though intervals overlap."""
        return min(self.seeds) >= LEAST_SEEDS


@dataclass(frozen=True, slots=True)
class ProtocolGroup:
    """The runs judged under one protocol, compared."""

    protocol_id: str
    protocol: Protocol | None
    difference: str
    """What makes it incomparable with the first group, in a sentence; empty for the first."""
    runs: tuple[Entry, ...]
    """Best first."""
    baselines: tuple[Entry, ...]
    """The strongest, then copy-last where that is another."""
    pairs: tuple[Pair, ...]
    """Of runs; the surest difference first."""
    against: tuple[Pair, ...]
    """Each run with each of `baselines`."""
    seeds: tuple[SeedGroup, ...]
    """Runs of one recipe, best mean first."""
    recipes: tuple[RecipeTest, ...]
    """Each two of `seeds`."""

    def detectable(self, measure: Measure) -> tuple[float, float] | None:
        """The least and the greatest difference that the pairs of runs would show; of the pairs with
        baselines where there is no other. Pairs without any spread tell nothing of it. None where no pair is
        left."""
        pairs = [pair for pair in self.pairs if pair.tests] or [pair for pair in self.against if pair.tests]
        found = [size for pair in pairs if (size := pair.tests[measure.key].detectable) > 0]
        return (min(found), max(found)) if found else None


@dataclass(frozen=True, slots=True)
class Equated:
    """A Hit@K put on another number of candidates."""

    name: str
    run_id: int | None
    evaluation: Evaluation
    """Without ranks."""
    value: float | None
    """None where `problem` says why."""
    interval: Interval | None = None
    extrapolated: bool = False
    """The pool is larger than some query's own: a forecast."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a comparison found."""

    measure: Measure
    """What is looked at first."""
    measures: tuple[Measure, ...]
    groups: tuple[ProtocolGroup, ...]
    """One a protocol, the one with most runs first."""
    pool: int | None = None
    """What scores were equated to, if that was asked for."""
    equated: tuple[Equated, ...] = ()
    """Best first."""
