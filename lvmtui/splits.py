"""How a vector set is split, and what training windows that leaves: arithmetic on numbers and document ids.

The engine splits by it; what is launched is checked against it before a process is started. numpy is loaded
by the functions that need it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lvmtui.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
MIN_DOCUMENTS = 3
"""One each for train, validation and test."""
MIN_STREAM = 200
"""Vectors that a set without documents needs: with fewer, its held-out blocks have no pool to speak of."""
LEAST_CANDIDATES = 10
"""Candidates that a query needs: among fewer, Hit@10 says nothing."""
_HELD_OUT = 0.1
"""Share of the documents in validation, and in test."""
_LONGEST_GAP = 2000
_LONGEST_STRETCH = 1000
_SHORTEST_STRETCH = 4
_TEST_SHARE = 0.1
"""Of windows split at random."""
_TRAIN_SHARE = 0.9
"""Of windows split at random that are not test."""


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
    def of(cls, vectors: int) -> Blocks:
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

    def check_context(self, path: Path, context: int) -> None:
        """Refuse a context that would reach from one split into another.

        Raises:
            DataError: it is longer than the gap.
        """
        if context > self.gap:
            raise DataError(
                f"a context of {context} is longer than the gap of {self.gap} vectors between the splits "
                f"of {path}, which has no documents",
                f"The largest possible context is {self.gap}: a tenth of the stream at most goes into the "
                "two gaps. With documents.npy there is no such limit.",
            )


def check_stream(path: Path, vectors: int) -> None:
    """Refuse a stream without documents that is too short to be cut.

    Raises:
        DataError: it is.
    """
    if vectors < MIN_STREAM:
        raise DataError(
            f"{path} has {vectors} vectors and no documents; {MIN_STREAM} vectors are needed",
            "Add vectors, or the documents they come from: documents.npy with an id for each vector.",
        )


def no_documents(path: Path) -> DataError:
    """The refusal to keep contexts inside documents that are not known."""
    return DataError(
        f"contexts cannot be kept inside documents: {path} does not say where documents begin",
        "Set data.within_document = false, or add documents.npy with a document id for each vector.",
    )


def deal_documents(path: Path, ids: Sequence[int], seed: int) -> dict[str, list[int]]:
    """Split name -> its documents. Documents are ordered by a hash of seed and id; the first tenth is
    validation, the next test, the rest train, at least one each.

    Args:
        path: of the set, for messages.
        ids: of the documents, each once.
        seed: another seed, another split.

    Raises:
        DataError: fewer than three documents.
    """
    if len(ids) < MIN_DOCUMENTS:
        raise DataError(
            f"{path} has {len(ids)} documents; train, validation and test need one each",
            "Cut the text into several documents (chapters, articles) with an id each.",
        )
    by_hash = sorted(ids, key=lambda document: _hash(seed, document))
    held_out = max(1, round(len(ids) * _HELD_OUT))
    return {
        "train": by_hash[2 * held_out :],
        "validation": by_hash[:held_out],
        "test": by_hash[held_out : 2 * held_out],
    }


def _hash(seed: int, document: int) -> tuple[bytes, int]:
    return hashlib.blake2b(f"{seed}:{document}".encode(), digest_size=8).digest(), document


def document_starts(documents: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) document of each vector -> (documents,) row at which each document begins, ascending."""
    import numpy as np

    return np.flatnonzero(np.concatenate([[True], documents[1:] != documents[:-1]]))


def window_stride(context: int, stride: int) -> int:
    """Vectors between two windows; 0 stands for half the context."""
    return stride or max(1, context // 2)


def windows_of_a_pass(choices: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
    """How many windows an epoch takes from each stretch that a window may not leave.

    Args:
        choices: (s,) positions of the stretch that a window can start at, at least 1.
        stride: vectors between two windows.
    """
    import numpy as np

    return np.maximum(1, choices // stride)


def too_short(name: str, context: int, largest: int, *, within_document: bool) -> DataError:
    """The refusal of a context for which no window is found.

    Args:
        name: of the split.
        context: vectors before the last target.
        largest: context that would fit; 0 or less where none does.
        within_document: windows may not leave their document.
    """
    what = f"each document of the {name} split" if within_document else f"the {name} split"
    has = f"at most {largest + 1}" if within_document else str(largest + 1)
    hint = f"The largest possible context is {largest}." if largest > 0 else "Add more text."
    return DataError(
        f"a context of {context} needs {context + 1} vectors in a row; {what} has {has}",
        f"{hint}{' Or set data.within_document = false.' if within_document else ''}",
    )


def random_window_counts(path: Path, vectors: int, *, context: int, stride: int) -> dict[str, int]:
    """Split name -> windows, where overlapping windows are split at random (`window-v0`).

    Args:
        path: of the set, for messages.
        vectors: in the set.
        context: vectors before a window's target.
        stride: vectors between the starts of two windows.

    Raises:
        DataError: there are too few windows to have a pool.
    """
    windows = len(range(0, vectors - context, stride))
    counts = _dealt(windows)
    if min(counts["validation"], counts["test"]) < LEAST_CANDIDATES:
        raise _too_few_windows(path, vectors, context, stride, windows)
    return counts


def _dealt(windows: int) -> dict[str, int]:
    test = int(_TEST_SHARE * windows)
    train = int(_TRAIN_SHARE * (windows - test))
    return {"train": train, "validation": windows - test - train, "test": test}


def _too_few_windows(path: Path, vectors: int, context: int, stride: int, windows: int) -> DataError:
    needed = next(
        n for n in range(1, 10**6) if min(_dealt(n)["validation"], _dealt(n)["test"]) >= LEAST_CANDIDATES
    )
    largest = (vectors - context - 1) // (needed - 1)
    hint = f"A smaller stride gives more windows: data.stride = {largest}, at most. Or take more text."
    if largest < 1:
        hint = f"The largest possible context is {vectors - needed}, with data.stride = 1."
    if vectors <= needed:
        hint = "Take more text."
    count = "1 window" if windows == 1 else f"{windows} windows"
    return DataError(
        f"window-v0 lays {count} of {context} + 1 vectors, {stride} apart, over the {vectors} vectors of "
        f"{path}; {needed} are needed, so that {LEAST_CANDIDATES} targets make a pool",
        hint,
    )
