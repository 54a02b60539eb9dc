"""The one pass over all vectors of a set: fingerprint, NaN, zeros, norms; and the memory of its result."""

import hashlib
import json
import math
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import platformdirs
from numpy.typing import NDArray

from engine.data.files import write_atomically
from engine.data.npy import ArrayFile
from engine.data.progress import Progress
from lvmtui.errors import DataError

ZERO_LENGTH = 1e-6
"""Below this length a vector has no direction."""
_VERSION = 1
CHECK = ".lvmtui-check.json"
"""File beside a set that remembers its check."""
_ENTRY_LIMIT = 1 << 16


class Norms(NamedTuple):
    """Lengths of the vectors of a set."""

    smallest: float
    mean: float
    largest: float


@dataclass(frozen=True)
class Check:
    """What the pass found out about a set that is valid."""

    fingerprint: str
    norms: Norms


def checked(
    folder: Path,
    vectors: ArrayFile,
    documents: ArrayFile | None,
    ids: NDArray[np.int64] | None,
    progress: Progress,
) -> Check:
    """The check of a set: remembered when its files are unchanged, else made and kept.

    Args:
        folder: of the set.
        vectors: its vectors.
        documents: its documents; None where there are none.
        ids: what is in them.
        progress: told how far the reading has come.

    Raises:
        DataError: a vector is NaN, infinite or zero, or the files cannot be read.
    """
    files = [vectors] if documents is None else [vectors, documents]
    key = _key(folder, *files)
    places = _places(folder)
    for place in places:
        if (found := _recall(place, key)) is not None:
            return found
    check = _scan(vectors, ids, progress)
    if _key(folder, *(ArrayFile.open(file.path) for file in files)) == key:
        _keep(places, key, check)
    return check


def _scan(vectors: ArrayFile, ids: NDArray[np.int64] | None, progress: Progress) -> Check:
    """Read every vector once."""
    rows, dim = vectors.shape
    digest = hashlib.blake2b(f"{rows} {dim} {vectors.dtype.str}\n".encode(), digest_size=8)
    not_finite, zero = _Rows(), _Rows()
    smallest, largest, total = math.inf, 0.0, 0.0
    for start, block in vectors.blocks():
        digest.update(block.data)
        values = block.astype(np.float32, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.sqrt(np.einsum("ij,ij->i", values, values))
        finite = np.isfinite(norms)
        not_finite.add(start, ~finite)
        zero.add(start, norms < ZERO_LENGTH)
        if finite.all():
            smallest = min(smallest, float(norms.min()))
            largest = max(largest, float(norms.max()))
            total += float(norms.sum(dtype=np.float64))
        progress("checking vectors", start + len(block), rows)
    for what, found in (("NaN, infinite or far too large", not_finite), ("zero", zero)):
        if found.count:
            raise DataError(
                f"{vectors.path}: {found.count} of {rows} vectors are {what}, the first in row {found.first}",
                "They would be ranked as if they were predictions: drop these rows, or build the set again "
                "(`lvmtui data build` drops them with a count).",
            )
    digest.update(b"no documents" if ids is None else ids.astype("<i8").tobytes())
    return Check(digest.hexdigest(), Norms(smallest, total / rows, largest))


class _Rows:
    """How many rows are wrong, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first = -1

    def add(self, start: int, mask: NDArray[np.bool_]) -> None:
        found = int(np.count_nonzero(mask))
        if found and not self.count:
            self.first = start + int(np.argmax(mask))
        self.count += found


def _key(folder: Path, *files: ArrayFile) -> dict[str, object]:
    """What must be unchanged. The change time is in it because, unlike the modification time, it cannot be
    set: an entry shipped with somebody else's data is not believed."""
    return {
        "version": _VERSION,
        "path": str(folder.resolve()),
        "files": [[file.path.name, file.size, file.mtime_ns, file.ctime_ns] for file in files],
    }


def _places(folder: Path) -> list[Path]:
    """Where a check is kept: beside the set, unless its owner made it read-only, and else in the cache."""
    name = hashlib.blake2b(str(folder.resolve()).encode(errors="surrogateescape"), digest_size=8).hexdigest()
    cached = Path(platformdirs.user_cache_dir("lvmtui")) / "checks" / f"{name}.json"
    # The mode bits, not os.access: root may write everywhere, but should not into read-only data.
    writable = folder.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    return [folder / CHECK, cached] if writable else [cached]


def _recall(place: Path, key: dict[str, object]) -> Check | None:
    try:
        with place.open("rb") as file:
            entry = json.loads(file.read(_ENTRY_LIMIT))
        if entry["key"] != key:
            return None
        return Check(str(entry["fingerprint"]), Norms(*(float(norm) for norm in entry["norms"])))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _keep(places: list[Path], key: dict[str, object], check: Check) -> None:
    """Store the check in the first place that takes it; without one, the next opening reads again."""
    entry = {"key": key, "fingerprint": check.fingerprint, "norms": list(check.norms)}
    for place in places:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, json.dumps(entry).encode())
        except OSError:
            continue
        return
