"""Linear recurrences over a sequence, all positions together."""

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 32
"""Positions whose gates are worked out together on a CPU."""


def gated_scan(gates_and_candidates: Tensor, start: Tensor) -> Tensor:
    """All states of `h_t = (1 - z_t) h_{t-1} + z_t c_t`, `z = sigmoid(g)`, in float32 or better whatever the
    autocast.

    Args:
        gates_and_candidates: g, before the sigmoid, and c side by side (B, T, 2H).
        start: (B, H), the state before the first position.

    Returns:
        (B, T, H).
    """
    start = start.to(torch.promote_types(start.dtype, torch.float32))
    if gates_and_candidates.device.type == "cpu":
        return cast(Tensor, _BlockwiseGatedScan.apply(gates_and_candidates, start))  # type: ignore[no-untyped-call]
    return cast(Tensor, _GatedScan.apply(gates_and_candidates, start))  # type: ignore[no-untyped-call]


class _GatedScan(torch.autograd.Function):
    """The gradient of a linear recurrence is one too, backwards in time (Martin and Cundy, Parallelizing
    Linear Recurrent Neural Nets Over Sequence Length, 2018)."""

    @staticmethod
    def forward(ctx: Any, both: Tensor, start: Tensor) -> Tensor:
        gate, candidate = both.chunk(2, dim=-1)
        update = torch.sigmoid(gate.to(start.dtype))
        states = linear_scan(1 - update, update * candidate, start)
        ctx.save_for_backward(both, update, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        both, update, states, start = ctx.saved_tensors
        candidate = both.chunk(2, dim=-1)[1]
        keep = 1 - update
        following = functional.pad(keep[:, 1:], (0, 0, 0, 1))
        total = linear_scan(following, gradient, torch.zeros_like(start), reverse=True)
        of_start = total[:, 0] * keep[:, 0]
        total *= update
        keep *= total
        of_both = torch.empty_like(both)
        of_gate, of_candidate = of_both.chunk(2, dim=-1)
        of_candidate.copy_(total)
        of_gate[:, 0] = (candidate[:, 0] - start) * keep[:, 0]
        of_gate[:, 1:] = (candidate[:, 1:] - states[:, :-1]).mul_(keep[:, 1:])
        return of_both, of_start


class _BlockwiseGatedScan(torch.autograd.Function):
    """The same on a CPU, where what is bound by memory is the gates: they are worked out for a few positions
    at a time, which stay in the cache, and again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, both: Tensor, start: Tensor) -> Tensor:
        gate, candidate = both.chunk(2, dim=-1)
        states = start.new_empty(gate.shape)
        before = start
        for block in _blocks(both.shape[1]):
            update = torch.sigmoid(gate[:, block].to(start.dtype))
            given = candidate[:, block].to(start.dtype)
            steps = zip(given.unbind(1), update.unbind(1), states[:, block].unbind(1), strict=True)
            for added, share, state in steps:
                before = torch.lerp(before, added, share, out=state)
        ctx.save_for_backward(both, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        both, states, start = ctx.saved_tensors
        of_both = torch.empty_like(both)
        gate, candidate = both.chunk(2, dim=-1)
        of_gate, of_candidate = of_both.chunk(2, dim=-1)
        total, kept = torch.zeros_like(start), torch.zeros_like(start)
        for block in reversed(_blocks(both.shape[1])):
            update = torch.sigmoid(gate[:, block].to(start.dtype))
            keep = 1 - update
            totals = torch.empty_like(update)
            steps = zip(gradient[:, block].unbind(1), keep.unbind(1), totals.unbind(1), strict=True)
            for given, next_kept, state in reversed(list(steps)):
                total, kept = torch.addcmul(given, kept, total, out=state), next_kept
            # The block before needs it as it is here.
            total = total.clone()
            totals.mul_(update)
            of_candidate[:, block] = totals
            totals.mul_(keep)
            first, following = block.start, slice(block.start + 1, block.stop)
            before = states[:, first - 1] if first else start
            of_gate[:, first] = (candidate[:, first] - before) * totals[:, 0]
            change = candidate[:, following] - states[:, first : block.stop - 1]
            of_gate[:, following] = change.mul_(totals[:, 1:])
        return of_both, total * kept


def _blocks(length: int) -> list[slice]:
    return [slice(begin, min(begin + BLOCK, length)) for begin in range(0, length, BLOCK)]


def linear_scan(decay: Tensor, inflow: Tensor, start: Tensor, *, reverse: bool = False) -> Tensor:
    """All states of `h_t = a_t h_{t-1} + b_t`; with `reverse`, of `h_t = a_t h_{t+1} + b_t`. No gradient.

    The sequence is cut into pieces of about sqrt(T). The recurrence runs over the positions of all pieces at
    once, then over the pieces: 2 sqrt(T) small steps one after the other, and work linear in T. A CPU, where
    a small step costs next to nothing, takes the sequence as one piece. Decays are only ever multiplied,
    never divided by or taken to logarithms: with decays in [0, 1] nothing overflows, a product that
    underflows is a past that is forgotten, and inflows may have any sign.

    Args:
        decay: a (B, T, H), in [0, 1].
        inflow: b (B, T, H), of the same type.
        start: (B, H), the state before the first position (with `reverse`, behind the last).

    Returns:
        (B, T, H).
    """
    if inflow.device.type == "cpu":
        return _in_one_piece(decay, inflow, start, reverse=reverse)
    return _in_pieces(decay, inflow, start, reverse=reverse)


def _in_one_piece(decay: Tensor, inflow: Tensor, start: Tensor, *, reverse: bool) -> Tensor:
    states = torch.empty_like(inflow)
    steps = list(zip(decay.unbind(1), inflow.unbind(1), states.unbind(1), strict=True))
    for kept, added, state in reversed(steps) if reverse else steps:
        start = torch.addcmul(added, kept, start, out=state)
    return states


def _in_pieces(decay: Tensor, inflow: Tensor, start: Tensor, *, reverse: bool) -> Tensor:
    batch, length, width = inflow.shape
    size = math.isqrt(length - 1) + 1
    count = -(-length // size)
    padding = (0, 0, 0, count * size - length)
    pieces = (batch * count, size, width)
    decay = functional.pad(decay, padding, value=1.0).view(pieces)
    inflow = functional.pad(inflow, padding).view(pieces)
    nothing, one = torch.zeros_like(inflow[:, 0]), torch.ones_like(inflow[:, 0])
    alone = _in_one_piece(decay, inflow, nothing, reverse=reverse).view(batch, count, size, width)
    kept = _in_one_piece(decay, torch.zeros_like(decay), one, reverse=reverse).view_as(alone)
    edge = 0 if reverse else -1
    ends = _in_one_piece(kept[:, :, edge], alone[:, :, edge], start, reverse=reverse)
    first = start.unsqueeze(1)
    before = torch.cat([ends[:, 1:], first] if reverse else [first, ends[:, :-1]], dim=1)
    return alone.addcmul_(kept, before.unsqueeze(2)).flatten(1, 2)[:, :length]
