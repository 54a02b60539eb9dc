"""Train, validation and test by whole documents, so that no target has been seen in training; where there are
no documents, by contiguous blocks with a gap between."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.vectors import MIN_DOCUMENTS, VectorSet, document_starts
from lvmtui.errors import DataError

SPLITS = ("train", "validation", "test")
_HELD_OUT = 0.1
"""Share of the documents in validation, and in test."""
MIN_STREAM = 200
"""Vectors that a set without documents needs: with fewer, its held-out blocks have no pool to speak of."""
_LONGEST_GAP = 2000
_LONGEST_STRETCH = 1000
_SHORTEST_STRETCH = 4


@dataclass(frozen=True, eq=False)
class SplitView:
    """One split: its documents, whole, in file order, seen as one stream of vectors.

    Where there are no documents, stretches of a fixed length stand in for them (see `Blocks`).
    """

    name: str
    data: VectorSet
    rows: NDArray[np.int64]
    """(n,) row of each position in `data.vectors`, ascending."""
    document_start: NDArray[np.int64]
    """(n,) position at which the position's document begins."""
    document: NDArray[np.int64]
    """(n,) document id of each position; of a stretch, the row it begins at."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Positions start to stop as float32 (stop - start, D): a copy of just those vectors."""
        return self.data.vectors[self.rows[start:stop]].astype(np.float32, copy=False)


@dataclass(frozen=True)
class Blocks:
    """How a stream of vectors without documents is cut; it depends on nothing but their number.

    Train, gap, validation, gap, test. A stretch is what stands in for a document: at most a tenth of a
    held-out block, so that enough candidates are left and comparisons have something to resample.
    """

    train: int
    held_out: int
    """Vectors in validation, and in test."""
    gap: int
    """Vectors between two splits that belong to none: the longest context that can be judged."""
    stretch: int

    @classmethod
    def of(cls, vectors: int) -> "Blocks":
        """The blocks of a stream of so many vectors."""
        gap = min(_LONGEST_GAP, vectors // 20)
        held_out = round((vectors - 2 * gap) * _HELD_OUT)
        stretch = min(_LONGEST_STRETCH, max(_SHORTEST_STRETCH, held_out // 10))
        return cls(vectors - 2 * gap - 2 * held_out, held_out, gap, stretch)

    def rows(self) -> dict[str, range]:
        """Split name -> its rows."""
        validation = self.train + self.gap
        test = validation + self.held_out + self.gap
        return {
            "train": range(self.train),
            "validation": range(validation, validation + self.held_out),
            "test": range(test, test + self.held_out),
        }


def split_documents(data: VectorSet, seed: int) -> dict[str, SplitView]:
    """Split 80/10/10 by document; without documents, into contiguous blocks, the same for every seed.

    Documents are ordered by a hash of seed and id; the first tenth is validation, the next test, the rest
    train, at least one each. So the split depends on nothing but the seed and the set's document ids.

    Args:
        data: the vector set.
        seed: another seed, another split.

    Returns:
        Split name -> view, in the order of `SPLITS`.

    Raises:
        DataError: fewer than three documents, or too few vectors without documents.
    """
    if not data.has_documents:
        return _split_stream(data)
    ids = data.documents[document_starts(data.documents)]
    if len(ids) < MIN_DOCUMENTS:
        raise DataError(
            f"{data.path} has {len(ids)} documents; train, validation and test need one each",
            "Cut the text into several documents (chapters, articles) with an id each.",
        )
    by_hash = sorted(ids.tolist(), key=lambda document: _hash(seed, document))
    held_out = max(1, round(len(ids) * _HELD_OUT))
    parts = {
        "train": by_hash[2 * held_out :],
        "validation": by_hash[:held_out],
        "test": by_hash[held_out : 2 * held_out],
    }
    return {name: _view(name, data, parts[name]) for name in SPLITS}


def stretches(rows: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What stands in for documents in contiguous rows (n,): (position each stretch begins at, the row there),
    both (n,)."""
    start = np.arange(len(rows)) // length * length
    return start, rows[start]


def _split_stream(data: VectorSet) -> dict[str, SplitView]:
    if len(data) < MIN_STREAM:
        raise DataError(
            f"{data.path} has {len(data)} vectors and no documents; {MIN_STREAM} vectors are needed",
            "Add vectors, or the documents they come from: documents.npy with an id for each vector.",
        )
    blocks = Blocks.of(len(data))
    views = {}
    for name, block in blocks.rows().items():
        rows = np.arange(block.start, block.stop)
        views[name] = SplitView(name, data, rows, *stretches(rows, blocks.stretch))
    return views


def _hash(seed: int, document: int) -> tuple[bytes, int]:
    return hashlib.blake2b(f"{seed}:{document}".encode(), digest_size=8).digest(), document


def _view(name: str, data: VectorSet, documents: list[int]) -> SplitView:
    rows = np.flatnonzero(np.isin(data.documents, np.array(documents, np.int64)))
    document = data.documents[rows]
    starts = document_starts(document)
    lengths = np.diff(starts, append=len(document))
    return SplitView(name, data, rows, np.repeat(starts, lengths), document)
