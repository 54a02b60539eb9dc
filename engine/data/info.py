"""What a vector set is like, in bounded memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.hashes import vector_hashes
from engine.data.npy import ArrayFile
from engine.data.progress import Progress
from engine.data.split import split_documents
from engine.data.vectors import TEXTS, VECTORS, VectorSet
from lvmtui.splits import Blocks, document_starts

PAIRS = 20_000
"""Pairs that a mean cosine is taken over, at most."""
_BLOCK = 2048


@dataclass(frozen=True)
class Info:
    """Figures of a vector set; sizes in bytes, lengths in vectors, shares from 0 to 1."""

    path: str
    fingerprint: str
    vectors: int
    dim: int
    dtype: str
    size: int
    documents: int
    """0 where the set has none and is one stream."""
    document_length: dict[str, float]
    """Shortest, median, longest."""
    norms: dict[str, float]
    neighbour_cosine: float | None
    """Mean over pairs of neighbours in one document; None when no document has two vectors."""
    random_cosine: float
    pairs: int
    """Pairs of each kind that were looked at: all neighbours, or a sample."""
    duplicate_share: float
    """Vectors that repeat an earlier one bit by bit."""
    split_seed: int
    splits: dict[str, dict[str, int]]
    longest_context: int
    """That training can use, across documents."""
    longest_context_within_document: int
    texts: bool
    encoder: str | None
    """None where the set does not say."""
    dropped: dict[str, Any]


def describe(data: VectorSet, split_seed: int, progress: Progress) -> Info:
    """Look at a whole set once, and at samples of its pairs.

    Raises:
        DataError: the files cannot be read, or there are too few documents to split.
    """
    lengths = np.diff(document_starts(data.documents), append=len(data))
    splits = split_documents(data, split_seed)
    train_lengths = np.diff(document_starts(splits["train"].document), append=len(splits["train"]))
    norms = data.norms or (float("nan"),) * 3
    neighbours, random_pairs = _pairs(data)
    return Info(
        path=str(data.path),
        fingerprint=data.fingerprint,
        vectors=len(data),
        dim=data.dim,
        dtype=str(data.vectors.dtype),
        size=data.vectors.nbytes,
        documents=len(lengths) if data.has_documents else 0,
        document_length={
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "max": int(lengths.max()),
        },
        norms=dict(zip(("min", "mean", "max"), norms, strict=True)),
        neighbour_cosine=_mean_cosine(data, *neighbours),
        random_cosine=_mean_cosine(data, *random_pairs) or 0.0,
        pairs=min(PAIRS, len(neighbours[0])),
        duplicate_share=_duplicate_share(data, progress),
        split_seed=split_seed,
        splits={
            name: {
                "documents": len(document_starts(view.document)) if data.has_documents else 0,
                "vectors": len(view),
            }
            for name, view in splits.items()
        },
        longest_context=len(splits["train"]) - 1 if data.has_documents else Blocks.of(len(data)).gap,
        longest_context_within_document=int(train_lengths.max()) - 1 if data.has_documents else 0,
        texts=(data.path / TEXTS).is_file(),
        encoder=_encoder(data.meta),
        dropped=dropped if isinstance(dropped := data.meta.get("dropped"), dict) else {},
    )


def _encoder(meta: dict[str, object]) -> str | None:
    options = meta.get("encoder")
    name = options.get("name") if isinstance(options, dict) else options
    return str(name) if name else None


_Rows = NDArray[np.int64]


def _pairs(data: VectorSet) -> tuple[tuple[_Rows, _Rows], tuple[_Rows, _Rows]]:
    """Rows of neighbours in one document, and rows of as many pairs of different documents; without
    documents, of any pairs."""
    random = np.random.default_rng(0)
    first = np.flatnonzero(data.documents[1:] == data.documents[:-1])
    if len(first) > PAIRS:
        first = np.sort(random.choice(first, PAIRS, replace=False))
    left, right = random.integers(0, len(data), (2, 2 * PAIRS))
    different = data.documents[left] != data.documents[right] if data.has_documents else left != right
    apart = np.flatnonzero(different)[:PAIRS]
    return (first, first + 1), (left[apart], right[apart])


def _mean_cosine(data: VectorSet, left: _Rows, right: _Rows) -> float | None:
    """Mean cosine of pairs of rows; None without pairs."""
    if not len(left):
        return None
    total = 0.0
    for start in range(0, len(left), _BLOCK):
        a, b = (data.vectors[rows[start : start + _BLOCK]].astype(np.float32) for rows in (left, right))
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        total += float((np.einsum("ij,ij->i", a, b) / lengths).sum(dtype=np.float64))
    return total / len(left)


def _duplicate_share(data: VectorSet, progress: Progress) -> float:
    """Share of the rows whose bytes stand in an earlier row already."""
    hashes = np.empty(len(data), np.uint64)
    for start, block in ArrayFile.open(data.path / VECTORS).blocks():
        hashes[start : start + len(block)] = vector_hashes(block)
        progress("looking for duplicates", start + len(block), len(data))
    return 1 - len(np.unique(hashes)) / len(data)
