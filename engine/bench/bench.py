"""Measuring a run's best checkpoint: every precision, every context length, streaming and re-encoding."""

import gc
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine import checkpoint
from engine.bench.plan import TOP, Plan
from engine.bench.quality import Quality, predictions_of, quality_of
from engine.bench.timing import BLOCKS, Series, Times
from engine.data.locate import resolve_data
from engine.data.progress import Progress, silent
from engine.data.vectors import VectorSet
from engine.device import choose_device, device_name
from engine.evaluate import Judge
from engine.evaluating import compare_with_stored
from engine.infer import Pool, Predictor, load
from engine.judged import checkpoint_of
from engine.resume import refuse_changes
from engine.session import versions
from engine.task import task_of
from lvmtui import stats
from lvmtui.errors import UsageError
from lvmtui.latencies import ENCODE, REFERENCE, STREAM
from lvmtui.recipe import Recipe, from_json
from lvmtui.sensors import DeviceSampler
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Checkpoint, Latency, Run
from lvmtui.store.writer import Writer

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Benched:
    """What one bench came to."""

    run: Run
    latencies: tuple[Latency, ...]
    reproduced: str
    """How the ranks in fp32 compare with those that training stored, in words."""
    cores: int


def bench_run(database: Database, run_id: int, plan: Plan, *, progress: Progress = silent) -> Benched:
    """Measure the best checkpoint of a run, and keep what was measured in the store, all of it or nothing.

    Raises:
        RunNotFound: there is no such run.
        IllegalTransition: it has not begun to train.
        CheckpointError: it has no best checkpoint, or that is damaged, or recipe or data have changed.
        UsageError: what is asked for cannot be measured on this device or these data.
        TrainingError: there is no such device, or the ranks on validation are not those in the store.
    """
    reader = Reader(database)
    run = reader.run(run_id)
    row = checkpoint_of(reader, run, "best")
    device = choose_device(plan.device)
    precisions = plan.chosen(device.type)
    load_before = load_average()
    recipe = from_json(run.recipe)
    data = resolve_data(recipe.data.path, progress)
    lengths = plan.lengths(len(data))
    path = database.location.root / row.path
    predictors = _predictors(path, row, plan, device, precisions, progress)
    judge = _judge(recipe, data, run, path, device, progress)
    pool = _pool(judge, data, plan.pool)
    reproduced, qualities = _qualities(reader, run, row, predictors, judge, progress)
    offered = {
        name: predictor
        for name, predictor in predictors.items()
        if name in precisions and qualities[name].lost <= plan.most_lost
    }
    measured = measure(offered, pool, _stream(data, lengths, plan.queries), lengths, plan.queries, progress)
    common = Latency(
        checkpoint=row.path,
        epoch=row.epoch,
        step=row.step,
        time=time.time(),
        host=socket.gethostname(),
        device=device_name(device),
        device_name=next((item.name for item in DeviceSampler().sample() if item.device == "cpu"), ""),
        threads=torch.get_num_threads(),
        precision=REFERENCE,
        mode=STREAM,
        context=0,
        warmup=0,
        n=0,
        pool=len(pool),
        top=min(TOP, len(pool)),
        load=load_before,
        protocol_id=judge.protocol.id,
        judged=judge.protocol.n,
        versions=versions(),
    )
    latencies = [
        replace(
            _with_quality(common, name, qualities[name]),
            mode=mode,
            context=context,
            warmup=times.warmup,
            n=times.n,
            p50=times.p50,
            p95=times.p95,
            p99=times.p99,
        )
        for (name, mode, context), times in measured.items()
    ]
    latencies += [
        replace(_with_quality(common, name, qualities[name]), refused=_why(qualities[name], plan.most_lost))
        for name in precisions
        if name not in offered
    ]
    Writer(database, run.id).save_latencies(latencies)
    return Benched(run, tuple(latencies), reproduced, os.cpu_count() or 1)


def load_average() -> float | None:
    """The machine's load average over a minute; None where the system has none."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _predictors(
    path: Path,
    row: Checkpoint,
    plan: Plan,
    device: torch.device,
    precisions: tuple[str, ...],
    progress: Progress,
) -> dict[str, Predictor]:
    """One for each precision; fp32, which the others are compared with, is always there."""
    progress("loading the checkpoint", 0, 0)
    found = {}
    for name in dict.fromkeys((REFERENCE, *precisions)):
        found[name] = load(
            path,
            sha256=row.sha256,
            device=device.type,
            precision=name,  # type: ignore[arg-type]
            threads=plan.threads,
        )
    return found


def _judge(
    recipe: Recipe, data: VectorSet, run: Run, path: Path, device: torch.device, progress: Progress
) -> Judge:
    """The judge of the validation split, if it is the one that training had."""
    progress("preparing the validation split", 0, 0)
    judge = task_of(recipe, data).judge("validation", device)
    now = {
        "recipe": recipe.model_dump(mode="json"),
        "data": data.fingerprint,
        "protocol": judge.protocol.id,
    }
    refuse_changes(checkpoint.load(path, None, only=("identity",))["identity"], now, run)
    return judge


def _pool(judge: Judge, data: VectorSet, wanted: int | None) -> Pool:
    """What queries search: the validation split's candidates, or the first vectors of the data."""
    if wanted is None:
        return Pool(judge.pool.take(0, len(judge.pool)))
    if wanted > len(data):
        raise UsageError(
            f"a pool of {wanted} cannot be searched: the run's data have {len(data)} vectors",
            f"Ask for {len(data)} at most.",
        )
    return Pool(np.asarray(data.vectors[:wanted], np.float32))


def _stream(data: VectorSet, lengths: tuple[int, ...], queries: int) -> Vectors:
    """The first vectors of the data (N, D): the longest context, and a query more for each push."""
    return np.asarray(data.vectors[: lengths[-1] + queries + 1], np.float32)


def _qualities(
    reader: Reader,
    run: Run,
    row: Checkpoint,
    predictors: Mapping[str, Predictor],
    judge: Judge,
    progress: Progress,
) -> tuple[str, dict[str, Quality]]:
    """Hit@K in every precision, and how fp32 compares with what training stored.

    Raises:
        TrainingError: it gives other ranks, and not for another device, version or number of threads.
    """
    reproduced, reference = "", None
    found = {}
    for name, predictor in predictors.items():
        progress(f"judging {name} on validation", 0, 0)
        evaluation = judge.evaluation(
            predictions_of(predictor, judge),
            epoch=row.epoch,
            step=row.step,
            loss=None,
            context=predictor.context,
        )
        ranks = stats.unpack_ranks(evaluation.ranks)
        found[name] = quality_of(ranks, reference, judge.asked.groups)
        if reference is None:
            reference = ranks
            elsewhere = f"{device_name(predictor.device)}, {torch.get_num_threads()} threads"
            reproduced = compare_with_stored(reader, run, row, evaluation, elsewhere)
    return reproduced, found


def measure(
    predictors: Mapping[str, Predictor],
    pool: Pool,
    stream: Vectors,
    lengths: tuple[int, ...],
    queries: int,
    progress: Progress = silent,
) -> dict[tuple[str, str, int], Times]:
    """Time single queries: (precision, mode, context) -> percentiles.

    Args:
        predictors: by precision.
        pool: what is searched.
        stream: (N, D), at least as long as the longest context.
        lengths: contexts, ascending.
        queries: of each configuration, at most.
    """
    series: dict[tuple[str, str, int], Series] = {}
    for name, predictor in predictors.items():
        progress(f"streaming {lengths[-1]} vectors, {name}", 0, 0)
        for length, streaming in _streaming(predictor, pool, stream, lengths).items():
            series[name, STREAM, length] = streaming
        for length in lengths:
            series[name, ENCODE, length] = _encoding(predictor, pool, stream, length)
    most = -(-queries // BLOCKS)
    # Blocks collect garbage before they time anything: torch's own objects alone take 0.1 s each time.
    gc.freeze()
    try:
        for block in range(1, BLOCKS + 1):
            for number, configuration in enumerate(series.values()):
                progress(f"measuring, block {block} of {BLOCKS}", number, len(series))
                configuration.block(most)
    finally:
        gc.unfreeze()
    return {key: configuration.times() for key, configuration in series.items()}


def _streaming(
    predictor: Predictor, pool: Pool, stream: Vectors, lengths: tuple[int, ...]
) -> dict[int, Series]:
    """One vector more and the best of the pool, after as many vectors."""
    k = min(TOP, len(pool))
    session = predictor.session(pool)
    found = {}
    for length in lengths:
        while session.count < length:
            session.push(stream[session.count])
        found[length] = _streaming_after(predictor, pool, stream, session.save(), length, k)
    return found


def _streaming_after(
    predictor: Predictor, pool: Pool, stream: Vectors, saved: dict[str, torch.Tensor], length: int, k: int
) -> Series:
    session = predictor.session(pool)

    def begin() -> None:
        session.restore(saved)
        # What restoring leaves behind is no query's fault.
        session.push(stream[length % len(stream)])

    def query(number: int) -> object:
        session.push(stream[(length + 1 + number) % len(stream)])
        return session.top(k).rows.tolist()

    return Series(query, begin)


def _encoding(predictor: Predictor, pool: Pool, stream: Vectors, length: int) -> Series:
    """The whole context anew and the best of the pool, each time one vector further on."""
    k, starts = min(TOP, len(pool)), len(stream) - length + 1

    def query(number: int) -> object:
        start = number % starts
        return pool.search(predictor.predict(stream[start : start + length]), k).rows.tolist()

    return Series(query)


def _with_quality(common: Latency, precision: str, quality: Quality) -> Latency:
    one, five, ten = quality.hits
    judged = replace(common, precision=precision, hit1=one, hit5=five, hit10=ten)
    if not quality.changes:
        return judged
    first, second, third = quality.changes
    return replace(
        judged,
        hit1_change=first.difference,
        hit5_change=second.difference,
        hit10_change=third.difference,
        hit1_change_interval=first.interval,
        hit5_change_interval=second.interval,
        hit10_change_interval=third.interval,
    )


def _why(quality: Quality, most: float) -> str:
    """Why a precision is not offered."""
    bounds = quality.changes[1].interval if quality.changes else None
    around = f" [{0.0 - 100 * bounds.high:.1f}, {0.0 - 100 * bounds.low:.1f}]" if bounds else ""
    return (
        f"it loses {100 * quality.lost:.1f}{around} points of Hit@5 on validation against fp32; at most "
        f"{100 * most:.1f} are allowed"
    )
