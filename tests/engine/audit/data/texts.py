"""Vectors like those of real texts, clean, and one function for each fault that can be planted in them."""

import numpy as np
from numpy.typing import NDArray

from engine.data.split import split_documents
from engine.data.vectors import VectorSet

Vectors = NDArray[np.float64]
Ids = NDArray[np.int64]
Set = tuple[Vectors, Ids]


def texts(documents: int = 130, length: int = 50, dim: int = 64, seed: int = 0, noise: float = 1.2) -> Set:
    """Documents as text is: a topic, a thought that wanders (AR(1)) about it, and what each sentence adds.

    Returns:
        Vectors (n, D) of length 1 and their document ids (n,); documents have 0.5 to 1.5 times `length`.
    """
    random = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(1 + np.arange(dim) / 8)
    common = 0.35 * random.normal(size=dim)
    vectors, ids = [], []
    for document in range(documents):
        n = int(random.integers(length // 2, length * 3 // 2 + 1))
        centre = common + 0.6 * random.normal(size=dim) * spectrum
        thought = random.normal(size=dim) * spectrum
        for _ in range(n):
            thought = 0.8 * thought + 0.6 * random.normal(size=dim) * spectrum
            vectors.append(centre + thought + noise * random.normal(size=dim) * spectrum)
        ids += [document] * n
    return unit(np.array(vectors)), np.array(ids)


def unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def held_out(ids: Ids, name: str = "validation", seed: int = 0) -> NDArray[np.int64]:
    """The rows that the split puts aside; it depends on ids and seed alone."""
    anything = np.ones((len(ids), 2), np.float32)
    return split_documents(VectorSet(None, anything, ids, ""), seed)[name].rows  # type: ignore[arg-type]


def scrambled_in_documents() -> Set:
    vectors, ids = texts()
    random = np.random.default_rng(1)
    order = np.lexsort([random.random(len(ids)), ids])
    return vectors[order], ids


def scrambled_altogether() -> Set:
    vectors, ids = texts()
    return np.random.default_rng(1).permutation(vectors), ids


def no_order_at_all() -> Set:
    """What an encoder of noise gives."""
    _, ids = texts()
    return unit(np.random.default_rng(1).normal(size=(len(ids), 64))), ids


def overlapping_windows_as_documents() -> Set:
    """Windows of 40 vectors, 20 apart, each taken for a document."""
    vectors, ids = texts(documents=24, length=300)
    starts = [
        start
        for document in range(24)
        for start in range(np.searchsorted(ids, document), np.searchsorted(ids, document + 1) - 40, 20)
    ]
    return np.concatenate([vectors[s : s + 40] for s in starts]), np.repeat(np.arange(len(starts)), 40)


def documents_twice() -> Set:
    """Twenty documents stand in the set once more."""
    vectors, ids = texts()
    again = ids < 20
    return np.concatenate([vectors, vectors[again]]), np.concatenate([ids, ids[again] + 1000])


def documents_nearly_twice() -> Set:
    """The same, encoded with a little noise: other bits, cosine about 0.99."""
    vectors, ids = documents_twice()
    again = ids >= 1000
    noise = 0.13 / np.sqrt(vectors.shape[1]) * np.random.default_rng(1).normal(size=vectors.shape)
    return np.where(again[:, None], unit(vectors + noise), vectors), ids


def boilerplate_everywhere() -> Set:
    """One and the same sentence at every thirtieth place."""
    vectors, ids = texts()
    vectors[::30] = vectors[7]
    return vectors, ids


def repeats_inside_documents() -> Set:
    """Every tenth vector repeats the one before it."""
    vectors, ids = texts()
    later = np.flatnonzero((ids[1:] == ids[:-1]) & (np.arange(1, len(ids)) % 10 == 0)) + 1
    vectors[later] = vectors[later - 1]
    return vectors, ids


def shrunken_pool() -> Set:
    return texts(length=16)


def tiny_pool() -> Set:
    return texts(documents=120, length=4)


def lengths_of_all_kinds() -> Set:
    vectors, ids = texts()
    return vectors * np.random.default_rng(1).lognormal(0, 0.5, (len(ids), 1)), ids


def some_not_normalised() -> Set:
    """A third of the documents came without normalisation."""
    vectors, ids = texts()
    return vectors * np.where(ids % 3 == 0, 17.0, 1.0)[:, None], ids


def a_few_huge() -> Set:
    vectors, ids = texts()
    vectors[[3, 999, 4000]] *= 50
    return vectors, ids


def a_few_huge_among_varying() -> Set:
    """Outliers where lengths vary anyway."""
    vectors, ids = texts()
    vectors *= np.random.default_rng(1).lognormal(0, 0.1, (len(ids), 1))
    vectors[[3, 999, 4000]] *= 50
    return vectors, ids


def drifted_mean() -> Set:
    """Validation comes from an encoder with another bias."""
    vectors, ids = texts()
    rows = held_out(ids)
    vectors[rows] = unit(vectors[rows] + 0.5 * unit(np.random.default_rng(1).normal(size=(1, 64))))
    return vectors, ids


def drifted_spread() -> Set:
    """Validation lacks half of the directions."""
    vectors, ids = texts()
    rows = held_out(ids)
    vectors[rows, 32:] *= 0.2
    return unit(vectors), ids


def drifted_lengths() -> Set:
    """Validation is not normalised, nothing else."""
    vectors, ids = texts()
    vectors[held_out(ids)] *= 1.2
    return vectors, ids


def drifted_test() -> Set:
    vectors, ids = texts()
    rows = held_out(ids, "test")
    vectors[rows] = unit(vectors[rows] + 0.5 * unit(np.random.default_rng(1).normal(size=(1, 64))))
    return vectors, ids


def in_a_cone() -> Set:
    vectors, ids = texts()
    return unit(vectors + 1.6 * unit(np.ones((1, 64)))), ids


def all_but_constant() -> Set:
    vectors, ids = texts()
    return unit(vectors[:1] + 0.01 * vectors), ids


def in_a_plane() -> Set:
    """All vectors lie in two dimensions of 64."""
    vectors, ids = texts()
    vectors[:, 2:] = 0
    return unit(vectors), ids


def one_giant_document() -> Set:
    """Most of train is one document."""
    vectors, ids = texts()
    rows = held_out(ids, "train")
    merged = ids[rows[: len(rows) * 3 // 4]]
    last = merged[-1]
    order = np.argsort(np.where(ids <= last, np.where(np.isin(ids, merged), -1, ids), ids), kind="stable")
    ids = ids[order]
    return vectors[order], np.where(np.isin(ids, merged), merged[0], ids)


def few_documents() -> Set:
    return texts(documents=60)


def a_handful_of_documents() -> Set:
    return texts(documents=12, length=400)


def very_short_documents() -> Set:
    return texts(documents=1500, length=4)


def single_vector_documents() -> Set:
    vectors, ids = texts()
    return vectors, np.arange(len(ids))


def forgetful() -> Set:
    """No topics, and thoughts that are over after a few sentences."""
    vectors, ids = texts()
    random = np.random.default_rng(1)
    thought = np.zeros(64)
    for row in range(len(vectors)):
        thought = 0.5 * thought + random.normal(size=64)
        vectors[row] = thought
    return unit(vectors), ids


def torn_documents() -> Set:
    """The last five vectors of document 3 stand at the end of the set."""
    vectors, ids = texts()
    rows = np.flatnonzero(ids == 3)[-5:]
    rest = np.setdiff1d(np.arange(len(ids)), rows)
    order = np.concatenate([rest, rows])
    return vectors[order], ids[order]


def two_documents() -> Set:
    return texts(documents=2)


def with_nan() -> Set:
    vectors, ids = texts()
    vectors[[10, 500]] = np.nan
    return vectors, ids


def with_infinities() -> Set:
    vectors, ids = texts()
    vectors[2000, 5] = np.inf
    return vectors, ids


def with_zeros() -> Set:
    vectors, ids = texts()
    vectors[[1, 2, 3]] = 0
    return vectors, ids
