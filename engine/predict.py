"""The predictions of a model for the queries of a judge."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.split import SplitView
from engine.evaluate import Judge
from engine.models.base import NextVectorModel
from engine.protocol import Positions


def predict_queries(
    model: NextVectorModel,
    judge: Judge,
    *,
    context: int,
    batch: int,
    device: torch.device,
    routed: Callable[[Tensor, Tensor], None] | None = None,
) -> Tensor:
    """A model's predictions (n, D) for the judge's queries, float32 on `device`, in their order.

    The model runs over overlapping windows of `context` vectors, half a context apart, and each query takes
    the earliest window that reaches it: it sees at least half a context of predecessors and at most a whole
    one, or all there are. A judge with windows of its own gets exactly those. A pure function of model, split
    and arguments; the model is in evaluation mode meanwhile.

    Args:
        context: vectors that a window holds.
        batch: windows in one forward pass.
        device: where the model is.
        routed: is shown the numbers (k,) of some queries and how much each expert had to say for them
            (k, experts), for all queries in the end, where the model has experts.

    Raises:
        DataError: the judge's own windows have another length.
    """
    judge.check_context(context)
    plan = _plan_windows(judge, context)
    predictions = torch.empty(len(judge.asked), judge.split.data.dim, device=device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for first in range(0, len(plan.start), batch):
                windows = slice(first, first + batch)
                x = torch.from_numpy(_windows(judge.split, plan.start[windows], plan.length[windows]))
                output, _ = model(x.to(device))
                a, b = np.searchsorted(plan.window, [first, first + len(x)])
                row = torch.from_numpy(plan.window[a:b] - first).to(device)
                column = torch.from_numpy(plan.offset[a:b]).to(device)
                query = torch.from_numpy(plan.query[a:b]).to(device)
                predictions[query] = output[row, column].float()
                if routed is not None and (routes := model.routes()) is not None:
                    routed(query, routes[row, column].float())
    finally:
        model.train(was_training)
    return predictions


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which window predicts which query; windows longest first, queries by window."""

    start: Positions
    """(w,) position of each window's first vector."""
    length: Positions
    """(w,) vectors in it that are needed."""
    query: Positions
    """(n,) query number."""
    window: Positions
    """(n,) the window that predicts it, ascending."""
    offset: Positions
    """(n,) the place in the window that stands right before the query."""


def _plan_windows(judge: Judge, context: int) -> _Plan:
    stride = max(1, context // 2) if judge.window is None else 1
    base = judge.asked.document_start if judge.within_document else np.zeros_like(judge.queries)
    predecessors = judge.queries - base
    start = base + stride * np.maximum(0, -(-(predecessors - context) // stride))
    offset = judge.queries - 1 - start
    starts, window = np.unique(start, return_inverse=True)
    length = np.zeros(len(starts), np.int64)
    np.maximum.at(length, window, offset + 1)
    # Windows of similar length share a batch: little padding.
    order = np.argsort(-length, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    by_window = np.argsort(place[window], kind="stable")
    return _Plan(starts[order], length[order], by_window, place[window][by_window], offset[by_window])


def _windows(split: SplitView, starts: Positions, lengths: Positions) -> NDArray[np.float32]:
    """Vectors (b, longest, D). Shorter windows go on with their last vector: models are causal, and what
    they say there is not used."""
    longest = int(lengths.max())
    rows = []
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        vectors = split.take(start, start + length)
        rows.append(np.concatenate([vectors, np.repeat(vectors[-1:], longest - length, axis=0)]))
    return np.stack(rows)
