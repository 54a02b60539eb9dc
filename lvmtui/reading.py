"""What a snapshot is put together from: rows as views and series, and where the log of a run is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lvmtui.findings import Finding
from lvmtui.format import plain
from lvmtui.latencies import headline
from lvmtui.leaderboard.verdicts import strongest
from lvmtui.snapshot import RunView, Series, State, shown_state
from lvmtui.store.records import Evaluation, Latency, MetricPoint, Promotion, Run

LOG_NAME = "run.log"

LOG_LINES = 400
"""Lines of a run's log that a `RunDetail` keeps."""

LOG_BYTES = 256 * 1024
"""Bytes at the end of a log that are looked at for them."""


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


def run_view(
    run: Run,
    best: Evaluation | None,
    last: Evaluation | None,
    baselines: Mapping[str, Sequence[Evaluation]],
    *,
    lost_reason: str = "",
    run_aliases: tuple[str, ...] = (),
    stop_requested: bool = False,
    findings: tuple[Finding, ...] = (),
    test: Evaluation | None = None,
    latencies: Sequence[Latency] = (),
) -> RunView:
    """One run, ready to show.

    Args:
        run: as the store has it.
        best: its evaluation on validation at its best epoch.
        last: its newest one.
        baselines: protocol id -> its baselines.
        lost_reason: why it counts as lost; empty when it does not.
        run_aliases: aliases that point at the run.
        stop_requested: a stop was asked for and not answered yet; of no account once the run has ended.
        findings: what is wrong with the run and its data, worst first.
        test: its newest evaluation of the test split.
        latencies: what was measured of its checkpoints, oldest first.
    """
    state = shown_state(run, lost_reason)
    return RunView(
        run=run,
        state=state,
        lost_reason=lost_reason,
        stop_requested=stop_requested and (state.is_active or state is State.QUEUED),
        best=best,
        last=last,
        baseline=strongest(baselines.get(run.protocol_id or "", ())),
        aliases=run_aliases,
        findings=findings,
        test=test,
        latency=headline(latencies, best),
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
