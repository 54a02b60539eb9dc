"""Realistic snapshots for tests and for looking at screens: the records an engine would have written.

Two protocols (two vector sets), baselines, finished, running, failed and queued runs, seeds of one recipe,
curves with a gap, checkpoints, events and a log. Deterministic.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lvmtui.findings import Finding, worst_first
from lvmtui.latencies import headline
from lvmtui.recipe import Recipe, build
from lvmtui.snapshot import RunDetail, RunView, Series, Snapshot, shown_state
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import (
    Checkpoint,
    Evaluation,
    Event,
    Interval,
    Latency,
    Progress,
    Promotion,
    Protocol,
    Run,
    Severity,
)
from tests.tui import honest

NOW = 1_790_000_000.0
"""When the snapshots are taken: a fixed moment."""
MAIN = "4f1c9a7e02b85d36"
"""Protocol id of most runs."""
OTHER = "b7d20c4415e98af1"
"""Protocol id of the runs on the other vector set."""

BASELINES = (
    # name, Hit@1, Hit@5, Hit@10, MRR
    ("mean", 0.018, 0.050, 0.087, 0.041),
    ("copy-last", 0.034, 0.081, 0.110, 0.058),
    ("ewm", 0.036, 0.089, 0.121, 0.064),
    ("ewm-centred", 0.041, 0.104, 0.139, 0.073),
    ("ewm-whitened", 0.046, 0.118, 0.158, 0.081),
)


def protocol(identity: str = MAIN, *, n: int = 4109, pool: int = 4802) -> Protocol:
    """How the runs were judged."""
    return Protocol(
        id=identity,
        name="doc-v1",
        data_fingerprint=("9d" if identity == MAIN else "51") * 8,
        spec={
            "name": "doc-v1",
            "version": 1,
            "data": ("9d" if identity == MAIN else "51") * 8,
            "split": {"by": "document", "fractions": [0.8, 0.1, 0.1], "seed": 0, "name": "validation"},
            "queries": "vectors with a predecessor in their document",
            "pool": "the split, minus the vectors before the query in its own document",
            "near_duplicate": 0.98,
            "ties": "against",
            "scoring": "cosine",
            "within_document": False,
        },
        split="validation",
        n=n,
        pool=pool,
        duplicate_share=0.0131,
        documents=61,
    )


def evaluation(
    hit5: float, *, epoch: int = 1, run_id: int | None = None, identity: str = MAIN, half: float = 0.011
) -> Evaluation:
    """An evaluation around a Hit@5 score, with intervals of the given half width."""

    def around(value: float) -> Interval:
        return Interval(max(0.0, value - half), min(1.0, value + half * 1.1))

    hit1, hit10 = round(hit5 * 0.347, 4), round(hit5 * 1.29, 4)
    n, pool = (4109, 4802) if identity == MAIN else (2310, 2388)
    return Evaluation(
        protocol_id=identity,
        split="validation",
        epoch=epoch,
        step=epoch * 81,
        time=NOW - 7200 + epoch * 118,
        hit1=hit1,
        hit5=hit5,
        hit10=hit10,
        mrr=round(hit5 * 0.676, 4),
        n=n,
        pool=pool,
        hit1_interval=around(hit1),
        hit5_interval=around(hit5),
        hit10_interval=around(hit10),
        interval_method="bootstrap over documents, 10000 resamples",
        loss=5.1 - hit5 * 6,
        cosine=0.4 + hit5 / 2,
        copyness=0.71 - hit5,
        context=1000,
        run_id=run_id,
        id=(run_id or 0) * 1000 + epoch,
    )


def baselines(identity: str = MAIN, scale: float = 1.0) -> tuple[Evaluation, ...]:
    """The baselines under one protocol, weakest first."""
    found = []
    for number, (name, hit1, hit5, hit10, mrr) in enumerate(BASELINES):
        base = evaluation(hit5 * scale, epoch=0, identity=identity)
        found.append(
            replace(
                base,
                hit1=hit1 * scale,
                hit10=hit10 * scale,
                mrr=mrr * scale,
                baseline=name,
                loss=None,
                copyness=1.0 if name == "copy-last" else 0.62,
                details={"rate": 0.5} if name.startswith("ewm") else {},
                id=-100 - number - (50 if identity == OTHER else 0),
            )
        )
    return tuple(found)


def recipe(phase: str, *, context: int = 1000, seed: int = 0, **overrides: str) -> Recipe:
    """A recipe as a shipped phase would have it."""
    values = {
        "name": phase,
        "description": f"{phase}: published hyperparameters",
        "data": {"path": "wikitext2", "context": context},
        "train": {"seed": seed},
        "targets": {"hit1": 0.07, "hit5": 0.2, "hit10": 0.25},
    }
    return build(values, {name.replace("__", "."): value for name, value in overrides.items()})


def run(
    number: int,
    phase: str,
    best: float | None,
    *,
    status: Status = Status.DONE,
    result: Result | None = Result.EARLY_STOPPED,
    epoch: int = 23,
    best_epoch: int | None = 16,
    context: int = 1000,
    seed: int = 0,
    identity: str = MAIN,
    minutes: float = 47,
    **overrides: str,
) -> Run:
    """One run of a phase whose best Hit@5 is `best`."""
    chosen = recipe(phase, context=context, seed=seed, **overrides)
    active = status in {Status.STARTING, Status.RUNNING, Status.STOPPING}
    started = None if status is Status.QUEUED else NOW - minutes * 60 - (0 if active else 3600)
    return Run(
        id=number,
        revision=number,
        phase=phase,
        status=status,
        result=result if status is Status.DONE else None,
        recipe=chosen.to_json(),
        recipe_hash=chosen.hash,
        overrides={name.replace("__", "."): value for name, value in overrides.items()},
        seed=seed,
        model=chosen.model.name,
        context=context,
        watch="hit5",
        targets=chosen.target_scores(),
        data=chosen.data.path,
        folder=f"runs/{phase}-{number}",
        created=NOW - 9000 + number,
        progress=Progress(
            epoch=epoch,
            epochs=50,
            step=epoch * 81,
            steps=50 * 81,
            vectors_per_second=9412.0,
            epoch_seconds=118.0,
            patience_used=2,
            patience=3,
            best_value=best,
            best_epoch=best_epoch if best is not None else None,
            value_to_beat=best,
        ),
        parameters=11_285_672,
        data_fingerprint="9d" * 8,
        protocol_id=identity if best is not None else None,
        device="cuda",
        host="box",
        pid=4242,
        process_started=NOW - 5000,
        heartbeat=NOW - 0.5,
        started=started,
        ended=None if active or started is None else started + minutes * 60,
        active_seconds=0.0 if active else minutes * 60,
        attempt=1,
        git_commit="1f2e3d4c",
        versions={"python": "3.11.9", "torch": "2.13.0", "lvmtui": "0.1.0"},
        error="TrainingError: the loss is NaN at step 731" if result is Result.FAILED else None,
    )


def view(record: Run, *, baseline: float = 0.118, aliases: tuple[str, ...] = (), lost: str = "") -> RunView:
    """A run with its best and last evaluation."""
    progress = record.progress
    identity = record.protocol_id or MAIN
    best = last = None
    if progress.best_value is not None and progress.best_epoch is not None:
        best = evaluation(progress.best_value, epoch=progress.best_epoch, run_id=record.id, identity=identity)
        last = replace(
            evaluation(
                progress.best_value - 0.002, epoch=progress.epoch, run_id=record.id, identity=identity
            ),
            id=record.id * 1000 + 900,
        )
    strongest = next((b for b in reversed(baselines(identity)) if math.isclose(b.hit5, baseline)), None)
    return RunView(
        run=record,
        state=shown_state(record, lost or None),
        lost_reason=lost,
        best=best,
        last=last,
        baseline=strongest or baselines(identity)[-1],
        aliases=aliases,
    )


def curve(final: float, epochs: int, *, rate: float = 0.3, start: float = 0.0) -> "np.ndarray":
    """A saturating learning curve, (epochs,) float64."""
    at = np.arange(1, epochs + 1, dtype=np.float64)
    return start + (final - start) * (1 - np.exp(-rate * at)) + 0.002 * np.sin(at * 2.1)


def series(values: "np.ndarray", *, per_epoch: int = 1, steps: int = 81) -> Series:
    """Values as a metric of a run: `per_epoch` of them an epoch."""
    epoch = np.arange(1, len(values) + 1, dtype=np.float64) / per_epoch
    return Series(step=epoch * steps, epoch=epoch, time=NOW - 7200 + epoch * 118, value=values)


def detail(shown: RunView, *, epochs: int | None = None) -> RunDetail:
    """What is read for a run that is looked at; the validation loss of epoch 9 was NaN."""
    record = shown.run
    epochs = record.progress.epoch if epochs is None else epochs
    best = record.progress.best_value or 0.1
    best_epoch = min(record.progress.best_epoch or 1, epochs)
    hit5 = curve(best - 0.003, epochs)
    hit5[best_epoch - 1] = best
    identity = record.protocol_id or MAIN
    evaluations = tuple(
        evaluation(float(value), epoch=index + 1, run_id=record.id, identity=identity)
        for index, value in enumerate(hit5)
    )
    losses = curve(3.2, epochs, start=5.1)
    losses[8:9] = np.nan
    train = curve(3.0, epochs * 81, rate=0.3 / 81, start=5.2)
    wave = np.sin(np.arange(len(train)) * 0.7)
    metrics = {
        "train/loss": train + 0.05 * wave,
        "train/lr": 1e-4 * (0.5 + 0.5 * np.cos(np.arange(len(train)) / max(1, len(train)) * np.pi)),
        "train/grad_norm": 0.8 + 0.3 * np.abs(wave),
        "train/temperature": 0.07 - 0.02 * (1 - np.exp(-np.arange(len(train)) / 400)),
        "train/vectors_per_second": 9400 + 150 * wave,
    }
    by_epoch = {
        "epoch/train_loss": curve(3.0, epochs, start=5.2),
        "epoch/seconds": 118 + 2 * np.sin(np.arange(epochs)),
        "val/loss": losses,
        "val/hit1": hit5 * 0.347,
        "val/hit5": hit5,
        "val/hit10": hit5 * 1.29,
        "val/mrr": hit5 * 0.676,
        "val/cosine": 0.4 + hit5 / 2,
        "val/copyness": 0.71 - hit5,
    }
    merged = {key: series(values, per_epoch=81, steps=81) for key, values in metrics.items()}
    merged |= {key: series(values) for key, values in by_epoch.items()}
    checkpoint = Checkpoint(
        path=f"{record.folder}/checkpoints/best-{best_epoch:04d}.safetensors",
        epoch=best_epoch,
        step=best_epoch * 81,
        time=NOW - 7200 + best_epoch * 118,
        sha256="8c1f" * 16,
        size=45_183_912,
        is_best=True,
        is_last=False,
        value=best,
        id=record.id * 10,
        run_id=record.id,
    )
    last = replace(
        checkpoint,
        path=f"{record.folder}/checkpoints/last-{epochs:04d}.safetensors",
        epoch=epochs,
        step=epochs * 81,
        time=NOW - 7200 + epochs * 118,
        sha256="17ab" * 16,
        is_best=False,
        is_last=True,
        value=float(hit5[-1]),
        id=record.id * 10 + 1,
    )
    ks = np.arange(1, 101)
    return RunDetail(
        series=merged,
        evaluations=evaluations,
        events=events(record, best_epoch),
        log=tuple(log_lines(hit5)),
        checkpoints=(checkpoint, last),
        slices=honest.slicings(),
        latencies=latencies(record),
        hit_curve=tuple(float(v) for v in np.minimum(1.0, best * (ks / 5) ** 0.37)),
        baseline_hit_curve=tuple(float(v) for v in np.minimum(1.0, 0.118 * (ks / 5) ** 0.42)),
    )


def latencies(record: Run) -> tuple[Latency, ...]:
    """What two benches measured: on a GPU, and later on a processor, where int8 lost too much."""
    epoch = record.progress.best_epoch or 1
    gpu = Latency(
        checkpoint=f"{record.folder}/checkpoints/best-{epoch:04d}.safetensors",
        epoch=epoch,
        step=epoch * 81,
        time=NOW - 3000,
        host="box",
        device="cuda:0 NVIDIA H200",
        device_name="AMD EPYC 9454",
        threads=24,
        precision="fp32",
        mode="stream",
        context=1000,
        warmup=100,
        n=200,
        pool=4802,
        top=10,
        p50=0.00041,
        p95=0.00047,
        p99=0.00062,
        load=0.31,
        protocol_id=MAIN,
        judged=4109,
        hit1=0.062,
        hit5=0.179,
        hit10=0.231,
    )
    measured = [gpu]
    changes = {"hit1_change": 0.0, "hit5_change": -0.0012, "hit10_change": 0.0005}
    for number, precision in enumerate(("fp32", "bf16")):
        shared = replace(gpu, time=NOW - 600, device="cpu", threads=2, precision=precision, load=0.12)
        if number:
            shared = replace(shared, hit5=0.1778, hit5_change_interval=Interval(-0.0031, 0.0007), **changes)
        for context, stream, encode in ((100, 1.71, 31.4), (1000, 1.93, 306.0), (2000, 1.88, 612.0)):
            for mode, middle, n in (("stream", stream, 200), ("encode", encode, 20)):
                seconds = middle * (1 + 0.8 * number) / 1000
                measured.append(
                    replace(
                        shared,
                        mode=mode,
                        context=context,
                        n=n,
                        p50=seconds,
                        p95=seconds * 1.12,
                        p99=seconds * 1.4,
                    )
                )
    refused = replace(
        measured[-1],
        precision="int8",
        mode="stream",
        context=0,
        n=0,
        p50=None,
        p95=None,
        p99=None,
        hit5=0.168,
        hit5_change=-0.011,
        hit5_change_interval=Interval(-0.0163, -0.0058),
        refused="it loses 1.1 [0.6, 1.6] points of Hit@5 on validation against fp32; at most 0.5 are allowed",
    )
    measured.append(refused)
    return tuple(replace(item, run_id=record.id, id=index + 1) for index, item in enumerate(measured))


def events(record: Run, best_epoch: int) -> tuple[Event, ...]:
    """What happened to the run."""
    return (
        Event("launched", f"{record.name} launched", NOW - 7300, run_id=record.id, id=1),
        Event("started", "attempt 1 on box (cuda), pid 4242", NOW - 7290, run_id=record.id, id=2),
        Event("best", f"new best Hit@5 at epoch {best_epoch}", NOW - 5312, run_id=record.id, id=3),
        Event(
            "nan",
            "the validation loss is NaN at epoch 9 [bold]not markup[/bold]",
            NOW - 6138,
            Severity.WARN,
            {"epoch": 9, "key": "val/loss"},
            record.id,
            4,
        ),
    )


def log_lines(hit5: "np.ndarray") -> list[str]:
    """The log an engine writes."""
    lines = ["14:00:01 memory_gru 11.3M parameters on cuda", "14:00:02 protocol doc-v1 4f1c9a7e02b85d36"]
    for index, value in enumerate(hit5):
        lines.append(f"14:{index:02d}:09 ep {index + 1} Hit@5 {value * 100:.2f} [red]text, not markup[/red]")
    return lines


def views() -> tuple[RunView, ...]:
    """Runs of a working week, newest first."""
    return (
        view(run(18, "phase-2b", None, status=Status.QUEUED, epoch=0, context=500, loss__alpha="0.05")),
        view(run(17, "phase-3", 0.179, status=Status.RUNNING, epoch=19)),
        view(run(16, "phase-1", 0.142, status=Status.RUNNING, epoch=7, best_epoch=7, context=100, minutes=9)),
        view(run(15, "phase-2", 0.172, context=500, seed=2, minutes=35, train__seed="2")),
        view(run(14, "phase-2", 0.160, context=500, seed=1, minutes=37, train__seed="1")),
        view(
            run(12, "phase-2", 0.164, epoch=22, best_epoch=19, context=500, minutes=36),
            aliases=("champion",),
        ),
        view(run(11, "phase-2", 0.121, result=Result.FAILED, epoch=9, best_epoch=6, context=500, minutes=16)),
        view(run(9, "broken", 0.097, result=Result.STOPPED, epoch=12, best_epoch=8, context=100, minutes=11)),
        view(run(8, "brown-1", 0.243, identity=OTHER, context=100, minutes=21, data__path="brown")),
        view(run(7, "brown-1", 0.251, identity=OTHER, context=100, minutes=22, train__lr="0.0005")),
    )


def snapshot(*, detailed: tuple[int, ...] = (17,)) -> Snapshot:
    """Everything on screen at `NOW`, with the detail of the runs in `detailed`."""
    data = protocol().data_fingerprint
    audits = {data: honest.data_audit(data)}
    shown = tuple(_audited(view, audits) for view in views())
    by_id = {item.run.id: item for item in shown}
    return Snapshot(
        store="/project/runs.db",
        taken=NOW,
        runs=shown,
        details={number: detail(by_id[number]) for number in detailed},
        baselines={MAIN: baselines(), OTHER: baselines(OTHER, 1.6)},
        protocols={
            MAIN: protocol(),
            OTHER: protocol(OTHER, n=2310, pool=2388),
        },
        promotions=(Promotion("champion", 12, 120, NOW - 4000, {"beats_baseline": True}),),
        audits=audits,
        test_looks={data: 2},
    )


def _audited(view: RunView, audits: Mapping[str, tuple[Finding, ...]]) -> RunView:
    """The run with what is wrong with it and its data; one run has read the test split, two were measured."""
    own = (honest.RUN_FINDING,) if view.run.id == 17 else ()
    found = [f for f in (*own, *audits.get(view.run.data_fingerprint or "", ())) if not f.passed]
    test = replace(view.best, split="test") if view.best is not None and view.run.id == 12 else None
    measured = {17: latencies(view.run), 12: latencies(view.run)[:1]}.get(view.run.id, ())
    return replace(view, findings=worst_first(found), test=test, latency=headline(measured, view.best))


def empty() -> Snapshot:
    """A store without runs."""
    return Snapshot(store="/project/runs.db", taken=NOW)


def changed(base: Snapshot, run_id: int, best: float) -> Snapshot:
    """The same a moment later: one run has a new best."""
    shown = []
    for item in base.runs:
        if item.run.id == run_id and item.best is not None:
            epoch = item.run.progress.epoch + 1
            progress = replace(item.run.progress, best_value=best, best_epoch=epoch, epoch=epoch)
            item = replace(
                item,
                run=replace(item.run, progress=progress, revision=item.run.revision + 100),
                best=evaluation(
                    best, epoch=progress.epoch, run_id=run_id, identity=item.run.protocol_id or MAIN
                ),
            )
        shown.append(item)
    return replace(base, taken=base.taken + 1, runs=tuple(shown))
