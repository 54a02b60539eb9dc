"""How far back vectors say something about the next one: the lag curve, its null, and a linear prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audit.scan import Floats, Rows, unit
from engine.audit.words import cosine, number, share
from engine.data.progress import Progress
from engine.data.split import SplitView
from lvmtui.findings import Finding
from lvmtui.splits import document_starts
from lvmtui.store.records import Severity

LAGS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300, 400, 500, 700, 1000, 1500, 2000)
LAG_VECTORS = 16_384
"""Vectors of train looked at: the curve is then good to a thousandth of a cosine."""
STRETCH = 4096
"""Larger splits are looked at in stretches of so many vectors, evenly spaced."""
LEAST_PAIRS = 100
"""A lag with fewer pairs is left out."""
SHIFTS = 64
"""Random pairings behind the null; its bounds are mean ± 1.96 standard deviations of them."""
CONTEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
FITTED = 8192
"""Vectors of train that the linear prediction is fitted on; as many of validation judge it."""
ENOUGH = 0.99
"""Share of the best explained variance from which a context is long enough."""
RIDGE = 1e-3
BEYOND_HORIZON = 4
"""A context this many times the horizon is mostly vectors that say no more than random ones."""
BEYOND_ENOUGH = 16
"""A context this many times as long as a linear prediction can use is to be doubted; models that are not
linear may use more, hence the wide margin."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Sample:
    """Vectors of train, in stream order."""

    x: Floats
    """(n, D) at unit length."""
    document: Rows
    """(n,) document of each."""
    block: Rows
    """(n,) pairs are taken inside a block: a stretch, or a document of it."""


def lag_curve(train: SplitView, *, within_document: bool, progress: Progress) -> Finding:
    """Mean cosine of vectors so many places apart, against random pairs of different documents.

    Pairs are those that contexts have: along the split's stream, or inside documents. The null pairs each
    vector with one of a stream whose documents were put in random order and shifted at random, so that it
    keeps what neighbouring vectors have in common. The horizon is the last lag before the curve first falls
    into the null.

    Args:
        within_document: contexts do not leave their document.
    """
    sample = _sample(train, within_document)
    n = len(sample.x)
    null, random = _null(sample, progress)
    lags: list[int] = []
    curve: list[tuple[float, float, float]] = []
    for lag in LAGS:
        if lag >= n:
            break
        together = sample.block[:-lag] == sample.block[lag:]
        if int(together.sum()) < LEAST_PAIRS:
            break
        products = np.einsum("ij,ij->i", sample.x[:-lag], sample.x[lag:])
        low, high = _bounds(null[:, :-lag], together)
        lags.append(lag)
        curve.append((float(products[together].mean()), low, high))
    if not lags:
        return Finding(
            "lag-curve",
            f"Train has too few neighbours for a lag curve ({number(n)} vectors).",
            Severity.WARN,
            "Add documents, or longer ones.",
            {
                "lags": [],
                "cosine": [],
                "null_low": [],
                "null_high": [],
                "random": random,
                "horizon": None,
                "vectors": n,
            },
        )
    horizon = _horizon(lags, curve)
    evidence = {
        "lags": lags,
        "cosine": [round(point[0], 5) for point in curve],
        "null_low": [round(point[1], 5) for point in curve],
        "null_high": [round(point[2], 5) for point in curve],
        "random": random,
        "horizon": horizon,
        "vectors": n,
        "within_document": within_document,
    }
    return Finding(
        "lag-curve",
        _in_words(evidence, int(np.diff(document_starts(train.document), append=len(train)).max())),
        evidence=evidence,
    )


def _in_words(evidence: Mapping[str, Any], longest: int) -> str:
    """The lag curve in a sentence."""
    lags, values, horizon = evidence["lags"], evidence["cosine"], evidence["horizon"]
    where = "inside documents" if evidence["within_document"] else "along the stream of documents"
    chance = f"random pairs ({cosine(evidence['random'])})"
    start = f"Mean cosine {cosine(values[0])} at lag 1"
    if horizon is None:
        return f"{start}, no more than {chance}: vectors say nothing of the next."
    alike = ": documents that follow each other are alike" if horizon > longest else ""
    if horizon == lags[-1]:
        return (
            f"{start}, {cosine(values[-1])} at lag {number(horizon)}, still above {chance}, {where}{alike}."
        )
    return f"{start}; beyond lag {number(horizon)} nothing is left above {chance}, {where}{alike}."


def _sample(train: SplitView, within_document: bool) -> _Sample:
    n = len(train)
    if n <= LAG_VECTORS:
        positions, stretch = np.arange(n), np.zeros(n, np.int64)
    else:
        firsts = np.linspace(0, n - STRETCH, LAG_VECTORS // STRETCH).astype(np.int64)
        positions = (firsts[:, None] + np.arange(STRETCH)).ravel()
        stretch = np.repeat(np.arange(len(firsts)), STRETCH)
    document = train.document[positions]
    block = stretch
    if within_document:
        changes = (document[1:] != document[:-1]) | (stretch[1:] != stretch[:-1])
        block = np.concatenate([[0], np.cumsum(changes)])
    return _Sample(unit(train.data.vectors[train.rows[positions]]), document, block)


def _null(sample: _Sample, progress: Progress) -> tuple[Floats, float]:
    """(shifts, n) cosine of each vector with a random partner of another document (NaN: there is none), and
    the mean of all."""
    n = len(sample.x)
    random = np.random.default_rng(0)
    starts = document_starts(sample.document)
    lengths = np.diff(starts, append=n)
    if lengths.max() > n / 2:
        # One document has nearly all: its own far ends must do.
        order, shifts, mixed = (
            np.arange(n),
            random.integers(n // 4, max(n // 4 + 1, 3 * n // 4), SHIFTS),
            False,
        )
    else:
        pieces = random.permutation(len(starts))
        order = np.concatenate([np.arange(starts[i], starts[i] + lengths[i]) for i in pieces])
        shifts, mixed = random.integers(0, n, SHIFTS), True
    partners, their_document = sample.x[order], sample.document[order]
    found = np.empty((SHIFTS, n), np.float32)
    for number_, shift in enumerate(shifts.tolist()):
        cut = n - shift
        found[number_, :cut] = np.einsum("ij,ij->i", sample.x[:cut], partners[shift:])
        found[number_, cut:] = np.einsum("ij,ij->i", sample.x[cut:], partners[:shift])
        if mixed:
            found[number_, np.roll(their_document, -shift) == sample.document] = np.nan
        progress("auditing lags", number_ + 1, SHIFTS)
    return found, float(np.nanmean(found)) if np.isfinite(found).any() else 0.0


def _bounds(null: Floats, together: Mask) -> tuple[float, float]:
    """95 % of what the mean over some positions would be by chance."""
    values = null[:, together]
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    enough = counts >= min(LEAST_PAIRS, values.shape[1]) / 2
    if enough.sum() < 2:
        return -1.0, 1.0
    means = np.where(known, values, 0).sum(axis=1, dtype=np.float64)[enough] / counts[enough]
    half = 1.96 * float(means.std(ddof=1))
    return float(means.mean()) - half, float(means.mean()) + half


def _horizon(lags: list[int], curve: list[tuple[float, float, float]]) -> int | None:
    """The last lag of those above the null from lag 1 on."""
    horizon = None
    for lag, (value, _, high) in zip(lags, curve, strict=True):
        if value <= high:
            break
        horizon = lag
    return horizon


def context_value(train: SplitView, validation: SplitView, *, within_document: bool) -> Finding:
    """How much of the next vector a linear prediction explains from contexts of growing length.

    The context is summed up as its means over lags 1, 2, 3-4, 5-8, 9-16, …; one weight for each, fitted on
    train by ridge regression, judged on validation. So a longer context is worth something only where it adds
    to the shorter one: a topic that the last few vectors tell as well does not count.
    """
    centre = unit(train.take(0, min(FITTED, len(train)))).mean(axis=0)
    fitted = _moments(train, centre, within_document)
    judged = _moments(validation, centre, within_document)
    longest = min(len(train), len(validation))
    contexts = [context for context in CONTEXTS if context < longest] or [1]
    explained = []
    for count in range(1, len(contexts) + 1):
        products, with_target, _ = (part[:count] if part.ndim else part for part in fitted)
        products = products[:, :count]
        ridge = RIDGE * np.diag(products).mean() * np.eye(count) + 1e-12 * np.eye(count)
        weights = np.linalg.solve(products + ridge, with_target)
        gained = 2 * weights @ judged[1][:count] - weights @ judged[0][:count, :count] @ weights
        explained.append(float(gained / max(float(judged[2]), 1e-12)))
    best = max(explained)
    evidence = {"contexts": contexts, "explained": [round(value, 5) for value in explained]}
    if best <= 0.001:
        return Finding(
            "context-value",
            "A linear prediction explains nothing of the next vector beyond the mean of train.",
            evidence=evidence | {"enough": None},
        )
    enough = next(c for c, value in zip(contexts, explained, strict=True) if value >= ENOUGH * best)
    between = f", {share(explained[contexts.index(enough)])} from the last {number(enough)}"
    return Finding(
        "context-value",
        f"A linear prediction explains {share(explained[0])} of the next vector's variance from the last "
        f"vector{between if enough > 1 else ''}, {share(explained[-1])} from {number(contexts[-1])}.",
        evidence=evidence | {"enough": enough},
    )


def _moments(view: SplitView, centre: Floats, within_document: bool) -> tuple[NDArray[np.float64], ...]:
    """Products (bins, bins) of the means of all contexts, (bins,) with the target, and () of the target."""
    n = min(FITTED, len(view))
    x = unit(view.take(0, n)) - centre
    sums = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0, dtype=np.float64)])
    targets = np.flatnonzero(np.arange(n) > view.document_start[:n])
    floor = view.document_start[targets] if within_document else np.zeros_like(targets)
    edges = (0, *CONTEXTS)
    bins = len(CONTEXTS)
    total = np.zeros((bins + 1, bins + 1))
    for first in range(0, len(targets), 512):
        at, low = targets[first : first + 512], floor[first : first + 512]
        parts = []
        for near, far in pairwise(edges):
            stop, start = np.maximum(at - near, low), np.maximum(at - far, low)
            parts.append((sums[stop] - sums[start]) / np.maximum(stop - start, 1)[:, None])
        flat = np.stack([*parts, x[at]]).astype(np.float32).reshape(bins + 1, -1)
        total += flat @ flat.T
    return total[:bins, :bins], total[:bins, bins], total[bins, bins]


def _vectors(count: int) -> str:
    """After `the last`: `vector`, `32 vectors`."""
    return "vector" if count == 1 else f"{number(count)} vectors"


def context_horizon(context: int, lags: Finding, value: Finding) -> Finding:
    """Whether a context is longer than anything in it can help.

    Args:
        lags: what `lag_curve` found.
        value: what `context_value` found.
    """
    horizon, enough = lags.evidence.get("horizon"), value.evidence.get("enough")
    last = max(lags.evidence.get("lags") or [0])
    evidence = {"context": context, "horizon": horizon, "enough": enough}
    said = f" A linear prediction uses the last {_vectors(enough)}." if enough is not None else ""
    if horizon is None:
        return Finding(
            "context-horizon",
            f"No lag stands out from random pairs: a context of {number(context)} can't help.",
            Severity.WARN,
            "See to the order of the vectors first.",
            evidence,
        )
    advice = f"Compare with a context of {number(enough or horizon)}, which is faster."
    if horizon < last and context > BEYOND_HORIZON * horizon:
        return Finding(
            "context-horizon",
            f"Beyond lag {number(horizon)} nothing is left: most of a context of {number(context)} can't "
            f"help.{said}",
            Severity.WARN,
            advice,
            evidence,
        )
    if enough is not None and context > BEYOND_ENOUGH * enough:
        return Finding(
            "context-horizon",
            f"A linear prediction gains nothing past the last {_vectors(enough)}: a context of "
            f"{number(context)} will hardly help.",
            Severity.WARN,
            advice,
            evidence,
        )
    return Finding(
        "context-horizon", f"A context of {number(context)} is within reach.{said}", evidence=evidence
    )
