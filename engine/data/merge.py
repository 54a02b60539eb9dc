"""Several vector sets as one, whole or not there."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.build import check_target
from engine.data.chunking import clean
from engine.data.encode import DEFAULT_ENCODER
from engine.data.files import folder_beside, move_into_place
from engine.data.npy import ArrayFile, header
from engine.data.progress import Progress, silent
from engine.data.vectors import DOCUMENTS, LANES, META, TEXTS, TEXTS_LIMIT, VECTORS, VectorSet, open_vectors
from lvmtui import __version__
from lvmtui.errors import DataError
from lvmtui.splits import document_starts

_LONGEST_LINE = 1 << 24
_SHOWN = 3
"""Examples of repeated documents that are named."""


@dataclass(frozen=True)
class Merged:
    """A merged set that is in place."""

    data: VectorSet
    repeated: int
    """Documents that repeat one of an earlier set exactly."""
    notices: list[str] = field(default_factory=list)


def merge_sets(paths: Sequence[Path], out: Path, progress: Progress = silent) -> Merged:
    """Put the vectors of several sets behind one another, in the order given; interrupted at any point, `out`
    is as it was. No set is held in memory.

    Documents are numbered anew from 0. Lanes, texts and titles are kept where all sets have them. Where some
    vectors are float32, all become so.

    Args:
        paths: folders of at least two sets with documents, vectors of the same length and the same encoder.
        out: folder to make, or an empty one; its parents are made too.
        progress: told how far it has come.

    Raises:
        DataError: the sets do not go together, one of them is damaged, or `out` is in use or cannot be
            written.
    """
    out = out.expanduser().absolute()
    if len(paths) < 2:
        raise DataError("one vector set alone cannot be merged", "Give at least two folders.")
    check_target(out, force=None)
    sets = [open_vectors(path.expanduser().resolve(), progress) for path in paths]
    _check_kind(sets)
    notices = _check_encoders(sets)
    dtype = str(np.result_type(*(data.vectors.dtype for data in sets)))
    if len({data.vectors.dtype for data in sets}) > 1:
        notices.append(f"the sets hold float16 and float32: {dtype} holds both without loss")
    documents, firsts = _numbered(sets)
    try:
        with folder_beside(out.resolve()) as folder:
            digests = _write_vectors(folder / VECTORS, sets, documents, dtype, progress)
            np.save(folder / DOCUMENTS, documents.astype(np.int32), allow_pickle=False)
            notices += _write_lanes(folder / LANES, sets)
            notices += _write_texts(folder / TEXTS, sets, documents, progress)
            _write_meta(folder / META, sets, firsts)
            move_into_place(folder, out.resolve())
    except OSError as error:
        raise DataError(
            f"cannot write {out}: {error.strerror or error}", "Check free disk space and permissions."
        ) from error
    repeated = _repeated(digests, firsts)
    if repeated:
        notices.insert(0, _words_on_repeated(repeated, sets, firsts))
    return Merged(open_vectors(out, progress), len(repeated), notices)


def _check_kind(sets: Sequence[VectorSet]) -> None:
    """Refuse sets that cannot stand behind one another."""
    first = sets[0]
    seen: dict[str, VectorSet] = {}
    for data in sets:
        if data.dim != first.dim:
            raise DataError(
                f"the vectors of {data.path} have {data.dim} numbers, those of {first.path} {first.dim}",
                "Only vectors of the same encoder can be merged.",
            )
        if not data.has_documents:
            raise DataError(
                f"{data.path} does not say where documents begin",
                f"Add {DOCUMENTS} with a document id for each vector: without it, contexts would run from "
                "one set into the next.",
            )
        if data.fingerprint in seen:
            raise DataError(
                f"{seen[data.fingerprint].path} and {data.path} hold the same vectors and documents",
                "Give each set once: what stands twice would stand in training and validation at once.",
            )
        seen[data.fingerprint] = data


def _check_encoders(sets: Sequence[VectorSet]) -> list[str]:
    """Refuse sets of different encoders; return what is worth saying about those that do not tell."""
    known = {data.path: encoder for data in sets if isinstance(encoder := data.meta.get("encoder"), dict)}
    for path, encoder in known.items():
        if encoder.get("name") == DEFAULT_ENCODER:
            raise DataError(
                f"the encoder {DEFAULT_ENCODER} of {path} learns its axes from the text of each set",
                "Vectors of two such sets have nothing to do with each other. Build one set from all texts: "
                "lvmtui data build TEXTFILES… --out DIR",
            )
    kinds = {json.dumps(encoder, sort_keys=True): path for path, encoder in known.items()}
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise DataError(
            f"{first} was encoded with {clean(one)}, {second} with {clean(other)}",
            "Only vectors of the same encoder can be merged: encode both texts with one of them.",
        )
    silent_ones = [str(data.path) for data in sets if data.path not in known]
    if silent_ones:
        return [f"not recorded which encoder made {', '.join(silent_ones)}: taken to be the same"]
    return []


def _numbered(sets: Sequence[VectorSet]) -> tuple[NDArray[np.int64], list[int]]:
    """(N,) document of each vector, numbered from 0 in order; and the first number of each set."""
    parts, firsts, done = [], [], 0
    for data in sets:
        starts = document_starts(data.documents)
        lengths = np.diff(starts, append=len(data))
        parts.append(np.repeat(np.arange(done, done + len(starts)), lengths))
        firsts.append(done)
        done += len(starts)
    return np.concatenate(parts).astype(np.int64, copy=False), firsts


def _write_vectors(
    place: Path,
    sets: Sequence[VectorSet],
    documents: NDArray[np.int64],
    dtype: str,
    progress: Progress,
) -> list[bytes]:
    """Write all vectors; return a digest of each document's, by its number."""
    digests = [hashlib.blake2b(digest_size=16) for _ in range(int(documents[-1]) + 1)]
    row, total = 0, len(documents)
    with place.open("wb") as file:
        file.write(header(total, sets[0].dim, dtype))
        for data in sets:
            for _, block in ArrayFile.open(data.path / VECTORS).blocks():
                vectors = block.astype(np.dtype(dtype).newbyteorder("<"), copy=False)
                file.write(vectors.data)
                numbers = documents[row : row + len(vectors)]
                cuts = [*document_starts(numbers).tolist(), len(vectors)]
                for start, stop in pairwise(cuts):
                    digests[int(numbers[start])].update(vectors[start:stop].data)
                row += len(vectors)
                progress("merging vectors", row, total)
    if row != total:
        raise DataError(f"{total} vectors were found at first, {row} when they were read", "Try again.")
    return [digest.digest() for digest in digests]


def _write_lanes(place: Path, sets: Sequence[VectorSet]) -> list[str]:
    """Write the lanes where all sets have them and call them the same; return what was dropped."""
    files = [ArrayFile.open(path) for data in sets if (path := data.path / LANES).exists()]
    if not files:
        return []
    if len(files) < len(sets):
        return [f"{LANES} is left out: {_lacking(sets, LANES)} has none"]
    if any(data.meta.get("lanes") != sets[0].meta.get("lanes") for data in sets):
        return [f"{LANES} is left out: the sets name their lanes differently"]
    for file, data in zip(files, sets, strict=True):
        if file.dtype.kind not in "iu" or file.shape != (len(data),):
            raise DataError(
                f"{file.path} holds {file.dtype} of the shape {file.shape} for {len(data)} vectors",
                f"Give each vector its lane, a whole number from 0, or remove {LANES}.",
            )
    lanes = np.concatenate([file.map() for file in files])
    np.save(place, lanes, allow_pickle=False)
    return []


def _write_texts(
    place: Path, sets: Sequence[VectorSet], documents: NDArray[np.int64], progress: Progress
) -> list[str]:
    """Write the texts where all sets have them; return what was dropped."""
    if not any((data.path / TEXTS).exists() for data in sets):
        return []
    if not all((data.path / TEXTS).exists() for data in sets):
        return [f"{TEXTS} is left out: {_lacking(sets, TEXTS)} has none"]
    row = size = 0
    # Without a time stamp in it, the same sets give the same file.
    with ExitStack() as files:
        packed = files.enter_context(gzip.GzipFile(place, "wb", compresslevel=6, mtime=0))
        for data in sets:
            end = row + len(data)
            for entry in _entries(data):
                line = json.dumps(entry | {"doc": int(documents[row])}, ensure_ascii=False)
                content = line.encode(errors="replace") + b"\n"
                size += len(content)
                packed.write(content)
                row += 1
                progress("merging texts", row, len(documents))
            if row != end:
                raise _other_count(data)
    if size > TEXTS_LIMIT:
        place.unlink()
        return [f"{TEXTS} is left out: it would unpack to more than {TEXTS_LIMIT >> 30} GiB"]
    return []


def _entries(data: VectorSet) -> Iterator[dict[str, Any]]:
    """The lines of a set's texts, at most as many as it has vectors."""
    place, number = data.path / TEXTS, 0
    try:
        with gzip.open(place) as file:
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if number > len(data):
                    raise _other_count(data)
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    raise ValueError("no object")
                yield entry
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {place}: {error}", "Remove it, or build the set again.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"line {number} of {place} is no JSON object", "Remove the file, or build the set again."
        ) from error


def _other_count(data: VectorSet) -> DataError:
    return DataError(
        f"{data.path / TEXTS} has not one line for each of the {len(data)} vectors",
        "Remove it, or build the set again.",
    )


def _write_meta(place: Path, sets: Sequence[VectorSet], firsts: Sequence[int]) -> None:
    known = [data.meta["encoder"] for data in sets if isinstance(data.meta.get("encoder"), dict)]
    meta: dict[str, Any] = {
        "lvmtui": __version__,
        "merged": [
            {
                "path": str(data.path),
                "fingerprint": data.fingerprint,
                "vectors": len(data),
                "first_document": first,
                "encoder": data.meta.get("encoder"),
                "source": data.meta.get("source"),
            }
            for data, first in zip(sets, firsts, strict=True)
        ],
    }
    if len(known) == len(sets):
        meta["encoder"] = known[0]
    if place.with_name(LANES).exists() and "lanes" in sets[0].meta:
        meta["lanes"] = sets[0].meta["lanes"]
    titles = [_titles(data) for data in sets]
    if all(titles):
        meta["titles"] = [title for part in titles for title in part]
    content = json.dumps(meta, indent=1, ensure_ascii=False).encode(errors="replace")
    place.write_bytes(content + b"\n")


def _titles(data: VectorSet) -> list[str]:
    """The title of each document in order; empty where the set does not keep them."""
    titles = data.meta.get("titles")
    ids = data.documents[document_starts(data.documents)].tolist()
    if not isinstance(titles, list) or not all(0 <= number < len(titles) for number in ids):
        return []
    return [str(titles[number]) for number in ids]


def _repeated(digests: Sequence[bytes], firsts: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of equal documents of different sets: the earlier one, and the one that repeats it."""
    sets = np.searchsorted(np.array(firsts), np.arange(len(digests)), side="right")
    earliest: dict[bytes, int] = {}
    pairs = []
    for number, digest in enumerate(digests):
        earlier = earliest.setdefault(digest, number)
        if sets[earlier] != sets[number]:
            pairs.append((earlier, number))
    return pairs


def _words_on_repeated(
    pairs: Sequence[tuple[int, int]], sets: Sequence[VectorSet], firsts: Sequence[int]
) -> str:
    def place(number: int) -> str:
        index = int(np.searchsorted(np.array(firsts), number, side="right")) - 1
        return f"{sets[index].path.name}'s document {number - firsts[index]} (now {number})"

    named = ", ".join(f"{place(b)} as {place(a)}" for a, b in pairs[:_SHOWN])
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    count = "1 document repeats" if len(pairs) == 1 else f"{len(pairs)} documents repeat"
    return (
        f"{count} one of another set exactly: {named}{more}; such a pair can stand in training and "
        "validation at once"
    )


def _lacking(sets: Sequence[VectorSet], name: str) -> str:
    return str(next(data.path for data in sets if not (data.path / name).exists()))
