"""From a queued run to its trainer: data, judge, baselines, model, and the checkpoint to go on from."""

import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import numpy
import torch

from engine.baselines import NAMES, TrainStatistics, check_copy_last, compute_baselines, tuned_start
from engine.control import Outcome, StopFlag, Stopped
from engine.data.locate import resolve_data
from engine.data.split import SplitView, split_documents
from engine.data.vectors import VectorSet
from engine.data.windows import Windows
from engine.device import choose_device, device_name
from engine.evaluate import Judge
from engine.learner import Learner
from engine.losses import build_objective
from engine.models import ComposerStart, build_model, count_parameters
from engine.reporter import Reporter, log
from engine.resume import go_on
from engine.train import Trainer
from lvmtui import __version__
from lvmtui.recipe import Recipe, from_json
from lvmtui.store.reader import Reader
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
    device = _set_up_torch(recipe)
    log.info("torch %s on %s, %d threads", torch.__version__, device_name(device), torch.get_num_threads())
    data = resolve_data(recipe.data.path, _Narrator(flag))
    rows, dim = data.vectors.shape
    log.info(
        "data %s: %d vectors of %d numbers, fingerprint %s", recipe.data.path, rows, dim, data.fingerprint
    )
    splits = split_documents(data, recipe.evaluate.split_seed)
    flag.check()
    judge = Judge.build(
        data,
        splits,
        "validation",
        split_seed=recipe.evaluate.split_seed,
        within_document=recipe.data.within_document,
        device=device,
    )
    log.info("protocol %s: %d queries, pool %d", judge.protocol.id, judge.protocol.n, judge.protocol.pool)
    baselines = _baselines(recipe, splits, judge, reporter, device)
    start = _start(recipe, splits, baselines)
    flag.check()
    trainer = _trainer(run, root, recipe, data, splits, judge, baselines, start, device, reporter, flag)
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


def _set_up_torch(recipe: Recipe) -> torch.device:
    device = choose_device(recipe.train.device)
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        # It would fill every fresh tensor with NaN, to find reads of memory never written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return device


def _baselines(
    recipe: Recipe, splits: Mapping[str, SplitView], judge: Judge, reporter: Reporter, device: torch.device
) -> list[Evaluation]:
    """The baselines under this protocol and context: from the store, or computed and put there."""
    context = recipe.data.context

    def stored(writer: Writer) -> list[Evaluation]:
        writer.save_protocol(judge.protocol)
        found = Reader(writer.database).baselines(judge.protocol.id)
        return [evaluation for evaluation in found if evaluation.context == context]

    known = reporter.call(stored)
    if {evaluation.baseline for evaluation in known} >= set(NAMES):
        check_copy_last(judge, next(e for e in known if e.baseline == "copy-last"))
    else:
        log.info("computing the baselines")
        computed = compute_baselines(splits, judge, context=context, device=device)

        def save(writer: Writer) -> None:
            for evaluation in computed:
                writer.save_baseline(evaluation)

        reporter.submit(save)
        # Where another run was faster, its rows stand, and both go by them.
        known = reporter.call(stored)
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
    splits: Mapping[str, SplitView],
    judge: Judge,
    baselines: list[Evaluation],
    start: ComposerStart,
    device: torch.device,
    reporter: Reporter,
    flag: StopFlag,
) -> Trainer:
    """The trainer at its first step."""
    section = recipe.train
    context = recipe.data.context
    windows = Windows(
        splits["train"],
        context=context,
        stride=recipe.data.stride,
        per_epoch=section.steps_per_epoch * section.batch * section.accumulation or None,
        seed=section.seed,
        within_document=recipe.data.within_document,
    )
    torch.manual_seed(section.seed)
    model = build_model(recipe.model, dim=data.vectors.shape[1], context=context, start=start)
    objective = build_objective(recipe.loss, section.positions)
    steps_per_epoch = -(-len(windows) // (section.batch * section.accumulation))
    learner = Learner(
        recipe,
        model,
        objective,
        windows=windows,
        train=splits["train"],
        device=device,
        total_steps=section.epochs * steps_per_epoch,
    )
    identity = {
        "recipe": recipe.model_dump(mode="json"),
        "data": data.fingerprint,
        "protocol": judge.protocol.id,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    return Trainer(
        run,
        recipe,
        learner,
        windows,
        judge,
        baselines=baselines,
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
        versions=versions(),
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
