"""Train, validation and test by whole documents, so that no target has been seen in training; where there are
no documents, by contiguous blocks with a gap between."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.vectors import VectorSet
from lvmtui.splits import SPLITS, Blocks, check_stream, deal_documents, document_starts


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


def split_documents(data: VectorSet, seed: int) -> dict[str, SplitView]:
    """Split 80/10/10 by document; without documents, into contiguous blocks, the same for every seed.

    The split depends on nothing but the seed and the set's document ids (see `deal_documents`).

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
    parts = deal_documents(data.path, ids.tolist(), seed)
    return {name: _view(name, data, parts[name]) for name in SPLITS}


def stretches(rows: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What stands in for documents in contiguous rows (n,): (position each stretch begins at, the row there),
    both (n,)."""
    start = np.arange(len(rows)) // length * length
    return start, rows[start]


def _split_stream(data: VectorSet) -> dict[str, SplitView]:
    check_stream(data.path, len(data))
    blocks = Blocks.of(len(data))
    views = {}
    for name, block in blocks.rows().items():
        rows = np.arange(block.start, block.stop)
        views[name] = SplitView(name, data, rows, *stretches(rows, blocks.stretch))
    return views


def _view(name: str, data: VectorSet, documents: list[int]) -> SplitView:
    rows = np.flatnonzero(np.isin(data.documents, np.array(documents, np.int64)))
    document = data.documents[rows]
    starts = document_starts(document)
    lengths = np.diff(starts, append=len(document))
    return SplitView(name, data, rows, np.repeat(starts, lengths), document)
