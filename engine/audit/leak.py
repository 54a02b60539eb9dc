"""Whether what is asked has been trained on: the very same rows, not their copies."""

import numpy as np

from engine.audit.scan import Rows
from engine.audit.words import number, share
from engine.data.split import SplitView
from lvmtui.findings import Finding
from lvmtui.store.records import Severity


def split_leak(train_rows: Rows, target_rows: Rows, context_rows: Rows) -> Finding:
    """How many validation targets, and vectors of their contexts, stand in training windows.

    None do where documents are split; with overlapping windows split at random nearly all do.

    Args:
        train_rows: rows of the data that training windows cover; repeats are allowed.
        target_rows: rows that are asked for.
        context_rows: rows that the contexts of these queries consist of; repeats count.
    """
    seen = np.unique(train_rows)
    targets = float(np.isin(target_rows, seen).mean()) if len(target_rows) else 0.0
    contexts = float(np.isin(context_rows, seen).mean()) if len(context_rows) else 0.0
    figures = (
        f"{share(targets)} of the {number(len(target_rows))} validation targets and {share(contexts)} of the "
        "vectors in their contexts"
    )
    evidence = {"targets": targets, "contexts": contexts, "queries": len(target_rows)}
    if targets or contexts:
        return Finding(
            "split-leak",
            f"{figures[0].upper()}{figures[1:]} stand in training windows.",
            Severity.ERROR,
            "Overlapping windows were split, not documents: what is asked was trained on, and scores measure "
            "memory. Judge under doc-v1, which splits whole documents.",
            evidence,
        )
    return Finding(
        "split-leak",
        f"None of {number(len(target_rows))} validation targets, and nothing of "
        "their contexts, stands in training windows.",
        evidence=evidence,
    )


def leak_of_splits(train: SplitView, validation: SplitView) -> Finding:
    """`split_leak` where windows cover a whole split and contexts are what precedes a target in its split."""
    asked = np.flatnonzero(np.arange(len(validation)) > validation.document_start)
    contexts = validation.rows[: int(asked[-1])] if len(asked) else validation.rows[:0]
    return split_leak(train.rows, validation.rows[asked], contexts)
