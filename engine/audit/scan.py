"""One pass over all vectors, in blocks: hashes, lengths, and what each document is like on average."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.hashes import vector_hashes
from engine.data.npy import ArrayFile
from engine.data.progress import Progress
from engine.data.split import SplitView
from engine.data.vectors import VECTORS, VectorSet

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

SPREAD_ROWS = 4096
"""Vectors that directions are taken from: enough for a covariance of 768 numbers, and quick."""
FEATURES = 64
"""Directions of most variance that documents are compared in: a shift that matters shows in one of them."""


@dataclass(frozen=True, eq=False)
class Spread:
    """How the vectors, at unit length, fill their space; from a sample."""

    vectors: int
    """In the sample."""
    mean_cosine: float
    """Over all pairs of the sample."""
    effective_rank: float
    """exp(entropy of the covariance's spectrum) (Roy and Vetterli, EUSIPCO 2007); 1 where all are equal."""
    variance: float
    """Mean squared distance from the mean."""
    basis: Floats
    """(D, k) directions of most variance."""


@dataclass(frozen=True, eq=False)
class Scan:
    """What the pass found."""

    hashes: NDArray[np.uint64]
    """(N,) equal where vectors are equal bit by bit."""
    norms: Floats
    """(N,) lengths of the vectors."""
    spread: Spread
    starts: Rows
    """(documents,) first row of each document."""
    lengths: Rows
    """(documents,) vectors in it."""
    means: NDArray[np.float64]
    """(documents, k) mean of its vectors, at unit length, in the directions of most variance."""
    squares: NDArray[np.float64]
    """(documents, k) mean of their squares."""

    def documents_of(self, rows: Rows) -> Rows:
        """The documents, by number, that some ascending rows belong to."""
        return np.unique(np.searchsorted(self.starts, rows, side="right") - 1)


def unit(vectors: NDArray[np.generic]) -> Floats:
    """Vectors (n, D) of any length -> float32 of length 1."""
    rows = vectors.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def spaced(n: int, most: int) -> Rows:
    """At most `most` of n numbers, evenly spaced."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def scan(data: VectorSet, splits: Mapping[str, SplitView], progress: Progress) -> Scan:
    """Read every vector once, in constant memory but for a few numbers a vector and a document.

    Documents are those of the splits: where the data have none, the stretches that stand in for them.

    Raises:
        DataError: the file cannot be read.
    """
    spread = _spread(data)
    n = len(data)
    starts = _starts(n, splits)
    lengths = np.diff(starts, append=n)
    hashes, norms = np.empty(n, np.uint64), np.empty(n, np.float32)
    sums = np.zeros((2, len(starts), spread.basis.shape[1]))
    for first, block in ArrayFile.open(data.path / VECTORS).blocks():
        last = first + len(block)
        hashes[first:last] = vector_hashes(block)
        rows = block.astype(np.float32, copy=False)
        norms[first:last] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        features = (rows @ spread.basis) / norms[first:last, None]
        inside = np.arange(
            np.searchsorted(starts, first, side="right") - 1, np.searchsorted(starts, last, side="left")
        )
        cuts = np.maximum(starts[inside] - first, 0)
        for total, values in zip(sums, (features, features * features), strict=True):
            total[inside] += np.add.reduceat(values, cuts, axis=0, dtype=np.float64)
        progress("auditing vectors", last, n)
    means, squares = sums / lengths[:, None]
    return Scan(hashes, norms, spread, starts, lengths, means, squares)


def _starts(n: int, splits: Mapping[str, SplitView]) -> Rows:
    """Rows at which a document of a split begins, or at which one ends: what lies between splits is apart."""
    cuts = [np.zeros(1, np.int64)]
    for view in splits.values():
        firsts = np.unique(view.document_start)
        lasts = np.append(firsts[1:], len(view)) - 1
        cuts += [view.rows[firsts], view.rows[lasts] + 1]
    starts = np.unique(np.concatenate(cuts))
    return starts[starts < n]


def _spread(data: VectorSet) -> Spread:
    x = unit(data.vectors[spaced(len(data), SPREAD_ROWS)])
    n, dim = x.shape
    mean = x.mean(axis=0, dtype=np.float64)
    length = float(mean @ mean)
    centred = x - mean.astype(np.float32)
    values, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64) / n)
    values = np.maximum(values, 0)
    total = float(values.sum())
    shares = values[values > 1e-12 * total] / total if total > 1e-9 else np.ones(1)
    return Spread(
        vectors=n,
        mean_cosine=(n * length - 1) / (n - 1),
        effective_rank=float(np.exp(-(shares * np.log(shares)).sum())),
        variance=total,
        basis=directions[:, ::-1][:, : min(FEATURES, dim)].astype(np.float32),
    )
