"""Which vectors a model is shown before it predicts, seen through models that say so."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.predict import predict_queries

CPU = torch.device("cpu")


class Running(nn.Module):
    """Predicts (how many vectors it has seen, the index of the newest): vectors carry their position."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, x, state=None):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.shapes.append(tuple(x.shape[:2]))
        seen = torch.arange(1, x.shape[1] + 1).expand(x.shape[:2]).float()
        return torch.stack([seen, x[..., 0], torch.ones_like(seen)], dim=-1), ()


@pytest.fixture
def numbered(make_split, judge_of):
    """A judge of documents of the given lengths whose vectors say where they stand."""

    def make(lengths, within_document=False):
        rows = sum(lengths)
        angle = np.random.default_rng(0).permutation(rows)
        vectors = np.stack([np.arange(rows) + 1, 50 * rows * np.cos(angle), 50 * rows * np.sin(angle)], 1)
        judge = judge_of(make_split(vectors, lengths), within_document=within_document)
        return judge

    return make


def seen_by(judge, context, batch=3, model=None):
    model = model or Running()
    predictions = predict_queries(model, judge, context=context, batch=batch, device=CPU)
    assert (predictions[:, 1] - 1).tolist() == (judge.queries - 1).tolist()
    return predictions[:, 0].int().tolist()


@pytest.mark.parametrize("context", [1, 2, 3, 7, 10, 16, 63, 64, 65, 1000])
def test_every_query_sees_at_least_half_a_context_and_at_most_one(numbered, context):
    judge = numbered([20, 1, 13, 30])
    for position, seen in zip(judge.queries, seen_by(judge, context), strict=True):
        stride = max(1, context // 2)
        assert min(position, context - stride + 1) <= seen <= min(position, context)


@pytest.mark.parametrize("context", [1, 2, 5, 10, 100])
def test_within_a_document_contexts_start_at_its_beginning(numbered, context):
    judge = numbered([20, 1, 13, 30], within_document=True)
    predecessors = judge.queries - judge.asked.document_start
    for before, seen in zip(predecessors, seen_by(judge, context), strict=True):
        assert min(before, context - max(1, context // 2) + 1) <= seen <= min(before, context)


def test_a_context_longer_than_the_stream_is_one_window_without_waste(numbered):
    model = Running()
    judge = numbered([20, 20])
    assert seen_by(judge, 10_000, model=model) == judge.queries.tolist()
    assert model.shapes == [(1, 39)]


@pytest.mark.parametrize("within", [False, True])
def test_the_batch_changes_nothing(numbered, within):
    judge = numbered([20, 1, 13, 30], within)
    assert seen_by(judge, 8, 1) == seen_by(judge, 8, 2) == seen_by(judge, 8, 500)


def test_no_batch_is_larger_than_asked_for(numbered):
    model = Running()
    seen_by(numbered([50, 50]), 6, batch=4, model=model)
    assert max(rows for rows, _ in model.shapes) == 4
    assert max(length for _, length in model.shapes) == 6


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_comes_back_in_the_mode_it_was_in(numbered, mode):
    model = Running().train(mode)
    seen_by(numbered([20, 20]), 8, model=model)
    assert model.training is mode


def test_the_mode_comes_back_after_a_failure_too(numbered):
    class Failing(nn.Module):
        def forward(self, x):
            raise RuntimeError("out of memory")

    model = Failing()
    with pytest.raises(RuntimeError, match="out of memory"):
        predict_queries(model, numbered([20, 20]), context=8, batch=2, device=CPU)
    assert model.training


def test_two_passes_give_equal_bits(judge):
    torch.manual_seed(0)
    layer = nn.GRU(12, 12, batch_first=True)
    first, second = (predict_queries(layer, judge, context=10, batch=4, device=CPU) for _ in range(2))
    assert torch.equal(first, second)
