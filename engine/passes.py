"""The forward pass of one micro-batch up to its loss: precision, memory, compilation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from engine.candidates import Window
from engine.compiling import Compiled
from engine.losses import Measured, Objective
from engine.models import NextVectorModel, State
from engine.precision import Precision, autocast

Terms: TypeAlias = dict[str, Tensor]
"""By name what is worth reporting of a loss, detached."""
BALANCE = "balance"
"""The term that a model adds itself, its weight in it."""
_SEGMENTS = 8
_SHORTEST_SEGMENT = 64
_LONGEST_SEGMENT = 256
_BLOCK = 1024
"""Positions, of all windows together, whose loss is computed at once."""


@dataclass(frozen=True)
class Negatives:
    """What the predictions of a micro-batch are told apart from, besides one another."""

    bank: Tensor | None = None
    """(K, D) shared by all positions."""
    hard: Callable[[int, int], Tensor] | None = None
    """Gives each position's own (B, end - begin, k, D), for positions begin to end: they are many times the
    targets, so they are read when they are needed."""
    window: Window | None = None
    """Where the targets stand, for a loss that uses it."""


class Passes:
    """Computes the loss of micro-batches.

    Args:
        balance: weight of the model's own auxiliary loss. It is that of the micro-batch: where it is no mean
            over windows, as the load of experts is not, accumulation only approximates a large batch.
        checkpointing: compute the model in segments of the sequence that hand the state on, and each segment
            again in the backward pass, instead of keeping its activations (Chen et al., Training
            Deep Nets with Sublinear Memory Cost, 2016). Gradients are the same, dropout aside: which entries
            are dropped is drawn per segment.
        compile_model: compile the model; where that does not work, it runs as it is.
    """

    def __init__(
        self,
        model: NextVectorModel,
        objective: Objective,
        *,
        device: torch.device,
        balance: float,
        precision: Precision,
        checkpointing: bool,
        compile_model: bool,
    ) -> None:
        self._model = model
        self._objective = objective
        self._device = device
        self._balance = balance
        self._precision = precision
        self._checkpointing = checkpointing and not model.recompute_layers()
        self._forward: Callable[[Tensor, State | None], tuple[Tensor, State]] = (
            Compiled(model) if compile_model else model
        )

    def loss(self, x: Tensor, targets: Tensor, negatives: Negatives) -> tuple[Tensor, Terms]:
        """The loss of a micro-batch, with gradients, and its terms.

        Args:
            x: vectors (B, T, D).
            targets: (B, T, D): the vectors that came next.
        """
        length = x.shape[1]
        size = segment_length(length) if self._checkpointing else length
        state: State | None = None
        total, sums = x.new_zeros(()), Terms()
        for begin in range(0, length, size):
            end = min(begin + size, length)
            predictions, auxiliary, state = self._segment(x[:, begin:end], state)
            loss, terms = self._measured(predictions, targets, negatives, begin)
            if auxiliary is not None:
                balance = (end - begin) / length * self._balance * auxiliary.float()
                loss, terms[BALANCE] = loss + balance, balance.detach()
            total = total + loss
            _add(sums, terms)
        return total, sums

    def _segment(self, x: Tensor, state: State | None) -> tuple[Tensor, Tensor | None, State]:
        """Predictions at some positions in a row, the model's own loss, and the state after them."""
        if self._checkpointing:
            found = checkpoint(self._predict, x, state, use_reentrant=False)
            return cast(tuple[Tensor, Tensor | None, State], found)
        return self._predict(x, state)

    def _predict(self, x: Tensor, state: State | None) -> tuple[Tensor, Tensor | None, State]:
        with autocast(self._precision, self._device):
            predictions, after = self._forward(x, state)
            return predictions, self._model.auxiliary() if self._balance > 0 else None, after

    def _measured(
        self, predictions: Tensor, targets: Tensor, negatives: Negatives, begin: int
    ) -> tuple[Tensor, Terms]:
        """What some positions in a row are of the loss and of its terms.

        It is computed in blocks of positions, and its gradient with it: the products with all negatives are
        the largest tensors of a step, and are held for one block at a time.

        Args:
            predictions: (B, t, D) of the t positions from `begin`.
            targets: (B, T, D) of the whole sequence.
        """
        batch, length = targets.shape[:2]
        last = self._objective.positions == "last"
        first, end = length - 1 if last else 0, begin + predictions.shape[1]
        size = max(1, _BLOCK // batch)
        learning = torch.is_grad_enabled() and predictions.requires_grad
        parameters = [p for p in self._objective.parameters() if p.requires_grad] if learning else []
        total, sums = targets.new_zeros(()), Terms()
        gradient = torch.zeros_like(predictions) if learning else predictions
        others: list[Tensor | None] = [None] * len(parameters)
        for start in range(max(begin, first), end, size):
            stop = min(start + size, end)
            part = predictions[:, start - begin : stop - begin].detach().requires_grad_(learning)
            measured, terms = self._block(part, targets[:, start:stop], negatives, start)
            weight = (stop - start) / (length - first)
            loss = weight * measured
            if learning:
                of_part, *found = torch.autograd.grad(loss, [part, *parameters], allow_unused=True)
                gradient[:, start - begin : stop - begin] = of_part
                others = [_sum(known, more) for known, more in zip(others, found, strict=True)]
            total = total + loss.detach()
            _add(sums, {name: weight * term for name, term in terms.items()})
        if learning:
            total = _Known.apply(total, [gradient, *others], predictions, *parameters)  # type: ignore[no-untyped-call]
        return total, sums

    def _block(
        self, predictions: Tensor, targets: Tensor, negatives: Negatives, begin: int
    ) -> tuple[Tensor, Terms]:
        """The mean loss of some positions, which begin at `begin` of the sequence."""
        hard = negatives.hard(begin, begin + targets.shape[1]) if negatives.hard else None
        window = negatives.window._replace(begin=begin) if negatives.window else None
        measured: Measured = self._objective(predictions, targets, negatives.bank, hard, window)
        return measured


class _Known(torch.autograd.Function):
    """A value whose gradients are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor | None], *inputs: Tensor) -> Tensor:  # noqa: ARG004
        ctx.save_for_backward(*gradients)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # In place: a second backward pass is refused, as it is for any graph that was not retained.
        found = (None if known is None else known.mul_(gradient) for known in ctx.saved_tensors)
        return (None, None, *found)


def _sum(known: Tensor | None, more: Tensor | None) -> Tensor | None:
    return more if known is None else known if more is None else known + more


def _add(sums: Terms, terms: Terms) -> None:
    for name, term in terms.items():
        sums[name] = sums[name] + term if name in sums else term


def segment_length(length: int) -> int:
    """Positions in a segment of a sequence that is checkpointed: an eighth of it, where that is neither so
    short that states weigh more than activations nor so long that little is saved."""
    return max(_SHORTEST_SEGMENT, min(_LONGEST_SEGMENT, math.ceil(length / _SEGMENTS)))
