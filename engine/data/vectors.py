"""Vector sets on disk: `vectors.npy` and, where there are any, `documents.npy` and `texts.jsonl.gz`.

Files may come from anywhere: nothing is unpickled, and sizes are checked before anything is mapped.
"""

import gzip
import json
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.data.check import Check, Norms, checked
from engine.data.chunking import clean
from engine.data.npy import ArrayFile
from engine.data.progress import Progress, silent
from lvmtui.errors import DataError
from lvmtui.splits import MIN_DOCUMENTS, document_starts

VECTORS = "vectors.npy"
DOCUMENTS = "documents.npy"
TEXTS = "texts.jsonl.gz"
META = "meta.json"
LANES = "lanes.npy"

TEXTS_LIMIT = 2 << 30
"""Bytes of unpacked texts at most: a few kilobytes can unpack to anything."""
_META_LIMIT = 64 << 20


@dataclass(frozen=True, eq=False)
class VectorSet:
    """An opened vector set."""

    path: Path
    vectors: NDArray[np.generic]
    """(N, D) float16 or float32, memory-mapped, read-only; any norm above zero."""
    documents: NDArray[np.int64]
    """(N,) document of each vector; the vectors of a document stand together. All 0 without documents."""
    fingerprint: str
    """16 hexadecimal digits over vectors and documents."""
    norms: Norms | None = None
    """Smallest, mean and largest length of the vectors."""
    has_documents: bool = True
    """Whether it is known where documents begin; without, the set is one stream."""

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.vectors.shape[1])

    def texts(self, row: int) -> str | None:
        """The text behind a vector, without control characters; None where the set keeps no texts.

        Raises:
            DataError: the texts are damaged or are not one for each vector.
            IndexError: no such row.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} vectors")
        if not (self.path / TEXTS).exists():
            return None
        content, starts = self._lines
        line = content[starts[row] : starts[row + 1]]
        try:
            return clean(str(json.loads(line)["text"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"line {row + 1} of {self.path / TEXTS} has no text", _REBUILD) from error

    @cached_property
    def _lines(self) -> tuple[bytes, NDArray[np.int64]]:
        """All texts unpacked, and where each line starts (with the end of the last)."""
        place = self.path / TEXTS
        try:
            with gzip.open(place) as file:
                content = file.read(TEXTS_LIMIT + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"cannot read {place}: {error}", _REBUILD) from error
        if len(content) > TEXTS_LIMIT:
            raise DataError(f"{place} unpacks to more than {TEXTS_LIMIT >> 30} GiB", "Remove it.")
        ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n")) + 1
        starts = np.concatenate([[0], ends]).astype(np.int64)
        if starts[-1] < len(content):
            starts = np.append(starts, len(content))
        if len(starts) - 1 != len(self):
            raise DataError(f"{place} has {len(starts) - 1} lines for {len(self)} vectors", _REBUILD)
        return content, starts

    @cached_property
    def meta(self) -> dict[str, object]:
        """How the set was made, as `data build` wrote it; empty where that is not known."""
        try:
            with (self.path / META).open("rb") as file:
                content = json.loads(file.read(_META_LIMIT))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}


_REBUILD = "Make the set again with `lvmtui data build`."


def open_vectors(path: Path, progress: Progress = silent) -> VectorSet:
    """Open a folder as a vector set.

    The first opening reads all of it once, in constant memory; the result is kept, so that later openings
    of unchanged files read the documents only.

    Args:
        path: folder with `vectors.npy` and, where the vectors come from documents, `documents.npy`.
        progress: told how far the first reading has come.

    Raises:
        DataError: missing, damaged, of the wrong shape or type, with NaN, infinite or zero vectors, or with
            documents that are too few or not in one piece each.
    """
    folder = path.expanduser().absolute()
    if not folder.is_dir():
        kind = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DataError(
            f"vector set {path} {kind}",
            f"Give a folder with {VECTORS} and {DOCUMENTS}, or make one: "
            "lvmtui data build TEXTFILES --out DIR",
        )
    vectors = ArrayFile.open(folder / VECTORS)
    _check_vector_header(vectors)
    documents = ids = None
    if os.path.lexists(folder / DOCUMENTS):
        documents = ArrayFile.open(folder / DOCUMENTS)
        ids = _read_documents(documents, vectors)
    check: Check = checked(folder, vectors, documents, ids, progress)
    stream = np.zeros(vectors.shape[0], np.int64)
    data = VectorSet(
        folder, vectors.map(), stream if ids is None else ids, check.fingerprint, check.norms, ids is not None
    )
    if ids is None and "titles" in data.meta:
        raise DataError(
            f"{folder / DOCUMENTS} is missing, though {META} tells of documents",
            f"{_REBUILD} Or, to take the vectors as one stream, remove {META}.",
        )
    return data


def _check_vector_header(vectors: ArrayFile) -> None:
    if vectors.dtype not in (np.dtype("<f2"), np.dtype("<f4")):
        hint = f"Convert it: numpy.save({vectors.path.name!r}, vectors.astype('float32'))"
        raise DataError(f"{vectors.path} holds {vectors.dtype} where float16 or float32 is needed", hint)
    if len(vectors.shape) != 2 or vectors.shape[1] < 2:
        raise DataError(
            f"{vectors.path} has the shape {vectors.shape} where (vectors, numbers in a vector) is needed",
            "One row a vector, at least 2 numbers each.",
        )
    if vectors.shape[0] == 0:
        raise DataError(f"{vectors.path} holds no vectors", _REBUILD)
    if vectors.fortran_order:
        raise DataError(
            f"{vectors.path} is stored column by column",
            f"Store it row by row: numpy.save({vectors.path.name!r}, numpy.ascontiguousarray(vectors))",
        )


def _read_documents(documents: ArrayFile, vectors: ArrayFile) -> NDArray[np.int64]:
    if documents.dtype.kind not in "iu":
        raise DataError(f"{documents.path} holds {documents.dtype} where integers are needed", _REBUILD)
    if len(documents.shape) != 1 or documents.shape[0] != vectors.shape[0]:
        raise DataError(
            f"{documents.path} has the shape {documents.shape} for {vectors.shape[0]} vectors",
            "It must hold one document id for each vector.",
        )
    stored = documents.map()
    ids = stored.astype(np.int64)
    if documents.dtype.kind == "u" and (ids < 0).any():
        raise DataError(f"{documents.path} holds ids above {2**63 - 1}", "Number the documents from 0.")
    blocks = ids[document_starts(ids)]
    unique, counts = np.unique(blocks, return_counts=True)
    if len(unique) < len(blocks):
        torn = int(unique[counts > 1][0])
        raise DataError(
            f"{documents.path}: document {torn} is in several pieces, with other documents between",
            "The vectors of a document must stand together, in reading order.",
        )
    if len(unique) < MIN_DOCUMENTS:
        have = "one document" if len(unique) == 1 else f"{len(unique)} documents"
        raise DataError(
            f"{documents.path} holds {have}; train, validation and test need at least one each",
            "Cut the text into several documents (chapters, articles) with an id each, or leave "
            f"{DOCUMENTS} out: then the stream is cut into blocks.",
        )
    return ids
