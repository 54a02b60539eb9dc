"""`gru`: recurrent layers under a head (Cho et al., Learning Phrase Representations using RNN
Encoder-Decoder, 2014)."""

from typing import NamedTuple, cast

from torch import Tensor, nn

from engine.models.base import Head, NextVectorModel, State, unit_scale
from engine.models.recurrence import run_gru
from lvmtui.recipe import ModelSection


class GruState(NamedTuple):
    """What the stream's past has left."""

    hidden: Tensor
    """(B, layers, H) of the recurrent layers."""
    head: State


class Gru(NextVectorModel):
    """GRU layers over the vectors (each brought to the norm sqrt(D)), dropout, and a head."""

    def __init__(self, section: ModelSection, *, dim: int, head: Head) -> None:
        super().__init__()
        self.recurrent = Recurrent(section, dim=dim)
        self.head = head

    def initial_state(self, batch: int) -> GruState:
        """The state at the start of `batch` streams."""
        return GruState(self.recurrent.initial_state(batch), self.head.initial_state(batch))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next vector at every position: (B, T, D) -> (B, T, D)."""
        before = cast(GruState, state or self.initial_state(x.shape[0]))
        output, hidden = self.recurrent(x, before.hidden)
        prediction, head = self.head(output, x, before.head)
        return prediction, GruState(hidden, head)


class Recurrent(nn.Module):
    """GRU layers: vectors (B, T, D) -> outputs (B, T, H), with dropout between layers and after the last."""

    def __init__(self, section: ModelSection, *, dim: int) -> None:
        super().__init__()
        between = section.dropout if section.layers > 1 else 0.0
        self.layers = nn.GRU(dim, section.hidden, section.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(section.dropout)

    def initial_state(self, batch: int) -> Tensor:
        """Zeros (B, layers, H)."""
        shape = (batch, self.layers.num_layers, self.layers.hidden_size)
        return next(self.parameters()).new_zeros(shape)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (B, T, H) and the layers' state (B, layers, H) after the last position."""
        output, after = run_gru(self.layers, unit_scale(x), hidden.transpose(0, 1).contiguous())
        return self.dropout(output), after.transpose(0, 1)
