"""Documents and pools: are there enough of them, and long enough, to ask and to answer?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.audit.duplicates import HELD_OUT
from engine.audit.scan import Floats, Rows, spaced, unit
from engine.audit.words import counted, number, share
from engine.data.split import SplitView
from engine.protocol import NEAR_DUPLICATE
from lvmtui.findings import Finding
from lvmtui.splits import LEAST_CANDIDATES, document_starts
from lvmtui.store.records import Severity

UNASKED = 0.2
"""Share of vectors without a predecessor to warn from: the mean document has five vectors or fewer."""
GIANT = 0.5
"""Share of a split in one document to warn from: scores then are that document's."""
FEW_DOCUMENTS = 12
"""Documents with queries under which intervals by bootstrap over documents are wide, and with so few groups
rather too narrow still (Cameron, Gelbach and Miller, Review of Economics and Statistics, 2008)."""
SMALL_POOL = 500
"""Candidates under which Hit@K flatters: guessing gives Hit@5 over 1 %."""
TINY_POOL = 50
"""Candidates under which guessing gives Hit@5 over 10 %."""
COPIED = 256
"""Queries that the score of copying the last vector is taken over."""


def _lengths(view: SplitView) -> Rows:
    return np.diff(document_starts(view.document), append=len(view))


def short_documents(splits: Mapping[str, SplitView]) -> Finding:
    """Vectors without a predecessor in their document: they can't be asked."""
    unasked, single = {}, {}
    for name, view in splits.items():
        lengths = _lengths(view)
        unasked[name] = len(lengths) / len(view)
        single[name] = float((lengths == 1).mean())
    evidence = {"without_predecessor": unasked, "single_vector_documents": single}
    worst = max(unasked, key=lambda name: unasked[name])
    words = (
        f"{share(unasked[worst])} of the {worst} vectors have no predecessor in their document; "
        f"{share(single[worst])} of its documents have a single vector."
    )
    if any(unasked[name] == 1 for name in HELD_OUT):
        return Finding(
            "short-documents",
            f"There is nothing to predict: {words}",
            Severity.ERROR,
            "The next vector is asked inside a document: give the vectors of one text one document id, in "
            "reading order.",
            evidence,
        )
    if unasked[worst] >= UNASKED:
        return Finding(
            "short-documents",
            f"Documents are very short: {words}",
            Severity.WARN,
            "Cut texts into larger documents (chapters, not paragraphs), or the next vector can be asked of "
            "few of them only and contexts mix unrelated texts.",
            evidence,
        )
    return Finding("short-documents", words, evidence=evidence)


def largest_document(splits: Mapping[str, SplitView]) -> Finding:
    """Whether one document makes up most of a split."""
    if not splits["validation"].data.has_documents:
        return Finding("largest-document", "The set has no documents: it is one stream of vectors.")
    shares = {name: float(_lengths(view).max() / len(view)) for name, view in splits.items()}
    worst = max(shares, key=lambda name: shares[name])
    view = splits[worst]
    document = int(view.document[document_starts(view.document)[int(_lengths(view).argmax())]])
    words = f"the largest document holds {share(shares[worst])} of the {worst} split (document {document})"
    if shares[worst] >= GIANT and len(_lengths(view)) > 1:
        return Finding(
            "largest-document",
            f"One document outweighs the rest: {words}.",
            Severity.WARN,
            "Scores and intervals are then about that document: cut it into chapters with ids of their own, "
            "or try another --split-seed.",
            {"shares": shares, "document": document},
        )
    return Finding(
        "largest-document",
        f"{words[0].upper()}{words[1:]}.",
        evidence={"shares": shares, "document": document},
    )


def few_documents(splits: Mapping[str, SplitView]) -> Finding:
    """Whether the held-out splits have enough documents for an interval."""
    if not splits["validation"].data.has_documents:
        return Finding(
            "few-documents",
            "The set has no documents: intervals take each query for independent of the others.",
        )
    counts = {name: int((_lengths(splits[name]) > 1).sum()) for name in HELD_OUT}
    fewest = min(counts, key=lambda name: counts[name])
    words = " and ".join(counted(counts[name], f"{name} document") for name in HELD_OUT)
    verb = "has" if sum(counts.values()) == 1 else "have"
    advice = (
        f"Add documents, or cut long ones: {10 * FEW_DOCUMENTS} give {FEW_DOCUMENTS} to each held-out split."
    )
    if counts[fewest] < 2:
        return Finding(
            "few-documents",
            f"{words} {verb} something to predict: the {fewest} split can't give an interval over documents.",
            Severity.ERROR,
            advice,
            {"documents": counts},
        )
    if counts[fewest] < FEW_DOCUMENTS:
        return Finding(
            "few-documents",
            f"Only {words} {verb} something to predict: intervals will be wide.",
            Severity.WARN,
            advice,
            {"documents": counts},
        )
    return Finding("few-documents", f"{words} {verb} something to predict.", evidence={"documents": counts})


def pool(splits: Mapping[str, SplitView]) -> Finding:
    """Whether there are enough candidates for Hit@K to mean something, and what copying gives."""
    view = splits["validation"]
    positions = np.flatnonzero(np.arange(len(view)) > view.document_start)
    pools = {name: len(splits[name]) for name in HELD_OUT}
    smallest = min(pools, key=lambda name: pools[name])
    candidates = len(view) - (positions - view.document_start[positions])
    fewest = int(candidates.min()) if len(positions) else 0
    chance = min(1.0, 5 / len(view))
    evidence: dict[str, Any] = {"pools": pools, "fewest_candidates": fewest, "chance_hit5": chance}
    if fewest < LEAST_CANDIDATES:
        return Finding(
            "small-pool",
            f"A validation query has {counted(fewest, 'candidate')} only: Hit@10 would be 100 % whatever is "
            "predicted.",
            Severity.ERROR,
            f"At least {LEAST_CANDIDATES} are needed: add documents, a tenth of them goes to validation.",
            evidence,
        )
    copied = copy_last_hit5(view, positions[spaced(len(positions), COPIED)])
    evidence["copy_last_hit5"] = copied
    figures = f"guessing gives Hit@5 {share(chance)}, copying the last vector about {share(copied)}"
    if pools[smallest] < SMALL_POOL:
        elsewhere = "" if smallest == "validation" else f" in validation ({number(len(view))} candidates)"
        return Finding(
            "small-pool",
            f"The {smallest} split has {number(pools[smallest])} candidates only: {figures}{elsewhere}.",
            Severity.ERROR if pools[smallest] <= TINY_POOL else Severity.WARN,
            "Hit@K grows as the pool shrinks: look at the skill over the best baseline, put scores on a "
            "common pool (`lvmtui equate`) before you compare them, and add documents.",
            evidence,
        )
    return Finding(
        "small-pool", f"{number(len(view))} candidates in validation: {figures}.", evidence=evidence
    )


def copy_last_hit5(view: SplitView, positions: Rows) -> float:
    """Hit@5 of the last vector as prediction, by the rules of the protocol, in float32: good to about a query
    in a thousand."""
    vectors = unit(view.take(0, len(view)))
    targets, last = vectors[positions], vectors[positions - 1]
    own = np.einsum("ij,ij->i", targets, last)
    place = np.arange(len(view))
    hits = 0
    for start in range(0, len(positions), 64):
        part = slice(start, start + 64)
        better = last[part] @ vectors.T >= own[part, None]
        better &= ~_counts_as_target(targets[part], vectors)
        asked = positions[part, None]
        better &= (place < view.document_start[asked]) | (place >= asked)
        better[np.arange(len(better)), positions[part]] = False
        hits += int((better.sum(axis=1) < 5).sum())
    return hits / len(positions)


def _counts_as_target(targets: Floats, vectors: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return targets @ vectors.T > NEAR_DUPLICATE
