"""The audit of vectors and ids that a test makes up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.audit.data import audit_data
from engine.data.split import SplitView, split_documents
from engine.data.vectors import VectorSet, open_vectors
from lvmtui.findings import Finding
from tests.engine.audit.data.texts import Ids, Vectors

Opened = tuple[VectorSet, dict[str, SplitView]]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write vectors and ids as a set; return its folder."""
    import numpy as np

    def write(vectors: Vectors, ids: Ids | None, dtype: str = "float16", name: str = "set") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        np.save(folder / "vectors.npy", vectors.astype(dtype))
        if ids is not None:
            np.save(folder / "documents.npy", ids)
        return folder

    return write


@pytest.fixture
def opened(written: Callable[..., Path]) -> Callable[..., Opened]:
    """Write vectors and ids, open them, and split them."""

    def make(vectors: Vectors, ids: Ids | None, dtype: str = "float16", seed: int = 0) -> Opened:
        data = open_vectors(written(vectors, ids, dtype))
        return data, split_documents(data, seed)

    return make


@pytest.fixture
def audit(opened: Callable[..., Opened]) -> Callable[..., dict[str, Finding]]:
    """Audit vectors and ids: check -> finding, each check once."""

    def run(
        vectors: Vectors,
        ids: Ids | None,
        *,
        dtype: str = "float16",
        seed: int = 0,
        context: int | None = 100,
        within_document: bool = False,
    ) -> dict[str, Finding]:
        data, splits = opened(vectors, ids, dtype, seed)
        findings = audit_data(data, splits, split_seed=seed, context=context, within_document=within_document)
        by_check = {finding.check: finding for finding in findings}
        assert len(by_check) == len(findings)
        assert {finding.data for finding in findings} == {data.fingerprint}
        return by_check

    return run
