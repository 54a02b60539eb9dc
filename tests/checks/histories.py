"""A run that went well, to plant faults in: 1 000 steps, 20 evaluations of 4 000 queries, annealed."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lvmtui.checks.history import Plan, RunHistory, curve
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Evaluation, Interval, Versus

STEPS = 1000
EPOCHS = 20
QUERIES = 4000

PLAN = Plan(
    steps=STEPS,
    steps_per_epoch=STEPS // EPOCHS,
    warmup=50,
    windows=STEPS // EPOCHS * 16,
    per_step=16,
    peak=1e-3,
    schedule="cosine",
    ema=0.0,
    every=1,
    metric="hit5",
    patience=5,
    min_steps=0,
)


def cosine_rate(steps: int = STEPS, total: int = STEPS, warmup: int = 50) -> list[float]:
    """The rate of each of the first steps."""
    after = [(step - warmup) / max(1, total - warmup) for step in range(steps)]
    return [
        1e-3 * ((step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * min(1, share))))
        for step, share in enumerate(after)
    ]


def falling_loss(steps: int = STEPS, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    """From 5 to 3, noisy."""
    random = np.random.default_rng(seed)
    return 3 + 2 * np.exp(-np.arange(steps) / (STEPS / 4)) + noise * random.normal(size=steps)


def an_evaluation(epoch: int, hit5: float, **changes: Any) -> Evaluation:
    """One with scores that fit together."""
    made = Evaluation(
        protocol_id="p",
        split="validation",
        epoch=epoch,
        step=epoch * PLAN.steps_per_epoch,
        time=0.0,
        hit1=0.4 * hit5,
        hit5=hit5,
        hit10=min(1.0, 1.3 * hit5),
        mrr=0.6 * hit5,
        n=QUERIES,
        pool=5000,
        hit5_interval=Interval(hit5 - 0.02, hit5 + 0.02),
        loss=4.0 - hit5,
        cosine=0.4 + 0.1 * hit5,
        copyness=0.7,
    )
    return replace(made, **changes)


def evaluations(hit5: Sequence[float], **columns: Sequence[Any]) -> tuple[Evaluation, ...]:
    """One for each epoch from 1, other fields given as columns."""
    return tuple(
        an_evaluation(index + 1, value, **{name: column[index] for name, column in columns.items()})
        for index, value in enumerate(hit5)
    )


def rising(count: int = EPOCHS) -> list[float]:
    """Hit@5 that rises and levels off."""
    return [0.40 - 0.12 * math.exp(-epoch / 5) for epoch in range(count)]


def history(**changes: Any) -> RunHistory:
    """The run that went well, with changes: `history(plan={"ema": 0.9}, result=...)`."""
    plan = replace(PLAN, **changes.pop("plan", {}))
    steps = np.arange(1, STEPS + 1)
    good = RunHistory(
        plan=plan,
        step=STEPS,
        loss=curve(steps, falling_loss()),
        rate=curve(steps, cosine_rate()),
        grad_norm=curve(steps, np.ones(STEPS)),
        evaluations=evaluations(rising()),
        versus=Versus("ewm-whitened", 0.02, Interval(0.01, 0.03), 0.0004, detectable=0.012),
        result=Result.COMPLETED,
    )
    return replace(good, **changes)
