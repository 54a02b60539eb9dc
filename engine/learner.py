"""One optimiser step: micro-batches, accumulation, clipping, AdamW, the averaged weights."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.candidates import Window
from engine.checkpoint import restore_rng, rng_state
from engine.data.progress import Progress, silent
from engine.data.split import SplitView
from engine.data.windows import Windows
from engine.ema import Ema
from engine.losses import Objective
from engine.models import NextVectorModel
from engine.negatives import Bank, HardNegatives
from engine.passes import BALANCE, Negatives, Passes
from engine.precision import choose_precision
from engine.schedule import Contexts, Schedule
from lvmtui.recipe import Recipe


@dataclass(frozen=True)
class StepResult:
    """What one optimiser step came to."""

    loss: float
    rate: float
    """Learning rate of this step."""
    grad_norm: float
    """Before clipping."""
    temperature: float | None = None
    """Of the loss; None where it has none."""
    balance: float | None = None
    """What the model's own auxiliary loss adds, its weight in it; None where it has none."""
    vectors: int = 0
    """Vectors that the model ran over."""

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
        self.train = train
        self.precision = choose_precision(section.precision, device)
        self.objective.products = torch.bfloat16 if self.precision == "bf16" else torch.float32
        self._batch = section.batch
        self._clip = section.clip or math.inf
        self._contexts = Contexts(section.min_context, recipe.data.context, section.seed)
        self._bank: Bank | None = None
        if recipe.loss.name in {"nce", "rank"}:
            self._bank = Bank(train, size=recipe.loss.bank, seed=section.seed)
        self._hard: HardNegatives | None = None
        if recipe.loss.hard:
            self._hard = HardNegatives(train, k=recipe.loss.hard, seed=section.seed, device=device)
        self._passes = Passes(
            self.model,
            self.objective,
            device=device,
            balance=recipe.loss.balance,
            precision=self.precision,
            checkpointing=section.checkpointing,
            compile_model=section.compile,
        )
        self._schedule = Schedule(section.lr, total_steps, section.warmup, section.schedule)
        self._parameters = [p for part in (model, objective) for p in part.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self._parameters if p.ndim >= 2]},
            # Decay is for matrices; it would pull gains, shifts and a temperature off their place.
            {"params": [p for p in self._parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(
            groups, lr=section.lr, weight_decay=section.weight_decay, fused=device.type in {"cpu", "cuda"}
        )
        self._ema = Ema(model, section.ema) if section.ema > 0 else None

    def prepare(self, progress: Progress = silent) -> None:
        """Do what the first step would else wait for.

        Args:
            progress: told how far it has come.
        """
        if self._hard is not None:
            self._hard.mine(progress)

    def step(self, starts: NDArray[np.int64], number: int) -> StepResult:
        """Take one optimiser step over the windows at `starts`; its gradient is that of their mean loss,
        however they are spread over micro-batches, unless the loss takes negatives from its micro-batch.

        Args:
            starts: (windows,) start positions; the last step of an epoch may have fewer.
            number: of this step in the whole training, from 0.
        """
        rate = self._schedule.rate(number)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self._optimizer.zero_grad(set_to_none=True)
        drawn, length = self._draw(number), self._contexts.length(number)
        bank, bank_documents = drawn or (None, None)
        missing = torch.full((), math.nan, device=self.device)
        sums: dict[str, Tensor] = {}
        vectors = 0
        for begin in range(0, len(starts), self._batch):
            part = starts[begin : begin + self._batch]
            x, targets, hard = self._read(part, length)
            window = self._window(part, targets, bank_documents) if self.objective.uses_window else None
            loss, terms = self._passes.loss(x, targets, Negatives(bank, hard, window))
            share = len(part) / len(starts)
            torch.autograd.backward(loss * share)
            vectors += x.shape[0] * x.shape[1]
            for name, term in {"": loss.detach(), **terms}.items():
                sums[name] = sums.get(name, 0.0) + term * share
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        # The one wait for the device in a step.
        reported = [sums[""], norm, sums.get("temperature", missing), sums.get(BALANCE, missing)]
        numbers = torch.stack(reported).tolist()
        temperature, balance = (None if math.isnan(value) else value for value in numbers[2:])
        result = StepResult(numbers[0], rate, numbers[1], temperature, balance, vectors)
        if result.finite:
            self._optimizer.step()
            if self._ema is not None:
                self._ema.update(self.model)
        return result

    def _read(
        self, starts: NDArray[np.int64], length: int
    ) -> tuple[Tensor, Tensor, Callable[[int, int], Tensor] | None]:
        """The windows at B starts, each cut into as many contexts of `length` as fit, so that a step has
        about as many targets at every length: inputs and targets (B', length, D), and hard negatives."""
        rows = self.windows.rows(starts)
        pieces = (rows.shape[1] - 1) // length
        used = pieces * length + 1
        vectors = torch.from_numpy(self.windows.read(rows[:, :used])).to(self.device, non_blocking=True)
        shape = (len(starts) * pieces, length, vectors.shape[2])
        x, targets = vectors[:, :-1], vectors[:, 1:]
        if pieces > 1:
            x, targets = x.reshape(shape), targets.reshape(shape)
        if self._hard is None:
            return x, targets, None
        mined, wanted = self._hard, rows[:, 1:used].reshape(shape[:2])
        last = self.objective.positions == "last"

        def hard(begin: int, end: int) -> Tensor:
            found = mined.of(wanted[:, end - 1 if last else begin : end])
            return torch.from_numpy(found).to(self.device, non_blocking=True)

        return x, targets, hard

    def _window(self, starts: NDArray[np.int64], targets: Tensor, bank: Tensor | None) -> Window:
        """Where the targets (B', length, D) stand in the windows at B starts.

        Args:
            bank: (K,) documents of the bank's vectors.
        """
        shape = targets.shape[:2]
        documents = torch.from_numpy(self.windows.documents(starts))
        used = shape[0] // len(starts) * shape[1] + 1
        asked = (documents[:, 1:used] == documents[:, : used - 1]).reshape(shape)
        return Window(
            targets,
            documents[:, 1:used].reshape(shape).to(self.device),
            asked.to(self.device),
            bank,
        )

    def negatives(self, step: int) -> Tensor | None:
        """The bank (K, D) of a step (-1: of the validation loss) on the device; None for a loss without."""
        drawn = self._draw(step)
        return None if drawn is None else drawn[0]

    def _draw(self, step: int) -> tuple[Tensor, Tensor] | None:
        """The bank (K, D) of a step and the documents (K,) that its vectors are of, on the device."""
        if self._bank is None:
            return None
        drawn = self._bank.draw(step)
        vectors = torch.from_numpy(drawn.vectors).to(self.device, non_blocking=True)
        return vectors, torch.from_numpy(drawn.documents).to(self.device, non_blocking=True)

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
