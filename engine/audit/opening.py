"""What is wrong with a set that will not open: which rows, which documents."""

from pathlib import Path
from typing import Any

import numpy as np

from engine.audit.words import counted, number, rows, share
from engine.data.check import ZERO_LENGTH
from engine.data.npy import ArrayFile
from engine.data.progress import Progress
from engine.data.vectors import DOCUMENTS, VECTORS
from lvmtui.errors import DataError
from lvmtui.findings import Finding
from lvmtui.splits import document_starts
from lvmtui.store.records import Severity

KEPT_ROWS = 1000
"""Row numbers that the evidence holds, at most."""
_DROP = (
    "Drop these rows from both files, or build the set again (`lvmtui data build` drops them with a count). "
    "A prediction of NaN would rank first, because NaN compares false with everything."
)


def audit_unopened(folder: Path, error: DataError, progress: Progress) -> list[Finding]:
    """Why a set was refused, as findings; the other checks need a set that opens.

    Args:
        folder: of the set.
        error: what opening it raised.

    Raises:
        DataError: `error` itself, where there are no vectors to look at at all.
    """
    try:
        vectors = ArrayFile.open(folder / VECTORS)
    except DataError:
        raise error from None
    if vectors.dtype.kind != "f" or len(vectors.shape) != 2 or vectors.fortran_order or 0 in vectors.shape:
        raise error
    findings = [*_unusable_rows(vectors, progress), *_torn_documents(folder, vectors)]
    if all(finding.passed for finding in findings):
        findings.append(Finding("unusable", f"{error.message}.", Severity.ERROR, error.hint))
    return findings


def _unusable_rows(vectors: ArrayFile, progress: Progress) -> list[Finding]:
    """Rows that are not finite, and rows without a direction."""
    total = vectors.shape[0]
    not_finite: list[int] = []
    zero: list[int] = []
    for start, block in vectors.blocks():
        with np.errstate(over="ignore", invalid="ignore"):
            values = block.astype(np.float32, copy=False)
            norms = np.sqrt(np.einsum("ij,ij->i", values, values))
        not_finite += (start + np.flatnonzero(~np.isfinite(norms))).tolist()
        zero += (start + np.flatnonzero(norms < ZERO_LENGTH)).tolist()
        progress("looking for unusable vectors", start + len(block), total)
    return [
        _rows_finding("not-finite", not_finite, total, "NaN, infinite or far too large"),
        _rows_finding("zero-vectors", zero, total, "zero: they have no direction"),
    ]


def _rows_finding(check: str, found: list[int], total: int, what: str) -> Finding:
    evidence: dict[str, Any] = {"count": len(found), "rows": found[:KEPT_ROWS], "vectors": total}
    if not found:
        return Finding(
            check, f"None of {number(total)} vectors is {what.partition(':')[0]}.", evidence=evidence
        )
    return Finding(
        check,
        f"{counted(len(found), 'vector')} of {number(total)} ({share(len(found) / total)}) "
        f"{'is' if len(found) == 1 else 'are'} {what} ({rows(found)}).",
        Severity.ERROR,
        _DROP,
        evidence,
    )


def _torn_documents(folder: Path, vectors: ArrayFile) -> list[Finding]:
    """Documents in several pieces; nothing where their ids can't be read or are in order."""
    try:
        stored = ArrayFile.open(folder / DOCUMENTS)
    except DataError:
        return []
    if stored.dtype.kind not in "iu" or stored.shape != vectors.shape[:1]:
        return []
    ids = stored.map().astype(np.int64)
    pieces, counts = np.unique(ids[document_starts(ids)], return_counts=True)
    torn = pieces[counts > 1]
    if not len(torn):
        return []
    return [
        Finding(
            "torn-documents",
            f"{counted(len(torn), 'document')} of {number(len(pieces))} "
            f"{'is' if len(torn) == 1 else 'are'} in several pieces, with other documents between (document "
            f"{torn[0]} in {counts[counts > 1][0]}).",
            Severity.ERROR,
            "Put the vectors of a document together: numpy.argsort(documents, kind='stable') "
            "gives the order for both files, if the pieces stand in theirs.",
            {"documents": len(torn), "examples": torn[:20].tolist()},
        )
    ]
