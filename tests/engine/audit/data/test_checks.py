"""The audit's figures against plain computations, and data that leave it little to look at."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from engine.audit.data import audit_data
from engine.audit.documents import copy_last_hit5
from engine.audit.duplicates import near
from engine.audit.lags import LAGS, context_horizon, context_value, lag_curve
from engine.audit.scan import scan, unit
from engine.data import npy
from engine.data.progress import silent
from engine.evaluate import Judge
from engine.ranks import gather
from lvmtui import stats
from lvmtui.findings import Finding
from lvmtui.store.records import Severity
from tests.engine.audit.data import texts as plant
from tests.engine.audit.data.conftest import Opened
from tests.engine.audit.data.texts import texts

Open = Callable[..., Opened]
Audit = Callable[..., dict[str, Finding]]


def test_the_same_data_give_the_same_findings(opened: Open) -> None:
    data, splits = opened(*texts(documents=30))
    assert audit_data(data, splits, context=50) == audit_data(data, splits, context=50)


def test_findings_are_stored_as_json(opened: Open) -> None:
    import json

    data, splits = opened(*texts(documents=30))
    for finding in audit_data(data, splits, context=50):
        json.dumps(dict(finding.event(0.0).evidence), allow_nan=False)


def test_the_scan_does_not_depend_on_its_blocks(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, ids = texts(documents=30)
    data, splits = opened(vectors * 3, ids, "float32")
    whole = scan(data, splits, silent)
    monkeypatch.setattr(npy, "_BLOCK_BYTES", 7 * 4 * 64)
    pieces = scan(data, splits, silent)
    assert np.array_equal(whole.hashes, pieces.hashes)
    assert len(np.unique(whole.hashes)) == len(data)
    assert np.allclose(whole.norms, 3, atol=1e-5)
    assert np.allclose(whole.means, pieces.means, atol=1e-5)
    assert whole.lengths.tolist() == np.bincount(ids).tolist()
    features = unit(vectors) @ whole.spread.basis
    for document in (0, 17, 29):
        mine = features[ids == document]
        assert np.allclose(whole.means[document], mine.mean(axis=0), atol=1e-5)
        assert np.allclose(whole.squares[document], (mine**2).mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("within_document", [False, True])
def test_the_lag_curve_is_the_mean_cosine_of_pairs(opened: Open, within_document: bool) -> None:
    _, splits = opened(*texts(documents=60), "float32")
    train = splits["train"]
    finding = lag_curve(train, within_document=within_document, progress=silent)
    evidence = finding.evidence
    assert evidence["lags"] == [lag for lag in LAGS if lag <= evidence["lags"][-1]]
    assert {len(evidence[key]) for key in ("lags", "cosine", "null_low", "null_high")} == {
        len(evidence["lags"])
    }
    x = train.take(0, len(train))
    for lag in (1, 10, 40):
        pairs = [
            float(x[t - lag] @ x[t])
            for t in range(lag, len(train))
            if not within_document or train.document[t - lag] == train.document[t]
        ]
        assert evidence["cosine"][evidence["lags"].index(lag)] == pytest.approx(np.mean(pairs), abs=1e-4)
    different = train.document[:, None] != train.document[None]
    assert evidence["random"] == pytest.approx(float((x @ x.T)[different].mean()), abs=0.02)
    assert all(low < evidence["random"] < high for low, high in
               zip(evidence["null_low"], evidence["null_high"], strict=True))  # fmt: skip
    # Topics reach to the end of a document, 25 to 75 vectors, and no further.
    assert 20 <= evidence["horizon"] <= 70


def test_the_null_covers_what_independent_documents_give(opened: Open) -> None:
    """Beyond the longest document, the curve of clean data is inside its 95 % nearly everywhere."""
    inside = total = 0
    for seed in range(4):
        _, splits = opened(*texts(seed=seed), "float32")
        evidence = lag_curve(splits["train"], within_document=False, progress=silent).evidence
        for lag, value, low, high in zip(
            *(evidence[key] for key in ("lags", "cosine", "null_low", "null_high")), strict=True
        ):
            if lag > 75:
                inside += low <= value <= high
                total += 1
    assert inside / total > 0.8


def test_a_memory_of_one_vector_needs_a_context_of_one(opened: Open) -> None:
    """x(t) depends on x(t-1) alone: older vectors add nothing to it, though their cosines stand out."""
    vectors, ids = texts(noise=0.0)
    _, splits = opened(vectors, ids, "float32")
    curve = lag_curve(splits["train"], within_document=False, progress=silent)
    value = context_value(splits["train"], splits["validation"], within_document=False)
    assert value.evidence["enough"] == 1
    assert curve.evidence["horizon"] > 10
    reach = context_horizon(40, curve, value)
    assert reach.severity is Severity.WARN
    assert "nothing past the last vector" in reach.message
    assert context_horizon(8, curve, value).passed


def test_a_long_memory_needs_a_long_context(opened: Open) -> None:
    """What a sentence adds drowns the topic: only the mean of many tells it."""
    _, splits = opened(*texts(noise=6.0, length=200, documents=60), "float32")
    value = context_value(splits["train"], splits["validation"], within_document=True)
    assert value.evidence["enough"] >= 32
    assert value.evidence["explained"] == pytest.approx(sorted(value.evidence["explained"]), abs=0.005)


def test_near_duplicates_are_those_of_all_pairs(opened: Open) -> None:
    data, splits = opened(*plant.documents_nearly_twice(), "float32")
    finding = near(scan(data, splits, silent), splits, silent)
    train = splits["train"].take(0, len(splits["train"]))
    for name in ("validation", "test"):
        view = splits[name]
        close = (view.take(0, len(view)) @ train.T > 0.98).any(axis=1)
        assert len(view) <= finding.evidence["sample"][name]
        assert finding.evidence["shares"][name] == pytest.approx(float(close.mean()))
        assert close.any()


def test_near_duplicates_are_found_among_many_dimensions(opened: Open) -> None:
    """Through the random projection."""
    vectors, ids = texts(documents=40, dim=400)
    random = np.random.default_rng(1)
    train, held = plant.held_out(ids, "train"), plant.held_out(ids)
    copies = train[:: len(train) // len(held)][: len(held)][::5]
    vectors[held[::5][: len(copies)]] = plant.unit(
        vectors[copies] + 0.17 / 20 * random.normal(size=(len(copies), 400))
    )
    data, splits = opened(vectors, ids, "float32")
    finding = near(scan(data, splits, silent), splits, silent)
    assert finding.evidence["shares"]["validation"] == pytest.approx(0.2, abs=0.02)
    assert finding.evidence["shares"]["test"] == 0


def test_exact_duplicates_are_not_told_twice(audit: Audit) -> None:
    findings = audit(*plant.documents_twice())
    assert not findings["split-duplicates"].passed
    assert findings["near-duplicates"].passed


def test_copying_the_last_vector_scores_as_the_judge_has_it(opened: Open) -> None:
    data, splits = opened(*texts(documents=60))
    judge = Judge.build(
        data, splits, "validation", split_seed=0, within_document=False, device=torch.device("cpu")
    )
    last = torch.from_numpy(gather(splits["validation"], judge.queries - 1))
    assert copy_last_hit5(splits["validation"], judge.queries) == pytest.approx(
        stats.hit_at(judge.rank(last), 5), abs=2 / len(judge.queries)
    )


def test_drift_of_validation_is_not_put_on_test(audit: Audit) -> None:
    finding = audit(*plant.drifted_mean())["split-drift"]
    assert "validation" in finding.message
    assert "test (" not in finding.message


def test_constant_lengths_other_than_one_are_fine(audit: Audit) -> None:
    vectors, ids = texts(documents=30)
    findings = audit(vectors * 12, ids)
    assert findings["norms"].passed
    assert "12" in findings["norms"].message
    assert findings["outlier-norms"].passed


def test_a_stream_without_documents_is_audited(audit: Audit) -> None:
    vectors, _ = texts()
    findings = audit(vectors, None)
    assert findings["few-documents"].passed
    assert "no documents" in findings["few-documents"].message
    assert findings["scrambled-order"].passed
    assert findings["split-leak"].passed


@pytest.mark.parametrize(
    ("lengths", "dim"),
    [((2, 2, 2), 2), ((1, 1, 1), 4), ((3, 1, 2, 40), 8), ((400, 2, 2), 8), ((1,) * 30, 3), ((12,) * 12, 2)],
)
def test_hardly_any_data_are_no_crash(audit: Audit, lengths: tuple[int, ...], dim: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(sum(lengths), dim))
    findings = audit(vectors, np.repeat(np.arange(len(lengths)), lengths), dtype="float32", context=10)
    assert any(finding.severity is Severity.ERROR for finding in findings.values())
    assert all(finding.message.endswith(".") for finding in findings.values())


def test_equal_vectors_are_no_crash(audit: Audit) -> None:
    findings = audit(np.ones((600, 8)), np.repeat(np.arange(30), 20), dtype="float32")
    assert findings["collapsed-vectors"].severity is Severity.ERROR
    assert findings["duplicates"].severity is Severity.ERROR
