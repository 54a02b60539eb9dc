"""One optimiser step: micro-batches, accumulation, clipping, AdamW, the averaged weights."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.checkpoint import restore_rng, rng_state
from engine.data.split import SplitView
from engine.data.windows import Windows
from engine.ema import Ema
from engine.losses import Objective
from engine.models import NextVectorModel
from engine.schedule import Schedule
from lvmtui.recipe import Recipe


class Bank:
    """Negatives for `nce`: training vectors, drawn anew for each step.

    A pure function of seed and step: there is nothing to save for a resume.
    """

    def __init__(self, split: SplitView, *, size: int, seed: int) -> None:
        self._split = split
        self._size = min(size, len(split))
        self._seed = seed

    def draw(self, step: int) -> NDArray[np.float32]:
        """Negatives (K, D) of the optimiser step number `step`, from 0; -1: of the validation loss."""
        random = np.random.default_rng([self._seed, step + 1])
        chosen = np.sort(random.choice(len(self._split), self._size, replace=False, shuffle=False))
        return self._split.data.vectors[self._split.rows[chosen]].astype(np.float32)


@dataclass(frozen=True)
class StepResult:
    """What one optimiser step came to."""

    loss: float
    rate: float
    """Learning rate of this step."""
    grad_norm: float
    """Before clipping."""
    temperature: float | None
    """Of the loss; None where it has none."""

    @property
    def finite(self) -> bool:
        """Whether the step was taken; a loss or gradient of NaN or infinity is skipped."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


class Learner:
    """A model with everything that changes its weights.

    Args:
        windows: where the batches come from.
        train: the split that negatives are drawn from.
        total_steps: optimiser steps of the whole training, for the schedule.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: NextVectorModel,
        objective: Objective,
        *,
        windows: Windows,
        train: SplitView,
        device: torch.device,
        total_steps: int,
    ) -> None:
        section = recipe.train
        self.model = model.to(device)
        self.objective = objective.to(device)
        self.device = device
        self.windows = windows
        self._batch = section.batch
        self._clip = section.clip or math.inf
        self._bank: Bank | None = None
        if recipe.loss.name == "nce":
            self._bank = Bank(train, size=recipe.loss.bank, seed=section.seed)
        self._schedule = Schedule(section.lr, total_steps, section.warmup, section.schedule)
        self._parameters = [p for part in (model, objective) for p in part.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self._parameters if p.ndim >= 2]},
            # Decay is for matrices; it would pull gains, shifts and a temperature off their place.
            {"params": [p for p in self._parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=section.lr, weight_decay=section.weight_decay)
        self._ema = Ema(model, section.ema) if section.ema > 0 else None

    def step(self, starts: NDArray[np.int64], number: int) -> StepResult:
        """Take one optimiser step over the windows at `starts`; its gradient is that of their mean loss.

        Args:
            starts: (windows,) start positions; the last step of an epoch may have fewer.
            number: of this step in the whole training, from 0.
        """
        rate = self._schedule.rate(number)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self._optimizer.zero_grad(set_to_none=True)
        bank = self.negatives(number)
        loss = torch.zeros((), device=self.device)
        temperature = torch.full((), math.nan, device=self.device)
        for begin in range(0, len(starts), self._batch):
            part = starts[begin : begin + self._batch]
            vectors = torch.from_numpy(self.windows.batch(part)).to(self.device, non_blocking=True)
            predictions, _ = self.model(vectors[:, :-1])
            part_loss, terms = self.objective(predictions, vectors[:, 1:], bank)
            share = len(part) / len(starts)
            (part_loss * share).backward()
            loss += part_loss.detach() * share
            temperature = terms.get("temperature", temperature)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        # The one wait for the device in a step.
        numbers = torch.stack([loss, norm, temperature]).tolist()
        result = StepResult(numbers[0], rate, numbers[1], None if math.isnan(numbers[2]) else numbers[2])
        if result.finite:
            self._optimizer.step()
            if self._ema is not None:
                self._ema.update(self.model)
        return result

    def negatives(self, step: int) -> Tensor | None:
        """The bank (K, D) of a step (-1: of the validation loss) on the device; None for a loss without."""
        if self._bank is None:
            return None
        return torch.from_numpy(self._bank.draw(step)).to(self.device, non_blocking=True)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The model as it is judged (averaged weights if there are any, no dropout, no gradients); training
        goes on after it as if nothing had been drawn or changed."""
        kept = rng_state()
        self.model.eval()
        try:
            with torch.no_grad():
                if self._ema is None:
                    yield
                else:
                    with self._ema.applied(self.model):
                        yield
        finally:
            self.model.train()
            restore_rng(kept)

    def state_dict(self) -> dict[str, Any]:
        """Weights, moments, averages and generators: all that the next step depends on."""
        moments = self._optimizer.state_dict()["state"]
        return {
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": moments,
            "ema": self._ema.state_dict() if self._ema is not None else None,
            "rng": rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict` (as `checkpoint.load` returns it: on the CPU, texts as keys)."""
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        groups = self._optimizer.state_dict()["param_groups"]
        moments = {int(index): values for index, values in state["optimizer"].items()}
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if self._ema is not None:
            self._ema.load_state_dict(state["ema"])
        restore_rng(state["rng"])
