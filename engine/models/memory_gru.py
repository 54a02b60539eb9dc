"""`memory_gru`, the flagship: recurrent layers with a differentiable slot memory per stream.

All positions of a chunk read the slots that the chunks before it have left; after a chunk, its mean hidden
state is written by content addressing with erase and add gates (Graves et al., Neural Turing Machines, 2014).
So a sequence of T positions takes T / chunk small steps one after the other, and everything else is batched.

The memory belongs to one stream: it starts from learnt slots wherever a state starts, at the first vector of
a window in training, of a context in an evaluation. Models see no document ids: a context that crosses into
an earlier document (`data.within_document = false`) carries its memory over.
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import Head, NextVectorModel, State
from engine.models.chunks import by_chunk, chunk_totals
from engine.models.fusion import Fusion
from engine.models.gru import Recurrent
from lvmtui.recipe import ModelSection


class MemoryState(NamedTuple):
    """The memory of each stream, and the chunk that is being read."""

    slots: Tensor
    """(B, slots, H)."""
    total: Tensor
    """(B, H) sum of the hidden states of the unfinished chunk."""
    position: Tensor
    """() int64: positions of the unfinished chunk, 0 to chunk - 1."""


class MemoryGruState(NamedTuple):
    """What the stream's past has left."""

    hidden: Tensor
    """(B, layers, H) of the recurrent layers."""
    memory: MemoryState
    head: State


class MemoryGru(NextVectorModel):
    """GRU layers, a slot memory fused into their output, and a head."""

    def __init__(self, section: ModelSection, *, dim: int, head: Head) -> None:
        super().__init__()
        self.recurrent = Recurrent(section, dim=dim)
        self.memory = SlotMemory(hidden=section.hidden, slots=section.slots, chunk=section.chunk)
        self.dropout = nn.Dropout(section.dropout)
        self.head = head

    def initial_state(self, batch: int) -> MemoryGruState:
        """The state at the start of `batch` streams: the learnt initial slots."""
        return MemoryGruState(
            self.recurrent.initial_state(batch),
            self.memory.initial_state(batch),
            self.head.initial_state(batch),
        )

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next vector at every position: (B, T, D) -> (B, T, D)."""
        before = cast(MemoryGruState, state or self.initial_state(x.shape[0]))
        output, hidden = self.recurrent(x, before.hidden)
        fused, memory = self.memory(output, before.memory)
        prediction, head = self.head(self.dropout(fused), x, before.head)
        return prediction, MemoryGruState(hidden, memory, head)

    def diagnostics(self) -> dict[str, float]:
        """The head's and the memory's."""
        return {**super().diagnostics(), **self.memory.diagnostics()}


class SlotMemory(nn.Module):
    """Slots (B, slots, H) that hidden states (B, T, H) read from and are summarised into."""

    def __init__(self, *, hidden: int, slots: int, chunk: int) -> None:
        super().__init__()
        self.chunk = chunk
        self.start = nn.Parameter(torch.empty(slots, hidden))
        self.read = SlotRead(hidden)
        self.write = SlotWrite(hidden, slots)
        self.fusion = Fusion(hidden)
        # Distinct directions with entries around 1: content addressing can tell the slots apart from the
        # first write on.
        nn.init.orthogonal_(self.start, gain=hidden**0.5)
        self._addresses: Tensor | None = None

    def initial_state(self, batch: int) -> MemoryState:
        """The learnt slots, nothing summarised yet."""
        slots, hidden = self.start.shape
        return MemoryState(
            slots=self.start.expand(batch, slots, hidden),
            total=self.start.new_zeros(batch, hidden),
            position=torch.zeros((), dtype=torch.int64, device=self.start.device),
        )

    def forward(self, hidden: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """Fuse what is read into the hidden states: (B, T, H) -> (B, T, H), and the state after them."""
        length = hidden.shape[1]
        offset = int(state.position)
        finished, position = divmod(offset + length, self.chunk)
        totals = chunk_totals(hidden, state.total, offset, self.chunk)
        history, self._addresses = self.write(totals[:, :finished] / self.chunk, state.slots)
        query = by_chunk(self.read.query(hidden), offset, self.chunk)
        read = self.read(query, torch.stack(history[: query.shape[1]], dim=1))
        fused = self.fusion(hidden, read.flatten(1, 2)[:, offset : offset + length])
        total = totals[:, finished] if position else torch.zeros_like(state.total)
        return fused, MemoryState(history[finished], total, torch.full_like(state.position, position))

    def diagnostics(self) -> dict[str, float]:
        """How spread out the writes of the last forward were, as entropies with 1 = uniform: of each address
        (`address_entropy`), and of their mean over all writes (`slot_entropy`; 0: one slot takes everything).
        Empty when nothing was written."""
        if self._addresses is None or self._addresses.numel() == 0 or self.start.shape[0] == 1:
            return {}
        addresses, most = self._addresses, math.log(self.start.shape[0])
        each = torch.special.entr(addresses).sum(dim=-1).mean().item()
        together = torch.special.entr(addresses.mean(dim=(0, 1))).sum().item()
        return {"memory/address_entropy": each / most, "memory/slot_entropy": together / most}


class SlotRead(nn.Module):
    """Multi-head attention of positions over the slots of their chunk."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.heads = next(heads for heads in (4, 2, 1) if hidden % heads == 0)
        self.query = nn.Linear(hidden, hidden)
        # A bias on the keys would shift all logits of a query alike: no gradient would reach it.
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.value = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, hidden)

    def forward(self, query: Tensor, slots: Tensor) -> Tensor:
        """Read for projected queries (B, n, chunk, H) from the slots of each chunk (B, n, slots, H)."""
        attended = functional.scaled_dot_product_attention(
            self._split(query), self._split(self.key(slots)), self._split(self.value(slots))
        )
        read: Tensor = self.output(attended.transpose(-2, -3).flatten(-2))
        return read

    def _split(self, values: Tensor) -> Tensor:
        return values.view(*values.shape[:-1], self.heads, -1).transpose(-2, -3)


class SlotWrite(nn.Module):
    """Writes chunk summaries into the slots whose content matches them."""

    def __init__(self, hidden: int, slots: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.key = nn.Linear(hidden, hidden)
        self.sharpness = nn.Linear(hidden, 1)
        self.gate = nn.Linear(hidden, slots)
        self.erase = nn.Linear(hidden, hidden)
        self.add = nn.Linear(hidden, hidden)
        # A random key's cosine with a slot is around 1 / sqrt(H): this sharpness makes logits of order 1.
        nn.init.constant_(self.sharpness.bias, hidden**0.5)

    def forward(self, summaries: Tensor, slots: Tensor) -> tuple[list[Tensor], Tensor]:
        """Write one summary after the other.

        Args:
            summaries: means of the finished chunks (B, n, H).
            slots: (B, slots, H) before the first.

        Returns:
            The n + 1 states of the slots, and the addresses (B, n, slots) they were written at, detached.
        """
        summaries = self.norm(summaries)
        keys = functional.normalize(self.key(summaries), dim=-1).unsqueeze(-1)
        sharpness = functional.softplus(self.sharpness(summaries))
        gates = self.gate(summaries).sigmoid()
        erase = self.erase(summaries).sigmoid().unsqueeze(-2)
        add = self.add(summaries).tanh().unsqueeze(-2)
        history, addresses = [slots], []
        for index in range(summaries.shape[1]):
            match = (functional.normalize(slots, dim=-1) @ keys[:, index]).squeeze(-1)
            address = (sharpness[:, index] * match).softmax(dim=-1)
            strength = (gates[:, index] * address).unsqueeze(-1)
            slots = slots * (1 - strength * erase[:, index]) + strength * add[:, index]
            history.append(slots)
            addresses.append(address.detach())
        written = torch.stack(addresses, dim=1) if addresses else summaries.new_zeros(0)
        return history, written
