"""`lane_experts`: a recurrent trunk whose output low-rank experts correct, a few of them for each vector.

A router picks the experts (Shazeer et al., Outrageously Large Neural Networks: The Sparsely-Gated
Mixture-of-Experts Layer, 2017). It starts as the lanes of the data: expert k is asked where the last vector
is nearest to the centre of lane k. Experts are maps of low rank (Hu et al., LoRA, 2022); the loss that keeps
them all in use is that of Fedus et al., Switch Transformers, 2022.
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import Head, NextVectorModel, State
from engine.models.gru import Recurrent
from lvmtui.errors import TrainingError
from lvmtui.recipe import ModelSection

SHARPNESS = 10.0
"""What the cosine with a lane's centre is multiplied by at the start: centres of sentence vectors differ by
about a tenth in cosine, and the nearest should have most to say, not all."""
CORRECTION = 0.1
"""Size of what an expert adds at the start, in sizes of what it is given: not zero, or the maps into the low
rank would have no gradient until those out of it had moved."""


class LaneExpertsState(NamedTuple):
    """What the stream's past has left."""

    hidden: Tensor
    """(B, layers, H) of the recurrent layers."""
    head: State


class LaneExperts(NextVectorModel):
    """GRU layers, experts of low rank that correct their output, and a head. As the head's maps are linear,
    each expert has a low-rank change of them for its own.

    Args:
        lanes: (experts, D) unit centres of the lanes that routing starts from. None: directions at random,
            for a model whose weights come from a checkpoint, or whose routing shall be learnt from nothing.

    Raises:
        TrainingError: the centres are not one for each expert.
    """

    def __init__(self, section: ModelSection, *, dim: int, lanes: Tensor | None, head: Head) -> None:
        super().__init__()
        if lanes is None:
            lanes = functional.normalize(torch.randn(section.experts, dim), dim=-1)
        if lanes.shape != (section.experts, dim):
            raise TrainingError(
                f"the centres of the lanes are {tuple(lanes.shape)}, the model has {section.experts} experts "
                f"and vectors of {dim} numbers"
            )
        self.recurrent = Recurrent(section, dim=dim)
        self.router = Router(lanes, hidden=section.hidden, active=min(section.active, section.experts))
        self.experts = Experts(section)
        self.head = head
        self._routes: Tensor | None = None

    def initial_state(self, batch: int) -> LaneExpertsState:
        """The state at the start of `batch` streams."""
        return LaneExpertsState(self.recurrent.initial_state(batch), self.head.initial_state(batch))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict the next vector at every position: (B, T, D) -> (B, T, D)."""
        before = cast(LaneExpertsState, state or self.initial_state(x.shape[0]))
        output, hidden = self.recurrent(x, before.hidden)
        gates = self.router(x, output)
        self._routes = gates.detach()
        prediction, head = self.head(self.experts(output, gates), x, before.head)
        return prediction, LaneExpertsState(hidden, head)

    def auxiliary(self) -> Tensor | None:
        """How unevenly the last forward asked the experts: 1 where all were asked alike, up to their number
        where one was asked always."""
        return self.router.balance

    def routes(self) -> Tensor | None:
        """See `NextVectorModel`; a gate of one active expert counts as 1."""
        if self._routes is None:
            return None
        return self._routes / self._routes.sum(dim=-1, keepdim=True)

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        """The head's, how many experts were in use (exp of the entropy of their shares), and the share of the
        most used one."""
        routes = self.routes()
        if routes is None:
            return super().diagnostics()
        share = routes.flatten(0, -2).float().mean(dim=0)
        return {
            **super().diagnostics(),
            "experts/in_use": math.exp(torch.special.entr(share).sum().item()),
            "experts/largest_share": share.max().item(),
        }


class Router(nn.Module):
    """Picks experts by the last vector's nearness to their centres, and by what the trunk makes of the past.

    The centres start at the lanes and are learnt as shifts from them, so that weight decay pulls towards the
    lanes; what the trunk says starts at nothing.
    """

    def __init__(self, lanes: Tensor, *, hidden: int, active: int) -> None:
        super().__init__()
        self.active = active
        self.register_buffer("start", lanes.detach().float().clone())
        self.shift = nn.Parameter(torch.zeros_like(lanes, dtype=torch.float32))
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(SHARPNESS)))
        self.trunk = nn.Linear(hidden, len(lanes))
        nn.init.zeros_(self.trunk.weight)
        nn.init.zeros_(self.trunk.bias)
        self.balance: Tensor | None = None
        self.start: Tensor

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """How much each expert has to say: (B, T, experts), zero but for the active ones.

        The gates of several active experts add up to 1; that of a single one is its probability, or no
        gradient would reach the router.

        Args:
            x: vectors (B, T, D).
            hidden: of the trunk (B, T, H).
        """
        # A centre's entries are around 1 / sqrt(D): so an optimiser's step turns it by about its rate.
        centres = self.start + self.shift / math.sqrt(x.shape[-1])
        near = functional.linear(functional.normalize(x, dim=-1), centres)
        probability = (self.log_sharpness.exp() * near + self.trunk(hidden)).float().softmax(dim=-1)
        chosen = probability.detach().topk(self.active, dim=-1).indices
        asked = torch.zeros_like(probability).scatter(-1, chosen, 1.0)
        self.balance = _balance(probability, asked) if torch.is_grad_enabled() else None
        gates: Tensor = probability * asked
        if self.active > 1:
            gates = gates / gates.sum(dim=-1, keepdim=True)
        return gates.to(hidden)


def _balance(probability: Tensor, asked: Tensor) -> Tensor:
    """The load-balance loss of Fedus et al. (equation 4), for any number of active experts: their number
    times the sum over them of share of the asking times mean probability."""
    experts = probability.shape[-1]
    share = asked.flatten(0, -2).mean(dim=0)
    return experts * (share / share.sum() * probability.flatten(0, -2).mean(dim=0)).sum()


class Experts(nn.Module):
    """`h + Σ_e g_e (U_e V_e h + b_e)`: all experts' maps side by side, the gates between them."""

    def __init__(self, section: ModelSection) -> None:
        super().__init__()
        inner = section.experts * section.rank
        self.rank = section.rank
        self.inwards = nn.Linear(section.hidden, inner, bias=False)
        self.outwards = nn.Linear(inner, section.hidden, bias=False)
        self.offset = nn.Parameter(torch.zeros(section.experts, section.hidden))
        nn.init.normal_(self.inwards.weight, std=section.hidden**-0.5)
        nn.init.normal_(self.outwards.weight, std=CORRECTION * section.rank**-0.5)

    def forward(self, hidden: Tensor, gates: Tensor) -> Tensor:
        """Hidden states (B, T, H) and gates (B, T, experts) -> (B, T, H)."""
        inner = self.inwards(hidden).unflatten(-1, (-1, self.rank)) * gates.unsqueeze(-1)
        correction: Tensor = self.outwards(inner.flatten(-2))
        return hidden + correction + gates @ self.offset
