"""Watching a run while it trains: what its model and its curves give away, said once, when it is first seen.

Nothing here changes the training: no random number is drawn, no gradient kept, no weight touched. What needs
forward passes of its own is done twice in a run, on a few windows.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from engine.audit.inside import FIRST_STEPS, collapse, dead_parameters, idle_modules, idle_terms
from engine.audit.model import (
    Spread,
    changes_without,
    shares_of_terms,
    spread_of,
    trained_parameters,
    without_gradient,
)
from engine.audit.recorder import Recorder
from engine.evaluate import Judge, spread
from engine.learner import Learner, StepResult
from engine.reporter import Reporter, log
from lvmtui.checks.history import CHECKS, Plan, check_history
from lvmtui.checks.of_store import audit_events, history_of
from lvmtui.findings import Finding, finding_of, worst_first
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import Evaluation, Run, Severity

SETTLED_STEPS = 100
"""Steps before a module is judged by what it changes: what starts at zero changes nothing yet."""
WINDOWS = 8
"""Windows that forward passes of the audit's own are made on, at most."""
SAMPLE = 128
"""Predictions whose spread is measured, at most."""
LEAST_SAMPLE = 16
"""Fewer say nothing about a spread."""
_RANK = {Severity.INFO: 0, Severity.WARN: 1, Severity.ERROR: 2}
_LEVEL = {Severity.INFO: logging.INFO, Severity.WARN: logging.WARNING, Severity.ERROR: logging.ERROR}


class LiveAudit:
    """The audit of one training.

    Every method that returns findings returns those that are new: of each check the first, and later one
    only if it has become worse. `finish` also takes back what no longer holds.
    """

    def __init__(self, learner: Learner, judge: Judge, plan: Plan) -> None:
        self.seconds = 0.0
        """Spent here so far."""
        self.plan = plan
        self._learner = learner
        self._recorder = Recorder(plan)
        self._said: dict[str, Severity] = {}
        self._silent = trained_parameters(learner.model, learner.objective)
        """Those that have had no gradient so far."""
        self._trained = sum(parameter.numel() for parameter in self._silent.values())
        self._watched = 0
        """Steps whose gradients were looked at."""
        self._took_apart = False
        self._sample = spread(len(judge.asked), SAMPLE)
        self._judge = judge
        self._targets: Spread | None = None
        self._predictions: Spread | None = None

    def restore(self, reader: Reader, run: Run) -> None:
        """Take over what the store has from the run's earlier attempts."""
        if run.attempt <= 1:
            return
        self._recorder.take_over(history_of(reader, run))
        for finding in map(finding_of, audit_events(reader.events(run_id=run.id))):
            self._said[finding.check] = finding.severity

    def step(self, step: int, result: StepResult) -> list[Finding]:
        """Look at what an optimiser step (from 1) came to, its gradients still in place."""
        with self._timed():
            self._recorder.step(step, result.loss, result.rate, result.grad_norm)
            if not self._silent or self._watched >= FIRST_STEPS or not result.finite:
                return []
            self._watched += 1
            self._silent = without_gradient(self._silent)
            if self._watched < FIRST_STEPS or not self._silent:
                return []
            dead = {name: parameter.numel() for name, parameter in self._silent.items()}
            return self._new([dead_parameters(dead, self._trained)])

    def predictions(self, predictions: Tensor) -> None:
        """See the predictions (n, D) for the judge's queries that an evaluation is made of."""
        with self._timed():
            if len(self._sample) < LEAST_SAMPLE:
                return
            rows = torch.from_numpy(self._sample).to(predictions.device)
            chosen = predictions[rows].float().cpu()
            # What is zero or not finite is an error of its own, and raised where ranks are made.
            if not bool(chosen.isfinite().all()) or bool((chosen.norm(dim=-1) == 0).any()):
                return
            self._predictions = spread_of(chosen)
            if self._targets is None:
                self._targets = spread_of(self._judge.targets(self._sample))

    def evaluation(self, evaluation: Evaluation) -> tuple[dict[str, float], list[Finding]]:
        """Look at an evaluation, its predictions seen before.

        Returns:
            Metrics of it, and new findings.
        """
        with self._timed():
            self._recorder.evaluation(evaluation)
            metrics, found = {}, []
            if self._predictions is not None and self._targets is not None:
                metrics = {
                    "val/effective_rank": self._predictions.effective_rank,
                    "val/prediction_cosine": self._predictions.cosine,
                }
                found += collapse(self._predictions, self._targets, evaluation.epoch)
            if not self._took_apart and evaluation.step >= max(SETTLED_STEPS, 2 * self.plan.warmup):
                self._took_apart = True
                found += self._take_apart()
            return metrics, self._new(found)

    def history(self, result: Result | None = None) -> list[Finding]:
        """Look at the curves so far.

        Args:
            result: how training ended, where it did not come to its own end.
        """
        with self._timed():
            return self._new(check_history(self._recorder.history(result)))

    def finish(self, result: Result) -> list[Finding]:
        """Look at everything once more, now that training has come to its own end."""
        with self._timed():
            found = [*check_history(self._recorder.history(result)), *self._take_apart()]
            holding = {finding.check: finding for finding in found}
            judged = {*CHECKS, "dead-module", "idle-loss-term"}
            over = [
                Finding(check, f"what was said of {check} during training no longer holds at its end")
                for check, severity in self._said.items()
                if check in judged and check not in holding and severity is not Severity.INFO
            ]
            changed = [f for f in found if self._said.get(f.check) is not f.severity]
            self._said |= {finding.check: finding.severity for finding in (*changed, *over)}
            return [*worst_first(changed), *over]

    def _take_apart(self) -> list[Finding]:
        """Run the model on a few training windows: whole, without each of its parts, and into the loss."""
        learner = self._learner
        windows = learner.windows
        # Few, where an epoch has few: the audit must cost next to nothing.
        count = min(WINDOWS, max(2, len(windows) // 64), len(windows))
        vectors = torch.from_numpy(windows.batch(windows.order(0)[:count])).to(learner.device)
        x, targets = vectors[:, :-1], vectors[:, 1:]
        with learner.evaluating():
            changes = changes_without(learner.model, x)
            shares = shares_of_terms(learner.objective, learner.model(x)[0], targets, learner.negatives(-1))
        return [*idle_modules(changes), *idle_terms(shares)]

    def _new(self, found: Iterable[Finding]) -> list[Finding]:
        """Those that were not said before, or not as bad."""
        fresh = []
        for finding in found:
            said = self._said.get(finding.check)
            if said is None or _RANK[finding.severity] > _RANK[said]:
                self._said[finding.check] = finding.severity
                fresh.append(finding)
        return fresh

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - begun


def tell(findings: Iterable[Finding], reporter: Reporter) -> None:
    """Store findings of a run as its events, and log them, a line each."""
    now = time.time()
    events = [finding.event(now) for finding in findings]
    for event in events:
        log.log(_LEVEL[event.severity], "audit: %s: %s", event.evidence["check"], event.message)
    if events:
        reporter.submit(lambda writer: writer.events(events))
