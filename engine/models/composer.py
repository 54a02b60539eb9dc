"""The composer: a head that starts as the tuned weighted-mean baseline and learns what to add to it."""

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import Head, State, unit_scale

HORIZON = 128
"""Lags that the composer attends to at most."""
BLOCK = 64
"""Positions whose attention is computed together."""
COPY_LAST_DROP = 6.0
"""What each older vector loses in the logits of a rate of 1. Copying exactly would need an infinite drop,
which no gradient passes; with this one older vectors weigh 0.25 % together."""
DECAY_GAIN = 4.0
"""Scale of the learnt change of the drop per lag (a logarithm), times the start's drop: copy-last has to
shrink its drop eightfold, a tuned start to refine it, and Adam moves a parameter by its rate a step."""
RECENCY_GAIN = 4.0
"""Scale of what each lag's logit learns besides."""
SALIENCE_GAIN = 50.0
"""Scale of what the content of a vector adds to its own logit, whatever the query is."""
MATCH_GAIN = 30.0
"""Scale of what the likeness of a vector to the newest one adds to its logit."""
CORRECTION_GAIN = 3.0
"""Scale of the correction, times 1 / sqrt(D H): entries of unit vectors are 1 / sqrt(D), and a first step of
1e-3 should move the prediction by about a hundredth, not by its own length."""
MIXED_GAIN = 3.0
"""The same of `MixingComposer`, times 1 / sqrt(D): mixed states are smaller, and it has no other way to add
to the baseline."""


@dataclass(frozen=True)
class ComposerStart:
    """The baseline that a composer equals before its first step: `whitening (ewm(x) - centre * mean)`."""

    mean: Tensor
    """(D,) mean of the training vectors."""
    centre: float
    """How much of the mean is subtracted; 0 for none."""
    rate: float
    """Of the exponentially weighted mean, 0 < rate <= 1: see `recency_weights`."""
    whitening: Tensor | None = None
    """(D, D) symmetric map applied last (C^-g); None is the identity."""

    @classmethod
    def copy_last(cls, mean: Tensor) -> "ComposerStart":
        """The untuned start: predict the last vector."""
        return cls(mean=mean, centre=0.0, rate=1.0)


def recency_weights(rate: float, lags: int) -> Tensor:
    """Weights (lags,) of the exponentially weighted mean, newest vector first: `rate * (1 - rate)^j`, in
    float64.

    Where fewer vectors stand before the query, the first weights alone are used; divide by their sum. A rate
    of 1 copies the last vector.

    Raises:
        ValueError: the rate is not in (0, 1], or there is no lag.
    """
    if not 0.0 < rate <= 1.0:
        raise ValueError(f"the rate must be above 0 and at most 1, not {rate}")
    if lags < 1:
        raise ValueError(f"there must be at least one lag, not {lags}")
    return rate * (1.0 - rate) ** torch.arange(lags, dtype=torch.float64)


class ComposerState(NamedTuple):
    """The vectors that the next position can still attend to."""

    past: Tensor
    """(B, lags - 1, D), oldest first; zeros where the stream had not begun. `MixingComposer`: (B, lags - 1,
    D + H), with their hidden states."""
    keys: Tensor
    """(B, lags - 1, R) of the same vectors."""
    seen: Tensor
    """() int64: how many of `past` are real."""


class Composer(Head):
    """`y_t = M (Σ_j a_tj x_{t-j} - c · mean + W_o h_t)`, with a softmax `a` over the last vectors.

    The logits of `a` fall with the lag at a learnt rate, plus a learnt shift per lag, plus

    - the salience of `x_{t-j}`: some sentences say more about what comes next than others;
    - its likeness to the newest vector, each direction with a weight of its own: what stands before a change
      of subject, or of document, is told by it;
    - the match of a query from `h_t` with a key of `x_{t-j}`.

    W_o, the query, salience, likeness and every shift start at zero, so that the first prediction is the
    start's baseline; shifts are kept apart from what they start from, so that weight decay pulls towards the
    baseline. What is learnt is scaled so that a few hundred steps of Adam refine the baseline instead of
    overwriting it.
    """

    def __init__(self, *, hidden: int, dim: int, context: int, start: ComposerStart) -> None:
        super().__init__()
        self.dim = dim
        self.rank = max(hidden // 2, 8)
        self.lags = min(context, HORIZON)
        self.query = _zero(nn.Linear(hidden, self.rank))
        # A bias on the keys would shift all logits of a query alike: no gradient would reach it.
        self.key = nn.Linear(dim, self.rank, bias=False)
        self.salience = nn.Parameter(torch.zeros(dim))
        self.likeness = nn.Parameter(torch.zeros(dim))
        self.decay_shift = nn.Parameter(torch.zeros(()))
        self.recency_shift = nn.Parameter(torch.zeros(self.lags))
        self.correction = _zero(nn.Linear(hidden, dim))
        self.output_shift = nn.Parameter(torch.zeros(dim, dim))
        whitening = torch.eye(dim) if start.whitening is None else start.whitening.detach().float()
        self.correction_scale = CORRECTION_GAIN / math.sqrt(dim * hidden)
        self.register_buffer("recency_start", -_drop(start.rate) * torch.arange(self.lags))
        self.register_buffer("decay_scale", torch.tensor(DECAY_GAIN * _drop(start.rate)))
        self.register_buffer("centre", start.mean.detach().float() * start.centre)
        self.register_buffer("output_start", whitening.clone())
        self.register_buffer("output_scale", whitening.norm() / dim)
        self.recency_start: Tensor
        self.decay_scale: Tensor
        self.centre: Tensor
        self.output_start: Tensor
        self.output_scale: Tensor

    def initial_state(self, batch: int) -> ComposerState:
        """A stream without a past."""
        like = self.output_start
        return ComposerState(
            past=like.new_zeros(batch, self.lags - 1, self.dim),
            keys=like.new_zeros(batch, self.lags - 1, self.rank),
            seen=torch.zeros((), dtype=torch.int64, device=like.device),
        )

    def forward(self, hidden: Tensor, x: Tensor, state: State) -> tuple[Tensor, ComposerState]:
        """Predict from hidden states (B, T, H) and vectors (B, T, D): (B, T, D)."""
        past, past_keys, seen = cast(ComposerState, state)
        length = x.shape[1]
        values = torch.cat([past, self.remembered(hidden, x)], dim=1)
        keys = torch.cat([past_keys, self.key(unit_scale(x))], dim=1)
        query = torch.cat([self.query(hidden) / self.rank**0.5, self.match(x)], dim=-1)
        content = functional.normalize(values[..., : self.dim], dim=-1)
        mixed = self._attend(query, torch.cat([keys, content], dim=-1), values, seen)
        state = ComposerState(
            past=values[:, length:],
            keys=keys[:, length:],
            seen=(seen + length).clamp(max=self.lags - 1),
        )
        return self.apply_output(self.compose(mixed, hidden)), state

    def remembered(self, hidden: Tensor, x: Tensor) -> Tensor:  # noqa: ARG002
        """What is mixed of each position."""
        return x

    def match(self, x: Tensor) -> Tensor:
        """What a vector's content, brought to norm 1, is multiplied with for its logit, from the newest
        vectors (…, D): (…, D)."""
        newest = functional.normalize(x - self.centre, dim=-1)
        match: Tensor = SALIENCE_GAIN * self.salience + MATCH_GAIN * self.likeness * newest
        return match

    def compose(self, mixed: Tensor, hidden: Tensor) -> Tensor:
        """What M is applied to, from what was mixed and the hidden states."""
        composed: Tensor = mixed - self.centre + self.correction_scale * self.correction(hidden)
        return composed

    def apply_output(self, composed: Tensor) -> Tensor:
        """M of what was composed (B, T, D)."""
        return functional.linear(composed, self.output_start + self.output_scale * self.output_shift)

    def recency(self) -> Tensor:
        """The logit of each lag (lags,), newest first."""
        decay = (self.decay_scale * self.decay_shift).exp()
        return decay * self.recency_start + RECENCY_GAIN * self.recency_shift

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, seen: Tensor) -> Tensor:
        """Attention of queries (B, T, R) over the last `lags` vectors each, given what stands before them
        too: keys and values (B, lags - 1 + T, …). A block of queries shares one band of vectors, so
        that memory never grows with T times the lags times D."""
        batch, length, rank = query.shape
        block = min(BLOCK, length)
        count = -(-length // block)
        padding = count * block - length
        band = block + self.lags - 1
        query = functional.pad(query, (0, 0, 0, padding)).view(batch, count, block, rank)
        keys = functional.pad(keys, (0, 0, 0, padding)).unfold(1, band, block)
        values = functional.pad(values, (0, 0, 0, padding)).unfold(1, band, block)
        column = torch.arange(band, device=query.device)
        logits = query @ keys + self._band_recency(block, column)
        unseen = column + block * torch.arange(count, device=query.device)[:, None] < self.lags - 1 - seen
        weights = logits.masked_fill(unseen[:, None, :], -torch.inf).softmax(dim=-1)
        return (weights @ values.mT).reshape(batch, count * block, -1)[:, :length]

    def _band_recency(self, block: int, column: Tensor) -> Tensor:
        """The recency logits as (block, band): by lag inside the band's diagonal stripe, -inf outside."""
        lag = torch.arange(block, device=column.device)[:, None] + self.lags - 1 - column
        outside = (lag < 0) | (lag >= self.lags)
        return self.recency()[lag.clamp(0, self.lags - 1)].masked_fill(outside, -torch.inf)

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        """Where the learnt recency looks, content aside."""
        weights = self.recency().softmax(dim=0)
        lag = torch.arange(self.lags, device=weights.device)
        return {
            "composer/newest_weight": weights[0].item(),
            "composer/mean_lag": (weights * lag).sum().item(),
            "composer/correction_norm": self.correction.weight.norm().item(),
            "composer/salience_norm": self.salience.norm().item(),
        }


class MixingComposer(Composer):
    """A composer for hidden states that know one vector each: they are mixed by the same attention,
    `y_t = M (Σ_j a_tj (x_{t-j} + W_o h_{t-j}) - c · mean)`, and M stays what it started as.

    A learnt M did not beat a fixed one on 50 000 vectors, and has more weights than all the rest.
    """

    def __init__(self, *, hidden: int, dim: int, context: int, start: ComposerStart) -> None:
        super().__init__(hidden=hidden, dim=dim, context=context, start=start)
        del self.output_shift
        self.hidden = hidden
        self.correction_scale = MIXED_GAIN / math.sqrt(dim)

    def initial_state(self, batch: int) -> ComposerState:
        """A stream without a past."""
        state = super().initial_state(batch)
        return state._replace(past=state.past.new_zeros(batch, self.lags - 1, self.dim + self.hidden))

    def remembered(self, hidden: Tensor, x: Tensor) -> Tensor:
        """See `Composer`."""
        return torch.cat([x, hidden], dim=-1)

    def compose(self, mixed: Tensor, hidden: Tensor) -> Tensor:  # noqa: ARG002
        """See `Composer`."""
        vectors, states = mixed[..., : self.dim], mixed[..., self.dim :]
        return super().compose(vectors, states)

    def apply_output(self, composed: Tensor) -> Tensor:
        """See `Composer`."""
        return functional.linear(composed, self.output_start)


def _drop(rate: float) -> float:
    """What each older vector loses in the logits, so that their softmax is the exponentially weighted mean;
    finite for a rate of 1."""
    return COPY_LAST_DROP if rate == 1.0 else min(-math.log1p(-rate), COPY_LAST_DROP)


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
