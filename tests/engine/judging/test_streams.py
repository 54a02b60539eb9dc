"""`doc-v1` on data without documents."""

import numpy as np
import pytest
import torch

from engine.data.vectors import open_vectors
from engine.predict import predict_queries
from engine.task import task_of
from lvmtui import stats
from lvmtui.errors import DataError
from lvmtui.recipe import build
from lvmtui.splits import Blocks

CPU = torch.device("cpu")


def drifting(rows, dim=12):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(rows, dim))
    for row in range(1, rows):
        vectors[row] = 0.8 * vectors[row - 1] + 0.6 * vectors[row]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    np.save(folder / "vectors.npy", drifting(1000).astype(np.float32))
    return open_vectors(folder)


def recipe(**data):
    return build({"name": "tiny", "data": data})


def test_the_pool_leaves_out_what_stands_before_in_the_stretch(stream):
    judge = task_of(recipe(context=20), stream).judge("validation", CPU)
    blocks = Blocks.of(1000)
    assert (judge.protocol.pool, judge.protocol.n) == (90, 80)
    assert judge.protocol.documents == 0
    assert judge.protocol.spec["split"] == {
        "by": "contiguous blocks",
        "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1},
        "gap": blocks.gap,
        "name": "validation",
    }
    # The vector before a target is a perfect match for it, and no candidate.
    last = torch.from_numpy(judge.split.take(0, 90)[judge.queries - 1])
    vectors = judge.split.take(0, 90)
    position = int(judge.queries[3])
    candidates = np.r_[position:90, 0 : position // blocks.stretch * blocks.stretch]
    scores = vectors[candidates] @ vectors[position - 1]
    assert judge.rank(last)[3] == (scores >= scores[0]).sum()


def test_intervals_are_wilsons_and_comparisons_resample_stretches(stream):
    judge = task_of(recipe(context=20), stream).judge("validation", CPU)
    predictions = judge.targets() + torch.randn(80, 12, generator=torch.Generator().manual_seed(0))
    evaluation = judge.evaluation(predictions, epoch=1, step=1)
    hits = int((stats.unpack_ranks(evaluation.ranks) <= 5).sum())
    assert evaluation.hit5_interval == stats.wilson_interval(hits, 80)
    assert evaluation.interval_method == "Wilson over 80 queries: the data have no documents"
    assert len(np.unique(stats.unpack_ranks(judge.protocol.query_groups))) == 10
    low, high = evaluation.details["mrr_interval"]
    assert low < evaluation.mrr < high
    assert evaluation.details["mrr_interval_method"] == "bootstrap over 10 stretches"


def test_the_protocol_belongs_to_the_data_not_to_the_run(stream):
    def judge(**data):
        values = {"name": "tiny", "data": data, "evaluate": {"split_seed": data.pop("seed", 0)}}
        return task_of(build(values), stream).judge("validation", CPU)

    assert judge(context=20).protocol == judge(context=50).protocol == judge(context=20, seed=3).protocol


def test_contexts_cross_stretches_but_not_the_gap(stream):
    class Seen(torch.nn.Module):
        def forward(self, x):
            return torch.cumsum(torch.ones_like(x), dim=1), ()

    judge = task_of(recipe(context=30), stream).judge("validation", CPU)
    seen = predict_queries(Seen(), judge, context=30, batch=4, device=CPU)[:, 0].int().numpy()
    assert (seen == judge.queries)[judge.queries <= 30].all()
    assert seen[judge.queries > 30].min() > 15


def test_a_context_longer_than_the_gap_is_refused(stream):
    task_of(recipe(context=50), stream)
    with pytest.raises(DataError, match="context of 51 is longer than the gap of 50 vectors") as caught:
        task_of(recipe(context=51), stream)
    assert "largest possible context is 50" in caught.value.hint


def test_there_is_no_document_to_stay_inside(stream):
    with pytest.raises(DataError, match="does not say where documents begin") as caught:
        task_of(recipe(context=20, within_document=True), stream)
    assert "within_document = false" in caught.value.hint


def test_a_stream_of_one_vector_over_and_over_is_refused(tmp_path):
    np.save(tmp_path / "vectors.npy", np.ones((400, 6), np.float32))
    with pytest.raises(DataError, match="too much alike"):
        task_of(recipe(context=5), open_vectors(tmp_path)).judge("validation", CPU)
