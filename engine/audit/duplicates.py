"""Vectors and documents that stand in the data more than once, inside a split and across splits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audit.scan import Floats, Rows, Scan, spaced, unit
from engine.audit.words import counted, number, share
from engine.data.progress import Progress
from engine.data.split import SplitView
from engine.protocol import NEAR_DUPLICATE
from lvmtui.findings import Finding
from lvmtui.store.records import Severity

HELD_OUT = ("validation", "test")

REPEATED = (0.03, 0.2)
"""Shares of repeats inside a split to warn of and to refuse. Running text repeats headings and formulas:
wikitext2 has up to 2.1% in a split. A fifth means that documents, or blank pages, were read twice."""
KNOWN = (0.01, 0.1)
"""Shares of held-out vectors that training knows. Boilerplate gives a few in a thousand (brown 0.2%); a
tenth is more than all that models gain over baselines."""
SHARED = 0.5
"""Share of a document's vectors in one training document from which it counts as a copy."""
SHARED_VECTORS = 3
"""Shorter documents are no copies: two sentences may agree by chance."""
SHARED_ERROR = 0.05
"""Share of a split's vectors in copied documents from which its scores mean nothing."""
COMMON = 50
"""A vector in more training documents than that is boilerplate and says nothing about copies."""
NEAR_SAMPLE = 1024
"""Vectors of a held-out split that near duplicates are looked for: a share of 1 % shows as ten of them."""
NEAR_PAIRS = 120_000_000
"""Comparisons at most: about two seconds on one core. Larger sets get fewer held-out vectors."""
_PROJECTED = 128
_FILTER = 1.8
"""Random projection to 128 numbers keeps squared distances within ± 12 % (one standard deviation; Johnson and
Lindenstrauss, 1984): candidates up to 80 % farther than wanted are looked at exactly."""
_BLOCK = 4096


def _severity(value: float, limits: tuple[float, float]) -> Severity:
    warn, error = limits
    return Severity.ERROR if value >= error else Severity.WARN if value >= warn else Severity.INFO


def inside(scan: Scan, splits: Mapping[str, SplitView]) -> Finding:
    """Exact repeats inside each split."""
    shares = {name: _repeats(scan.hashes[view.rows]) for name, view in splits.items()}
    worst = max(shares, key=lambda name: shares[name])
    severity = _severity(shares[worst], REPEATED)
    words = ", ".join(f"{name} {share(value)}" for name, value in shares.items())
    return Finding(
        "duplicates",
        f"Vectors that repeat an earlier one of their split exactly: {words}.",
        severity,
        ""
        if severity is Severity.INFO
        else "Remove repeated text (menus, footers, documents read twice): repeats are the easiest thing to "
        "predict, and all copies of a target count as hits.",
        {"shares": shares},
    )


def _repeats(hashes: NDArray[np.uint64]) -> float:
    return 1 - len(np.unique(hashes)) / len(hashes) if len(hashes) else 0.0


def across(scan: Scan, splits: Mapping[str, SplitView]) -> Finding:
    """Held-out vectors that stand, bit by bit, in train."""
    train = scan.hashes[splits["train"].rows]
    shares: dict[str, float] = {}
    examples: dict[str, list[int]] = {}
    for name in HELD_OUT:
        found = np.isin(scan.hashes[splits[name].rows], train)
        shares[name] = float(found.mean()) if len(found) else 0.0
        examples[name] = splits[name].rows[found][:5].tolist()
    severity = _severity(max(shares.values()), KNOWN)
    if not any(shares.values()):
        return Finding(
            "split-duplicates", "No held-out vector stands in train bit by bit.", evidence={"shares": shares}
        )
    return Finding(
        "split-duplicates",
        f"{share(shares['validation'])} of the validation vectors and {share(shares['test'])} of the test "
        "vectors stand in train as well, bit by bit.",
        severity,
        "" if severity is Severity.INFO else _SEPARATE,
        {"shares": shares, "rows": examples},
    )


_SEPARATE = (
    "Scores on these vectors measure memory. Give repeated or overlapping pieces of one text the same "
    "document id, so that the split keeps them together, or remove them."
)


def shared_documents(scan: Scan, splits: Mapping[str, SplitView]) -> Finding:
    """Held-out documents most of whose vectors stand in one training document."""
    train = splits["train"]
    hashes = scan.hashes[train.rows]
    by_hash = np.lexsort([train.document, hashes])
    known, known_in = hashes[by_hash], train.document[by_hash]
    again = (known[1:] == known[:-1]) & (known_in[1:] == known_in[:-1])
    once = np.concatenate([[True], ~again])
    known, known_in = known[once], known_in[once]
    held: dict[str, Any] = {}
    for name in HELD_OUT:
        view = splits[name]
        copies = _copies(scan.hashes[view.rows], view.document, known, known_in)
        held[name] = {
            "documents": len(copies),
            "share": float(np.isin(view.document, list(copies)).mean()) if len(view) else 0.0,
            "examples": [[held_out, known] for held_out, known in list(copies.items())[:5]],
        }
    count = sum(part["documents"] for part in held.values())
    worst = max(part["share"] for part in held.values())
    if not count:
        return Finding(
            "shared-documents", "No held-out document is a copy of a training document.", evidence=held
        )
    first = next(part["examples"][0] for part in held.values() if part["examples"])
    return Finding(
        "shared-documents",
        f"{counted(held['validation']['documents'], 'validation document')} and "
        f"{counted(held['test']['documents'], 'test document')} have at least half of their vectors in one "
        f"training document (document {first[0]} in {first[1]}, say): {share(worst)} of a split's vectors.",
        Severity.ERROR if worst >= SHARED_ERROR else Severity.WARN,
        _SEPARATE,
        held,
    )


def _copies(
    hashes: NDArray[np.uint64], documents: Rows, known: NDArray[np.uint64], known_in: Rows
) -> dict[int, int]:
    """Copied document -> the training document that has most of it. `known` is ascending."""
    low, high = (np.searchsorted(known, hashes, side=side) for side in ("left", "right"))
    count = np.where(high - low <= COMMON, high - low, 0)
    if not count.any():
        return {}
    first = np.repeat(np.cumsum(count) - count, count)
    at = np.repeat(low, count) + np.arange(count.sum()) - first
    return _most_of(np.repeat(documents, count), known_in[at], documents)


def _most_of(documents: Rows, partners: Rows, everyone: Rows) -> dict[int, int]:
    """Documents that share `SHARED` of their vectors with one partner; one pair a vector found there."""
    sizes = dict(zip(*(part.tolist() for part in np.unique(everyone, return_counts=True)), strict=True))
    matches, counts = np.unique(np.column_stack([documents, partners]), axis=0, return_counts=True)
    found: dict[int, int] = {}
    for (document, partner), count in zip(matches.tolist(), counts.tolist(), strict=True):
        if sizes[document] >= SHARED_VECTORS and count >= SHARED * sizes[document]:
            found.setdefault(document, partner)
    return found


def near(scan: Scan, splits: Mapping[str, SplitView], progress: Progress) -> Finding:
    """Held-out vectors with a near, but not exact, duplicate in train; a sample of them."""
    train = splits["train"]
    most = max(64, min(NEAR_SAMPLE, NEAR_PAIRS // (2 * max(1, len(train)))))
    picks = {name: spaced(len(splits[name]), most) for name in HELD_OUT}
    rows = np.concatenate([splits[name].rows[picked] for name, picked in picks.items()])
    matched = _near_matches(train, rows, scan.hashes, progress)
    evidence: dict[str, Any] = {"cosine": NEAR_DUPLICATE, "sample": {}, "shares": {}, "documents": {}}
    start = 0
    for name, picked in picks.items():
        part = matched[start : start + len(picked)]
        start += len(picked)
        found = part >= 0
        asked = splits[name].document[picked]
        evidence["sample"][name] = len(picked)
        evidence["shares"][name] = float(found.mean()) if len(picked) else 0.0
        evidence["documents"][name] = len(_most_of(asked[found], train.document[part[found]], asked))
    shares = evidence["shares"]
    severity = _severity(max(shares.values()), KNOWN)
    looked = " and ".join(number(count) for count in evidence["sample"].values())
    if not any(shares.values()):
        message = (
            f"No held-out vector has a near duplicate in train (cosine over {NEAR_DUPLICATE}; {looked} "
            "tried)."
        )
    else:
        copied = sum(evidence["documents"].values())
        whole = f" {counted(copied, 'held-out document')} are near copies as a whole." if copied else ""
        message = (
            f"{share(shares['validation'])} of the validation vectors and {share(shares['test'])} of the "
            f"test vectors have a near duplicate in train (cosine over {NEAR_DUPLICATE}, not equal; {looked} "
            f"tried).{whole}"
        )
    return Finding(
        "near-duplicates", message, severity, "" if severity is Severity.INFO else _SEPARATE, evidence
    )


def _near_matches(train: SplitView, rows: Rows, hashes: NDArray[np.uint64], progress: Progress) -> Rows:
    """(q,) position in train of a near duplicate of each of some rows; -1 where there is none."""
    asked = unit(train.data.vectors[rows])
    projection = _projection(asked.shape[1])
    ours = asked @ projection
    lengths = np.einsum("ij,ij->i", ours, ours)
    limit = 2 * (1 - NEAR_DUPLICATE) * (_FILTER if projection.shape[1] < asked.shape[1] else 1.001)
    matched = np.full(len(rows), -1)
    for start in range(0, len(train), _BLOCK):
        block = unit(train.take(start, min(start + _BLOCK, len(train))))
        theirs = block @ projection
        distance = ours @ theirs.T
        distance *= -2
        distance += np.einsum("ij,ij->i", theirs, theirs)
        # An exact duplicate is another check's: it must not hide a near one behind it.
        same = np.isin(hashes[train.rows[start : start + len(block)]], hashes[rows])
        distance[:, same] = np.where(
            hashes[rows][:, None] == hashes[train.rows[start : start + len(block)]][same][None],
            np.inf,
            distance[:, same],
        )
        nearest = distance.argmin(axis=1)
        close = np.flatnonzero(distance[np.arange(len(rows)), nearest] + lengths < limit)
        exact = np.einsum("ij,ij->i", asked[close], block[nearest[close]])
        hits = close[exact > NEAR_DUPLICATE]
        matched[hits] = start + nearest[hits]
        progress("auditing near duplicates", start + len(block), len(train))
    return matched


def _projection(dim: int) -> Floats:
    if dim <= 2 * _PROJECTED:
        return np.eye(dim, dtype=np.float32)
    random = np.random.default_rng(0)
    return random.standard_normal((dim, _PROJECTED), np.float32) / np.float32(np.sqrt(_PROJECTED))
