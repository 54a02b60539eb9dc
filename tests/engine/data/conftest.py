"""Vector sets and text files to try things on, and a cache of each test's own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

MakeSet = Callable[..., Path]

SUBJECTS = ("river", "engine", "garden", "letter", "market", "window", "planet", "doctor", "bridge", "castle")
VERBS = ("follows", "repairs", "carries", "measures", "describes", "crosses", "protects", "remembers")
PLACES = ("slowly in winter", "near the old harbour", "after a long discussion", "without any warning")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "lvmtui"


@pytest.fixture
def make_set(tmp_path: Path) -> MakeSet:
    """Write a vector set of documents of the given lengths; return its folder."""

    def make(
        lengths: Sequence[int] = (5, 7, 4, 9), dim: int = 8, dtype: str = "float16", name: str = "set"
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        vectors = np.random.default_rng(0).normal(size=(sum(lengths), dim))
        np.save(folder / "vectors.npy", vectors.astype(dtype))
        np.save(folder / "documents.npy", np.repeat(np.arange(len(lengths)), lengths))
        return folder

    return make


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with five text files of about twenty sentences."""
    folder = tmp_path / "texts"
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(5):
        sentences = [
            f"The {random.choice(SUBJECTS)} {random.choice(VERBS)} the {random.choice(SUBJECTS)} and the "
            f"{random.choice(SUBJECTS)} {random.choice(PLACES)} on day {random.integers(10, 99)}."
            for _ in range(20)
        ]
        (folder / f"chapter{number}.txt").write_text("\n".join(sentences), encoding="utf-8")
    return folder
