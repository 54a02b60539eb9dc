"""`memory_gru`, the flagship: recurrent layers with a differentiable slot memory per stream.

All positions of a chunk read the slots that the chunks before it have left; after a chunk, its mean hidden
state is written by content addressing with erase and add gates (Graves et al., Neural Turing Machines, 2014).
So a sequence of T positions takes T / chunk small steps one after the other, and everything else is batched.
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import Head, NextVectorModel, State
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
        chunks = self._by_chunk(hidden, offset)
        first = chunks[:, :1].sum(dim=2) + state.total.unsqueeze(1)
        totals = torch.cat([first, chunks[:, 1:].sum(dim=2)], dim=1)
        history, self._addresses = self.write(totals[:, :finished] / self.chunk, state.slots)
        query = self._by_chunk(self.read.query(hidden), offset)
        read = self.read(query, torch.stack(history[: chunks.shape[1]], dim=1))
        fused = self.fusion(hidden, read.flatten(1, 2)[:, offset : offset + length])
        total = totals[:, finished] if position else torch.zeros_like(state.total)
        return fused, MemoryState(history[finished], total, torch.full_like(state.position, position))

    def _by_chunk(self, values: Tensor, offset: int) -> Tensor:
        """Values (B, T, H) on the grid of chunks (B, n, chunk, H), the first at `offset`, zeros around."""
        batch, length, width = values.shape
        count = -(-(offset + length) // self.chunk)
        after = count * self.chunk - offset - length
        return functional.pad(values, (0, 0, offset, after)).view(batch, count, self.chunk, width)

    def diagnostics(self) -> dict[str, float]:
        """How spread out the writes of the last forward were: entropy of the addresses, 1 = uniform. Empty
        when nothing was written."""
        if self._addresses is None or self._addresses.numel() == 0 or self.start.shape[0] == 1:
            return {}
        entropy = torch.special.entr(self._addresses).sum(dim=-1).mean().item()
        return {"memory/address_entropy": entropy / math.log(self.start.shape[0])}


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


class Fusion(nn.Module):
    """`h + MLP([h; read])`: lets the memory correct the hidden state."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        width = max(8, int(1.8 * hidden) // 8 * 8)
        self.norm = nn.LayerNorm(2 * hidden)
        self.expand = nn.Linear(2 * hidden, width)
        self.contract = nn.Linear(width, hidden)

    def forward(self, hidden: Tensor, read: Tensor) -> Tensor:
        """Hidden states and what they read, each (B, T, H) -> (B, T, H)."""
        both = self.norm(torch.cat([hidden, read], dim=-1))
        correction: Tensor = self.contract(functional.gelu(self.expand(both)))
        return hidden + correction
