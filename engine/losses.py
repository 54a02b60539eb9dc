"""What training minimises. Targets and negatives are frozen vectors; everything is computed in float32 or
better."""

import math
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.candidates import Window, candidates, of_hard, one_document, unit
from lvmtui.errors import RecipeError
from lvmtui.recipe import LossSection

TEMPERATURE_RANGE = (0.005, 1.0)
"""A learnt temperature stays inside."""

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
        self.products = torch.float32
        """What the cosines with a bank are multiplied in; everything else is float32 at least."""

    @property
    def uses_window(self) -> bool:
        """Whether it makes something of the windows that its targets stand in."""
        return self.section.name == "rank" or (self.section.name == "nce" and self.section.window_negatives)

    def forward(
        self,
        predictions: Tensor,
        targets: Tensor,
        bank: Tensor | None = None,
        hard: Tensor | None = None,
        window: Window | None = None,
    ) -> Measured:
        """The mean loss of the supervised positions.

        Args:
            predictions: (B, T, D), of any norm.
            targets: (B, T, D): the vectors that came next.
            bank: (K, D) negatives, shared by all positions; `nce` and `rank` use it.
            hard: (B, T, k, D) negatives of each position's own, beside the others; zeros stand for none. Of
                the last position alone, (B, 1, k, D), where only that is supervised.
            window: where the targets stand, for a loss that uses it; without, they are one document.

        Returns:
            The loss, a scalar: averaged over micro-batches of equal size it is that of the whole batch, if it
            draws no negatives from its batch. And its terms by name, detached.
        """
        parts = self.parts(predictions, targets, bank, hard, window)
        first, *others = parts.weighted.values()
        return sum(others, first), parts.terms

    def parts(
        self,
        predictions: Tensor,
        targets: Tensor,
        bank: Tensor | None = None,
        hard: Tensor | None = None,
        window: Window | None = None,
    ) -> Parts:
        """What `forward` sums up; the same arguments."""
        if self.uses_window:
            window = one_document(targets) if window is None else window
            window = window._replace(vectors=unit(window.vectors))
        else:
            window = None
        if self.positions == "last":
            begin = targets.shape[1] - 1
            window = None if window is None else window._replace(begin=window.begin + begin)
            predictions, targets = predictions[:, -1:], targets[:, -1:]
            hard = None if hard is None else hard[:, -1:]
        return self.measure(unit(predictions), unit(targets), bank, hard, window)

    def measure(
        self,
        predictions: Tensor,
        targets: Tensor,
        bank: Tensor | None,
        hard: Tensor | None,
        window: Window | None,
    ) -> Parts:
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

    def measure(
        self,
        predictions: Tensor,
        targets: Tensor,
        bank: Tensor | None,
        hard: Tensor | None,
        window: Window | None,
    ) -> Parts:
        """Cross-entropy of the target among the bank and its hard negatives, plus the weighted cosine
        term."""
        if bank is None:
            raise ValueError("nce needs a bank of negatives")
        temperature = self._temperature()
        cosine = (predictions * targets).sum(dim=-1)
        target = cosine / temperature
        everything = target
        for others, none in candidates(predictions, targets, bank, hard, window, products=self.products):
            logits = (others / temperature).masked_fill(none, -torch.inf)
            everything = torch.logaddexp(everything, logits.logsumexp(dim=-1))
        nce = (everything - target).mean()
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


class SmoothRank(Objective):
    """The target's rank among what could have come next, as a smooth function of the cosines `s` (the
    approximate rank of Qin, Liu and Li, A General Approximation Framework for Direct Optimization of IR
    Measures, 2010): `r = sum_c w_c sigmoid((s_c - s_target) / temperature)`, and the loss is the mean of
    `r / (r + depth)`. Nothing is gained by pushing down what is far behind already, and a target out of reach
    pulls at nothing: so it looks like Hit@K, where NCE looks like the likelihood of the target.

    Candidates are the evaluation's: the bank, of which each vector stands for `pool` / K of them (at least
    one), but for those of the target's own document; hard negatives, one each; and one each of what follows
    the target in its document, as far as the window goes, but not of what stands before it. A target that
    begins a document is no query there, and counts 0 here. The temperature is fixed. No position's loss
    depends on another's prediction, so gradient accumulation is exact.
    """

    def measure(
        self,
        predictions: Tensor,
        targets: Tensor,
        bank: Tensor | None,
        hard: Tensor | None,
        window: Window | None,
    ) -> Parts:
        """The mean smooth rank, squashed, plus the weighted cosine term."""
        if bank is None:
            raise ValueError("rank needs a bank of negatives")
        assert window is not None
        cosine = (predictions * targets).sum(dim=-1)
        rank, weight = torch.zeros_like(cosine), max(1.0, self.section.pool / len(bank))
        for others, none in candidates(predictions, targets, bank, hard, window, products=self.products):
            above = ((others - cosine.unsqueeze(-1)) / self.section.temperature).sigmoid()
            # The bank comes first; all others stand for themselves.
            rank, weight = rank + weight * above.masked_fill(none, 0.0).sum(dim=-1), 1.0
        asked = window.asked[:, window.begin : window.begin + targets.shape[1]]
        squashed = (rank / (rank + self.section.depth) * asked).mean()
        weighted = {"rank": squashed}
        if self.section.cosine > 0:
            weighted["cosine"] = self.section.cosine * (1 - cosine.mean())
        return Parts(weighted, _detached(rank=squashed, cosine=cosine.mean()))


class Published(Objective):
    """The loss of the first phases: `(1 - cos) + alpha * InfoNCE`, kept to compare with.

    Negatives are the other targets of the micro-batch at the same position: with 8 windows that is 7, and
    more accumulation brings no more of them, so that its gradient is not that of one large batch. Hard
    negatives, where a recipe asks for them, stand beside those.
    """

    def measure(
        self,
        predictions: Tensor,
        targets: Tensor,
        bank: Tensor | None,  # noqa: ARG002
        hard: Tensor | None,
        window: Window | None,  # noqa: ARG002
    ) -> Parts:
        """The cosine loss plus the weighted contrast within the batch, at a fixed temperature."""
        cosine = (predictions * targets).sum(dim=-1).mean()
        weighted = {"cosine": 1 - cosine}
        terms = {"cosine": cosine}
        if self.section.alpha > 0:
            logits = predictions.transpose(0, 1) @ targets.permute(1, 2, 0)
            matches = torch.arange(logits.shape[-1], device=logits.device).expand(logits.shape[:2])
            if hard is not None:
                own = of_hard(predictions, targets, hard)
                own_logits = own.cosines.masked_fill(own.none, -torch.inf)
                logits = torch.cat([logits, own_logits.transpose(0, 1)], dim=-1)
            logits = logits.flatten(0, 1) / self.section.temperature
            terms["info_nce"] = functional.cross_entropy(logits, matches.flatten())
            weighted["info_nce"] = self.section.alpha * terms["info_nce"]
        return Parts(weighted, _detached(**terms))


_OBJECTIVES: dict[str, type[Objective]] = {"nce": BankNce, "rank": SmoothRank, "published": Published}


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


def _detached(**terms: Tensor) -> dict[str, Tensor]:
    return {name: term.detach().clone() for name, term in terms.items()}
