"""A training's history as it grows, in bounded memory."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lvmtui.checks.history import Plan, RunHistory, curve
from lvmtui.checks.records import POINTS
from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Evaluation
from lvmtui.versus import versus_of

RANKS_KEPT = 16
"""Newest evaluations that keep their ranks; older ones keep them only where a check will ask for them."""


class Recorder:
    """Takes in steps and evaluations, and hands out a `RunHistory`.

    Curves keep up to twice `POINTS` points; then neighbours are averaged.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._steps: list[float] = []
        self._loss: list[float] = []
        self._rate: list[float] = []
        self._norm: list[float] = []
        self._pending: list[tuple[float, float, float, float]] = []
        self._together = 1
        """Steps averaged to one point."""
        self._skipped: list[int] = []
        self._evaluations: list[Evaluation] = []
        self._step = 0

    def step(self, step: int, loss: float, rate: float, norm: float) -> None:
        """Take note of an optimiser step."""
        self._step = step
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._skipped.append(step)
            return
        self._pending.append((step, loss, rate, norm))
        if len(self._pending) < self._together:
            return
        count = len(self._pending)
        columns = (self._steps, self._loss, self._rate, self._norm)
        for column, values in zip(columns, zip(*self._pending, strict=True), strict=True):
            column.append(sum(values) / count)
        self._pending.clear()
        if len(self._steps) >= 2 * POINTS:
            self._halve()

    def _halve(self) -> None:
        self._together *= 2
        for column in (self._steps, self._loss, self._rate, self._norm):
            column[:] = [(a + b) / 2 for a, b in zip(column[::2], column[1::2], strict=True)]

    def evaluation(self, evaluation: Evaluation) -> None:
        """Take note of an evaluation."""
        self._evaluations.append(evaluation)
        old = len(self._evaluations) - RANKS_KEPT - 1
        if old <= 0:
            return
        by = [self.plan.metric, "mrr"]
        wanted = {id(max(self._evaluations, key=lambda item: float(getattr(item, name)))) for name in by}
        for index in range(1, old + 1):
            item = self._evaluations[index]
            if item.ranks and id(item) not in wanted:
                self._evaluations[index] = replace(item, ranks=b"", details={})

    def take_over(self, known: RunHistory) -> None:
        """Go on from what the store has of the run's earlier attempts."""
        steps = known.loss.step
        self._steps, self._loss = steps.tolist(), known.loss.value.tolist()
        for column, kept in ((self._rate, known.rate), (self._norm, known.grad_norm)):
            column[:] = np.interp(steps, kept.step, kept.value).tolist() if len(kept) else [0.0] * len(steps)
        if len(steps):
            self._together = max(1, round(known.step / len(steps)))
        self._skipped = list(known.skipped)
        self._step = known.step
        for evaluation in known.evaluations:
            self.evaluation(evaluation)

    def history(self, result: Result | None) -> RunHistory:
        """What there is so far.

        Args:
            result: how training ended; None while it goes on.
        """
        evaluations: Sequence[Evaluation] = self._evaluations
        best = max(evaluations, key=lambda item: float(getattr(item, self.plan.metric)), default=None)
        return RunHistory(
            plan=self.plan,
            step=self._step,
            loss=curve(self._steps, self._loss),
            rate=curve(self._steps, self._rate),
            grad_norm=curve(self._steps, self._norm),
            skipped=tuple(self._skipped),
            evaluations=tuple(evaluations),
            versus=next(iter(versus_of(best)), None) if best else None,
            result=result,
        )
