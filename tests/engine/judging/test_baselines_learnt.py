"""random, ridge and nearest-successor: beside plain numpy, and where the vectors span almost nothing."""

import numpy as np
import pytest
import torch

from engine.baselines import TrainStatistics, compute_baselines
from engine.baselines.learnt import (
    PENALTIES,
    Ridge,
    nearest_successors,
    random_vectors,
    successors,
)
from engine.baselines.means import Tuner
from engine.data.split import split_documents
from engine.data.vectors import open_vectors
from engine.evaluate import Judge
from engine.windowed import RandomWindows
from lvmtui import stats
from lvmtui.errors import DataError

CPU = torch.device("cpu")
CONTEXT = 20


def ridge_on(splits, *, rate=0.5, within_document=False):
    train = splits["train"]
    return Ridge(
        TrainStatistics(train),
        successors(train),
        rate=rate,
        context=CONTEXT,
        within_document=within_document,
        device=CPU,
    )


def test_random_is_training_vectors_and_repeats_itself(splits, judge):
    train = splits["train"]
    drawn = random_vectors(train, 50).numpy()
    known = {tuple(row) for row in train.take(0, len(train)).tolist()}
    assert all(tuple(row) in known for row in drawn.tolist())
    assert np.array_equal(random_vectors(train, 50).numpy(), drawn)
    (evaluation,) = compute_baselines(splits, judge, context=CONTEXT, device=CPU, names=["random"])
    chance = 5 / judge.protocol.pool
    assert evaluation.hit5 < chance + 5 * np.sqrt(chance / judge.protocol.n)


def test_successors_stay_inside_documents(splits):
    train = splits["train"]
    pairs = successors(train)
    assert (train.document[pairs.positions] == train.document[pairs.positions - 1]).all()
    assert len(pairs) == len(train) - len(np.unique(train.document))
    across = successors(train, across=True)
    assert (train.rows[across.positions] == train.rows[across.positions - 1] + 1).all()
    assert len(across) > len(pairs)


def test_the_nearest_successor_is_what_a_full_scan_finds(splits, judge, monkeypatch):
    from engine.baselines import learnt

    monkeypatch.setattr(learnt, "TILE", 37)
    train = splits["train"]
    vectors = train.take(0, len(train)).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = successors(train)
    found = nearest_successors(train, pairs, judge, CPU).numpy()
    stream = judge.split.take(0, len(judge.split)).astype(np.float64)
    for query, position in enumerate(judge.queries):
        cosines = unit[pairs.positions - 1] @ stream[position - 1] / np.linalg.norm(stream[position - 1])
        chosen = pairs.positions[int(cosines.argmax())]
        assert found[query] == pytest.approx(vectors[chosen], abs=1e-6)


def test_ridge_is_the_closed_form(splits, judge):
    train = splits["train"]
    ridge = ridge_on(splits)
    predicted = ridge.predict(judge, 0.3).numpy()
    vectors = train.take(0, len(train)).astype(np.float64)
    centre = vectors.mean(axis=0)
    weights = 0.5 * 0.5 ** np.arange(CONTEXT)

    def inputs(stream, position):
        past = stream[max(0, position - CONTEXT) : position][::-1]
        mean = weights[: len(past)] @ past / weights[: len(past)].sum()
        return np.concatenate([past[0] - centre, mean - centre])

    positions = successors(train).positions
    x = np.stack([inputs(vectors, position) for position in positions])
    y = vectors[positions] - centre
    moments = x.T @ x / len(x)
    penalty = 0.3 * np.trace(moments) / len(moments)
    solved = np.linalg.solve(moments + penalty * np.eye(len(moments)), x.T @ y / len(x))
    stream = judge.split.take(0, len(judge.split)).astype(np.float64)
    expected = np.stack([inputs(stream, position) for position in judge.queries]) @ solved
    assert predicted == pytest.approx(expected, abs=1e-4)


def test_ridge_takes_the_penalty_that_validation_likes_best(splits, judge):
    statistics = TrainStatistics(splits["train"])
    ridge = ridge_on(splits)
    tuner = Tuner(judge, statistics, CONTEXT, CPU)
    scores = {penalty: stats.mrr(judge.rank(ridge.predict(judge, penalty))) for penalty in PENALTIES}
    assert scores[ridge.tune(tuner)] == max(scores.values())


def test_ridge_learns_a_turn_that_no_weighted_mean_can(tmp_path):
    random = np.random.default_rng(0)
    turn = np.linalg.qr(random.normal(size=(8, 8)))[0]
    vectors = random.normal(size=(60, 12, 8))
    for step in range(1, 12):
        vectors[:, step] = vectors[:, step - 1] @ turn + 0.05 * random.normal(size=(60, 8))
    np.save(tmp_path / "vectors.npy", vectors.reshape(-1, 8).astype(np.float32))
    np.save(tmp_path / "documents.npy", np.repeat(np.arange(60), 12))
    data = open_vectors(tmp_path)
    splits = split_documents(data, 0)
    judge = Judge.build(data, splits, "validation", split_seed=0, within_document=False, device=CPU)
    found = {e.baseline: e for e in compute_baselines(splits, judge, context=CONTEXT, device=CPU)}
    assert found["ridge"].hit5 > 0.9
    assert found["ridge"].hit5 > found["ewm-whitened"].hit5 + 0.3


def test_nothing_is_divided_by_zero_where_vectors_span_two_directions(tmp_path):
    vectors = np.zeros((400, 6), np.float32)
    vectors[:, :2] = np.random.default_rng(0).normal(size=(400, 2))
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "documents.npy", np.repeat(np.arange(40), 10))
    data = open_vectors(tmp_path)
    splits = split_documents(data, 0)
    ridge = ridge_on(splits, rate=1.0)  # both inputs are the last vector
    positions = successors(splits["train"])
    assert len(positions) == ridge.pairs
    for penalty in PENALTIES:
        assert torch.isfinite(ridge._map(penalty)).all()


def test_an_input_that_equals_the_mean_predicts_the_last_vector():
    from engine.baselines.learnt import _never_zero

    last = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    made = torch.tensor([[0.0, 0.0], [0.5, 0.0], [float("nan"), 1.0]])
    kept = _never_zero(made, last)
    assert kept[:2].tolist() == [[1.0, 2.0], [0.5, 0.0]]
    assert kept[2].isnan().any()  # what went wrong is not covered up: ranking refuses it


def test_equal_training_vectors_are_refused(make_split):
    train = make_split(np.ones((40, 4)), [20, 20], "train")
    with pytest.raises(DataError, match="all training vectors"):
        ridge_on({"train": train})


def test_without_a_pair_to_learn_from_they_are_left_out(make_split, judge_of):
    random = np.random.default_rng(0)
    train = make_split(random.normal(size=(30, 6)), [1] * 30, "train")
    judge = judge_of(make_split(random.normal(size=(40, 6)), [20, 20]))
    found = compute_baselines({"train": train, "validation": judge.split}, judge, context=CONTEXT, device=CPU)
    names = {evaluation.baseline for evaluation in found}
    assert "copy-last" in names
    assert names.isdisjoint({"ridge", "nearest-successor"})


def test_the_nearest_successor_betrays_windows_split_at_random(data):
    windows = RandomWindows.of(data, context=6, stride=3, seed=0)
    judge = windows.judge("validation", CPU)
    found = compute_baselines(windows.splits, judge, context=6, device=CPU, names=["nearest-successor"])
    assert found[0].hit1 > 0.8
