"""The training loop: epochs of optimiser steps, an evaluation and a checkpoint after each, early stopping.

A run stopped or killed at any point goes on from its last checkpoint as if nothing had happened: order,
negatives and rates are pure functions of seed and step, and everything else is in the checkpoint.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.audit.live import LiveAudit, tell
from engine.control import Outcome, StopFlag
from engine.data.windows import Windows
from engine.evaluate import Judge
from engine.keeper import CheckpointKeeper
from engine.learner import Learner, StepResult
from engine.position import Position
from engine.probe import take_probe
from engine.reporter import Reporter, log
from engine.stopping import EarlyStopping
from engine.validate import validate
from engine.verdict import score_name, score_text, verdict
from lvmtui.checks.records import plan_of
from lvmtui.errors import TrainingError
from lvmtui.recipe import Recipe
from lvmtui.store.lifecycle import Result
from lvmtui.store.reader import Reader
from lvmtui.store.records import (
    Checkpoint,
    EpochReport,
    Evaluation,
    Event,
    MetricPoint,
    Progress,
    Run,
    Severity,
)

NON_FINITE_LIMIT = 3
"""Steps in a row without a finite gradient after which training fails."""
_SMOOTHING = 0.9


class Trainer:
    """Trains one run to its end.

    Args:
        run: the run in the store.
        root: the store's folder, which checkpoint paths are relative to.
        identity: what a resume compares (recipe, data, protocol, device, versions); saved with checkpoints.
        baselines: the baselines' evaluations under the judge's protocol.
    """

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        learner: Learner,
        windows: Windows,
        judge: Judge,
        *,
        baselines: Sequence[Evaluation],
        identity: Mapping[str, Any],
        root: Path,
        reporter: Reporter,
        flag: StopFlag,
    ) -> None:
        self.run = run
        self.recipe = recipe
        self.learner = learner
        self.windows = windows
        self.judge = judge
        self.baselines = baselines
        self.identity = identity
        self.keeper = CheckpointKeeper(root, run.folder)
        self.reporter = reporter
        self.flag = flag
        self.position = Position()
        self.stopping = EarlyStopping(
            patience=recipe.stop.patience,
            min_delta=recipe.stop.min_delta / len(judge.asked),
            min_steps=recipe.stop.min_steps,
        )
        self.per_step = recipe.train.batch * recipe.train.accumulation
        self.steps_per_epoch = math.ceil(len(windows) / self.per_step)
        self.best: Evaluation | None = None
        """The evaluation with the highest value of the watched metric."""
        plan = plan_of(
            recipe,
            steps=recipe.train.epochs * self.steps_per_epoch,
            steps_per_epoch=self.steps_per_epoch,
            windows=len(windows),
        )
        self.audit = LiveAudit(learner, judge, plan)
        self._measured: tuple[int, float] | None = None
        self._speed: float | None = None

    def train(self) -> Outcome:
        """Train until the last epoch, the end of patience, or a stop.

        Raises:
            TrainingError: the loss is not finite any more.
            OwnershipLost: the run is another process's now.
        """
        epochs = self.recipe.train.epochs
        self.reporter.call(lambda writer: self.audit.restore(Reader(writer.database), self.run))
        while self.position.epoch < epochs and not self.stopping.exhausted:
            if not self._train_epoch():
                return self._stopped()
            self._end_epoch()
        ended = Result.COMPLETED if self.position.epoch >= epochs else Result.EARLY_STOPPED
        tell(self.audit.finish(ended), self.reporter)
        summary = verdict(self.best, self.baselines, self.recipe.stop.metric)
        if ended is Result.COMPLETED:
            return Outcome(ended, f"completed {epochs} epoch{'s' * (epochs != 1)}; {summary}")
        reason = f"no gain in {self.stopping.used} evaluations"
        return Outcome(ended, f"early stopped: {reason}; {summary}")

    def progress(self) -> Progress:
        """How far the run has come."""
        return Progress(
            epoch=self.position.epoch,
            epochs=self.recipe.train.epochs,
            step=self.position.step,
            steps=self.recipe.train.epochs * self.steps_per_epoch,
            vectors_per_second=self._speed,
            epoch_seconds=self.position.epoch_seconds,
            patience_used=self.stopping.used,
            patience=self.stopping.patience,
            best_value=self.stopping.best,
            best_epoch=self.stopping.best_epoch,
            value_to_beat=self.stopping.value_to_beat,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on exactly needs."""
        return {
            "identity": dict(self.identity),
            "position": asdict(self.position),
            "stopping": self.stopping.state_dict(),
            "learner": self.learner.state_dict(),
            "probe": take_probe(self.learner, self.windows),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.position = Position(**state["position"])
        self.stopping.load_state_dict(state["stopping"])
        self.learner.load_state_dict(state["learner"])
        self.keeper.saved_step = self.position.step

    def _train_epoch(self) -> bool:
        """Do what is left of the running epoch's steps.

        Returns:
            False if a stop was asked for before the last of them.
        """
        position = self.position
        order = self.windows.order(position.epoch)
        while position.step_in_epoch < self.steps_per_epoch:
            self.reporter.check()
            if self.flag.is_set():
                return False
            begin = position.step_in_epoch * self.per_step
            starts = order[begin : begin + self.per_step]
            before = time.perf_counter()
            result = self.learner.step(starts, position.step)
            seconds = time.perf_counter() - before
            self._count(result, len(starts), seconds)
        return True

    def _count(self, result: StepResult, windows: int, seconds: float) -> None:
        """Take note of a step, and report it."""
        position = self.position
        position.step += 1
        position.step_in_epoch += 1
        position.seconds += seconds
        speed = result.vectors / seconds
        self._speed = speed if self._speed is None else _SMOOTHING * self._speed + (1 - _SMOOTHING) * speed
        values = {
            "train/loss": result.loss,
            "train/lr": result.rate,
            "train/grad_norm": result.grad_norm,
            "train/vectors_per_second": speed,
        }
        if result.temperature is not None:
            values["train/temperature"] = result.temperature
        if result.balance is not None:
            values["train/balance"] = result.balance
        self.reporter.metrics(self._points(values), self.progress())
        found = self.audit.step(position.step, result)
        if result.finite:
            position.loss_sum += result.loss * windows
            position.windows += windows
            position.non_finite = 0
        else:
            self._skipped(result)
        tell(found, self.reporter)

    def _skipped(self, result: StepResult) -> None:
        """A step whose loss or gradient was NaN or infinite has changed nothing; too many of them end it."""
        position = self.position
        position.non_finite += 1
        where = f"epoch {position.epoch + 1}, step {position.step}"
        self.reporter.event(
            "nan_loss",
            f"loss {result.loss}, gradient norm {result.grad_norm} at {where}: the step was skipped",
            Severity.WARN,
            {"epoch": position.epoch + 1, "step": position.step, "in_a_row": position.non_finite},
        )
        if position.non_finite >= NON_FINITE_LIMIT:
            tell(self.audit.history(Result.FAILED), self.reporter)
            raise TrainingError(
                f"training diverged: {NON_FINITE_LIMIT} steps in a row had no finite gradient, up to {where}",
                "Launch the phase again with a lower train.lr, a longer warm-up or a smaller train.clip.",
            )

    def _points(self, values: Mapping[str, float]) -> tuple[MetricPoint, ...]:
        now, step = time.time(), self.position.step
        epoch = step / self.steps_per_epoch
        return tuple(MetricPoint(key, step, epoch, now, value) for key, value in values.items())

    def _end_epoch(self) -> None:
        """Evaluate, save, report: the store gets all of it in one transaction."""
        position = self.position
        position.epoch += 1
        values = {"epoch/train_loss": position.loss_sum / max(1, position.windows)}
        before = time.perf_counter()
        evaluation = self._evaluate()
        position.epoch_seconds = position.seconds + time.perf_counter() - before
        values["epoch/seconds"] = position.epoch_seconds
        value, gain = None, False
        if evaluation is not None:
            value = float(getattr(evaluation, self.recipe.stop.metric))
            gain = self.stopping.update(value, epoch=position.epoch, step=position.step)
            self._measured = (position.step, value)
            self.best = evaluation if gain else self.best
            values |= _scores(evaluation)
            values |= self.learner.model.diagnostics()
            measured, found = self.audit.evaluation(evaluation)
            values |= measured
            tell(found, self.reporter)
        position.step_in_epoch = position.windows = 0
        position.loss_sum = position.seconds = 0.0
        saved, events = self._save()
        if gain:
            name = score_name(self.recipe.stop.metric)
            score = score_text(self.recipe.stop.metric, value or 0.0)
            message = f"new best: {name} {score} at epoch {position.epoch}"
            events.append(Event("best", message, time.time(), evidence={"epoch": position.epoch}))
        report = EpochReport(self.progress(), self._points(values), evaluation, saved, tuple(events))
        self.reporter.epoch(report)
        self.reporter.submit(self.keeper.remove_superseded)
        self._log_epoch(value, gain)
        tell(self.audit.history(), self.reporter)

    def _evaluate(self) -> Evaluation | None:
        """Judge the model, if this epoch is one to judge."""
        epoch = self.position.epoch
        if epoch % self.recipe.evaluate.every and epoch < self.recipe.train.epochs:
            return None
        return validate(
            self.learner,
            self.judge,
            self.recipe,
            epoch=epoch,
            step=self.position.step,
            baselines=self.baselines,
            seen=self.audit.predictions,
        )

    def _save(self) -> tuple[Checkpoint | None, list[Event]]:
        """Write a checkpoint of this moment.

        Returns:
            The row for the file, or None and an event saying why there is no file.
        """
        step, value = self._measured or (None, None)
        judged = value if step == self.position.step else None
        return self.keeper.save(self.position, judged, self.state_dict)

    def _stopped(self) -> Outcome:
        """Keep what was done since the last checkpoint."""
        position = self.position
        if position.step not in {0, self.keeper.saved_step}:
            saved, events = self._save()
            self.reporter.epoch(EpochReport(self.progress(), checkpoint=saved, events=tuple(events)))
            self.reporter.submit(self.keeper.remove_superseded)
        where = f"epoch {position.epoch + 1}, step {position.step}"
        return Outcome(Result.STOPPED, f"stopped by {self.flag.reason} in {where}; it can be resumed")

    def _log_epoch(self, value: float | None, gain: bool) -> None:
        """The line of the log that tells of an epoch."""
        stopping, epoch = self.stopping, self.position.epoch
        if value is None or stopping.best is None:
            log.info("ep %d not evaluated", epoch)
            return
        metric = self.recipe.stop.metric
        words = f"ep {epoch} {score_name(metric)} {score_text(metric, value)}"
        least = self.recipe.stop.min_delta
        by = f" by {least:g} of {len(self.judge.asked)} queries" if least else ""
        beat = f"to beat {score_text(metric, stopping.value_to_beat or 0.0)}{by}"
        if gain:
            log.info("%s · new best · %s", words, beat)
            return
        best = f"best {score_text(metric, stopping.best)} at {stopping.best_epoch}"
        log.info("%s (%s) · no gain %d/%d · %s", words, best, stopping.used, stopping.patience, beat)


def _scores(evaluation: Evaluation) -> dict[str, float]:
    """An evaluation as metrics."""
    values = {
        "val/loss": evaluation.loss,
        "val/hit1": evaluation.hit1,
        "val/hit5": evaluation.hit5,
        "val/hit10": evaluation.hit10,
        "val/mrr": evaluation.mrr,
        "val/cosine": evaluation.cosine,
        "val/copyness": evaluation.copyness,
    }
    return {key: value for key, value in values.items() if value is not None}
