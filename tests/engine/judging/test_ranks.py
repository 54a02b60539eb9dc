"""Ranks against a reference that computes everything in float64, one query and one candidate at a time."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import ranks
from engine.data.split import SplitView
from engine.protocol import Queries, select_queries
from engine.ranking import comparing, pairs
from engine.ranks import near_duplicates, rank
from lvmtui.errors import DataError, TrainingError

CPU = torch.device("cpu")
MakeSplit = Callable[..., SplitView]


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b))


def reference(split: SplitView, predictions: NDArray[np.float32]) -> list[int]:
    """`doc-v1` word by word."""
    vectors = split.take(0, len(split)).astype(np.float64)
    found = []
    for position in range(len(split)):
        start = split.document_start[position]
        if position == start:
            continue
        prediction = predictions[len(found)].astype(np.float64)
        candidates = [j for j in range(len(split)) if not start <= j < position]
        same = [j for j in candidates if j == position or cosine(vectors[j], vectors[position]) > 0.98]
        best = max(cosine(prediction, vectors[j]) for j in same)
        beaten_by = [
            j for j in candidates if j not in same and cosine(prediction, vectors[j]) >= best - ranks.TIE
        ]
        found.append(1 + len(beaten_by))
    return found


def ranks_of(split: SplitView, predictions: NDArray[np.float32]) -> list[int]:
    asked = select_queries(split)
    duplicates = near_duplicates(split, asked, CPU)
    return rank(torch.from_numpy(predictions), split, asked, duplicates, CPU).tolist()


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["normal", "grid", "ternary", "crowded", "one-hot"]),
    lengths=st.lists(st.integers(1, 12), min_size=2, max_size=8).filter(
        lambda n: sum(n) - max(n) >= 10 and max(n) > 1
    ),
    dim=st.integers(2, 40),
    tile=st.sampled_from([3, 7, 16, 1024]),
    dense=st.sampled_from([1, 16, 10**9]),
)
def test_ranks_are_those_of_the_reference(make_split, seed, kind, lengths, dim, tile, dense):
    random = np.random.default_rng(seed)
    rows = sum(lengths)
    vectors = {
        "normal": lambda n: random.normal(size=(n, dim)),
        "grid": lambda n: random.integers(1, 4, (n, dim)).astype(float),
        "ternary": lambda n: random.integers(-1, 2, (n, dim)) + 1e-3,
        "crowded": lambda n: 1 + 0.15 * random.normal(size=(n, dim)),
        "one-hot": lambda n: np.eye(dim)[random.integers(0, dim, n)],
    }[kind]
    pool = vectors(rows)
    copies = random.integers(0, rows, (2, rows // 4))
    pool[copies[0]] = pool[copies[1]] * random.choice([1.0, 2.0, 3.7], rows // 4)[:, None]
    split = make_split(pool, lengths)
    predictions = vectors(rows - len(lengths)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "TILE", tile)
        patch.setattr(pairs, "DENSE_SHARE", dense)
        assert ranks_of(split, predictions) == reference(split, predictions)


def test_many_tiles_and_high_dimensions(make_split, monkeypatch):
    random = np.random.default_rng(5)
    split = make_split(random.normal(size=(600, 300)).astype(np.float16), [40] * 15)
    predictions = (split.take(0, 585) + 2 * random.normal(size=(585, 300))).astype(np.float32)
    expected = reference(split, predictions)
    for tile in (64, 100, 1024):
        monkeypatch.setattr(comparing, "TILE", tile)
        assert ranks_of(split, predictions) == expected


def test_a_tie_counts_against_the_prediction(make_split):
    # Each prediction lies between two axes: both score the same, in any arithmetic.
    vectors = np.concatenate([np.eye(12), np.eye(12)[::-1] + np.roll(np.eye(12), 3, axis=0)])
    split = make_split(vectors, [1] * 10 + [2] + [1] * 12)
    between = np.zeros((1, 12), np.float32)
    between[0, [11, 4]] = 1.0
    alone = between.copy()
    alone[0, 4] = 0.0
    assert ranks_of(split, alone)[0] == 1
    assert ranks_of(split, between)[0] == reference(split, between)[0] > 1


def test_own_earlier_vectors_are_no_candidates(make_split):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(30, 6))
    split = make_split(vectors, [10, 20])
    # Predicting exactly the last vector: it would rank first if it were in the pool.
    last = split.take(0, 30)[[i - 1 for i in range(30) if i not in (0, 10)]]
    assert ranks_of(split, last) == reference(split, last)
    # The last vector of the second document competes with the 10 of the first alone.
    assert ranks_of(split, -split.take(29, 30).repeat(28, axis=0))[-1] == 11


def test_a_near_duplicate_of_the_target_is_the_target(make_split):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(20, 50))
    near = vectors[15] + 0.1 * random.normal(size=50)
    assert cosine(near, vectors[15]) > 0.98
    vectors[3] = near
    split = make_split(vectors, [1] * 14 + [6])
    predictions = np.repeat(near[None], 5, axis=0).astype(np.float32)
    assert ranks_of(split, predictions)[0] == 1
    duplicates = near_duplicates(split, select_queries(split), CPU)
    assert duplicates.position[duplicates.query == 0].tolist() == [3, 15]


def test_an_earlier_copy_in_the_own_document_is_not_in_the_pool(make_split):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(20, 8))
    vectors[16] = vectors[15]
    split = make_split(vectors, [1] * 14 + [6])
    duplicates = near_duplicates(split, select_queries(split), CPU)
    assert duplicates.position[duplicates.query == 1].tolist() == [16]
    assert duplicates.position[duplicates.query == 0].tolist() == [15, 16]


def test_the_threshold_of_near_duplicates_is_exact(make_split):
    """Cosines a hair on either side of 0.98, nearer than float32 can tell."""
    random = np.random.default_rng(0)
    target = np.zeros(4)
    target[0] = 1.0
    rows = [target]
    for c in (0.98 - 3e-7, 0.98 + 3e-7):
        rows.append(np.array([c, np.sqrt(1 - c * c), 0, 0]))
    vectors = np.concatenate([random.normal(size=(12, 4)) - [3, 0, 0, 0], rows[1:], [[0, 0, 0, 1]], rows[:1]])
    split = make_split(vectors, [1] * 14 + [2])
    stored = split.take(0, 16).astype(np.float64)
    expected = [j for j in range(16) if j != 14 and cosine(stored[j], stored[15]) > 0.98]
    duplicates = near_duplicates(split, select_queries(split), CPU)
    assert duplicates.position.tolist() == expected == [13, 15]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_prediction_that_is_none_never_ranks(make_split, bad):
    split = make_split(np.random.default_rng(0).normal(size=(30, 6)), [10, 20])
    predictions = np.ones((28, 6), np.float32)
    predictions[7] = bad
    with pytest.raises(TrainingError, match="prediction for query 7 of 28 is zero or not finite"):
        ranks_of(split, predictions)


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_a_vector_that_is_none_is_refused_by_its_row(make_split, bad):
    vectors = np.random.default_rng(0).normal(size=(30, 6))
    vectors[17] = bad
    with pytest.raises(DataError, match=r"vector 17 of .* is zero or not finite"):
        ranks_of(make_split(vectors, [10, 20]), np.ones((28, 6), np.float32))


def test_ranks_do_not_depend_on_allowed_imprecision(make_split):
    split = make_split(np.random.default_rng(0).normal(size=(60, 64)), [30, 30])
    predictions = np.random.default_rng(1).normal(size=(58, 64)).astype(np.float32)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert ranks_of(split, predictions) == reference(split, predictions)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_some_queries_rank_as_among_all(make_split):
    split = make_split(np.random.default_rng(0).normal(size=(90, 8)).round(), [30, 30, 30])
    predictions = torch.from_numpy(np.random.default_rng(1).normal(size=(87, 8)).astype(np.float32))
    asked = select_queries(split)
    duplicates = near_duplicates(split, asked, CPU)
    index = np.array([0, 3, 4, 40, 86])
    part: Queries = asked.subset(index)
    some = rank(predictions[index], split, part, duplicates.subset(index, len(asked)), CPU)
    assert some.tolist() == rank(predictions, split, asked, duplicates, CPU)[index].tolist()


def test_rows_of_a_split_need_not_be_neighbours(make_split):
    whole = make_split(np.random.default_rng(0).normal(size=(80, 8)), [20] * 4)
    rows = np.r_[20:40, 60:80]
    split = dataclasses.replace(
        whole, rows=rows, document_start=np.repeat([0, 20], 20), document=whole.document[rows]
    )
    predictions = np.random.default_rng(1).normal(size=(38, 8)).astype(np.float32)
    assert ranks_of(split, predictions) == reference(split, predictions)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same_ranks(make_split):
    split = make_split(np.random.default_rng(0).normal(size=(3000, 64)).round(1), [100] * 30)
    predictions = torch.from_numpy(np.random.default_rng(1).normal(size=(2970, 64)).astype(np.float32))
    asked = select_queries(split)
    both = []
    for device in (CPU, torch.device("cuda")):
        duplicates = near_duplicates(split, asked, device)
        both.append(rank(predictions.to(device), split, asked, duplicates, device).tolist())
    assert both[0] == both[1]
