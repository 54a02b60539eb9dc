"""The forward pass of one micro-batch up to its loss: precision, memory, compilation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from engine.candidates import Window
from engine.compiling import Compiled
from engine.losses import Objective
from engine.models import NextVectorModel, State
from engine.precision import Precision, autocast

Terms: TypeAlias = dict[str, Tensor]
"""By name what is worth reporting of a loss, detached."""
BALANCE = "balance"
"""The term that a model adds itself, its weight in it."""
_SEGMENTS = 8
_SHORTEST_SEGMENT = 64
_LONGEST_SEGMENT = 256


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
        checkpointing: compute the model and the loss in segments of the sequence that hand the state on, and
            each segment again in the backward pass, instead of keeping its activations (Chen et al., Training
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
        if not self._checkpointing:
            loss, terms, _ = self._segment(x, targets, negatives, None, 0, 1.0, 1.0)
            return loss, terms
        length, size = x.shape[1], segment_length(x.shape[1])
        state: State | None = None
        total, sums = x.new_zeros(()), Terms()
        for begin in range(0, length, size):
            end = min(begin + size, length)
            share = (end - begin) / length
            # The loss of the last position alone is all of it.
            weight = share if self._objective.positions == "all" else float(end == length)
            loss, terms, state = checkpoint(
                self._segment,
                x[:, begin:end],
                targets[:, begin:end],
                negatives,
                state,
                begin,
                weight,
                share,
                use_reentrant=False,
            )
            total = total + loss
            sums |= {name: sums[name] + term if name in sums else term for name, term in terms.items()}
        return total, sums

    def _segment(
        self,
        x: Tensor,
        targets: Tensor,
        negatives: Negatives,
        state: State | None,
        begin: int,
        weight: float,
        share: float,
    ) -> tuple[Tensor, Terms, State]:
        """Some positions in a row: their part of the loss and of its terms, and the state after them.

        Args:
            begin: where they begin in the sequence.
            weight: of the positions in the objective; 0: none of them is supervised.
            share: of the positions in the sequence.
        """
        with autocast(self._precision, self._device):
            predictions, after = self._forward(x, state)
            auxiliary = self._model.auxiliary() if self._balance > 0 else None
        loss, terms = x.new_zeros(()), Terms()
        if weight > 0:
            hard = negatives.hard(begin, begin + x.shape[1]) if negatives.hard else None
            window = negatives.window._replace(begin=begin) if negatives.window else None
            measured, found = self._objective(predictions, targets, negatives.bank, hard, window)
            loss, terms = weight * measured, {name: weight * term for name, term in found.items()}
        if auxiliary is not None:
            balance = share * self._balance * auxiliary.float()
            loss, terms[BALANCE] = loss + balance, balance.detach()
        return loss, terms, after


def segment_length(length: int) -> int:
    """Positions in a segment of a sequence that is checkpointed: an eighth of it, where that is neither so
    short that states weigh more than activations nor so long that little is saved."""
    return max(_SHORTEST_SEGMENT, min(_LONGEST_SEGMENT, math.ceil(length / _SEGMENTS)))
