"""Train, validation and test by whole documents, so that no target has been seen in training."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.vectors import MIN_DOCUMENTS, VectorSet, document_starts
from lvmtui.errors import DataError

SPLITS = ("train", "validation", "test")
_HELD_OUT = 0.1
"""Share of the documents in validation, and in test."""


@dataclass(frozen=True, eq=False)
class SplitView:
    """One split: its documents, whole, in file order, seen as one stream of vectors."""

    name: str
    data: VectorSet
    rows: NDArray[np.int64]
    """(n,) row of each position in `data.vectors`, ascending."""
    document_start: NDArray[np.int64]
    """(n,) position at which the position's document begins."""
    document: NDArray[np.int64]
    """(n,) document id of each position."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Positions start to stop as float32 (stop - start, D): a copy of just those vectors."""
        return self.data.vectors[self.rows[start:stop]].astype(np.float32, copy=False)


def split_documents(data: VectorSet, seed: int) -> dict[str, SplitView]:
    """Split 80/10/10 by document.

    Documents are ordered by a hash of seed and id; the first tenth is validation, the next test, the rest
    train, at least one each. So the split depends on nothing but the seed and the set's document ids.

    Args:
        data: the vector set.
        seed: another seed, another split.

    Returns:
        Split name -> view, in the order of `SPLITS`.

    Raises:
        DataError: fewer than three documents.
    """
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


def _hash(seed: int, document: int) -> tuple[bytes, int]:
    return hashlib.blake2b(f"{seed}:{document}".encode(), digest_size=8).digest(), document


def _view(name: str, data: VectorSet, documents: list[int]) -> SplitView:
    rows = np.flatnonzero(np.isin(data.documents, np.array(documents, np.int64)))
    document = data.documents[rows]
    starts = document_starts(document)
    lengths = np.diff(starts, append=len(document))
    return SplitView(name, data, rows, np.repeat(starts, lengths), document)
