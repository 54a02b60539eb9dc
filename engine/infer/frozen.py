"""A trained model made ready to predict: what no input changes is computed once.

One vector at a time, a prediction costs as much as reading the weights; anything that is computed anew from
weights alone, or from a state that did not change, is waste. Numbers stay those of the trained model, up to
rounding.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models import NextVectorModel, State
from engine.models.base import unit_scale
from engine.models.composer import MATCH_GAIN, SALIENCE_GAIN, Composer, ComposerState, MixingComposer
from engine.models.fusion import Fusion
from engine.models.gru import Recurrent
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


class FrozenRecurrent(Recurrent, _Frozen):
    """GRU layers with a short way for a single position on a processor."""

    def prepare(self) -> None:
        """See `_Frozen`; the weights are looked up at the first step, if they were not rounded by then."""
        self._weights: list[list[Tensor]] | None = None

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """See `Recurrent`."""
        # Rounded layers take the place of these.
        if x.shape[1] > 1 or type(self.layers) is not nn.GRU or x.device.type != "cpu":
            return super().forward(x, hidden)
        if self._weights is None:
            self._weights = [list(weights) for weights in self.layers.all_weights]
        output, after = unit_scale(x.squeeze(1)), []
        for weights, state in zip(self._weights, hidden.unbind(1), strict=True):
            output = _gru_step(output, state, *weights)
            after.append(output)
        return output.unsqueeze(1), torch.stack(after, dim=1)


def _gru_step(
    x: Tensor, state: Tensor, of_input: Tensor, of_state: Tensor, input_bias: Tensor, state_bias: Tensor
) -> Tensor:
    """One layer's state (B, H) after one more input (B, D), as `nn.GRU` computes it."""
    size = state.shape[1]
    gates = functional.linear(x, of_input, input_bias)
    inner = functional.linear(state, of_state, state_bias)
    both, new = gates.tensor_split((2 * size,), dim=1)
    inner_both, inner_new = inner.tensor_split((2 * size,), dim=1)
    reset, update = both.add_(inner_both).sigmoid_().chunk(2, dim=1)
    return torch.lerp(new.addcmul_(reset, inner_new).tanh_(), state, update)


class FrozenFusion(Fusion, _Frozen):
    """A fusion with a short way for a single position."""

    def prepare(self) -> None:
        """See `_Frozen`; nothing is computed."""

    def forward(self, hidden: Tensor, read: Tensor) -> Tensor:
        """See `Fusion`."""
        if hidden.shape[1] > 1:
            return super().forward(hidden, read)
        values: Tensor = self.expand(self.norm(torch.cat([hidden, read], dim=-1)))
        # The definition of `gelu`, whose start costs more than all the rest where oneDNN computes it.
        share = torch.erf(values * 0.5**0.5).add_(1)
        correction: Tensor = self.contract(values.mul_(share).mul_(0.5))
        return correction.add_(hidden)


class Window:
    """The newest vectors of some streams, in a buffer with room for more behind them: one more is written
    behind the last, and nothing is moved until the buffer is full.

    A state is a view of its part of a buffer, and vectors behind it never change what it sees. Two states may
    go on from the same one: the second finds the place behind it taken, and gets a buffer of its own.
    """

    def __init__(self, state: ComposerState, dim: int) -> None:
        batch, length, width = state.past.shape
        room = length + ROOM
        self.values = state.past.new_empty(batch, room, width)
        """(B, room, …): what the composer remembers, vectors first."""
        self.keys = state.keys.new_empty(batch, room, state.keys.shape[2])
        self.inverse = state.past.new_empty(batch, 1, room)
        """Of the vectors' norms."""
        self.end = 0
        self._dim = dim
        self.write(state.past, state.keys)

    def write(self, values: Tensor, keys: Tensor) -> None:
        """Put some more (B, n, …) behind the last."""
        place = slice(self.end, self.end + values.shape[1])
        self.values[:, place] = values
        self.keys[:, place] = keys
        self.inverse[:, 0, place] = _inverse_norms(values[..., : self._dim])
        self.end = place.stop


class WindowState(ComposerState):
    """A composer's state that is a view of a window."""

    window: Window | None = None
    begin: int = 0
    """Where its first vector is in the window."""
    known: int = 0
    """What `seen` holds."""

    @classmethod
    def of(cls, window: Window, begin: int, known: int, seen: Tensor) -> "WindowState":
        """The state of a window from its vector `begin` to its end."""
        state = cls(window.values[:, begin : window.end], window.keys[:, begin : window.end], seen)
        state.window, state.begin, state.known = window, begin, known
        return state


def _windowed(state: ComposerState, dim: int) -> WindowState:
    """The state as a view of a window that has room behind it."""
    if isinstance(state, WindowState) and state.window is not None:
        window, end = state.window, state.begin + state.past.shape[1]
        if window.end == end < window.values.shape[1]:
            return state
    return WindowState.of(Window(state, dim), 0, int(state.seen), state.seen)


def _inverse_norms(vectors: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return norms.clamp_(min=_LEAST_NORM).reciprocal_()


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
        self.register_buffer("match_always", SALIENCE_GAIN * self.salience, persistent=False)
        self.register_buffer("match_newest", MATCH_GAIN * self.likeness, persistent=False)
        self.fixed_recency: Tensor
        self.oldest_first: Tensor
        self.match_always: Tensor
        self.match_newest: Tensor

    def forward(self, hidden: Tensor, x: Tensor, state: State) -> tuple[Tensor, ComposerState]:
        """See `Composer`."""
        if x.shape[1] > 1:
            return super().forward(hidden, x, state)
        before = _windowed(cast(ComposerState, state), self.dim)
        window, begin = cast(Window, before.window), before.begin
        window.write(self.remembered(hidden, x), self.key(unit_scale(x)))
        kept = slice(begin, window.end)
        values, keys = window.values[:, kept], window.keys[:, kept]
        logits = torch.baddbmm(self.oldest_first, self.query(hidden), keys.mT, alpha=self.rank**-0.5)
        # Dividing the products by the norms, not the vectors, spares a copy of all of them.
        likeness = torch.bmm(self.match(x), values[..., : self.dim].mT)
        logits.addcmul_(likeness, window.inverse[..., kept])
        known, seen = before.known, before.seen
        if known < self.lags - 1:
            logits[..., : self.lags - 1 - known] = -torch.inf
            known, seen = known + 1, seen + 1
        mixed = torch.bmm(logits.softmax(dim=-1), values)
        after = WindowState.of(window, begin + 1, known, seen)
        return self.apply_output(self.compose(mixed, hidden)), after

    def apply_output(self, composed: Tensor) -> Tensor:
        """See `Composer`."""
        result: Tensor = self.output(composed)
        return result

    def match(self, x: Tensor) -> Tensor:
        """See `Composer`."""
        newest = functional.normalize(x - self.centre, dim=-1)
        return torch.addcmul(self.match_always, self.match_newest, newest)

    def recency(self) -> Tensor:
        """See `Composer`."""
        return self.fixed_recency


class FrozenMixingComposer(FrozenComposer, MixingComposer):
    """The same of a `MixingComposer`."""


class ReadState(MemoryState):
    """A memory's state with what its slots become in a read, once it was computed."""

    reading: "Reading | None" = None


class FrozenSlotMemory(SlotMemory, _Frozen):
    """A slot memory that projects its slots once for a chunk, not at each of its positions."""

    def prepare(self) -> None:
        """See `_Frozen`; nothing is projected yet."""

    def forward(self, hidden: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """See `SlotMemory`."""
        if hidden.shape[1] > 1:
            return super().forward(hidden, state)
        reading = state.reading if isinstance(state, ReadState) else None
        if reading is None:
            reading = _reading_of(self.read, state.slots)
        fused = self.fusion(hidden, reading.read(hidden))
        slots, total, position = state.slots, state.total + hidden.squeeze(1), state.position + 1
        if int(position) == self.chunk:
            history, self._addresses = self.write(total.unsqueeze(1) / self.chunk, slots)
            slots, total, position = history[1], torch.zeros_like(total), torch.zeros_like(position)
            reading = _reading_of(self.read, slots)
        after = ReadState(slots, total, position)
        after.reading = reading
        return fused, after


class Reading(NamedTuple):
    """Slots as a read of one position takes them."""

    module: SlotRead
    keys: Tensor
    """(B, heads, slots, d), or with the map of the queries in them (B, H, heads * slots)."""
    values: Tensor
    """(B, heads, slots, d), or with the map of the output in them (B, heads * slots, H)."""
    shift: Tensor | None
    """(B, 1, heads * slots): what the bias of the queries adds to the logits. None: the maps are not in keys
    and values."""

    def read(self, hidden: Tensor) -> Tensor:
        """What one position (B, 1, H) reads: (B, 1, H)."""
        module = self.module
        if self.shift is None:
            query: Tensor = module.query(hidden).unflatten(-1, (module.heads, -1)).transpose(1, 2)
            attended = functional.scaled_dot_product_attention(query, self.keys, self.values)
            result: Tensor = module.output(attended.transpose(1, 2).flatten(-2))
            return result
        logits = torch.baddbmm(self.shift, hidden, self.keys)
        weights = logits.view(len(hidden), module.heads, -1).softmax(dim=-1).view_as(logits)
        return torch.baddbmm(module.output.bias, weights, self.values)


def _reading_of(read: SlotRead, slots: Tensor) -> Reading:
    """Slots (B, slots, H) as `Reading` keeps them."""
    keys, values = (
        part.unflatten(-1, (read.heads, -1)).transpose(1, 2) for part in (read.key(slots), read.value(slots))
    )
    # A rounded map rounds what it is applied to; it stays as it is.
    if type(read.query) is not nn.Linear or type(read.output) is not nn.Linear:
        return Reading(read, keys, values, None)
    size = keys.shape[-1]
    keys = keys * size**-0.5
    of_query = read.query.weight.view(read.heads, size, -1)
    of_output = read.output.weight.T.reshape(read.heads, size, -1)
    shift = keys @ read.query.bias.view(read.heads, size, 1)
    return Reading(
        read,
        (keys @ of_query).flatten(1, 2).mT,
        (values @ of_output).flatten(1, 2),
        shift.flatten(1).unsqueeze(1),
    )


ROOM = 128
"""Vectors that a window has room for behind those that it begins with."""
_LEAST_NORM = 1e-12
"""What `torch.nn.functional.normalize` divides by at least."""
_FROZEN: dict[type[nn.Module], type[nn.Module]] = {
    Composer: FrozenComposer,
    MixingComposer: FrozenMixingComposer,
    Fusion: FrozenFusion,
    Recurrent: FrozenRecurrent,
    SlotMemory: FrozenSlotMemory,
}
