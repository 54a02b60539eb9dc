"""The engine's training loop against a bare PyTorch loop that a person would write by hand.

Run: `python benchmarks/loop.py [rounds]` (9), with `OMP_NUM_THREADS=1` beside other work; `--device cuda`
where there is one. Both train the same model from the same weights on the same windows and negatives, with
the same loss, clipping, AdamW and averaged weights, evaluation aside. The engine's side is `Trainer` as in
a run: step metrics, events, heartbeats and device samples go to a real store, and the live audit looks on.
They take turns, a few steps each; the ratio is that of the medians of their vectors per second. That of
their CPU time, threads of the engine's reporter included, says the same where other work holds the machine.
"""

import argparse
import logging
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from engine.data.locate import resolve_data
from engine.data.progress import silent
from engine.models import ComposerStart, build_model
from engine.task import Task, task_of
from lvmtui.recipe import Recipe, load

sys.path.insert(0, str(Path(__file__).parent))
from common.trainers import trainer_of

RECIPES = {
    "demo: gru 128, context 32, batch 16": {},
    "memory_gru 11.3M, context 100, batch 8": {
        "model.name": "memory_gru",
        "model.hidden": "512",
        "model.layers": "4",
        "data.context": "100",
        "train.batch": "8",
    },
    "gru 256, context 500, 4 x 4 windows": {
        "model.name": "gru",
        "model.hidden": "256",
        "data.context": "500",
        "train.batch": "4",
        "train.accumulation": "4",
    },
}
STEPS = {"demo": 30, "memory_gru": 3, "gru": 2}
"""Optimiser steps of one turn."""


class Bare:
    """The loop by hand: no accumulation of anything but gradients, nothing logged."""

    def __init__(self, recipe: Recipe, task: Task, device: torch.device) -> None:
        section = recipe.train
        split = task.splits["train"]
        torch.manual_seed(section.seed)
        dim = split.data.dim
        start = ComposerStart.copy_last(torch.zeros(dim))
        self.recipe, self.device = recipe, device
        self.vectors, self.rows = split.data.vectors, split.rows
        self.model = build_model(recipe.model, dim=dim, context=recipe.data.context, start=start).to(device)
        self.temperature = torch.tensor(math.log(recipe.loss.temperature), device=device, requires_grad=True)
        self.parameters = [*(p for p in self.model.parameters() if p.requires_grad), self.temperature]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.parameters if p.ndim >= 2]},
                {"params": [p for p in self.parameters if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=section.lr,
            weight_decay=section.weight_decay,
            fused=True,
        )
        self.average = [p.detach().clone() for p in self.model.parameters()]

    def step(self, starts: Any, number: int) -> None:
        """One optimiser step."""
        section, context = self.recipe.train, self.recipe.data.context
        self.model.train()
        self.optimizer.zero_grad()
        random = np.random.default_rng([section.seed, number + 1])
        chosen = np.sort(random.choice(len(self.rows), self.recipe.loss.bank, replace=False, shuffle=False))
        bank = self.tensor(self.vectors[self.rows[chosen]])
        bank = functional.normalize(bank, dim=-1)
        for begin in range(0, len(starts), section.batch):
            part = starts[begin : begin + section.batch]
            window = self.tensor(self.vectors[self.rows[part[:, None] + np.arange(context + 1)]])
            x, targets = window[:, :-1], functional.normalize(window[:, 1:], dim=-1)
            predictions = functional.normalize(self.model(x)[0], dim=-1)
            scale = self.temperature.exp()
            with torch.no_grad():
                same = targets @ bank.T > 0.98
            against = (predictions @ bank.T / scale).masked_fill(same, -torch.inf)
            target = (predictions * targets).sum(dim=-1) / scale
            loss = (torch.logaddexp(target, against.logsumexp(dim=-1)) - target).mean()
            (loss * len(part) / len(starts)).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, section.clip)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.model.parameters()), 1 - section.ema)

    def tensor(self, vectors: Any) -> torch.Tensor:
        """On the device, float32."""
        return torch.from_numpy(vectors.astype(np.float32)).to(self.device)


def measure(name: str, recipe: Recipe, steps: int, rounds: int, device: torch.device) -> None:
    """Print the vectors per second of both."""
    task = task_of(recipe, resolve_data("demo", silent))
    judge = task.judge("validation", device)
    bare = Bare(recipe, task, device)
    number = 0
    speeds: dict[str, list[float]] = {"engine": [], "bare": []}
    cpu: dict[str, list[float]] = {"engine": [], "bare": []}
    with trainer_of(recipe, task, judge, device) as trainer:
        trainer.steps_per_epoch = steps
        vectors = steps * trainer.per_step * recipe.data.context
        for turn in range(rounds + 1):
            order = trainer.windows.order(turn)
            begun, used = time.perf_counter(), time.process_time()
            trainer._train_epoch()
            engine, engine_cpu = time.perf_counter() - begun, time.process_time() - used
            trainer.position.epoch += 1
            trainer.position.step_in_epoch = 0
            begun, used = time.perf_counter(), time.process_time()
            for index in range(steps):
                bare.step(order[index * trainer.per_step : (index + 1) * trainer.per_step], number)
                number += 1
            if device.type == "cuda":
                torch.cuda.synchronize()
            by_hand, by_hand_cpu = time.perf_counter() - begun, time.process_time() - used
            if turn:  # The first turn warms up.
                speeds["engine"].append(vectors / engine)
                speeds["bare"].append(vectors / by_hand)
                cpu["engine"].append(engine_cpu)
                cpu["bare"].append(by_hand_cpu)
        mine = dict(trainer.learner.model.named_parameters())
        apart = max((mine[n] - p).detach().abs().max().item() for n, p in bare.model.named_parameters())
    medians = {who: statistics.median(values) for who, values in speeds.items()}
    ratios = sorted(e / b for e, b in zip(speeds["engine"], speeds["bare"], strict=True))
    print(
        f"{name}: engine {medians['engine']:,.0f}, bare {medians['bare']:,.0f} vectors/s; ratio "
        f"{medians['engine'] / medians['bare']:.3f} (turns {ratios[0]:.3f} to {ratios[-1]:.3f}); of CPU time "
        f"{statistics.median(cpu['bare']) / statistics.median(cpu['engine']):.3f}; weights {apart:.1g} apart "
        f"after {number} steps",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="recipes whose name begins so")
    arguments = parser.parse_args()
    logging.getLogger("engine").setLevel(logging.CRITICAL)
    torch.set_num_threads(1)
    chosen = {name: changes for name, changes in RECIPES.items() if name.startswith(arguments.only)}
    for name, changes in chosen.items():
        steps = STEPS[name.split()[0].removesuffix(":")]
        fixed = {
            # Dropout draws from one generator that both would take turns with.
            "model.dropout": "0",
            "train.schedule": "constant",
            "train.warmup": "0",
            "train.steps_per_epoch": str(steps),
            "train.epochs": "1000",
            "train.precision": "fp32",
        }
        recipe = load("demo", {**fixed, **changes})
        measure(name, recipe, steps, arguments.rounds, torch.device(arguments.device))


if __name__ == "__main__":
    main()
