"""`amn`: attention over the context's own vectors, each passed through a small MLP; no recurrence.

The quick default. Its head does the work: see `engine.models.composer.MixingComposer`.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import Head, NextVectorModel, State, unit_scale
from lvmtui.recipe import ModelSection


class AmnState(NamedTuple):
    """What the stream's past has left."""

    seen: Tensor
    """(B,) int64: vectors so far. Nothing depends on it, but a state may not be empty, and some heads
    remember nothing."""
    head: State


class Amn(NextVectorModel):
    """An MLP over each vector (brought to the norm sqrt(D)), dropout, and a head.

    `layers` counts the hidden layers of the MLP; those after the first are residual.
    """

    def __init__(self, section: ModelSection, *, dim: int, head: Head) -> None:
        super().__init__()
        self.first = nn.Linear(dim, section.hidden)
        self.others = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(section.hidden), nn.Linear(section.hidden, section.hidden), nn.GELU())
            for _ in range(section.layers - 1)
        )
        self.dropout = nn.Dropout(section.dropout)
        self.head = head

    def initial_state(self, batch: int) -> AmnState:
        """The state at the start of `batch` streams."""
        seen = torch.zeros(batch, dtype=torch.int64, device=self.first.weight.device)
        return AmnState(seen, self.head.initial_state(batch))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next vector at every position: (B, T, D) -> (B, T, D)."""
        before = cast(AmnState, state or self.initial_state(x.shape[0]))
        hidden = functional.gelu(self.first(unit_scale(x)))
        for layer in self.others:
            hidden = hidden + layer(hidden)
        prediction, head = self.head(self.dropout(hidden), x, before.head)
        return prediction, AmnState(before.seen + x.shape[1], head)
