"""Published training histories: what their scores say, and what they are worth on another pool. Pure.

Such a file holds Hit@1/5/10 at some epochs, and neither ranks nor the number of queries. That number it gives
away: all its scores are multiples of 1/n. Under the protocol they were made with (`window-v0`) the candidates
were the validation targets themselves, so n is the pool as well.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lvmtui import stats
from lvmtui.errors import DataError

KS = (1, 5, 10)
"""The ranks up to which published scores tell how many targets there are."""

LARGEST_N = 20_000
_SINGLE_PRECISION = 2e-7
"""Published scores went through single precision."""
_CHANCE = 0.01
"""A number of queries that fits by accident this seldom is taken for sure."""
_LARGEST_FILE = 64 << 20

Floats = NDArray[np.float64]


class Queries(NamedTuple):
    """The number of queries behind some scores."""

    n: int
    sure: bool
    """Otherwise a number this small could fit by accident."""


@dataclass(frozen=True, slots=True)
class History:
    """A published training history at its best epoch."""

    name: str
    """Name of the file."""
    epoch: int
    epochs: int
    """Epochs that are in the file."""
    hits: Mapping[int, float]
    """K -> Hit@K, fractions, for each of `KS`."""
    queries: Queries | None
    """None where no number of queries fits."""
    notes: tuple[str, ...] = ()
    """What in the file does not fit together, in words."""
    context: int | None = None
    """Context length that its output path names, else its data path; None where neither names one."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The file that describes the sequences of such a training."""

    name: str
    validation: int | None
    """Validation sequences."""
    notes: tuple[str, ...] = ()


class Estimate(NamedTuple):
    """A score on another pool, from Hit@1/5/10 alone; fractions."""

    value: float
    low: float
    """Where all targets have the worst ranks that the scores allow."""
    high: float


def read_published(path: Path) -> History | Metadata:
    """Read a training history or its metadata.

    Raises:
        DataError: the file cannot be read, or is neither.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DataError(f"{path} is too large for a training history", "Give the JSON file of one run.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}", "Give a training history in JSON.") from error
    if isinstance(content, dict) and isinstance(content.get("history"), list):
        return _history(path, content)
    if isinstance(content, dict) and {"context_length", "val_sequences"} <= content.keys():
        return _metadata(path, content)
    raise DataError(
        f"{path} is no published training history: it has no list `history`",
        "It should hold `history`: [{`epoch`, `hit@1`, `hit@5`, `hit@10`, …}, …].",
    )


def _history(path: Path, content: Mapping[str, Any]) -> History:
    epochs = [entry for entry in content["history"] if isinstance(entry, dict)]
    judged = [(_whole(entry.get("epoch")), _scores(entry)) for entry in epochs]
    scored = [(epoch, hits) for epoch, hits in judged if epoch is not None and hits is not None]
    if not scored:
        raise DataError(
            f"{path} has no epoch with hit@1, hit@5 and hit@10",
            "They should be fractions from 0 to 1, none larger than the next.",
        )
    # The first of equally good ones, as early stopping keeps it.
    epoch, hits = max(scored, key=lambda item: (item[1][5], -item[0]))
    queries = infer_queries([value for _, found in scored for value in found.values()])
    notes = tuple(_contradictions(content, len(epochs), hits[5]))
    return History(path.name, epoch, len(epochs), hits, queries, notes, _context(content))


def _context(content: Mapping[str, Any]) -> int | None:
    arguments = content.get("args")
    if not isinstance(arguments, dict):
        return None
    for key in ("output_dir", "data"):
        found = _contexts_in(str(arguments.get(key, "")))
        if len(found) == 1:
            return found.pop() or None
    return None


def _scores(entry: Mapping[str, Any]) -> dict[int, float] | None:
    """Hit@1/5/10 of an epoch; None where they are missing or impossible."""
    values = [entry.get(f"hit@{k}") for k in KS]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return None
    found = [float(value) for value in values if value is not None]
    if not all(0 <= a <= b <= 1 for a, b in pairwise(found)):
        return None
    return dict(zip(KS, found, strict=True))


def _contradictions(content: Mapping[str, Any], epochs: int, best: float) -> Iterator[str]:
    """What a history says of itself that cannot all be true."""
    claimed = content.get("best_hit5")
    if isinstance(claimed, (int, float)) and abs(claimed - best) > _SINGLE_PRECISION:
        yield f"best_hit5 is {claimed:.4f}, the best Hit@5 in the history {best:.4f}"
    stopped = _whole(content.get("stopped_epoch"))
    if stopped is not None and stopped > epochs:
        yield f"stopped_epoch is {stopped}, but the history ends after {epochs} epochs"
    arguments = content.get("args")
    if not isinstance(arguments, dict):
        return
    found = {key: _contexts_in(str(arguments.get(key, ""))) for key in ("data", "output_dir")}
    if found["data"] and found["output_dir"] and not found["data"] & found["output_dir"]:
        data, output = (", ".join(map(str, sorted(found[key]))) for key in ("data", "output_dir"))
        yield f"the data path says a context of {data}, the output path {output}"


def _metadata(path: Path, content: Mapping[str, Any]) -> Metadata:
    context, named = _whole(content["context_length"]), _contexts_in(path.name)
    notes = []
    if named and context is not None and context not in named:
        said = ", ".join(map(str, sorted(named)))
        notes.append(f"the file's name says a context of {said}, its content {context}")
    return Metadata(path.name, _whole(content["val_sequences"]), tuple(notes))


def _contexts_in(text: str) -> set[int]:
    """Context lengths in a path: `ctx100`, `1000ctx`."""
    return {int(a or b) for a, b in re.findall(r"ctx(\d{1,9})|(\d{1,9})ctx", text)}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def infer_queries(fractions: Sequence[float]) -> Queries | None:
    """The least n of which all fractions are multiples of 1/n; None where there is none up to `LARGEST_N`.

    A multiple of n would fit as well, if all its counts shared a factor. Fractions may be rounded: to single
    precision, or to as many digits as the longest is written with.
    """
    distinct = np.array(sorted(set(fractions) - {0.0, 1.0}))
    if not len(distinct):
        return None
    error = max(_SINGLE_PRECISION, 0.5 * 10.0 ** -max(map(_digits, distinct.tolist())))
    accident = 0.0
    for n in range(1, LARGEST_N + 1):
        accident += min(1.0, 2 * error * n) ** len(distinct)
        counts = distinct * n
        if (np.abs(counts - np.round(counts)) <= error * n).all():
            return Queries(n, accident < _CHANCE)
    return None


def _digits(value: float) -> int:
    """Digits behind the point that a number is written with."""
    return -int(Decimal(repr(value)).as_tuple().exponent)


def estimate_hit(hits: Mapping[int, float], candidates: int, pool: int, k: int) -> Estimate:
    """Hit@k on a smaller pool, from the share of targets within the first 1, 5, 10 and all candidates.

    The bounds put all targets between two of these at the far end or the near end. The estimate takes the
    cumulative share as straight between them over the logarithm of the rank. Tried on baselines of sentence
    vectors (`benchmarks/pools.py`), that was within 2 points for half the pool. For a tenth or less, good
    predictors came out 8 to 14 points too low, and poor ones far too high.

    Args:
        hits: K -> Hit@K for each of `KS`, fractions.
        candidates: size of the pool that they were made with.
        pool: size of the pool to put them on.
        k: how many count as found.

    Raises:
        ValueError: a pool larger than `candidates`, or fewer candidates than the largest of `KS`.
    """
    if not 1 <= pool <= candidates or candidates < KS[-1]:
        raise ValueError(f"Hit@1/5/10 of a pool of {candidates} cannot be put on one of {pool}")
    ranks = np.arange(1, candidates + 1)
    chance = stats.equated_hits(ranks, candidates, pool, k)
    known = [(k, hits[k]) for k in KS]
    if candidates > KS[-1]:
        known.append((candidates, 1.0))
    steps = np.array([known[0][1], *(b[1] - a[1] for a, b in pairwise(known))])
    last = np.array([rank for rank, _ in known])
    first = np.array([1, *(last[:-1] + 1)])
    share = np.interp(np.log(ranks), np.log(last), [value for _, value in known])
    value = float(np.diff(share, prepend=0.0) @ chance)
    low, high = float(steps @ chance[last - 1]), float(steps @ chance[first - 1])
    # Rounding aside, the estimate lies between.
    return Estimate(min(max(value, low), high), low, high)


def whole_counts(hits: Mapping[int, float], n: int, digits: int) -> bool:
    """Whether scores that were rounded to so many digits behind the point can be of n queries."""
    slack = 0.5 * 10.0**-digits * n + 1e-9
    return all(math.fabs(value * n - round(value * n)) <= slack for value in hits.values())
