"""From a queued run to its trainer: data, judge, baselines, model, and the checkpoint to go on from."""

import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import numpy
import torch

from engine.audit.kept import audit_once
from engine.baselines import TrainStatistics, tuned_start
from engine.baselines.kept import kept_baselines, rivals
from engine.building import build_learner, lanes_start
from engine.control import Outcome, StopFlag, Stopped
from engine.data.locate import resolve_data
from engine.data.split import SplitView, split_documents
from engine.data.vectors import VectorSet
from engine.device import choose_device, device_name
from engine.evaluate import Judge
from engine.learner import Learner
from engine.models import ComposerStart, count_parameters
from engine.reporter import Reporter, log
from engine.resume import go_on
from engine.task import task_of
from engine.train import Trainer
from lvmtui import __version__
from lvmtui.recipe import Recipe, from_json
from lvmtui.store.records import Evaluation, Event, Run, RunFacts
from lvmtui.store.writer import Writer

_PROGRESS_SECONDS = 5.0
"""Least time between two lines of the log about one stage."""


def train_run(run: Run, root: Path, reporter: Reporter, flag: StopFlag) -> Outcome:
    """Do everything that a run asks for, from its data to its end.

    Args:
        run: as `Writer.start` returned it.
        root: the store's folder.

    Raises:
        LvmtuiError: something the user can mend.
        Stopped: a stop was asked for before the first step.
    """
    recipe = from_json(run.recipe)
    device = set_up_torch(recipe, _wanted_device(run, recipe))
    log.info("torch %s on %s, %d threads", torch.__version__, device_name(device), torch.get_num_threads())
    narrator = _Narrator(flag)
    data = resolve_data(recipe.data.path, narrator)
    rows, dim = data.vectors.shape
    log.info(
        "data %s: %d vectors of %d numbers, fingerprint %s", recipe.data.path, rows, dim, data.fingerprint
    )
    task = task_of(recipe, data)
    _audit(recipe, data, reporter, narrator)
    flag.check()
    lanes = lanes_start(recipe, task)
    judge = task.judge("validation", device)
    log.info("protocol %s: %d queries, pool %d", judge.protocol.id, judge.protocol.n, judge.protocol.pool)
    for flaw in judge.protocol.spec.get("flaws", ()):
        log.warning("%s, wrong with it: %s", judge.protocol.name, flaw)
    baselines = _baselines(recipe, task.splits, judge, reporter, device)
    flag.check()
    start = _start(recipe, task.splits, baselines)
    learner = build_learner(recipe, task, start, device, lanes)
    learner.prepare(narrator)
    log.info("trains in %s, is judged in fp32", learner.precision)
    trainer = _trainer(run, root, recipe, data, learner, judge, reporter, flag)
    go_on(trainer, run, root, reporter)
    _announce(trainer, run, data, device, reporter, flag)
    return trainer.train()


class _Narrator:
    """Progress of the data as lines of the log; a stop asked for meanwhile ends the work."""

    def __init__(self, flag: StopFlag) -> None:
        self._flag = flag
        self._stage = ""
        self._told = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._flag.check()
        now = time.monotonic()
        if stage != self._stage or now - self._told >= _PROGRESS_SECONDS:
            self._stage, self._told = stage, now
            log.info("%s%s", stage, f" {done}/{total}" if total and done else "")


def _wanted_device(run: Run, recipe: Recipe) -> str:
    """The device that the run was given by the queue, or asks for."""
    wanted = run.device_wanted or recipe.train.device
    slot = (run.device or "").partition(" ")[0]
    given = slot.startswith("cuda:") and wanted in {"auto", "cuda"}
    # torch may see no GPU where the driver counts some.
    return slot if given and (wanted == "cuda" or torch.cuda.is_available()) else wanted


def set_up_torch(recipe: Recipe, wanted: str = "") -> torch.device:
    """Choose the device and the threads that a recipe asks for, and make what is computed repeatable.

    Args:
        recipe: what is trained.
        wanted: as for `choose_device`; empty: as the recipe says.
    """
    device = choose_device(wanted or recipe.train.device)
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        # It would fill every fresh tensor with NaN, to find reads of memory never written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return device


def _audit(recipe: Recipe, data: VectorSet, reporter: Reporter, progress: _Narrator) -> None:
    """Look at the data before anything is learnt from them, whatever protocol judges: split by document."""
    seed = recipe.evaluate.split_seed
    audit_once(
        data,
        split_documents(data, seed),
        recipe.data.context,
        reporter.call,
        log,
        split_seed=seed,
        within_document=recipe.data.within_document,
        progress=progress,
    )


def _baselines(
    recipe: Recipe, splits: Mapping[str, SplitView], judge: Judge, reporter: Reporter, device: torch.device
) -> list[Evaluation]:
    """The baselines under this protocol and context: from the store, or computed and put there."""
    context = recipe.data.context
    known = kept_baselines(judge, splits, context=context, device=device, call=reporter.call)
    for evaluation in known:
        scores = [f"{100 * score:.2f}" for score in (evaluation.hit1, evaluation.hit5, evaluation.hit10)]
        log.info("baseline %s: Hit@1/5/10 %s", evaluation.baseline, " / ".join(scores))
    return known


def _start(recipe: Recipe, splits: Mapping[str, SplitView], baselines: list[Evaluation]) -> ComposerStart:
    """Where the composer starts; other heads make no use of it."""
    if recipe.model.head == "composer" and recipe.model.start == "tuned":
        return tuned_start(splits, baselines)
    return ComposerStart.copy_last(TrainStatistics(splits["train"]).mean)


def _trainer(
    run: Run,
    root: Path,
    recipe: Recipe,
    data: VectorSet,
    learner: Learner,
    judge: Judge,
    reporter: Reporter,
    flag: StopFlag,
) -> Trainer:
    """The trainer at its first step."""
    identity = {
        "recipe": recipe.model_dump(mode="json"),
        "data": data.fingerprint,
        "protocol": judge.protocol.id,
        "device": device_name(learner.device),
        "threads": torch.get_num_threads(),
        "versions": versions() | {"precision": learner.precision},
    }
    return Trainer(
        run,
        recipe,
        learner,
        learner.windows,
        judge,
        baselines=rivals(judge, reporter.call),
        identity=identity,
        root=root,
        reporter=reporter,
        flag=flag,
    )


def _announce(
    trainer: Trainer, run: Run, data: VectorSet, device: torch.device, reporter: Reporter, flag: StopFlag
) -> None:
    """Say that the first step comes next.

    Raises:
        Stopped: a stop came before it.
    """
    facts = RunFacts(
        parameters=count_parameters(trainer.learner.model),
        data_fingerprint=data.fingerprint,
        protocol_id=trainer.judge.protocol.id,
        device=device_name(device),
        versions=versions() | {"precision": trainer.learner.precision},
        git_commit=_git_commit(),
    )
    message = (
        f"{trainer.recipe.model.name}, {facts.parameters:,} parameters on {facts.device}; at most "
        f"{trainer.recipe.train.epochs} epochs of {trainer.steps_per_epoch} steps"
    )
    log.info("%s", message)

    def announce(writer: Writer) -> None:
        # In the reporter's thread, which is also the one that acknowledges stops.
        if flag.reason is not None:
            raise Stopped(flag.reason)
        writer.running(facts, Event("started", message, time.time(), evidence={"attempt": run.attempt}))
        writer.heartbeat(trainer.progress())

    reporter.call(announce)


def versions() -> dict[str, str]:
    """What the numbers may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "lvmtui": __version__,
    }


def _git_commit() -> str | None:
    """The commit of the current directory; None outside a repository."""
    command = ["git", "rev-parse", "--verify", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
