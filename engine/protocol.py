"""The evaluation protocol `doc-v1`: what is asked, what may be answered, and the id of all that.

- Queries: every vector of the split that has a predecessor in its document.
- Pool: every vector of the split, minus those that stand before the query in its own document.
- Vectors nearer than `NEAR_DUPLICATE` to the target count as the target; ties count against.
- Where the data have no documents, stretches of a fixed length stand in for them.

Only evaluations with equal protocol ids are ranked together. The context length and the model are no part of
the id: the same queries and the same pool serve them all.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.split import SplitView
from lvmtui.errors import DataError
from lvmtui.splits import LEAST_CANDIDATES, Blocks

NAME = "doc-v1"
VERSION = 1
"""Grows when the same name comes to give other numbers."""
NEAR_DUPLICATE = 0.98
"""Cosine above which a vector counts as the target."""
FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
"""Shares of the documents."""

Positions = NDArray[np.int64]


def protocol_spec(
    *,
    data_fingerprint: str,
    split_name: str,
    split_seed: int,
    within_document: bool,
    blocks: Blocks | None = None,
) -> dict[str, Any]:
    """Everything that decides what a score means; it is hashed into the protocol id.

    Args:
        data_fingerprint: of the vector set.
        split_name: the split that is judged on.
        split_seed: of the split by document.
        within_document: whether contexts are kept inside the document.
        blocks: how data without documents are cut; None where there are documents.
    """
    unit = "document" if blocks is None else "stretch"
    split: dict[str, Any] = {"by": "document", "fractions": FRACTIONS, "seed": split_seed}
    if blocks is not None:
        split = {"by": "contiguous blocks", "fractions": FRACTIONS, "gap": blocks.gap}
    spec = {
        "name": NAME,
        "version": VERSION,
        "data": data_fingerprint,
        "split": {**split, "name": split_name},
        "queries": f"vectors with a predecessor in their {unit}",
        "pool": f"the split, minus the vectors before the query in its own {unit}",
        "near_duplicate": NEAR_DUPLICATE,
        "ties": "against",
        "scoring": "cosine",
        "within_document": within_document,
    }
    if blocks is not None:
        spec["stretch"] = f"{blocks.stretch} vectors in a row, for want of documents"
    return spec


def protocol_id(spec: Mapping[str, Any]) -> str:
    """12 hexadecimal digits over a protocol's spec. What is wrong with it follows from the rest, and its
    wording changes nothing: it is left out."""
    hashed = {key: value for key, value in spec.items() if key != "flaws"}
    canonical = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Queries:
    """What is asked of one split, in stream order."""

    positions: Positions
    """(n,) where the targets stand in the split's stream."""
    document_start: Positions
    """(n,) where each target's document begins: what stands from there to the target is no candidate."""
    groups: NDArray[np.int64]
    """(n,) number of the target's document among the split's documents."""
    documents: int
    """Documents of the split, those without a query included."""

    def __len__(self) -> int:
        return len(self.positions)

    def subset(self, index: Positions) -> "Queries":
        """Some of the queries, by ascending index."""
        return Queries(self.positions[index], self.document_start[index], self.groups[index], self.documents)


def select_queries(split: SplitView) -> Queries:
    """The queries of a split.

    Raises:
        DataError: there is none, or one of them has too few candidates.
    """
    unit = "document" if split.data.has_documents else "stretch"
    start = np.asarray(split.document_start, np.int64)
    positions = np.flatnonzero(np.arange(len(split)) > start)
    if not len(positions):
        raise DataError(
            f"the {split.name} split has nothing to predict: none of its {len(split)} vectors has a "
            f"predecessor in its {unit}",
            "Documents must have at least two vectors, in order.",
        )
    starts, groups = np.unique(start, return_inverse=True)
    candidates = len(split) - (positions - start[positions])
    fewest = int(candidates.argmin())
    if candidates[fewest] < LEAST_CANDIDATES:
        raise _too_few(split, len(starts), int(candidates[fewest]), int(positions[fewest]))
    return Queries(positions, start[positions], groups[positions].astype(np.int64), len(starts))


def _too_few(split: SplitView, documents: int, candidates: int, position: int) -> DataError:
    left = "1 candidate" if candidates == 1 else f"{candidates} candidates"
    of = f"{len(split)} vectors in {documents} {'document' if documents == 1 else 'documents'}"
    why = " (the vectors before it in its own document cannot be next)" if documents == 1 else ""
    return DataError(
        f"the {split.name} split is too small to judge on: {of} leave {left} for the last vector of "
        f"document {split.document[position]}{why}, {LEAST_CANDIDATES} are needed",
        "Add documents, or cut long ones into chapters: a tenth of the documents goes to each of validation "
        "and test, and it takes at least two there. Without documents.npy the set is one stream, cut into "
        "blocks.",
    )
