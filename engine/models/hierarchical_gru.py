"""`hierarchical_gru`: recurrent layers within chunks, under a recurrence over the finished chunks.

The layers start anew with each chunk, so that all chunks of a sequence run side by side, as if they were
sequences of a batch. A GRU over the summaries of finished chunks carries what came before (hierarchical
recurrence after Sordoni et al., A Hierarchical Recurrent Encoder-Decoder, 2015). A sequence of T positions
takes chunk + T / chunk steps one after the other instead of T.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from engine.models.base import Head, NextVectorModel, State
from engine.models.chunks import chunk_totals
from engine.models.fusion import Fusion
from engine.models.gru import Recurrent
from engine.models.recurrence import run_gru
from lvmtui.recipe import ModelSection


class HierarchicalGruState(NamedTuple):
    """The unfinished chunk, and what the finished ones have left."""

    within: Tensor
    """(B, layers, H) of the layers within the unfinished chunk; zeros at its start."""
    total: Tensor
    """(B, H) sum of their outputs in it."""
    above: Tensor
    """(B, H) of the recurrence over finished chunks; zeros before the first."""
    position: Tensor
    """() int64: positions of the unfinished chunk, 0 to chunk - 1."""
    head: State


class HierarchicalGru(NextVectorModel):
    """GRU layers within chunks, a GRU over the means of their outputs, the two fused, and a head.

    A position sees its own chunk up to itself, and the chunks that were finished before it.
    """

    def __init__(self, section: ModelSection, *, dim: int, head: Head) -> None:
        super().__init__()
        self.chunk = section.chunk
        self.within = Recurrent(section, dim=dim)
        self.above = Above(section.hidden)
        self.fusion = Fusion(section.hidden)
        self.dropout = nn.Dropout(section.dropout)
        self.head = head

    def initial_state(self, batch: int) -> HierarchicalGruState:
        """The state at the start of `batch` streams: no chunk begun."""
        within = self.within.initial_state(batch)
        return HierarchicalGruState(
            within=within,
            total=within.new_zeros(batch, within.shape[-1]),
            above=within.new_zeros(batch, within.shape[-1]),
            position=torch.zeros((), dtype=torch.int64, device=within.device),
            head=self.head.initial_state(batch),
        )

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next vector at every position: (B, T, D) -> (B, T, D)."""
        before = cast(HierarchicalGruState, state or self.initial_state(x.shape[0]))
        length = x.shape[1]
        offset = int(before.position)
        finished, position = divmod(offset + length, self.chunk)
        output, within = self._run_within(x, offset, before.within)
        totals = chunk_totals(output, before.total, offset, self.chunk)
        above, carried = self.above(totals[:, :finished] / self.chunk, before.above)
        seen = above.repeat_interleave(self.chunk, dim=1)[:, offset : offset + length]
        fused = self.dropout(self.fusion(output, seen))
        prediction, head = self.head(fused, x, before.head)
        return prediction, HierarchicalGruState(
            within=within if position else torch.zeros_like(within),
            total=totals[:, finished] if position else torch.zeros_like(before.total),
            above=carried,
            position=torch.full_like(before.position, position),
            head=head,
        )

    def _run_within(self, x: Tensor, offset: int, begun: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (B, T, H) of the layers, and their state (B, layers, H) after the last position.

        The rest of the chunk that has begun, all whole chunks, and the beginning of the last one: up to three
        calls, none longer than a chunk.
        """
        batch, length, dim = x.shape
        rest = min(-offset % self.chunk, length)
        whole = (length - rest) // self.chunk
        tail = (length - rest) % self.chunk
        fresh, outputs = torch.zeros_like(begun), []
        if rest:
            output, begun = self.within(x[:, :rest], begun)
            outputs.append(output)
        if whole:
            chunks = x[:, rest : length - tail].reshape(batch * whole, self.chunk, dim)
            output, _ = self.within(chunks, fresh.repeat_interleave(whole, dim=0))
            outputs.append(output.reshape(batch, whole * self.chunk, -1))
        if tail:
            output, begun = self.within(x[:, length - tail :], fresh)
            outputs.append(output)
        return torch.cat(outputs, dim=1), begun


class Above(nn.Module):
    """A GRU layer over the summaries of finished chunks."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layer = nn.GRU(hidden, hidden, batch_first=True)

    def forward(self, summaries: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """What stands above each chunk (B, n + 1, H), given the summaries of n finished ones, and the last
        of it (B, H)."""
        if summaries.shape[1] == 0:
            return carried.unsqueeze(1), carried
        output, after = run_gru(self.layer, summaries, carried.unsqueeze(0))
        return torch.cat([carried.unsqueeze(1).to(output.dtype), output], dim=1), after.squeeze(0)
