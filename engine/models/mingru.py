"""`mingru`: recurrent layers without a matrix in the recurrence, trained by a parallel scan (Feng et al.,
Were RNNs All We Needed?, 2024)."""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from engine.models.base import Head, NextVectorModel, State, unit_scale
from engine.models.scan import gated_scan
from lvmtui.recipe import ModelSection

LONGEST = 64.0
"""Vectors that the slowest units remember at the start; the fastest remember one."""


class MinGruState(NamedTuple):
    """What the stream's past has left."""

    hidden: Tensor
    """(B, layers, H) of the recurrences, float32."""
    head: State


class MinGru(NextVectorModel):
    """An input projection of the vectors (each brought to the norm sqrt(D)), residual minGRU layers with
    normalised input, a last normalisation, and a head."""

    def __init__(self, section: ModelSection, *, dim: int, head: Head) -> None:
        super().__init__()
        self.hidden = section.hidden
        self.input = nn.Linear(dim, section.hidden)
        self.layers = nn.ModuleList(MinGruLayer(section.hidden) for _ in range(section.layers))
        self.norm = nn.LayerNorm(section.hidden)
        self.dropout = nn.Dropout(section.dropout)
        self.head = head

    def initial_state(self, batch: int) -> MinGruState:
        """The state at the start of `batch` streams: zeros."""
        zeros = self.input.weight.new_zeros(batch, len(self.layers), self.hidden)
        return MinGruState(zeros, self.head.initial_state(batch))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next vector at every position: (B, T, D) -> (B, T, D)."""
        before = cast(MinGruState, state or self.initial_state(x.shape[0]))
        values: Tensor = self.input(unit_scale(x))
        after = []
        for layer, start in zip(self.layers, before.hidden.unbind(1), strict=True):
            remembered = layer(values, start)
            after.append(remembered[:, -1])
            values = values + self.dropout(remembered.to(values.dtype))
        prediction, head = self.head(self.dropout(self.norm(values)), x, before.head)
        return prediction, MinGruState(torch.stack(after, dim=1), head)


class MinGruLayer(nn.Module):
    """`h_t = (1 - z_t) h_{t-1} + z_t c_t`, where gate z and candidate c see x_t alone."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.gate_and_candidate = nn.Linear(hidden, 2 * hidden)
        # Time scales spread evenly in their logarithm (after Tallec and Ollivier, Can Recurrent Neural
        # Networks Warp Time?, 2018): a gate of 1 / n forgets over n vectors.
        scales = torch.linspace(0.0, math.log(LONGEST), hidden).exp()
        with torch.no_grad():
            self.gate_and_candidate.bias[:hidden] = -scales.log()

    def forward(self, values: Tensor, start: Tensor) -> Tensor:
        """Values (B, T, H) and the state before them (B, H) -> the states at each position (B, T, H)."""
        return gated_scan(self.gate_and_candidate(self.norm(values)), start)
