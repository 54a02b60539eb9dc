"""Whether the order of the vectors inside their documents says anything."""

import numpy as np
from numpy.typing import NDArray

from engine.audit.scan import unit
from engine.audit.words import cosine, number
from engine.data.split import SplitView
from lvmtui.findings import Finding
from lvmtui.splits import document_starts
from lvmtui.store.records import Severity

ORDER_VECTORS = 8192
"""Vectors of train looked at, in whole documents: neighbours stand out within a hundredth of a cosine."""
PIECE = 512
"""Longer documents are cut to so many vectors: all their pairs are compared."""
PERMUTATIONS = 199
STANDS_OUT = 4.0
"""Standard deviations of the permutations by which neighbours must be nearer. Real text gives over 50."""
NOTICEABLE = 0.02
"""A cosine that matters. Where chance alone moves neighbours by as much, the set is too small to judge;
documents whose vectors are nearer by less than that have no topic of their own."""


def scrambled_order(train: SplitView) -> Finding:
    """Whether neighbours are nearer than other pairs of their document.

    The null: the order inside each document permuted.
    """
    pieces = _pieces(train)
    if not pieces:
        return Finding(
            "scrambled-order",
            "No document of train has three vectors: its order can't be told.",
            Severity.WARN,
            "Give the vectors of one text one document id, in reading order.",
            {"vectors": 0},
        )
    random = np.random.default_rng(0)
    total = np.zeros(PERMUTATIONS + 1)
    pairs = 0
    all_pairs = all_cosines = 0.0
    centroids = []
    for start, stop in pieces:
        x = unit(train.take(start, stop))
        products = x @ x.T
        n = len(x)
        total[0] += float(np.trace(products, offset=1))
        order = np.argsort(random.random((PERMUTATIONS, n)), axis=1)
        total[1:] += products[order[:, :-1], order[:, 1:]].sum(axis=1)
        pairs += n - 1
        all_pairs += n * (n - 1)
        all_cosines += float(products.sum()) - n
        centroids.append(x.mean(axis=0))
    values = total / pairs
    neighbours, null = float(values[0]), values[1:]
    gain, deviation = neighbours - float(null.mean()), float(null.std()) or 1e-9
    vectors = sum(stop - start for start, stop in pieces)
    inside = all_cosines / all_pairs
    apart = _mean_apart(np.stack(centroids))
    evidence = {
        "lag1": neighbours,
        "permuted": float(null.mean()),
        "permuted_high": float(np.quantile(null, 0.975)),
        "z": gain / deviation,
        "document_cosine": inside,
        "random_cosine": apart,
        "documents": len(pieces),
        "vectors": vectors,
    }
    figures = (
        f"neighbours have a mean cosine of {cosine(neighbours)}, the same documents in random order "
        f"{cosine(float(null.mean()))}"
    )
    if gain > STANDS_OUT * deviation:
        return Finding("scrambled-order", f"Order carries signal: {figures}.", evidence=evidence)
    if STANDS_OUT * deviation > NOTICEABLE:
        return Finding(
            "scrambled-order",
            f"Too few vectors to tell whether their order means anything: {figures} "
            f"({number(vectors)} vectors).",
            Severity.WARN,
            "Add documents, or longer ones.",
            evidence,
        )
    # Documents scrambled as a whole have lost their own topic too.
    mixed = apart is not None and inside - apart < NOTICEABLE
    what = "The rows don't belong to their documents" if mixed else "The order inside documents is scrambled"
    rest = f", vectors of different documents {cosine(apart)}" if mixed and apart is not None else ""
    return Finding(
        "scrambled-order",
        f"{what}: {figures}{rest}.",
        Severity.ERROR,
        "Nothing but the topic can be learnt from vectors out of order. Check what sorted, shuffled or "
        "sampled them, and build the set again in reading order"
        + (", with each vector's own document id." if mixed else "."),
        evidence,
    )


def _pieces(train: SplitView) -> list[tuple[int, int]]:
    """Documents of at least three vectors, drawn at random: first position and end."""
    starts = document_starts(train.document)
    lengths = np.diff(starts, append=len(train))
    pieces, vectors = [], 0
    for document in np.random.default_rng(1).permutation(len(starts)).tolist():
        n = min(int(lengths[document]), PIECE)
        if n < 3:
            continue
        pieces.append((int(starts[document]), int(starts[document]) + n))
        vectors += n
        if vectors >= ORDER_VECTORS:
            break
    return pieces


def _mean_apart(centroids: NDArray[np.float32]) -> float | None:
    """Mean cosine of vectors of different documents, from the documents' means; None with one document."""
    n = len(centroids)
    if n < 2:
        return None
    total = centroids.sum(axis=0, dtype=np.float64)
    return float((total @ total - (centroids.astype(np.float64) ** 2).sum()) / (n * (n - 1)))
