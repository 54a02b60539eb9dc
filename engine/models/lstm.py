"""`lstm`: long short-term memory under a head (Hochreiter and Schmidhuber, Long Short-Term Memory, 1997)."""

from typing import NamedTuple, cast

from torch import Tensor, nn

from engine.models.base import Head, NextVectorModel, State, unit_scale
from lvmtui.recipe import ModelSection


class LstmState(NamedTuple):
    """What the stream's past has left."""

    hidden: Tensor
    """(B, layers, H) outputs of the layers."""
    cell: Tensor
    """(B, layers, H) cells of the layers."""
    head: State


class Lstm(NextVectorModel):
    """LSTM layers over the vectors (each brought to the norm sqrt(D)), dropout between them and after the
    last, and a head."""

    def __init__(self, section: ModelSection, *, dim: int, head: Head) -> None:
        super().__init__()
        between = section.dropout if section.layers > 1 else 0.0
        self.layers = nn.LSTM(dim, section.hidden, section.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(section.dropout)
        self.head = head
        _remember(self.layers)

    def initial_state(self, batch: int) -> LstmState:
        """The state at the start of `batch` streams: zeros."""
        shape = (batch, self.layers.num_layers, self.layers.hidden_size)
        zeros = next(self.parameters()).new_zeros(shape)
        return LstmState(zeros, zeros, self.head.initial_state(batch))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next vector at every position: (B, T, D) -> (B, T, D)."""
        before = cast(LstmState, state or self.initial_state(x.shape[0]))
        past = tuple(part.transpose(0, 1).contiguous() for part in (before.hidden, before.cell))
        output, (hidden, cell) = self.layers(unit_scale(x), past)
        prediction, head = self.head(self.dropout(output), x, before.head)
        return prediction, LstmState(hidden.transpose(0, 1), cell.transpose(0, 1), head)


def _remember(layers: nn.LSTM) -> None:
    """Start the forget gates at 1 (Jozefowicz et al., An Empirical Exploration of Recurrent Network
    Architectures, 2015). torch adds two biases, the gates stand as input, forget, cell, output."""
    size = layers.hidden_size
    for layer in range(layers.num_layers):
        nn.init.constant_(getattr(layers, f"bias_ih_l{layer}")[size : 2 * size], 1.0)
        nn.init.zeros_(getattr(layers, f"bias_hh_l{layer}")[size : 2 * size])
