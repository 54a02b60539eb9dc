"""What training minimises. Targets and negatives are frozen vectors; everything is computed in float32."""

import math
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from lvmtui.errors import RecipeError
from lvmtui.recipe import LossSection

SAME_VECTOR = 0.98
"""A negative with a higher cosine to the target is the target as far as anyone can tell: left out."""
TEMPERATURE_RANGE = (0.005, 1.0)
"""A learnt temperature stays inside."""
EPSILON = 1e-6
"""Norms below count as this much: a zero prediction has cosine 0 with everything, never NaN."""

Measured: TypeAlias = tuple[Tensor, dict[str, Tensor]]
"""A loss, and its terms by name."""


class Parts(NamedTuple):
    """A loss taken apart."""

    weighted: dict[str, Tensor]
    """By name what the loss is the sum of, weights included; with gradients."""
    terms: dict[str, Tensor]
    """By name what is worth reporting, without weights; detached."""


class Objective(nn.Module):
    """A loss over predictions of the next vector; may have parameters of its own."""

    def __init__(self, section: LossSection, positions: str) -> None:
        super().__init__()
        self.section = section
        self.positions = positions

    def forward(self, predictions: Tensor, targets: Tensor, bank: Tensor | None = None) -> Measured:
        """The mean loss of the supervised positions.

        Args:
            predictions: (B, T, D), of any norm.
            targets: (B, T, D): the vectors that came next.
            bank: (K, D) negatives, shared by all positions; only `nce` uses it.

        Returns:
            The loss, a scalar: averaged over micro-batches of equal size it is that of the whole batch, if it
            draws no negatives from its batch. And its terms by name, detached.
        """
        parts = self.parts(predictions, targets, bank)
        first, *others = parts.weighted.values()
        return sum(others, first), parts.terms

    def parts(self, predictions: Tensor, targets: Tensor, bank: Tensor | None = None) -> Parts:
        """What `forward` sums up; the same arguments."""
        if self.positions == "last":
            predictions, targets = predictions[:, -1:], targets[:, -1:]
        return self.measure(_unit(predictions), _unit(targets), bank)

    def measure(self, predictions: Tensor, targets: Tensor, bank: Tensor | None) -> Parts:
        """The loss of unit vectors at supervised positions only."""
        raise NotImplementedError


class BankNce(Objective):
    """Noise-contrastive estimation: tell the target from K frozen vectors by the cosine to the prediction
    (InfoNCE; van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018).

    No position's loss depends on another's, so gradient accumulation is exact.
    """

    def __init__(self, section: LossSection, positions: str) -> None:
        super().__init__(section, positions)
        log_temperature = torch.tensor(math.log(section.temperature))
        self.log_temperature = nn.Parameter(log_temperature, requires_grad=section.learn_temperature)

    def measure(self, predictions: Tensor, targets: Tensor, bank: Tensor | None) -> Parts:
        """Cross-entropy of the target among the bank, plus the weighted cosine term."""
        if bank is None:
            raise ValueError("nce needs a bank of negatives")
        temperature = self._temperature()
        negatives = _unit(bank.detach())
        with torch.no_grad():
            same = targets @ negatives.T > SAME_VECTOR
        cosine = (predictions * targets).sum(dim=-1)
        against = (predictions @ negatives.T / temperature).masked_fill(same, -torch.inf)
        target = cosine / temperature
        nce = (torch.logaddexp(target, against.logsumexp(dim=-1)) - target).mean()
        weighted = {"nce": nce}
        if self.section.cosine > 0:
            weighted["cosine"] = self.section.cosine * (1 - cosine.mean())
        return Parts(weighted, _detached(nce=nce, cosine=cosine.mean(), temperature=temperature))

    def _temperature(self) -> Tensor:
        if self.section.learn_temperature:
            # The parameter itself is brought back: behind a clamp in the graph it would be stuck outside.
            with torch.no_grad():
                self.log_temperature.clamp_(*map(math.log, TEMPERATURE_RANGE))
        return self.log_temperature.exp()


class Published(Objective):
    """The loss of the first phases: `(1 - cos) + alpha * InfoNCE`, kept to compare with.

    Negatives are the other targets of the micro-batch at the same position: with 8 windows that is 7, and
    more accumulation brings no more of them.
    """

    def measure(self, predictions: Tensor, targets: Tensor, bank: Tensor | None) -> Parts:  # noqa: ARG002
        """The cosine loss plus the weighted contrast within the batch, at a fixed temperature."""
        cosine = (predictions * targets).sum(dim=-1).mean()
        weighted = {"cosine": 1 - cosine}
        terms = {"cosine": cosine}
        if self.section.alpha > 0:
            logits = predictions.transpose(0, 1) @ targets.permute(1, 2, 0) / self.section.temperature
            matches = torch.arange(logits.shape[-1], device=logits.device).expand(logits.shape[:2])
            terms["info_nce"] = functional.cross_entropy(logits.flatten(0, 1), matches.flatten())
            weighted["info_nce"] = self.section.alpha * terms["info_nce"]
        return Parts(weighted, _detached(**terms))


_OBJECTIVES: dict[str, type[Objective]] = {"nce": BankNce, "published": Published}


def build_objective(section: LossSection, positions: str) -> Objective:
    """The objective that a recipe asks for.

    Args:
        positions: `all` supervises every position of a window, `last` only its last.

    Raises:
        RecipeError: the loss or the choice of positions is unknown.
    """
    if section.name not in _OBJECTIVES:
        raise RecipeError(f"there is no loss {section.name!r}", f"Known: {', '.join(_OBJECTIVES)}.")
    if positions not in {"all", "last"}:
        raise RecipeError(f"there is no choice of positions {positions!r}", "Known: all, last.")
    return _OBJECTIVES[section.name](section, positions)


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors.float(), dim=-1, eps=EPSILON)


def _detached(**terms: Tensor) -> dict[str, Tensor]:
    return {name: term.detach().clone() for name, term in terms.items()}
