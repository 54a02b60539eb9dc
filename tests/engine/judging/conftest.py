"""Vector sets on disk whose every vector a test chooses, as one split or split by document."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray

from engine.data.split import SplitView, split_documents
from engine.data.vectors import VectorSet, open_vectors
from engine.evaluate import Judge
from lvmtui.splits import document_starts

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def make_split(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SplitView]:
    """The given vectors in documents of the given lengths, all in one split. The files are real; what only
    opening refuses (zero vectors, a single document) gets through."""

    def make(vectors: ArrayLike, lengths: Sequence[int], name: str = "validation") -> SplitView:
        folder = tmp_path_factory.mktemp("split")
        np.save(folder / "vectors.npy", np.asarray(vectors, np.float32))
        documents = np.repeat(np.arange(len(lengths)), lengths)
        mapped = np.load(folder / "vectors.npy", mmap_mode="r")
        starts = document_starts(documents)
        data = VectorSet(folder, mapped, documents, "0123456789abcdef")
        rows = np.arange(len(documents))
        return SplitView(name, data, rows, np.repeat(starts, lengths), documents)

    return make


@pytest.fixture(scope="session")
def judge_of() -> Callable[..., Judge]:
    """The judge of one split."""

    def build(split: SplitView, *, within_document: bool = False) -> Judge:
        return Judge.build(
            split.data,
            {split.name: split},
            split.name,
            split_seed=0,
            within_document=within_document,
            device=CPU,
        )

    return build


def drifting(rows: int, dim: int = 12, *, seed: int = 0) -> NDArray[np.float64]:
    """Unit vectors that follow a slowly moving topic, noisily: off-centre, and stretched along some axes."""
    random = np.random.default_rng(seed)
    topic = random.normal(size=dim)
    vectors = np.empty((rows, dim))
    for row in range(rows):
        topic = 0.9 * topic + 0.45 * random.normal(size=dim)
        vectors[row] = np.linspace(0.2, 2, dim) * (topic + random.normal(size=dim)) + np.linspace(0, 2, dim)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 documents of 8 to 27 drifting vectors."""
    place = tmp_path_factory.mktemp("drifting")
    lengths = np.random.default_rng(1).integers(8, 28, 60)
    vectors = np.concatenate([drifting(length, seed=i) for i, length in enumerate(lengths)])
    np.save(place / "vectors.npy", vectors.astype(np.float16))
    np.save(place / "documents.npy", np.repeat(np.arange(60) * 3 + 5, lengths))
    return place


@pytest.fixture(scope="session")
def data(folder: Path) -> VectorSet:
    return open_vectors(folder)


@pytest.fixture(scope="session")
def splits(data: VectorSet) -> dict[str, SplitView]:
    return split_documents(data, 0)


@pytest.fixture(scope="session")
def judge(data: VectorSet, splits: dict[str, SplitView]) -> Judge:
    return Judge.build(data, splits, "validation", split_seed=0, within_document=False, device=CPU)
