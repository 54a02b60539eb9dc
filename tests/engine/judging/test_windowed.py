"""The legacy protocol: what it asks, what it lets through, and that it says so."""

import numpy as np
import pytest
import torch

from engine.baselines import compute_baselines
from engine.data.vectors import open_vectors
from engine.predict import predict_queries
from engine.protocol import protocol_id
from engine.ranks import Pairs, exact_cosines
from engine.task import task_of
from engine.windowed import RandomWindows
from lvmtui import stats
from lvmtui.errors import DataError
from lvmtui.recipe import build

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def windows(data):
    return RandomWindows.of(data, context=20, stride=4, seed=0)


@pytest.fixture(scope="module")
def old(windows):
    return windows.judge("validation", CPU)


def test_a_recipe_asks_for_it(data):
    recipe = build({"name": "x", "data": {"context": 20, "stride": 4}, "evaluate": {"protocol": "window-v0"}})
    task = task_of(recipe, data)
    assert isinstance(task, RandomWindows)
    assert (task.context, task.stride, task.seed) == (20, 4, 0)


def test_windows_are_split_as_published(data, windows):
    starts = {name: part.tolist() for name, part in windows.starts.items()}
    every = sorted(start for part in starts.values() for start in part)
    assert every == list(range(0, len(data) - 20, 4))
    assert all(part == sorted(part) for part in starts.values())
    total = len(every)
    assert len(starts["test"]) == total // 10
    assert len(starts["train"]) == int(0.9 * (total - total // 10))
    other = RandomWindows.of(data, context=20, stride=4, seed=1)
    assert other.starts["validation"].tolist() != starts["validation"]
    assert RandomWindows.of(data, context=20, stride=0, seed=0).stride == 10


def test_the_first_projects_numbers_of_windows_come_out():
    """1 273 windows of 1000 + 1: 1 031 to train on, 115 to validate on, 127 to test on."""

    class Stream:
        path = "stream"

        def __len__(self):
            return 1273 * 500 + 1000

    windows = RandomWindows.of(Stream(), context=1000, stride=0, seed=0)
    assert {name: len(part) for name, part in windows.starts.items()} == {
        "train": 1031,
        "validation": 115,
        "test": 127,
    }


def test_training_sees_its_own_windows_and_no_other_vectors(data, windows):
    given = windows.windows(per_epoch=None, seed=0)
    assert sorted(given.order(0)) == windows.starts["train"].tolist()
    rows = {row for start in windows.starts["train"] for row in range(start, start + 21)}
    train = windows.splits["train"]
    assert train.rows.tolist() == sorted(rows)
    batch = given.batch(given.order(0)[:3])
    assert (batch == np.stack([data.vectors[s : s + 21] for s in given.order(0)[:3]])).all()
    for position, start in enumerate(train.document_start):
        part = slice(start, position + 1)
        assert (np.diff(train.rows[part]) == 1).all()
        assert len(np.unique(train.document[part])) == 1


def test_the_last_vector_of_each_window_is_asked_among_these_alone(data, windows, old):
    targets = windows.starts["validation"] + 20
    assert old.queries.tolist() == old.pool.rows.tolist() == targets.tolist()
    assert (old.protocol.n, old.protocol.pool) == (len(targets), len(targets))
    predictions = torch.randn(len(targets), data.dim, generator=torch.Generator().manual_seed(0))
    everyone = np.repeat(np.arange(len(targets)), len(targets))
    candidates = np.tile(np.arange(len(targets)), len(targets))
    scores = exact_cosines(predictions, old.pool, Pairs(everyone, candidates)).reshape(len(targets), -1)
    expected = (scores >= np.diag(scores)[:, None]).sum(axis=1)
    assert old.rank(predictions).tolist() == expected.tolist()
    evaluation = old.evaluation(predictions, epoch=1, step=1, context=20)
    assert stats.unpack_ranks(evaluation.ranks).tolist() == expected.tolist()
    assert evaluation.split == "validation"
    assert "taken as independent" in evaluation.interval_method
    assert evaluation.hit5_interval == stats.wilson_interval(int((expected <= 5).sum()), len(targets))


def test_copies_of_a_target_count_against_the_model(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(240, 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", np.concatenate([vectors, vectors[:120]]))
    judge = RandomWindows.of(open_vectors(tmp_path), context=4, stride=1, seed=0).judge("validation", CPU)
    rows = judge.pool.rows
    copied = [np.count_nonzero(rows % 240 == row % 240) for row in rows]
    assert judge.rank(judge.targets()).tolist() == copied
    assert judge.protocol.duplicate_share == pytest.approx(np.mean(np.array(copied) > 1))
    assert any("counts as wrong" in flaw for flaw in judge.protocol.spec["flaws"])


def test_what_is_wrong_is_measured_and_said(windows, old):
    covered = {row for start in windows.starts["train"] for row in range(start, start + 21)}
    starts = windows.starts["validation"]
    targets = np.mean([start + 20 in covered for start in starts])
    contexts = np.mean([row in covered for start in starts for row in range(start, start + 20)])
    first, second, *_ = old.protocol.spec["flaws"]
    assert f"{targets:.1%} of the validation targets" in first
    assert f"{contexts:.1%} of the vectors in validation contexts" in first
    assert f"{len(starts)} targets" in second
    assert f"Hit@5 = {5 / len(starts):.1%}" in second
    assert min(targets, contexts) > 0.8


def test_every_context_stride_and_seed_is_a_protocol_of_its_own(data, old, judge):
    ids = {
        RandomWindows.of(data, context=context, stride=stride, seed=seed).judge(name, CPU).protocol.id
        for context, stride, seed, name in (
            (20, 4, 0, "validation"),
            (21, 4, 0, "validation"),
            (20, 5, 0, "validation"),
            (20, 4, 1, "validation"),
            (20, 4, 0, "test"),
        )
    }
    assert len(ids) == 5
    assert old.protocol.id in ids
    assert judge.protocol.id not in ids
    # The test split's id can be told before anything of it is read.
    spec = old.protocol.spec
    announced = protocol_id({**spec, "split": {**spec["split"], "name": "test"}})
    assert old.other("test").protocol.id == announced


def test_a_query_sees_exactly_its_window(old):
    class Window(torch.nn.Module):
        def forward(self, x):
            return torch.stack([torch.cumsum(x, 1)[..., 0], torch.ones_like(x[..., 0])], -1), ()

    class Padded(Window):
        def forward(self, x):
            assert x.shape[1] == 20
            result, state = super().forward(x)
            return torch.nn.functional.pad(result, (0, 10)), state

    made = predict_queries(Padded(), old, context=20, batch=7, device=CPU)[:, 0]
    expected = [old.split.take(p - 20, p)[:, 0].sum() for p in old.queries]
    assert made.tolist() == pytest.approx(expected, abs=1e-4)
    with pytest.raises(DataError, match="judges on windows of 20 vectors, not 10"):
        predict_queries(Padded(), old, context=10, batch=7, device=CPU)


def test_baselines_profit_from_the_leak(windows, old):
    found = {e.baseline: e for e in compute_baselines(windows.splits, old, context=20, device=CPU)}
    # Nearly every validation context ends inside a training window: its successor is known by heart.
    assert found["nearest-successor"].hit1 > 0.8
    assert found["random"].hit1 < 0.2
    assert {e.protocol_id for e in found.values()} == {old.protocol.id}


def test_data_without_documents_will_do(tmp_path):
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32))
    judge = RandomWindows.of(open_vectors(tmp_path), context=10, stride=3, seed=0).judge("validation", CPU)
    assert judge.protocol.documents == 0
    assert judge.protocol.n == 12


def test_too_few_windows_are_refused_with_what_would_do(data):
    with pytest.raises(DataError, match=r"window-v0 lays 21 windows of 20 \+ 1 vectors, 50 apart") as caught:
        RandomWindows.of(data, context=20, stride=50, seed=0)
    stride = int(caught.value.hint.split("data.stride = ")[1].split(",")[0])
    RandomWindows.of(data, context=20, stride=stride, seed=0)
    with pytest.raises(DataError):
        RandomWindows.of(data, context=20, stride=stride + 1, seed=0)
    with pytest.raises(DataError) as caught:
        RandomWindows.of(data, context=len(data) - 50, stride=1, seed=0)
    context = int(caught.value.hint.split("context is ")[1].split(",")[0])
    RandomWindows.of(data, context=context, stride=1, seed=0)
