"""Judging a checkpoint of a run once more: on validation, where it must give the ranks that the store has,
and on the test split, which is looked at only here and counted."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from engine import checkpoint
from engine.baselines.kept import kept_baselines, rivals
from engine.building import build_learner
from engine.data.locate import resolve_data
from engine.data.progress import Progress, silent
from engine.data.vectors import VectorSet
from engine.device import device_name
from engine.evaluate import Judge
from engine.judged import Judged, Which, checkpoint_of, stored_test
from engine.learner import Learner
from engine.models import ComposerStart
from engine.probe import check_learner
from engine.protocol import protocol_id
from engine.resume import refuse_changes
from engine.session import set_up_torch, versions
from engine.task import Task, task_of
from engine.validate import validate
from lvmtui import stats
from lvmtui.errors import TrainingError
from lvmtui.recipe import Recipe, from_json
from lvmtui.store import looks
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Checkpoint, Evaluation, Event, Run, Severity
from lvmtui.store.writer import Writer

SplitName = Literal["validation", "test"]
Value = TypeVar("Value")

SAME_SHARE = 0.01
"""Share of the queries whose Hit@10 another device, version or number of threads may turn."""


def evaluate_run(
    database: Database,
    run_id: int,
    split: SplitName,
    *,
    which: Which = "best",
    by: str = "evaluate",
    device: str | None = None,
    progress: Progress = silent,
) -> Judged:
    """Judge a checkpoint of a run, with averaged weights where training judged those.

    The validation split is judged first, whatever is asked for: a model that was put together wrongly must
    not cost a look at the test split. The run's status stays as it is.

    Args:
        split: what is asked for.
        which: the run's best or last checkpoint.
        by: what a look at the test split is written down under.
        device: in place of the recipe's `train.device`.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it has not begun to train.
        CheckpointError: there is no such checkpoint, or it is damaged, or recipe or data have changed.
        TrainingError: the ranks on validation are not those that the store has.
    """
    writer, reader = Writer(database, run_id), Reader(database)
    run = reader.run(run_id)
    row = checkpoint_of(reader, run, which)
    if split == "test" and (known := stored_test(reader, run, row)) is not None:
        return known
    state = checkpoint.load(database.location.root / row.path, row.sha256)
    bench = _Bench.of(run, state, device, progress)
    call = _caller(writer)
    progress("judging on validation", 0, 0)
    judge = bench.judge("validation")
    bench.refuse_changes(run, state["identity"], judge)
    context = bench.recipe.data.context
    baselines = kept_baselines(judge, bench.task.splits, context=context, device=bench.device, call=call)
    learner = bench.learner(state)
    evaluation = bench.validate(learner, judge, row, rivals(judge, call))
    reproduced = compare_with_stored(reader, run, row, evaluation, bench.elsewhere(state["identity"]))
    fingerprint = bench.data.fingerprint
    if split == "validation":
        count = looks.test_looks(reader, fingerprint)
        return Judged(run, row, evaluation, tuple(baselines), judge.protocol, count, False, reproduced)
    progress("judging on the test split", 0, 0)
    test_id = _test_id(judge)
    count = _count_look(writer, reader, row, test_id, judge, by)
    judge = bench.judge("test")
    if judge.protocol.id != test_id:
        raise TrainingError(
            f"the test split was announced as protocol {test_id} and judged under {judge.protocol.id}",
            "This is a bug in lvmtui: please report it.",
        )
    baselines = kept_baselines(
        judge, bench.task.splits, context=context, device=bench.device, call=call, tuned=baselines
    )
    evaluation = bench.validate(learner, judge, row, rivals(judge, call))
    evaluation = replace(evaluation, details={**evaluation.details, "checkpoint": row.path, "by": by})
    writer.save_evaluation(evaluation)
    return Judged(run, row, evaluation, tuple(baselines), judge.protocol, count, False, reproduced)


@dataclass(frozen=True)
class _Bench:
    """What judging a run needs: its recipe, its data, and where it is computed."""

    recipe: Recipe
    data: VectorSet
    task: Task
    device: torch.device

    @classmethod
    def of(cls, run: Run, state: Mapping[str, Any], device: str | None, progress: Progress) -> "_Bench":
        recipe = from_json(run.recipe)
        if device is not None:
            recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"device": device})})
        place = set_up_torch(recipe)
        if not recipe.train.threads:
            # Sums in another order differ in their last bits.
            torch.set_num_threads(min(int(state["identity"]["threads"]), os.cpu_count() or 1))
        data = resolve_data(recipe.data.path, progress)
        return cls(recipe, data, task_of(recipe, data), place)

    def judge(self, split: SplitName) -> Judge:
        """The judge of one split; it checks itself."""
        return self.task.judge(split, self.device)

    def refuse_changes(self, run: Run, then: Mapping[str, Any], judge: Judge) -> None:
        """Raises CheckpointError where recipe, data or protocol are not those of the checkpoint."""
        now = {
            "recipe": from_json(run.recipe).model_dump(mode="json"),
            "data": self.data.fingerprint,
            "protocol": judge.protocol.id,
        }
        refuse_changes(then, now, run)

    def learner(self, state: Mapping[str, Any]) -> Learner:
        """The learner as it was when the checkpoint was written."""
        # Whatever a composer starts at is in the checkpoint, too.
        start = ComposerStart.copy_last(torch.zeros(self.data.dim))
        learner = build_learner(self.recipe, self.task, start, self.device)
        learner.load_state_dict(state["learner"])
        check_learner(learner, state.get("probe"), "the checkpoint")
        return learner

    def validate(
        self, learner: Learner, judge: Judge, row: Checkpoint, baselines: Sequence[Evaluation]
    ) -> Evaluation:
        """Judge the learner's model as training does."""
        return validate(learner, judge, self.recipe, epoch=row.epoch, step=row.step, baselines=baselines)

    def elsewhere(self, then: Mapping[str, Any]) -> str:
        """What is other than when the checkpoint was written and may change last bits; empty for nothing."""
        now = {
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            **versions(),
        }
        before = {"device": then["device"], "threads": then["threads"], **then["versions"]}
        changed = [
            f"{name} {before.get(name)} -> {value}"
            for name, value in now.items()
            if before.get(name) != value
        ]
        return ", ".join(changed)


def compare_with_stored(
    reader: Reader, run: Run, row: Checkpoint, evaluation: Evaluation, elsewhere: str
) -> str:
    """The recomputed ranks on validation beside those that training stored, in words.

    Raises:
        TrainingError: they are others, and not for another device, version or number of threads.
    """
    stored = next(
        (
            item
            for item in reader.evaluations(run.id)
            if item.split == "validation" and item.step == row.step and item.epoch == row.epoch
        ),
        None,
    )
    if stored is None:
        return "not compared with stored ranks: this checkpoint was not judged in training"
    ours, theirs = stats.unpack_ranks(evaluation.ranks), stats.unpack_ranks(stored.ranks)
    if np.array_equal(ours, theirs):
        return f"all {len(ours)} ranks are those that training stored"
    fits = len(ours) == len(theirs)
    changed = int((ours != theirs).sum()) if fits else len(ours)
    turned = float((stats.hits(ours, 10) != stats.hits(theirs, 10)).mean()) if fits else 1.0
    if not elsewhere or turned > SAME_SHARE:
        raise TrainingError(
            f"self-check failed: {changed} of {len(ours)} ranks on validation are not those that training "
            f"stored of {run.name}, epoch {row.epoch}" + (f" ({elsewhere})" if elsewhere else ""),
            "The checkpoint does not give the scores that the store has: trust neither before this is clear.",
        )
    return f"{changed} of {len(ours)} ranks differ from the stored ones: evaluated elsewhere ({elsewhere})"


def _test_id(judge: Judge) -> str:
    """The id of the test split's protocol, from the validation split's, before anything of it is read."""
    return protocol_id(_renamed(judge.protocol.spec))


def _renamed(part: Any) -> Any:
    """A protocol's spec with every mention of the validation split turned to the test split."""
    if isinstance(part, Mapping):
        return {key: _renamed(value) for key, value in part.items()}
    return part.replace("validation", "test") if isinstance(part, str) else part


def _count_look(writer: Writer, reader: Reader, row: Checkpoint, test_id: str, judge: Judge, by: str) -> int:
    """Write down that the test split is looked at; the number of looks, this one included."""
    fingerprint = judge.protocol.data_fingerprint
    count = looks.test_looks(reader, fingerprint) + 1
    evidence = {
        "data": fingerprint,
        "protocol": test_id,
        "validation_protocol": judge.protocol.id,
        "checkpoint": row.path,
        "epoch": row.epoch,
        "by": by,
    }
    message = f"look {count} at the test split of these data, by {by}: checkpoint of epoch {row.epoch}"
    severity = Severity.INFO if count == 1 else Severity.WARN
    writer.events([Event(looks.KIND, message, time.time(), severity, evidence)])
    return count


def _caller(writer: Writer) -> Callable[[Callable[[Writer], Value]], Value]:
    """What `Reporter.call` is in training."""
    return lambda work: work(writer)
