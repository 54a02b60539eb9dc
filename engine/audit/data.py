"""The audit of a vector set and its splits: every check, each with one outcome."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engine.audit import content, documents, drift, duplicates, lags, leak, order
from engine.audit.scan import Scan, scan
from engine.data.progress import Progress, silent
from engine.data.split import SplitView
from engine.data.vectors import VectorSet
from lvmtui.findings import Finding

VERSION = 1
"""Grows when the checks change: data audited by an older one are audited again."""


def audit_data(
    data: VectorSet,
    splits: Mapping[str, SplitView],
    *,
    split_seed: int = 0,
    context: int | None = None,
    within_document: bool = False,
    progress: Progress = silent,
) -> list[Finding]:
    """Look for everything that makes scores on these data wrong or worthless.

    Reads all vectors once, and samples for whatever compares pairs; memory is bounded by the samples and a
    few numbers a vector. The same data give the same findings.

    Args:
        data: the vector set.
        splits: train, validation and test of it; by document, or any others whose leaks are to be seen.
        split_seed: what the splits were made with; kept as evidence.
        context: vectors that a model will look at; None: `context-horizon` is left out.
        within_document: whether contexts stay in their document.
        progress: told how far it is.

    Returns:
        One finding for each check, those that found nothing wrong included.

    Raises:
        DataError: the vectors cannot be read.
    """
    scanned = scan(data, splits, progress)
    train, validation = splits["train"], splits["validation"]
    curve = lags.lag_curve(train, within_document=within_document, progress=progress)
    value = lags.context_value(train, validation, within_document=within_document)
    findings = [
        *content.readable(len(data)),
        content.norms(scanned),
        content.outlier_norms(scanned),
        content.collapsed(scanned, data.dim),
        order.scrambled_order(train),
        curve,
        value,
        *([lags.context_horizon(context, curve, value)] if context is not None else []),
        leak.leak_of_splits(train, validation),
        duplicates.inside(scanned, splits),
        duplicates.across(scanned, splits),
        duplicates.shared_documents(scanned, splits),
        duplicates.near(scanned, splits, progress),
        drift.split_drift(scanned, splits, _norm_means(scanned)),
        documents.short_documents(splits),
        documents.largest_document(splits),
        documents.few_documents(splits),
        documents.pool(splits),
    ]
    settings = settings_of(split_seed=split_seed, within_document=within_document)
    return [
        replace(finding, data=data.fingerprint, evidence={**finding.evidence, "audit": settings})
        for finding in findings
    ]


def settings_of(*, split_seed: int, within_document: bool) -> dict[str, Any]:
    """What an audit of given data depends on; each finding has it in its evidence, under `audit`."""
    return {"version": VERSION, "split_seed": split_seed, "within_document": within_document}


def _norm_means(scanned: Scan) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.add.reduceat(scanned.norms, scanned.starts, dtype=np.float64) / scanned.lengths
