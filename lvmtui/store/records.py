"""What the store holds, as frozen records. Standard library only.

Times are seconds since the epoch (UTC), sizes are bytes, scores are fractions from 0 to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lvmtui.store.lifecycle import Result, Status


class Severity(StrEnum):
    """How much an event wants attention."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class Shelf(StrEnum):
    """Where a run is kept."""

    RUNS = "runs"
    """Listed."""
    ARCHIVED = "archived"
    """Put aside."""
    TRASH = "trash"
    """On its way out."""


class ControlKind(StrEnum):
    """What can be asked of a running engine."""

    STOP = "stop"


SLOT_BITS = 32
"""Runs of watched hosts keep their number in the low bits of their id; the others say which host."""

GROUP_PREFIX = "group:"
"""What the tag of runs that were launched together begins with."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; kept on the run's own row so that lists never scan history."""

    epoch: int = 0
    """Epochs finished."""
    epochs: int = 0
    """Epochs at most."""
    step: int = 0
    """Optimiser steps done."""
    steps: int = 0
    """Optimiser steps at most."""
    vectors_per_second: float | None = None
    epoch_seconds: float | None = None
    patience_used: int = 0
    """Evaluations since the last new best."""
    patience: int = 0
    best_value: float | None = None
    """Best value so far of the metric that early stopping watches."""
    best_epoch: int | None = None
    value_to_beat: float | None = None
    """What the watched metric must exceed to count as a gain."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a phase."""

    id: int
    revision: int
    """Grows with every change of any run: readers ask for what is newer than they have."""
    phase: str
    status: Status
    result: Result | None
    recipe: str
    """The whole resolved recipe as JSON."""
    recipe_hash: str
    overrides: Mapping[str, str]
    """What was changed at launch: dotted field name -> value as text."""
    seed: int
    model: str
    context: int
    watch: str
    """The metric that early stopping watches."""
    targets: Mapping[str, float]
    """Metric name -> score that the phase wants to reach."""
    data: str
    """The vector set as given: a folder or the name of a built-in set."""
    folder: str
    """Where the run's files are, relative to the store's folder."""
    created: float
    progress: Progress = field(default_factory=Progress)
    parameters: int | None = None
    data_fingerprint: str | None = None
    protocol_id: str | None = None
    device: str | None = None
    host: str | None = None
    pid: int | None = None
    process_started: float | None = None
    heartbeat: float | None = None
    started: float | None = None
    ended: float | None = None
    active_seconds: float = 0.0
    """Time spent in finished attempts."""
    attempt: int = 0
    """How often a process has taken the run up."""
    git_commit: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    """Message and traceback of the failure."""
    note: str = ""
    tags: str = ""
    device_wanted: str = ""
    """Device that a queued run waits for (`cpu`, `cuda:0`, …); empty: any that its host has."""
    host_wanted: str = ""
    """Host that a queued run waits for; empty: any."""
    priority: int = 0
    """Of a queued run: higher goes first."""
    place: float | None = None
    """Where a queued run stands among those of equal priority; None: by its id."""
    held: bool = False
    """A queued run that nothing takes up until it is let go."""
    after: int | None = None
    """Id of the run that a queued run waits for the end of."""
    pinned: bool = False
    """Stands before all others in lists."""
    archived: bool = False
    """Left out of lists and leaderboards unless asked for."""
    trashed: float | None = None
    """When it was put into the trash; None: it is not there."""
    source: str = ""
    """Where it was copied from (JSON, `lvmtui.remote.copies.transfer`); empty: it was made in this store."""
    origin: str = ""
    """Name of the watched host in whose store it is; empty: it is in this one. Not in the store."""

    @property
    def number(self) -> int:
        """Its id in the store that it is in."""
        return self.id & ((1 << SLOT_BITS) - 1)

    @property
    def label(self) -> str:
        """What tells it from all others: `#17`, or `#17@gpu1` on a watched host."""
        return f"#{self.number}@{self.origin}" if self.origin else f"#{self.number}"

    @property
    def name(self) -> str:
        """What people call the run."""
        return f"{self.phase} {self.label}"

    @property
    def shelf(self) -> Shelf:
        """Where it is kept."""
        if self.trashed is not None:
            return Shelf.TRASH
        return Shelf.ARCHIVED if self.archived else Shelf.RUNS

    @property
    def group(self) -> str | None:
        """The tag that it shares with the runs it was launched with; None where it was launched alone."""
        tags = (tag.strip() for tag in self.tags.split(","))
        return next((tag for tag in tags if tag.startswith(GROUP_PREFIX)), None)


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is known of a run before it starts."""

    phase: str
    recipe: str
    recipe_hash: str
    seed: int
    model: str
    context: int
    watch: str
    data: str
    epochs: int
    patience: int
    targets: Mapping[str, float] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    tags: str = ""
    device_wanted: str = ""
    host_wanted: str = ""
    priority: int = 0
    held: bool = False
    after: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the engine finds out before the first step."""

    parameters: int
    data_fingerprint: str
    protocol_id: str
    device: str
    versions: Mapping[str, str]
    git_commit: str | None = None


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of one metric. `value` is None where it was NaN or infinite."""

    key: str
    step: int
    epoch: float
    time: float
    value: float | None
    id: int = 0
    run_id: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of one split, or (with `run_id` None) of a baseline.

    `ranks` is the packed per-query ranks (see `lvmtui.stats.pack_ranks`).
    """

    protocol_id: str
    split: str
    epoch: int
    step: int
    time: float
    hit1: float
    hit5: float
    hit10: float
    mrr: float
    n: int
    """Queries."""
    pool: int
    """Candidates: the vectors of the split, before the per-query exclusions."""
    hit1_interval: Interval | None = None
    hit5_interval: Interval | None = None
    hit10_interval: Interval | None = None
    interval_method: str = ""
    loss: float | None = None
    cosine: float | None = None
    """Mean cosine of prediction and target."""
    copyness: float | None = None
    """Mean cosine of prediction and the last vector of the context."""
    ranks: bytes = b""
    baseline: str | None = None
    """Name of the baseline this evaluates; None for a model."""
    context: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping, as JSON: a baseline's tuned rate, say."""
    run_id: int | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Protocol:
    """How evaluations with one protocol id were made."""

    id: str
    name: str
    data_fingerprint: str
    spec: Mapping[str, Any]
    """Everything that is hashed into the id."""
    split: str
    n: int
    pool: int
    duplicate_share: float
    """Share of the queries whose target has an exact or near duplicate in the pool."""
    documents: int
    query_groups: bytes = b""
    """Packed document number of each query, for bootstrap (see `lvmtui.stats.pack_ranks`)."""


@dataclass(frozen=True, slots=True)
class QueryFact:
    """Something known of every query of a protocol, whatever is predicted; see `QUERY_FACTS`."""

    name: str
    packed: bytes
    """Whole numbers, one a query in the order of the ranks (see `lvmtui.stats.pack_ranks`)."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """How to read them: `lane` has `source` (words) and `names` (one a lane)."""


QUERY_FACTS = ("candidates", "position", "predecessors", "similarity", "lane")
"""What is known of queries.

- `candidates`: pool for this query, its target included, the target's near duplicates left out.
- `position`: vectors before the target in its own document, from 1.
- `predecessors`: vectors before the target that a context of any length may hold.
- `similarity`: cosine of last vector and target, as round((cosine + 1) * 10 000).
- `lane`: number of the target's lane.
"""


@dataclass(frozen=True, slots=True)
class Versus:
    """A score of one evaluation against another's over the same queries."""

    baseline: str
    """Name of the other: a baseline, or a run."""
    difference: float
    """A fraction, above 0 where the first is better."""
    interval: Interval
    p: float
    """Two-sided, by paired bootstrap over documents."""
    metric: str = "hit5"
    context: int = 0
    """Context of the baseline's evaluation."""
    detectable: float | None = None
    """The smallest true difference that these queries would show with a power of 80 %."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint file that is in place."""

    path: str
    """Relative to the store's folder."""
    epoch: int
    step: int
    time: float
    sha256: str
    size: int
    is_best: bool
    is_last: bool
    value: float | None = None
    """The watched metric at this checkpoint."""
    id: int = 0
    run_id: int = 0


@dataclass(frozen=True, slots=True)
class Promotion:
    """One entry of the append-only log behind an alias."""

    alias: str
    run_id: int
    checkpoint_id: int
    time: float
    gates: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run."""

    kind: str
    message: str
    time: float
    severity: Severity = Severity.INFO
    evidence: Mapping[str, Any] = field(default_factory=dict)
    run_id: int | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """One reading of one device. What the device has no sensor for is None."""

    host: str
    device: str
    """`cpu`, `gpu0`, `gpu1`, …"""
    name: str
    time: float
    utilisation: float | None = None
    """0 to 1."""
    memory_used: int | None = None
    memory_total: int | None = None
    process_memory: int | None = None
    """Resident set of the run's process, or its memory on the GPU."""
    temperature: float | None = None
    """Degrees Celsius."""
    power: float | None = None
    """Watts."""
    run_id: int | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one query takes with one checkpoint: measured on one device in one precision, after one number
    of vectors. What one bench measured shares its `time`."""

    checkpoint: str
    """Path of the checkpoint, relative to the store's folder."""
    epoch: int
    step: int
    time: float
    host: str
    device: str
    """`cpu`, `mps`, `cuda:0 NVIDIA H200`."""
    device_name: str
    """The processor's model; where there is a GPU, that of the processor beside it."""
    threads: int
    """Of torch, on the processor."""
    precision: str
    """`fp32`, `bf16`, `fp16` or `int8`."""
    mode: str
    """`stream`: one vector is taken up and the best of the pool are found; `encode`: the whole context is
    computed anew, then the same."""
    context: int
    """Vectors before the query; 0 in a refusal."""
    warmup: int
    """Queries that were made first, block by block, and do not count."""
    n: int
    """Queries that count; 0 in a refusal."""
    pool: int
    """Vectors that are searched."""
    top: int
    """How many of them are returned."""
    p50: float | None = None
    """Seconds; None in a refusal. See `engine.bench.timing` for how noise is kept out."""
    p95: float | None = None
    p99: float | None = None
    load: float | None = None
    """The machine's load average (1 minute) when the measuring began; None where the system has none."""
    protocol_id: str = ""
    judged: int = 0
    """Queries of the validation split behind Hit@K."""
    hit1: float | None = None
    """On the validation split, in this precision."""
    hit5: float | None = None
    hit10: float | None = None
    hit1_change: float | None = None
    """Hit@K minus that in fp32 over the same queries; None for fp32 itself."""
    hit5_change: float | None = None
    hit10_change: float | None = None
    hit1_change_interval: Interval | None = None
    hit5_change_interval: Interval | None = None
    hit10_change_interval: Interval | None = None
    refused: str = ""
    """Why this precision is not offered; empty where it is."""
    versions: Mapping[str, str] = field(default_factory=dict)
    run_id: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True)
class Control:
    """A request to a run and what became of it."""

    run_id: int
    kind: ControlKind
    requested: float
    requested_by: str
    acknowledged: float | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Everything that the end of an epoch writes, in one transaction."""

    progress: Progress
    metrics: tuple[MetricPoint, ...] = ()
    evaluation: Evaluation | None = None
    checkpoint: Checkpoint | None = None
    events: tuple[Event, ...] = ()
