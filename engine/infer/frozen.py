"""A trained model made ready to predict: what no input changes is computed once.

One vector at a time, a prediction costs as much as reading the weights; anything that is computed anew from
weights alone, or from a state that did not change, is waste. Numbers stay those of the trained model, up to
rounding.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models import NextVectorModel, State
from engine.models.base import unit_scale
from engine.models.composer import Composer, ComposerState, MixingComposer
from engine.models.memory_gru import MemoryState, SlotMemory, SlotRead


def freeze(model: NextVectorModel) -> NextVectorModel:
    """The same model, in place, with its constant parts computed. Its parameters may not change any more."""
    for module in model.modules():
        kind = _FROZEN.get(type(module))
        if kind is not None:
            module.__class__ = kind
            cast(_Frozen, module).prepare()
    return model


class _Frozen:
    """A module of a trained model that became one of these."""

    def prepare(self) -> None:
        """Compute what is constant."""
        raise NotImplementedError


class FrozenComposer(Composer, _Frozen):
    """A composer whose output map and recency are computed, with a short way for a single position."""

    @torch.no_grad()
    def prepare(self) -> None:
        """See `_Frozen`."""
        weight = super().apply_output(torch.eye(self.dim, device=self.centre.device)).T.contiguous()
        self.output = nn.Linear(self.dim, self.dim, bias=False, device="meta")
        self.output.weight = nn.Parameter(weight, requires_grad=False)
        recency = super().recency()
        self.register_buffer("fixed_recency", recency, persistent=False)
        self.register_buffer("oldest_first", recency.flip(0).contiguous(), persistent=False)
        self.fixed_recency: Tensor
        self.oldest_first: Tensor

    def forward(self, hidden: Tensor, x: Tensor, state: State) -> tuple[Tensor, ComposerState]:
        """See `Composer`."""
        if x.shape[1] > 1:
            return super().forward(hidden, x, state)
        past, past_keys, seen = cast(ComposerState, state)
        values = torch.cat([past, self.remembered(hidden, x)], dim=1)
        keys = torch.cat([past_keys, self.key(unit_scale(x))], dim=1)
        logits = torch.baddbmm(self.oldest_first, self.query(hidden), keys.mT, alpha=self.rank**-0.5)
        # Dividing the products by the norms, not the vectors, spares a copy of all of them.
        vectors = values[..., : self.dim]
        norms = torch.linalg.vector_norm(vectors, dim=-1).clamp(min=_LEAST_NORM)
        logits += torch.bmm(self.match(x), vectors.mT) / norms.unsqueeze(1)
        logits[..., : self.lags - 1 - int(seen)] = -torch.inf
        mixed = torch.bmm(logits.softmax(dim=-1), values)
        after = ComposerState(values[:, 1:], keys[:, 1:], (seen + 1).clamp(max=self.lags - 1))
        return self.apply_output(self.compose(mixed, hidden)), after

    def apply_output(self, composed: Tensor) -> Tensor:
        """See `Composer`."""
        result: Tensor = self.output(composed)
        return result

    def recency(self) -> Tensor:
        """See `Composer`."""
        return self.fixed_recency


class FrozenMixingComposer(FrozenComposer, MixingComposer):
    """The same of a `MixingComposer`."""


class FrozenSlotMemory(SlotMemory, _Frozen):
    """A slot memory that projects its slots once for a chunk, not at each of its positions."""

    def prepare(self) -> None:
        """See `_Frozen`; nothing is projected yet."""
        self._projected: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, hidden: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """See `SlotMemory`."""
        position = int(state.position) + 1
        if hidden.shape[1] > 1 or position == self.chunk:
            return super().forward(hidden, state)
        if self._projected is None or self._projected[0] is not state.slots:
            self._projected = (state.slots, self.read.key(state.slots), self.read.value(state.slots))
        fused = self.fusion(hidden, _attend(self.read, hidden, *self._projected[1:]))
        return fused, MemoryState(
            state.slots, state.total + hidden.squeeze(1), torch.full_like(state.position, position)
        )


def _attend(read: SlotRead, hidden: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """What one position (B, 1, H) reads from projected slots (B, slots, H): (B, 1, H)."""
    query, keys, values = (
        part.unflatten(-1, (read.heads, -1)).transpose(1, 2) for part in (read.query(hidden), keys, values)
    )
    attended = functional.scaled_dot_product_attention(query, keys, values)
    result: Tensor = read.output(attended.transpose(1, 2).flatten(-2))
    return result


_LEAST_NORM = 1e-12
"""What `torch.nn.functional.normalize` divides by at least."""
_FROZEN: dict[type[nn.Module], type[nn.Module]] = {
    Composer: FrozenComposer,
    MixingComposer: FrozenMixingComposer,
    SlotMemory: FrozenSlotMemory,
}
