"""Builds a whole `Snapshot` from one reading of the store, and reads the logs of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui.format import plain
from lvmtui.liveness import lost_reason
from lvmtui.ranking import strongest
from lvmtui.snapshot import DeviceView, RunDetail, RunView, Series, Snapshot, shown_state
from lvmtui.store.records import DeviceSample, Evaluation, MetricPoint, Promotion, Run

if TYPE_CHECKING:
    from lvmtui.store.reader import Reader

LOG_NAME = "run.log"

LOG_LINES = 400
"""Lines of a run's log that a `RunDetail` keeps."""

LOG_BYTES = 256 * 1024
"""Bytes at the end of a log that are looked at for them."""

DEVICE_READINGS = 60
DEVICE_STALE_SECONDS = 5.0


def clean_line(text: str) -> str:
    """A line of a process's output, safe to print; of one that a progress bar has redrawn, its last state."""
    return plain(text.rstrip("\r\n").rpartition("\r")[2])


def log_path(root: Path, run: Run) -> Path:
    """Where the output of a run's process goes; `root` is the store's folder."""
    return root / run.folder / LOG_NAME


def aliases(promotions: Iterable[Promotion]) -> dict[int, tuple[str, ...]]:
    """Run id -> the aliases that point at it now. Takes the whole log, oldest first."""
    current = {promotion.alias: promotion.run_id for promotion in promotions}
    found: dict[int, tuple[str, ...]] = {}
    for alias, run_id in current.items():
        found[run_id] = (*found.get(run_id, ()), alias)
    return found


def baselines_by_protocol(evaluations: Iterable[Evaluation]) -> dict[str, tuple[Evaluation, ...]]:
    """Protocol id -> the baselines among the evaluations, weakest first by Hit@5."""
    found: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        if evaluation.baseline is not None:
            found.setdefault(evaluation.protocol_id, []).append(evaluation)
    return {key: tuple(sorted(items, key=lambda item: item.hit5)) for key, items in found.items()}


def evaluations_by_run(evaluations: Iterable[Evaluation]) -> dict[int, list[Evaluation]]:
    """Run id -> its model's evaluations on validation, in the order given."""
    found: dict[int, list[Evaluation]] = {}
    for evaluation in evaluations:
        if evaluation.run_id is not None and evaluation.split == "validation":
            found.setdefault(evaluation.run_id, []).append(evaluation)
    return found


def best_of(run: Run, evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The evaluation at the run's best epoch."""
    best_epoch = run.progress.best_epoch
    return next((item for item in reversed(evaluations) if item.epoch == best_epoch), None)


def run_view(
    run: Run,
    evaluations: Sequence[Evaluation],
    baselines: Mapping[str, Sequence[Evaluation]],
    *,
    now: float,
    run_aliases: tuple[str, ...] = (),
    stop_requested: bool = False,
) -> RunView:
    """One run, ready to show.

    Args:
        run: as the store has it.
        evaluations: the run's own on validation, oldest first.
        baselines: protocol id -> its baselines.
        now: seconds since the epoch, for the heartbeat.
        run_aliases: aliases that point at the run.
        stop_requested: a stop was asked for and not answered yet.
    """
    reason = lost_reason(run, now)
    return RunView(
        run=run,
        state=shown_state(run, reason),
        lost_reason=reason or "",
        stop_requested=stop_requested,
        best=best_of(run, evaluations),
        last=evaluations[-1] if evaluations else None,
        baseline=strongest(baselines.get(run.protocol_id or "", ()), run.watch),
        aliases=run_aliases,
    )


def series(points: Iterable[MetricPoint]) -> dict[str, Series]:
    """Metric key -> its values as arrays; a missing value becomes NaN."""
    import numpy as np

    by_key: dict[str, list[MetricPoint]] = {}
    for point in points:
        by_key.setdefault(point.key, []).append(point)
    return {
        key: Series(
            step=np.array([item.step for item in items], dtype=np.float64),
            epoch=np.array([item.epoch for item in items], dtype=np.float64),
            time=np.array([item.time for item in items], dtype=np.float64),
            value=np.array([item.value for item in items], dtype=np.float64),
        )
        for key, items in by_key.items()
    }


def run_detail(reader: Reader, run: Run, evaluations: Sequence[Evaluation]) -> RunDetail:
    """What is read only for runs that are looked at."""
    from lvmtui.logtail import LogTail

    return RunDetail(
        series=series(reader.metrics(run.id)),
        evaluations=tuple(evaluations),
        events=tuple(reader.events(run_id=run.id)),
        log=LogTail(reader.database.location.root, run).read(),
    )


def device_views(samples: Iterable[DeviceSample], now: float) -> tuple[DeviceView, ...]:
    """The newest reading of each device with its recent past; takes readings oldest first."""
    by_device: dict[tuple[str, str], list[DeviceSample]] = {}
    for sample in samples:
        by_device.setdefault((sample.host, sample.device), []).append(sample)
    return tuple(
        DeviceView(
            sample=items[-1],
            history=tuple(item.utilisation for item in items[-DEVICE_READINGS:]),
            stale=now - items[-1].time > DEVICE_STALE_SECONDS,
        )
        for _, items in sorted(by_device.items())
    )


def _confirmed(reader: Reader, view: RunView, now: float) -> RunView:
    """The view again if its process ended, as processes do, between reading the run and looking for it."""
    if not view.lost_reason:
        return view
    run = reader.run(view.run.id)
    reason = lost_reason(run, now) or ""
    return replace(view, run=run, state=shown_state(run, reason), lost_reason=reason)


def snapshot(reader: Reader, *, detail_ids: Sequence[int] = (), now: float) -> Snapshot:
    """Read everything once.

    Args:
        reader: an open store.
        detail_ids: runs to read curves, events and the log of.
        now: seconds since the epoch.
    """
    evaluations = reader.all_evaluations()
    baselines = baselines_by_protocol(evaluations)
    own = evaluations_by_run(evaluations)
    promotions = reader.promotions()
    named = aliases(promotions)
    asked = {control.run_id for control in reader.pending_controls()}
    views = tuple(
        run_view(
            run,
            own.get(run.id, []),
            baselines,
            now=now,
            run_aliases=named.get(run.id, ()),
            stop_requested=run.id in asked,
        )
        for run in reversed(reader.runs())
    )
    views = tuple(_confirmed(reader, view, now) for view in views)
    return Snapshot(
        store=reader.database.location.where,
        taken=now,
        runs=views,
        details={
            view.run.id: run_detail(reader, view.run, own.get(view.run.id, []))
            for view in views
            if view.run.id in detail_ids
        },
        baselines=baselines,
        protocols={protocol.id: protocol for protocol in reader.protocols()},
        promotions=tuple(promotions),
        devices=device_views(reader.device_samples(since=now - DEVICE_READINGS), now),
    )
