"""How often 95 % intervals hold the truth, on made-up hits that come in clusters as those of documents do.

Run: `python benchmarks/coverage.py [trials]` (1000; several minutes). Each document has its own hit rate,
drawn from a beta distribution around the score; `alike` is the intra-document correlation that this gives (on
real sentence vectors Hit@5 has 0.02 to 0.06). Documents have 60 queries on average: `even`; `uneven`
(log-normal sizes, 0.6 around the mean, as in WikiText); `wild` (1.0: one in twenty has 5 times the median).
Every cell is the share of intervals that hold the truth, and their mean width, in percent. Beside them what
Wilson's interval over the queries does, which takes them for independent.

The table is off by chance: by 1.4 points (95 %) with 1000 trials where coverage is 95 %.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lvmtui import stats
from lvmtui.store.records import Interval

DOCUMENTS = (4, 6, 8, 12, 30, 100)
ALIKE = (0.02, 0.06)
SCORES = (0.03, 0.1, 0.3, 0.7)
SIZES = {"even": 0.0, "uneven": 0.6, "wild": 1.0}
"""Standard deviation of the logarithm of documents' sizes."""
MEAN_SIZE = 60
RESAMPLES = 2_000
GAIN = 0.03
"""True difference of the paired predictors."""

Hits = NDArray[np.bool_]


class Cell(NamedTuple):
    """What many intervals did, as fractions."""

    coverage: float
    width: float

    def __str__(self) -> str:
        return f"{100 * self.coverage:6.1f} {100 * self.width:5.1f}"


def simulate(interval_of: Callable[[np.random.Generator], Interval], truth: float, trials: int) -> Cell:
    """Draw data and intervals again and again; equal calls give equal cells."""
    held, width = 0, 0.0
    for trial in range(trials):
        interval = interval_of(np.random.default_rng(trial))
        held += interval.low <= truth <= interval.high
        width += interval.high - interval.low
    return Cell(held / trials, width / trials)


def documents_of(random: np.random.Generator, documents: int, sizes: str) -> NDArray[np.int64]:
    """The document number of each query."""
    spread = SIZES[sizes]
    lengths = np.exp(random.normal(np.log(MEAN_SIZE) - spread * spread / 2, spread, documents))
    return np.repeat(np.arange(documents), np.maximum(2, lengths.round().astype(np.int64)))


def rates(random: np.random.Generator, documents: int, score: float, alike: float) -> NDArray[np.float64]:
    """A hit rate for each document."""
    rest = 1 / alike - 1
    return random.beta(score * rest, (1 - score) * rest, documents)


def single(documents: int, alike: float, score: float, sizes: str, trials: int) -> Cell:
    """Intervals of one score by bootstrap over documents."""

    def interval(random: np.random.Generator) -> Interval:
        groups = documents_of(random, documents, sizes)
        hits = random.random(len(groups)) < rates(random, documents, score, alike)[groups]
        return stats.bootstrap_interval(hits, groups, resamples=RESAMPLES)

    return simulate(interval, score, trials)


def naive(documents: int, alike: float, score: float, sizes: str, trials: int) -> Cell:
    """The same hits with Wilson's interval over the queries."""

    def interval(random: np.random.Generator) -> Interval:
        groups = documents_of(random, documents, sizes)
        hits = random.random(len(groups)) < rates(random, documents, score, alike)[groups]
        return stats.wilson_interval(int(hits.sum()), len(hits))

    return simulate(interval, score, trials)


def paired(documents: int, alike: float, score: float, sizes: str, trials: int) -> Cell:
    """Intervals of the difference of two predictors. They share half of what a document's rate is, and 7 of
    10 queries are as easy for the one as for the other."""

    def interval(random: np.random.Generator) -> Interval:
        groups = documents_of(random, documents, sizes)
        both = rates(random, documents, score, alike)
        first = (both + rates(random, documents, score + 2 * GAIN, alike)) / 2
        second = (both + rates(random, documents, score, alike)) / 2
        ease = random.random(len(groups))
        other = np.where(random.random(len(groups)) < 0.7, ease, random.random(len(groups)))
        return stats.paired_bootstrap(
            ease < first[groups], other < second[groups], groups, resamples=RESAMPLES
        ).interval

    return simulate(interval, GAIN, trials)


def independent(n: int, score: float, trials: int) -> Cell:
    """Wilson's interval where it belongs: independent queries."""
    return simulate(lambda random: stats.wilson_interval(int(random.binomial(n, score)), n), score, trials)


def print_table(title: str, way: Callable[..., Cell], trials: int, *, wilson: bool) -> None:
    """One row for each number of documents, correlation and score; one column for each kind of sizes."""
    print(f"\n{title}: coverage, width")
    last = f"{'Wilson, uneven':>17}" if wilson else ""
    print(f"{'documents':>9}{'alike':>7}{'score':>7}" + "".join(f"{name:>15}" for name in SIZES) + last)
    for documents in DOCUMENTS:
        for alike in ALIKE:
            for score in SCORES:
                cells = [way(documents, alike, score, sizes, trials) for sizes in SIZES]
                if wilson:
                    cells.append(naive(documents, alike, score, "uneven", trials))
                row = "   ".join(map(str, cells))
                print(f"{documents:9}{alike:7.2f}{score:7.2f}   {row}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trials", type=int, nargs="?", default=1_000)
    trials = parser.parse_args().trials
    print("Wilson, independent queries: coverage, width")
    for n in (30, 115, 1148):
        row = "   ".join(str(independent(n, score, 10 * trials)) for score in SCORES)
        print(f"  n {n:5}   {row}   at {', '.join(map(str, SCORES))}")
    print_table("One score, bootstrap over documents", single, trials, wilson=True)
    print_table(f"Paired difference ({GAIN:+.0%})", paired, trials, wilson=False)


if __name__ == "__main__":
    main()
