"""The search is exact, in any number of blocks, and ties go to the first row."""

import importlib.util

import numpy as np
import pytest
import torch

from engine.infer import Pool, coarse
from engine.infer import pool as pools
from lvmtui.errors import DataError, MissingDependency


def by_hand(vectors, queries, k, hidden=()):
    vectors, queries = (np.asarray(part, np.float64) for part in (vectors, queries))
    cosines = queries @ vectors.T
    cosines /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)
    cosines[:, list(hidden)] = -np.inf
    rows = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(cosines, rows, axis=1), rows


@pytest.fixture
def vectors():
    random = np.random.default_rng(0)
    return (random.normal(size=(500, 32)) * random.uniform(0.1, 9, size=(500, 1))).astype(np.float16)


@pytest.mark.parametrize("resident", [0, 1 << 30])
@pytest.mark.parametrize("block", [1, 7 * 128, 1 << 20])
def test_the_nearest_are_those_of_float64(vectors, monkeypatch, resident, block):
    monkeypatch.setattr(pools, "BLOCK_BYTES", block)
    monkeypatch.setattr(pools, "QUERIES", 4)
    queries = np.random.default_rng(1).normal(size=(11, 32))
    hits = Pool(vectors, resident=resident).search(queries, 13)
    scores, rows = by_hand(vectors, queries.astype(np.float32), 13)
    assert hits.rows.tolist() == rows.tolist()
    np.testing.assert_allclose(hits.scores.numpy(), scores, atol=1e-6)


def test_a_mapped_file_is_searched_where_it_lies(vectors, tmp_path):
    np.save(tmp_path / "pool.npy", vectors)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    hits = Pool(mapped, resident=0).search(vectors[17].astype(np.float32), 3)
    assert hits.rows[0] == 17
    assert hits.rows.tolist() == Pool(vectors).search(torch.from_numpy(vectors[17]), 3).rows.tolist()


@pytest.mark.parametrize("block", [1, 5 * 128, 1 << 20])
def test_of_equal_vectors_the_first_row_comes_first(vectors, monkeypatch, block):
    monkeypatch.setattr(pools, "BLOCK_BYTES", block)
    same = np.concatenate([vectors[:3], np.repeat(vectors[5:6], 40, axis=0), vectors[3:6]])
    same[10] *= 2  # the same direction; a power of two loses nothing
    hits = Pool(same).search(vectors[5].astype(np.float32), 7)
    assert hits.rows.tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_excluded_rows_are_no_candidates(vectors):
    hidden = torch.zeros(500, dtype=torch.bool)
    hidden[::2] = True
    query = np.random.default_rng(2).normal(size=(1, 32)).astype(np.float32)
    hits = Pool(vectors).search(query, 400, exclude=hidden)
    assert hits.rows.tolist() == by_hand(vectors, query, 250, range(0, 500, 2))[1].tolist()
    with pytest.raises(DataError, match="every vector of the pool is excluded"):
        Pool(vectors).search(query, 1, exclude=torch.ones(500, dtype=torch.bool))
    with pytest.raises(DataError, match="excluded rows"):
        Pool(vectors).search(query, 1, exclude=hidden[:3])


def test_vectors_are_found_again_after_rounding(vectors):
    exact = np.random.default_rng(3).normal(size=(500, 32)).astype(np.float32)
    pool = Pool(exact.astype(np.float16))
    assert pool.find(exact[[30, 8]]).tolist() == [8, 30]
    assert pool.find(vectors[0].astype(np.float32)).tolist() == []


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (np.zeros((3, 4), np.float32), "vector 0 of the pool is zero"),
        (np.r_[np.ones((2, 4)), np.full((1, 4), np.nan)], "vector 2 of the pool is zero or not finite"),
        (np.ones((0, 4)), "shape"),
        (np.ones(4), "shape"),
        (np.ones((3, 4), np.int8), "int8"),
        ([1.0], "list"),
    ],
)
def test_unusable_pools_are_refused(held, words):
    with pytest.raises(DataError, match=words):
        Pool(held)


@pytest.mark.parametrize(
    ("query", "k", "words"),
    [
        (np.ones(5, np.float32), 1, "vectors of 5 numbers"),
        (np.zeros(32, np.float32), 1, "zero"),
        (np.ones(32, np.float32), 0, "at least 1"),
    ],
)
def test_unusable_queries_are_refused(vectors, query, k, words):
    with pytest.raises(DataError, match=words):
        Pool(vectors).search(query, k)


@pytest.mark.skipif(importlib.util.find_spec("faiss") is not None, reason="faiss is installed")
def test_without_faiss_it_is_said_how_to_get_it(vectors):
    with pytest.raises(MissingDependency, match="needs faiss") as caught:
        Pool(vectors, index="faiss")
    assert "pip install faiss-cpu" in caught.value.hint


def test_faiss_finds_the_same(vectors):
    pytest.importorskip("faiss")
    queries = np.random.default_rng(1).normal(size=(11, 32)).astype(np.float32)
    hidden = torch.zeros(500, dtype=torch.bool)
    hidden[:100] = True
    exact, other = Pool(vectors), Pool(vectors, index="faiss")
    for exclude in (None, hidden):
        assert other.search(queries, 9, exclude=exclude).rows.equal(
            exact.search(queries, 9, exclude=exclude).rows
        )


@pytest.mark.skipif(not coarse.is_fast(), reason="no products of 8-bit integers on this processor")
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_first_pass_in_8_bits_loses_none_of_the_nearest(monkeypatch, shift):
    monkeypatch.setattr(pools, "COARSE", 1)
    random = np.random.default_rng(4)
    large = random.normal(size=(3000, 64)).astype(np.float32) + np.float32(shift)
    large[1000:1040] = large[7]
    large[:, 3] *= random.uniform(1, 9, size=3000).astype(np.float32)
    hidden = torch.from_numpy(random.random(3000) < 0.3)
    pool = Pool(large)
    for number in range(20):
        query = large[number] + random.normal(size=64).astype(np.float32)
        exclude = hidden if number % 2 else None
        rows = by_hand(large, query[None], 10, np.flatnonzero(hidden) if number % 2 else ())[1]
        assert pool.search(query, 10, exclude=exclude).rows.tolist() == rows[0].tolist()
