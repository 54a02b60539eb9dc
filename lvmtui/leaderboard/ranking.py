"""Ranks runs and baselines within each protocol. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lvmtui.findings import Finding
from lvmtui.latencies import footnote
from lvmtui.leaderboard.protocols import difference, flaws_of, heading
from lvmtui.leaderboard.verdicts import (
    GLYPHS,
    Basis,
    Worth,
    one_of_each,
    overlap,
    score,
    strongest,
    worth,
)
from lvmtui.snapshot import RunView, Snapshot, State
from lvmtui.store.lifecycle import ACTIVE
from lvmtui.store.records import Evaluation, Latency, Protocol, Shelf, Versus
from lvmtui.store.sources import copies_among


@dataclass(frozen=True, slots=True)
class Row:
    """One run at its best evaluation, or one baseline."""

    rank: int | None
    """From 1; None for a baseline, and for a copy of another run here."""
    name: str
    phase: str
    """`baseline` for a baseline."""
    run_id: int | None
    evaluation: Evaluation
    """Without ranks."""
    baseline: str = ""
    """Name of the strongest baseline, by Hit@5; empty when there is none."""
    baseline_gain: float | None = None
    """Hit@5 above the strongest baseline's, as a fraction."""
    skill: float | None = None
    """Share of what the strongest baseline leaves that is gained: (Hit@5 - baseline) / (1 - baseline)."""
    verdict: str = ""
    """One of `Verdict`; empty for a baseline."""
    glyph: str = " "
    basis: Basis = Basis.NONE
    """How the verdict was reached."""
    versus: Versus | None = None
    """The comparison with the strongest baseline over the same queries."""
    state: State | None = None
    champion: bool = False
    tied: bool = False
    """The interval overlaps the leader's: the order between them may be chance."""
    parameters: int | None = None
    epochs: int = 0
    """Epochs trained."""
    best_epoch: int | None = None
    seconds: float = 0.0
    """Time spent training, over all attempts."""
    context: int = 0
    seed: int | None = None
    recipe_hash: str = ""
    origin: str = ""
    """Name of the watched host that the run is on; empty: it is here."""
    copy_of: str = ""
    """Label of the run among the others that this one is a copy of: it is no evidence of its own."""
    created: float = 0.0
    """When the run was; seconds since the epoch."""
    test: Evaluation | None = None
    """The run's newest evaluation of the test split."""
    latency: Latency | None = None
    """Streaming with the best checkpoint; see `RunView.latency`."""
    findings: tuple[Finding, ...] = ()
    """What the audits found wrong with the run and its data, worst first."""
    extrapolated: bool = False
    """Put on a pool larger than its own."""
    own_pool: int | None = None
    """The pool that it was judged with; None where the evaluation's is that."""

    @property
    def is_baseline(self) -> bool:
        return self.run_id is None


@dataclass(frozen=True, slots=True)
class Group:
    """Runs judged under one protocol. Rows of different groups cannot be compared."""

    protocol_id: str
    """Empty where scores of several protocols were put on a common pool."""
    heading: str
    """What was judged, in a line: protocol, data, queries, pool."""
    difference: str
    """How this group's protocol differs from the first group's; empty for the first."""
    rows: tuple[Row, ...]
    """Runs and baselines together, best first."""
    flaws: tuple[str, ...] = ()
    """What is wrong with the protocol itself, in sentences; not empty for a legacy one."""
    looks: int | None = None
    """How often the test split of these data was looked at; None where that is not known."""
    notes: tuple[str, ...] = ()
    """What else must be said of the scores."""


def leaderboard_of(snapshot: Snapshot, runs: Sequence[RunView] | None = None) -> tuple[Group, ...]:
    """The leaderboard of the runs of a snapshot that are listed, or of some runs."""
    listed = [view for view in snapshot.runs if view.run.shelf is Shelf.RUNS]
    shown = listed if runs is None else runs
    return leaderboard(shown, snapshot.baselines, snapshot.protocols, snapshot.test_looks)


def leaderboard(
    runs: Sequence[RunView],
    baselines: Mapping[str, Sequence[Evaluation]],
    protocols: Mapping[str, Protocol],
    looks: Mapping[str, int] | None = None,
) -> tuple[Group, ...]:
    """Rank every evaluated run by its best evaluation's Hit@5 (then MRR), within its protocol only.

    Args:
        runs: in any order; those without an evaluation are left out.
        baselines: protocol id -> its baselines.
        protocols: protocol id -> how it judges; one may be missing.
        looks: data fingerprint -> how often a test split of it was looked at; None: not known.

    Returns:
        The groups, the one with the newest run first, those of flawed protocols last.
    """
    by_protocol: dict[str, list[RunView]] = {}
    for view in sorted(runs, key=lambda view: (view.run.created, view.run.id), reverse=True):
        if view.best is not None:
            by_protocol.setdefault(view.best.protocol_id, []).append(view)
    ordered = sorted(by_protocol, key=lambda name: bool(flaws_of(protocols.get(name))))
    groups = []
    for protocol_id in ordered:
        protocol, views = protocols.get(protocol_id), by_protocol[protocol_id]
        counted = looks.get(protocol.data_fingerprint, 0) if looks is not None and protocol else None
        groups.append(
            Group(
                protocol_id,
                heading(protocol_id, protocol, views[0].run.data),
                "" if protocol_id == ordered[0] else difference(protocol, protocols.get(ordered[0])),
                _rows(views, one_of_each(baselines.get(protocol_id, ()))),
                flaws=flaws_of(protocol),
                looks=counted,
            )
        )
    return tuple(groups)


def _rows(views: Sequence[RunView], baselines: Sequence[Evaluation]) -> tuple[Row, ...]:
    against = strongest(baselines)
    copies = copies_among(view.run for view in views)
    rows = [
        run_row(view, view.best, worth(view.best, against, view.run.targets), copies.get(view.run.id, ""))
        for view in views
        if view.best is not None
    ]
    return ranked([*rows, *map(baseline_row, baselines)])


def ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, best first, with the runs' ranks and whether they are tied with the leader."""
    ordered = sorted(rows, key=lambda row: (*(-value for value in score(row.evaluation)), row.run_id or 0))
    leader = next((row for row in ordered if not row.is_baseline and not row.copy_of), None)
    found: list[Row] = []
    rank = 0
    for row in ordered:
        if row.is_baseline or row.copy_of or leader is None:
            found.append(row)
            continue
        rank += 1
        tied = row is not leader and overlap(row.evaluation, leader.evaluation)
        found.append(replace(row, rank=rank, tied=tied))
    return tuple(found)


def run_row(view: RunView, best: Evaluation, found: Worth, copy_of: str = "") -> Row:
    """A run, not yet ranked."""
    run = view.run
    return Row(
        rank=None,
        name=run.name,
        phase=run.phase,
        run_id=run.id,
        evaluation=best,
        baseline=found.baseline_name,
        baseline_gain=found.gain,
        skill=found.skill,
        verdict=found.verdict.value,
        glyph=GLYPHS[found.verdict],
        basis=found.basis,
        versus=found.versus,
        state=view.state,
        champion="champion" in view.aliases,
        parameters=run.parameters,
        epochs=run.progress.epoch,
        best_epoch=best.epoch,
        seconds=training_seconds(view),
        context=run.context,
        seed=run.seed,
        recipe_hash=run.recipe_hash,
        origin=run.origin,
        copy_of=copy_of,
        created=run.created,
        test=view.test,
        latency=view.latency,
        findings=view.findings,
    )


def baseline_row(evaluation: Evaluation) -> Row:
    """A baseline."""
    return Row(
        rank=None,
        name=evaluation.baseline or "",
        phase="baseline",
        run_id=None,
        evaluation=evaluation,
        context=evaluation.context,
    )


def training_seconds(view: RunView) -> float:
    """Time spent training over all attempts, the present one up to its last heartbeat."""
    run = view.run
    present = 0.0
    if view.run.status in ACTIVE and run.started is not None and run.heartbeat is not None:
        present = max(0.0, run.heartbeat - run.started)
    return run.active_seconds + present


def judged_otherwise(rows: Sequence[Row]) -> str:
    """A sentence on verdicts that no paired comparison stands behind; empty where there are none."""
    odd = [row for row in rows if row.basis in {Basis.INTERVAL, Basis.SCORE}]
    if not odd:
        return ""
    judged = [row for row in rows if row.basis is not Basis.NONE]
    who = "All verdicts" if len(odd) == len(judged) else f"Verdicts on {_names(odd)}"
    how = "by each score's own interval" if all(row.basis is Basis.INTERVAL for row in odd) else "by scores"
    return f"{who}: {how}; no comparison with {odd[0].baseline} over the same queries is stored."


def copies_words(rows: Sequence[Row]) -> str:
    """A sentence on rows that are copies of others; empty where there are none."""
    copies = [row for row in rows if row.copy_of]
    if not copies:
        return ""
    named = [f"{row.name} of {row.copy_of}" for row in copies[:4]]
    words = ", ".join(named) if len(copies) <= 4 else f"{', '.join(named)} and {len(copies) - 4} more"
    return f"Copies of runs that are here too, not ranked and not counted as seeds: {words}."


def latency_words(rows: Sequence[Row]) -> str:
    """A sentence on the latencies of some rows: what was measured, and where; empty where nothing was."""
    return footnote([row.latency for row in rows if row.latency is not None])


def _names(rows: Sequence[Row]) -> str:
    names = ", ".join(row.name for row in rows[:4])
    return names if len(rows) <= 4 else f"{names} and {len(rows) - 4} more"
