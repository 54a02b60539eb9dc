"""Faults planted in clean data: each is seen, and the clean twins raise no alarm."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.audit.data import audit_data
from engine.audit.leak import split_leak
from engine.audit.opening import audit_unopened
from engine.data.progress import silent
from engine.data.split import split_documents
from engine.data.vectors import open_vectors
from engine.windowed import RandomWindows
from lvmtui.errors import DataError
from lvmtui.findings import Finding
from lvmtui.store.records import Severity
from tests.engine.audit.data import texts as plant
from tests.engine.audit.data.texts import Set, texts

Audit = Callable[..., dict[str, Finding]]

WARN, ERROR = Severity.WARN, Severity.ERROR

FAULTS = [
    (plant.scrambled_in_documents, "scrambled-order", ERROR, "order inside documents is scrambled"),
    (plant.scrambled_altogether, "scrambled-order", ERROR, "don't belong to their documents"),
    (plant.no_order_at_all, "scrambled-order", ERROR, "don't belong to their documents"),
    (plant.overlapping_windows_as_documents, "split-duplicates", ERROR, "stand in train as well"),
    (plant.overlapping_windows_as_documents, "shared-documents", ERROR, "in one training document"),
    (plant.documents_twice, "shared-documents", ERROR, "in one training document"),
    (plant.documents_nearly_twice, "near-duplicates", ERROR, "near copies as a whole"),
    (plant.boilerplate_everywhere, "split-duplicates", WARN, "3.6%"),
    (plant.repeats_inside_documents, "duplicates", WARN, "train 9.8%, validation 10%"),
    (plant.shrunken_pool, "small-pool", WARN, "candidates only"),
    (plant.tiny_pool, "small-pool", ERROR, "candidates only"),
    (plant.lengths_of_all_kinds, "norms", WARN, "not normalised"),
    (plant.some_not_normalised, "norms", WARN, "not normalised"),
    (plant.a_few_huge, "outlier-norms", WARN, "rows 3, 999, 4000"),
    (plant.a_few_huge_among_varying, "outlier-norms", WARN, "rows 3, 999, 4000"),
    (plant.drifted_mean, "split-drift", WARN, "validation (mean vector"),
    (plant.drifted_spread, "split-drift", WARN, "spread"),
    (plant.drifted_lengths, "split-drift", WARN, "validation (mean length)"),
    (plant.drifted_test, "split-drift", WARN, "test (mean vector"),
    (plant.in_a_cone, "collapsed-vectors", WARN, "narrow cone"),
    (plant.all_but_constant, "collapsed-vectors", ERROR, "The vectors hardly differ"),
    (plant.in_a_plane, "collapsed-vectors", ERROR, "in hardly any direction"),
    (plant.one_giant_document, "largest-document", WARN, "of the train split"),
    (plant.few_documents, "few-documents", WARN, "6 validation documents"),
    (plant.a_handful_of_documents, "few-documents", ERROR, "1 validation document"),
    (plant.very_short_documents, "short-documents", WARN, "very short"),
    (plant.single_vector_documents, "short-documents", ERROR, "nothing to predict"),
    (plant.forgetful, "context-horizon", WARN, "can't help"),
]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clean_texts_raise_no_alarm(audit: Audit, seed: int, dtype: str) -> None:
    findings = audit(*texts(seed=seed), seed=seed, dtype=dtype, within_document=seed == 2)
    assert {check: f.message for check, f in findings.items() if not f.passed} == {}
    assert all(finding.advice == "" for finding in findings.values())


@pytest.mark.slow
def test_clean_texts_raise_no_alarm_under_many_splits(audit: Audit) -> None:
    """Documents are held out at random: drift must not be seen in one split of many."""
    vectors, ids = texts()
    for seed in range(40):
        assert [f.message for f in audit(vectors, ids, seed=seed).values() if not f.passed] == []


@pytest.mark.parametrize(
    ("fault", "check", "severity", "words"), FAULTS, ids=[f"{row[0].__name__}-{row[1]}" for row in FAULTS]
)
def test_a_planted_fault_is_seen(
    audit: Audit, fault: Callable[[], Set], check: str, severity: Severity, words: str
) -> None:
    finding = audit(*fault(), dtype="float32")[check]
    assert finding.severity is severity, finding
    assert words in finding.message
    assert finding.advice


def test_overlapping_windows_split_at_random_leak(written: Callable[..., Path]) -> None:
    data = open_vectors(written(*texts()))
    windows = RandomWindows.of(data, context=100, stride=50, seed=0)
    covered, asked = windows.splits["train"].rows, windows.starts["validation"]
    contexts = (asked[:, None] + np.arange(100)).ravel()
    finding = split_leak(covered, asked + 100, contexts)
    assert finding.severity is ERROR
    assert finding.evidence["targets"] > 0.7
    assert finding.evidence["contexts"] > 0.7
    # As splits of rows, whatever they were made by, they leak all the same.
    by_rows = {f.check: f for f in audit_data(data, windows.splits, context=100)}
    assert by_rows["split-leak"].severity is ERROR
    assert split_leak(covered, np.setdiff1d(np.arange(len(data)), covered), covered[:0]).passed


@pytest.mark.parametrize(
    ("fault", "check", "words"),
    [
        (plant.with_nan, "not-finite", "rows 10, 500"),
        (plant.with_infinities, "not-finite", "(row 2000)"),
        (plant.with_zeros, "zero-vectors", "rows 1, 2, 3"),
        (plant.torn_documents, "torn-documents", "document 3 in 2"),
        (plant.two_documents, "unusable", "2 documents"),
    ],
)
def test_a_set_that_will_not_open_is_told_why(
    written: Callable[..., Path], fault: Callable[[], Set], check: str, words: str
) -> None:
    folder = written(*fault())
    with pytest.raises(DataError) as refused:
        open_vectors(folder)
    wrong = {f.check: f for f in audit_unopened(folder, refused.value, silent) if not f.passed}
    assert set(wrong) == {check}
    assert wrong[check].severity is ERROR
    assert words in wrong[check].message
    assert wrong[check].advice


def test_real_texts_raise_no_alarm(real_data: Path) -> None:
    data = open_vectors(real_data / "wikitext2")
    findings = audit_data(data, split_documents(data, 0), context=100)
    assert [finding.message for finding in findings if not finding.passed] == []


@pytest.mark.parametrize("name", ["wikitext2", "brown"])
def test_real_texts_have_no_use_for_a_context_of_a_thousand(real_data: Path, name: str) -> None:
    data = open_vectors(real_data / name)
    findings = {f.check: f for f in audit_data(data, split_documents(data, 0), context=1000)}
    assert {check for check, f in findings.items() if not f.passed} == {"context-horizon"}
    assert findings["context-value"].evidence["enough"] == 32
