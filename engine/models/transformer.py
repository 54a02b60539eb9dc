"""`transformer`: causal self-attention over a sliding window.

Pre-norm blocks (Xiong et al., On Layer Normalization in the Transformer Architecture, 2020) with rotary
positions (Su et al., RoFormer, 2021). Every layer attends to the last `context` vectors, so that streams of
any length need constant time and memory for each vector: the state is a cache of that many keys and values.
"""

import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from engine.models.base import Head, NextVectorModel, State, unit_scale
from lvmtui.errors import RecipeError
from lvmtui.recipe import ModelSection

BLOCK = 256
"""Positions whose attention over a band of keys is computed together, where plain causal attention does not
do: a mask never has more than BLOCK x (BLOCK + context) entries."""
BASE = 10_000.0
"""Of the wavelengths of the rotary positions: from 2 pi to nearly 2 pi times this."""
WIDENING = 4
"""Width of the perceptrons, in widths of the layers."""


class LayerState(NamedTuple):
    """The vectors that the next position of one layer can still attend to, oldest first; zeros where the
    stream had not begun."""

    keys: Tensor
    """(B, window - 1, H), rotated by their positions in the stream."""
    values: Tensor
    """(B, window - 1, H)."""


class TransformerState(NamedTuple):
    """What the stream's past has left."""

    past: tuple[LayerState, ...]
    """Of each layer."""
    position: Tensor
    """() int64: vectors seen."""
    head: State


class Transformer(NextVectorModel):
    """A linear map in, pre-norm attention blocks with rotary positions, and a head.

    Args:
        context: vectors that a position attends to in each layer, its own included.

    Raises:
        RecipeError: the width cannot be shared out to the heads.
    """

    def __init__(self, section: ModelSection, *, dim: int, context: int, head: Head) -> None:
        super().__init__()
        if section.hidden % (2 * section.heads):
            raise RecipeError(
                f"a width of {section.hidden} cannot be shared out to {section.heads} attention heads",
                "model.hidden has to be a multiple of twice model.heads.",
            )
        self.window = context
        self.input = nn.Linear(dim, section.hidden)
        self.layers = Layers(section)
        self.head = head

    def recompute_layers(self) -> bool:
        """See `NextVectorModel`. In segments of a sequence the keys and values handed on would weigh as much
        as the activations that are saved."""
        self.layers.recompute = True
        return True

    def initial_state(self, batch: int) -> TransformerState:
        """The state at the start of `batch` streams."""
        weight = self.input.weight
        empty = weight.new_zeros(batch, self.window - 1, len(weight))
        return TransformerState(
            past=tuple(LayerState(empty, empty) for _ in self.layers.blocks),
            position=torch.zeros((), dtype=torch.int64, device=weight.device),
            head=self.head.initial_state(batch),
        )

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next vector at every position: (B, T, D) -> (B, T, D)."""
        length = x.shape[1]
        before = cast(TransformerState | None, state)
        position = torch.zeros((), dtype=torch.int64, device=x.device) if before is None else before.position
        head = self.head.initial_state(x.shape[0]) if before is None else before.head
        bands = _bands(length, self.window, None if before is None else position, x.device)
        rotation = self.layers.rotary(position, length)
        past = None if before is None else before.past
        hidden, kept = self.layers(self.input(unit_scale(x)), past, rotation, bands, self.window)
        prediction, head = self.layers.call(self.head, hidden, x, head)
        return prediction, TransformerState(kept, position + length, head)


class Band(NamedTuple):
    """Queries that are answered together, and the keys that at least one of them may see."""

    queries: slice
    keys: slice
    seen: Tensor | None
    """(queries, keys) bool; None: all up to each query's own place, as many queries as keys."""


def _bands(length: int, window: int, position: Tensor | None, device: torch.device) -> list[Band]:
    """How `length` queries attend to the last `window` keys each.

    Args:
        position: () int64, how many vectors came before: `window - 1` keys stand before the first query's, of
            which as many are real. None: none came before, and no keys stand there.
    """
    if position is None and length <= window:
        return [Band(slice(0, length), slice(0, length), None)]
    before = 0 if position is None else window - 1
    bands = []
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        low, high = max(0, before + start - window + 1), before + stop
        column = torch.arange(low, high, device=device)
        lag = torch.arange(before + start, high, device=device)[:, None] - column
        seen = (lag >= 0) & (lag < window)
        if position is not None:
            seen &= column >= before - position
        bands.append(Band(slice(start, stop), slice(low, high), seen))
    return bands


class Rotary(nn.Module):
    """Angles of positions: of wavelengths in geometric progression, each rounded to a whole number of
    positions, so that a position's angle keeps its precision however long the stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        exponents = torch.arange(width // 2, dtype=torch.float64) / (width // 2)
        wavelengths = (2 * math.pi * BASE**exponents).round()
        self.register_buffer("wavelengths", wavelengths.long(), persistent=False)
        self.wavelengths: Tensor

    def forward(self, position: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines (T, 1, width / 2) of the positions from `position` () on, float32."""
        positions = position + torch.arange(length, device=position.device)
        turns = (positions[:, None, None] % self.wavelengths).float() / self.wavelengths
        angles = 2 * math.pi * turns
        return angles.cos(), angles.sin()


def _rotate(values: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Values (B, T, heads, width) turned by the angles of their positions."""
    cos, sin = rotation
    first, second = values.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).to(values)


class Layers(nn.Module):
    """The blocks, and the last normalisation."""

    def __init__(self, section: ModelSection) -> None:
        super().__init__()
        self.rotary = Rotary(section.hidden // section.heads)
        self.blocks = nn.ModuleList(Block(section) for _ in range(section.layers))
        self.norm = nn.LayerNorm(section.hidden)
        self.recompute = False

    def forward(
        self,
        hidden: Tensor,
        past: tuple[LayerState, ...] | None,
        rotation: tuple[Tensor, Tensor],
        bands: list[Band],
        window: int,
    ) -> tuple[Tensor, tuple[LayerState, ...]]:
        """Hidden states (B, T, H) -> (B, T, H), and what each layer keeps of them."""
        kept = []
        for index, block in enumerate(self.blocks):
            before = None if past is None else past[index]
            hidden, keys, values = self.call(block, hidden, before, rotation, bands)
            kept.append(LayerState(_newest(keys, window - 1), _newest(values, window - 1)))
        return self.norm(hidden), tuple(kept)

    def call(self, module: nn.Module, *inputs: Any) -> Any:
        """What a module gives; its activations are computed again in the backward pass where that is asked
        for."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(module, *inputs, use_reentrant=False)
        return module(*inputs)


def _newest(values: Tensor, count: int) -> Tensor:
    """The last `count` of values (B, n, H); zeros before them where there are fewer."""
    n = values.shape[1]
    return values[:, n - count :] if n >= count else functional.pad(values, (0, 0, count - n, 0))


class Block(nn.Module):
    """Attention, then a perceptron, each after a normalisation and added to what came in."""

    def __init__(self, section: ModelSection) -> None:
        super().__init__()
        hidden = section.hidden
        self.heads = section.heads
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention_in = nn.Linear(hidden, 3 * hidden, bias=False)
        self.attention_out = nn.Linear(hidden, hidden)
        self.perceptron_norm = nn.LayerNorm(hidden)
        self.expand = nn.Linear(hidden, WIDENING * hidden)
        self.contract = nn.Linear(WIDENING * hidden, hidden)
        self.dropout = nn.Dropout(section.dropout)
        # What all layers add together then varies as much as what came in, however many they are.
        for layer in (self.attention_out, self.contract):
            nn.init.normal_(layer.weight, std=(2 * section.layers * layer.in_features) ** -0.5)
            nn.init.zeros_(layer.bias)

    def forward(
        self, hidden: Tensor, past: LayerState | None, rotation: tuple[Tensor, Tensor], bands: list[Band]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states (B, T, H) -> (B, T, H), and all keys and values that were there, (B, n, H) each."""
        queries, keys, values = self.attention_in(self.attention_norm(hidden)).chunk(3, dim=-1)
        queries, keys = (_rotate(self._split(part), rotation).flatten(-2) for part in (queries, keys))
        if past is not None:
            keys = torch.cat([past.keys.to(keys), keys], dim=1)
            values = torch.cat([past.values.to(values), values], dim=1)
        attended = self._attend(queries, keys, values, bands)
        hidden = hidden + self.dropout(self.attention_out(attended))
        wide = functional.gelu(self.expand(self.perceptron_norm(hidden)))
        return hidden + self.dropout(self.contract(wide)), keys, values

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, bands: list[Band]) -> Tensor:
        """Attention of queries (B, T, H), band by band: (B, T, H)."""
        query, key, value = (self._split(part).transpose(1, 2) for part in (queries, keys, values))
        parts = [
            functional.scaled_dot_product_attention(
                query[:, :, band.queries],
                key[:, :, band.keys],
                value[:, :, band.keys],
                attn_mask=band.seen,
                is_causal=band.seen is None,
            )
            for band in bands
        ]
        return torch.cat(parts, dim=2).transpose(1, 2).flatten(-2)

    def _split(self, values: Tensor) -> Tensor:
        """(B, T, H) -> (B, T, heads, H / heads)."""
        return values.view(*values.shape[:-1], self.heads, -1)
