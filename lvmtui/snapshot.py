"""What the dashboard shows at one moment, as frozen records.

The feed builds a `Snapshot`; screens and widgets only ever see these. Imports nothing heavy: arrays appear
in type hints alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

from lvmtui.findings import Finding
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import (
    Checkpoint,
    DeviceSample,
    Evaluation,
    Event,
    Interval,
    Latency,
    Promotion,
    Protocol,
    Run,
    Shelf,
)


class State(StrEnum):
    """A run's state as shown: status and result in one, with lost runs found out."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    COMPLETED = "completed"
    EARLY_STOPPED = "early stopped"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"

    @property
    def is_active(self) -> bool:
        """Whether a process works on the run."""
        return self in {State.STARTING, State.RUNNING, State.STOPPING}

    @property
    def is_resumable(self) -> bool:
        """Whether the run can be taken up again."""
        return self in {State.STOPPED, State.FAILED, State.LOST}

    @property
    def is_stoppable(self) -> bool:
        """Whether a stop request makes sense."""
        return self in {State.QUEUED, State.STARTING, State.RUNNING}


GLYPHS: Mapping[State, str] = {
    State.QUEUED: "◷",
    State.STARTING: "◌",
    State.RUNNING: "▶",
    State.STOPPING: "◼",
    State.COMPLETED: "✔",
    State.EARLY_STOPPED: "✔",
    State.STOPPED: "■",
    State.FAILED: "✖",
    State.LOST: "✖",
}
"""The sign beside each state's word; colour is never alone."""


def shown_state(run: Run, lost_reason: str | None) -> State:
    """The state to show for a run whose process was found dead or silent for `lost_reason`, if any."""
    if run.status is not Status.DONE:
        return State.LOST if lost_reason else State(run.status.value)
    results = {Result.EARLY_STOPPED: State.EARLY_STOPPED}
    result = run.result or Result.LOST
    return results.get(result) or State(result.value)


class Contact(StrEnum):
    """How a watched host is."""

    CONNECTING = "connecting"
    LIVE = "live"
    OFFLINE = "offline"
    """It cannot be reached, or does not answer; it is tried again."""


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """Something that a host was asked for and has not answered yet."""

    id: str
    words: str
    """What was asked: "stop phase-3 #17"."""
    run_id: int | None
    """The run that it is about; None: the host as a whole."""
    made: float
    sent: bool = False
    """It is on its way and cannot be withdrawn any more."""


@dataclass(frozen=True, slots=True)
class HostView:
    """A watched host, ready to show. Changes only when something changed that is worth showing."""

    name: str
    contact: Contact
    store: str = ""
    """Path of its store there, once it is known."""
    reason: str = ""
    """Why it is offline, or what is wrong with its store."""
    hint: str = ""
    """What to do about that."""
    news: float | None = None
    """When something was last heard of it (clock of this machine); None while it is live, or never was."""
    next_try: float | None = None
    """When it is tried again; None while it is live or being tried."""
    readonly: str = ""
    """Why nothing can be changed there; empty: it can."""
    version: str = ""
    """Of the lvmtui there; empty where it is not installed."""
    round_trip: float | None = None
    """Seconds, when the connection was made."""
    skew: float = 0.0
    """Its clock minus ours, in seconds."""
    is_whole: bool = False
    """Whether its list of runs has arrived since the connection was made."""
    pending: tuple[PendingRequest, ...] = ()
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, ready to show."""

    run: Run
    state: State
    lost_reason: str = ""
    """Why the run counts as lost: "process 123 is gone"; empty when it does not."""
    stop_requested: bool = False
    """A stop was asked for and the engine has not answered yet."""
    best: Evaluation | None = None
    """The evaluation at the best epoch (without ranks)."""
    last: Evaluation | None = None
    """The newest evaluation (without ranks)."""
    baseline: Evaluation | None = None
    """The strongest baseline under the run's protocol, by Hit@5."""
    aliases: tuple[str, ...] = ()
    """Aliases that now point at this run: `champion`, …"""
    findings: tuple[Finding, ...] = ()
    """What the audits found wrong with the run and its data, worst first; no check that passed."""
    test: Evaluation | None = None
    """The newest evaluation of the test split (without ranks)."""
    latency: Latency | None = None
    """Streaming in fp32 with the best checkpoint, of its newest bench: the slowest context."""
    silent: float | None = None
    """When its watched host was last heard of, where it is offline now: the run may have gone on since."""
    pending: tuple[str, ...] = ()
    """What was asked about it of a watched host that has not answered yet: "stop"."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one run. Equal lengths; a value that was NaN is NaN here and drawn as a gap."""

    step: NDArray[np.float64]
    epoch: NDArray[np.float64]
    time: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Slice:
    """The scores of some of an evaluation's queries."""

    label: str
    n: int
    hit1: float
    hit5: float
    hit10: float
    mrr: float
    hit5_interval: Interval | None
    """None where there is nothing to resample."""
    baseline_hit5: float | None = None
    """The strongest baseline's over the same queries."""


@dataclass(frozen=True, slots=True)
class Slicing:
    """An evaluation's queries, cut by one of their properties."""

    name: str
    """`lane`, `position`, `context` or `similarity`."""
    meaning: str
    """In words: what is cut, and where lanes come from."""
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class CloseUp:
    """A stretch of the x axis that is enlarged: there, long curves are wanted in full."""

    axis: str
    """`step`, `epoch`, or `time` in seconds since a run's first value."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RunDetail:
    """What is read only for runs that are looked at (focused or marked)."""

    series: Mapping[str, Series] = field(default_factory=dict)
    """Metric key (`train/loss`, `val/hit5`, …) -> its values."""
    evaluations: tuple[Evaluation, ...] = ()
    """Every evaluation of the run, oldest first (without ranks)."""
    events: tuple[Event, ...] = ()
    log: tuple[str, ...] = ()
    """The last lines of the run's log, control characters removed."""
    checkpoints: tuple[Checkpoint, ...] = ()
    """Checkpoints that have a file, oldest first."""
    hit_curve: tuple[float, ...] = ()
    """Hit@K of the best evaluation for K = 1, 2, … (up to 100), from its stored ranks; fractions."""
    baseline_hit_curve: tuple[float, ...] = ()
    """The same for the run's strongest baseline (`RunView.baseline`)."""
    slices: tuple[Slicing, ...] = ()
    """The best evaluation by lane, position, context and similarity."""
    damage: str = ""
    """Why the Hit@K curves or the slices are missing: what the store has of them is damaged."""
    latencies: tuple[Latency, ...] = ()
    """Every measurement of the run's checkpoints, oldest first."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """The newest reading of a device, and its recent past."""

    sample: DeviceSample
    history: tuple[float | None, ...] = ()
    """Utilisation of the last 180 readings, oldest first."""
    stale: bool = False
    """No reading for some seconds: nothing samples this device now."""
    recent: tuple[DeviceSample, ...] = ()
    """The readings behind `history`."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything on screen at one moment."""

    store: str
    """Path of the store."""
    taken: float
    """When it was read, seconds since the epoch."""
    runs: tuple[RunView, ...] = ()
    """Newest first."""
    details: Mapping[int, RunDetail] = field(default_factory=dict)
    """Run id -> detail, for the runs that are looked at."""
    baselines: Mapping[str, tuple[Evaluation, ...]] = field(default_factory=dict)
    """Protocol id -> its baselines, weakest first."""
    protocols: Mapping[str, Protocol] = field(default_factory=dict)
    promotions: tuple[Promotion, ...] = ()
    devices: tuple[DeviceView, ...] = ()
    audits: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    """Data fingerprint -> every outcome of its newest audit, those that passed included, worst first."""
    test_looks: Mapping[str, int] = field(default_factory=dict)
    """Data fingerprint -> how often a test split of it was looked at."""
    events: tuple[Event, ...] = ()
    """The newest 2 000 events of all runs and of none, oldest first."""
    is_whole: bool = True
    """Whether all that is wanted is in it; curves come piece by piece when a store is opened."""
    glanced_at: frozenset[int] = frozenset()
    """Ids of runs of which only `lvmtui.history.OVERLAID_KEYS` are wanted."""
    problem: str = ""
    """What is wrong with the store right now; the rest is then the last good reading."""
    hosts: tuple[HostView, ...] = ()
    """The hosts that are watched, in the order in which they were named."""

    _by_id: dict[int, RunView] = field(init=False, default_factory=dict, repr=False, compare=False)
    _by_state: Counter[State] = field(init=False, default_factory=Counter, repr=False, compare=False)
    """Both filled when they are first asked for."""

    def view(self, run_id: int | None) -> RunView | None:
        """The run with this id, if it is there."""
        if not self._by_id and self.runs:
            self._by_id.update((view.run.id, view) for view in self.runs)
        return None if run_id is None else self._by_id.get(run_id)

    @property
    def first_choice(self) -> int | None:
        """Id of the run to look at first: the newest that runs, else the newest."""
        active = (view.run.id for view in self.runs if view.state.is_active)
        return next(active, self.runs[0].run.id if self.runs else None)

    def host(self, name: str) -> HostView | None:
        """The watched host of this name (`Run.origin`); None: there is none, or it is this machine."""
        return next((host for host in self.hosts if host.name == name), None)

    def count(self, *states: State) -> int:
        """How many runs are in one of these states; of those put aside only what is at work."""
        if not self._by_state and self.runs:
            self._by_state.update(
                view.state for view in self.runs if view.run.shelf is Shelf.RUNS or view.state.is_active
            )
        return sum(self._by_state[state] for state in set(states))
