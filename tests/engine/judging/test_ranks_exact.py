"""Ranks equal a brute-force computation in float64, on 200 random cases made to be hard."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine import ranks
from engine.data.split import SplitView
from engine.data.vectors import VectorSet
from engine.protocol import Queries, select_queries
from engine.ranking import comparing, margins, pairs
from engine.ranks import near_duplicates, rank
from lvmtui.splits import document_starts

CPU = torch.device("cpu")
Array = NDArray[np.float64]
CASES = 200


def split_of(vectors: NDArray[np.generic], lengths: list[int]) -> SplitView:
    documents = np.repeat(np.arange(len(lengths)), lengths)
    data = VectorSet(Path("in memory"), vectors, documents, "0123456789abcdef")
    starts = np.repeat(document_starts(documents), lengths)
    return SplitView("validation", data, np.arange(len(documents)), starts, documents)


def unit(vectors: NDArray[np.generic]) -> Array:
    rows = vectors.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_force(split: SplitView, asked: Queries, predictions: NDArray[np.float32]) -> list[int]:
    pool, made = unit(split.data.vectors), unit(predictions)
    found = []
    for query, position in enumerate(asked.positions):
        candidate = np.ones(len(pool), bool)
        candidate[asked.document_start[query] : position] = False
        same = candidate & (pool @ pool[position] > 0.98)
        same[position] = True
        scores = pool @ made[query]
        found.append(1 + int((scores[candidate & ~same] >= scores[same].max() - ranks.TIE).sum()))
    return found


def normal(random: np.random.Generator, n: int, dim: int) -> Array:
    return random.normal(size=(n, dim))


def crowded(random: np.random.Generator, n: int, dim: int) -> Array:
    """Cosines about 0.98: many near duplicates, and many that just are none."""
    return 1 + 0.14 * random.normal(size=(n, dim))


def few_values(random: np.random.Generator, n: int, dim: int) -> Array:
    """Exact ties everywhere."""
    return random.integers(-1, 2, (n, dim)) + 2.0**-10


def nearly_tied(random: np.random.Generator, n: int, dim: int) -> Array:
    """A few directions, each many times, about 1e-7 apart: below what float32 products can tell."""
    base = random.normal(size=(4, dim)) + 0.3
    return base[random.integers(0, 4, n)] * (1 + 1e-7 * random.normal(size=(n, dim)))


def constant(random: np.random.Generator, n: int, dim: int) -> Array:
    """Equal numbers with small bumps: roundings add up instead of cancelling out."""
    return random.uniform(0.5, 1) + (random.random((n, dim)) < 0.3) * 2.0 ** -random.integers(4, 16, (n, 1))


def worst_halves(random: np.random.Generator, n: int, dim: int) -> Array:
    """Numbers half way between two of bfloat16."""
    return np.where(random.random((n, dim)) < 0.5, -1, 1) * (1 + 2.0**-8 + random.random((n, dim)) * 2.0**-9)


def heavy(random: np.random.Generator, n: int, dim: int) -> Array:
    return random.standard_cauchy((n, dim)).clip(-500, 500)


KINDS = (normal, crowded, few_values, nearly_tied, constant, worst_halves, heavy)


def case(seed: int) -> tuple[SplitView, NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    dim = int(random.choice([2, 5, 16, 31, 32, 33, 64, 100, 384, 768, 800]))
    lengths = [*random.integers(1, 20, random.integers(3, 7)).tolist(), 22, 2]
    lengths[0] = 10
    n = sum(lengths)
    make = KINDS[seed % len(KINDS)]
    dtype = [np.float16, np.float32][seed // len(KINDS) % 2]
    pool = make(random, n, dim)
    copies = random.integers(0, n, (2, n // 5))
    pool[copies[0]] = pool[copies[1]]
    pool[random.integers(0, n, n // 8)] *= random.choice([0.25, 3.7, 100.0])
    predictions = make(random, n, dim)
    follows = random.random(n) < 0.5
    predictions[follows] = pool[follows] + random.choice([0, 1e-7, 0.3]) * predictions[follows]
    stored = pool.astype(dtype)
    stored[(stored == 0).all(axis=1)] = 1
    split = split_of(stored, lengths)
    made = predictions.astype(np.float32)[select_queries(split).positions]
    made[(made == 0).all(axis=1)] = 1
    return split, made


@pytest.fixture(params=["bfloat16", "float32"])
def arithmetic(request, monkeypatch):
    if request.param == "float32":
        monkeypatch.setattr(margins, "has_matrix_unit", lambda: False)
    elif not margins.has_matrix_unit():
        pytest.skip("no matrix unit for bfloat16 here")


@pytest.fixture
def one_thread():
    yield from limited(1)


@pytest.fixture
def two_threads():
    yield from limited(2)


def limited(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("arithmetic", "one_thread")
def test_ranks_equal_brute_force(monkeypatch):
    for seed in range(CASES):
        random = np.random.default_rng(seed)
        monkeypatch.setattr(comparing, "TILE", int(random.choice([24, 2048])))
        monkeypatch.setattr(comparing, "BLOCK", int(random.choice([24, 1024])))
        monkeypatch.setattr(comparing, "GROUP", int(random.choice([40, 8192])))
        monkeypatch.setattr(pairs, "DENSE_SHARE", int(random.choice([1, 16])))
        monkeypatch.setattr(pairs, "PAIRS", int(random.choice([50, 8192])))
        split, predictions = case(seed)
        asked = select_queries(split)
        duplicates = near_duplicates(split, asked, CPU)
        found = rank(torch.from_numpy(predictions), split, asked, duplicates, CPU).tolist()
        assert found == brute_force(split, asked, predictions), (seed, KINDS[seed % len(KINDS)].__name__)


@pytest.mark.usefixtures("arithmetic")
def test_candidates_a_hair_apart_are_told_apart():
    """Distances of 1e-7 and less from the target's own score, on both sides of it."""
    random = np.random.default_rng(0)
    for dim in (40, 768):
        made = unit(random.normal(size=(1, dim)))
        across = random.normal(size=(60, dim))
        across -= (across @ made[0])[:, None] * made
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        cosine = 0.5 + np.r_[0, random.permutation(np.linspace(-1e-6, 1e-6, 59))]
        pool = cosine[:, None] * made + np.sqrt(1 - cosine[:, None] ** 2) * across
        pool = np.concatenate([random.normal(size=(1, dim)), pool]).astype(np.float32)
        split = split_of(pool, [2] + [1] * 59)
        asked = select_queries(split)
        predictions = made.astype(np.float32)
        found = rank(torch.from_numpy(predictions), split, asked, near_duplicates(split, asked, CPU), CPU)
        assert found.tolist() == brute_force(split, asked, predictions)
        assert 10 < found[0] < 50


@pytest.mark.usefixtures("arithmetic")
def test_threads_and_their_number_change_nothing(two_threads, monkeypatch):
    monkeypatch.setattr(comparing, "TILE", 64)
    random = np.random.default_rng(1)
    split = split_of(random.normal(size=(700, 64)).round(1).astype(np.float16), [70] * 10)
    asked = select_queries(split)
    predictions = torch.from_numpy(random.normal(size=(690, 64)).astype(np.float32))
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        duplicates = near_duplicates(split, asked, CPU)
        found.append(rank(predictions, split, asked, duplicates, CPU).tolist())
        assert torch.get_num_threads() == threads
    assert found[0] == found[1]


def test_an_error_in_a_worker_is_the_callers(two_threads, monkeypatch):
    monkeypatch.setattr(comparing, "TILE", 16)
    vectors = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    vectors[130] = np.inf
    with pytest.raises(ranks.DataError, match=r"vector 130 of .* is zero or not finite"):
        near_duplicates(split_of(vectors, [20] * 10), select_queries(split_of(vectors, [20] * 10)), CPU)
    assert torch.get_num_threads() == 2


def test_vectors_that_are_all_alike_are_refused():
    vectors = 1 + 1e-3 * np.random.default_rng(0).normal(size=(2600, 4)).astype(np.float32)
    split = split_of(vectors, [2] * 1300)
    with pytest.raises(ranks.DataError, match="nearly all alike"):
        near_duplicates(split, select_queries(split), CPU)


@pytest.mark.usefixtures("arithmetic", "one_thread")
def test_queries_that_a_tile_cannot_matter_to_rank_as_all_others(monkeypatch):
    """Clusters a tile each, and predictions near them: most queries have nothing above them in most tiles."""
    monkeypatch.setattr(comparing, "TILE", 64)
    looked = []
    first_look = comparing._Group._first_look

    def spied(group, memory):
        looked.append(len(first_look(group, memory)) / len(group.operand))
        return first_look(group, memory)

    monkeypatch.setattr(comparing._Group, "_first_look", spied)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(12, 100)).repeat(64, axis=0) + random.normal(size=(768, 100))
    split = split_of(vectors.astype(np.float16), [32] * 24)
    asked = select_queries(split)
    predictions = (vectors + random.normal(size=(768, 100)))[asked.positions].astype(np.float32)
    found = rank(torch.from_numpy(predictions), split, asked, near_duplicates(split, asked, CPU), CPU)
    assert found.tolist() == brute_force(split, asked, predictions)
    if comparing.Arithmetic.best(100, CPU).coarse:
        assert np.mean(looked) < 0.5
    else:
        assert set(looked) == {1.0}
