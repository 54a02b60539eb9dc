"""Keeps what was read of the store and adds what is new, so that no row is read twice.

Owned by the feed's thread; what it hands out is frozen.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from lvmtui.audits import EVENT_KINDS, Audits
from lvmtui.leaderboard.verdicts import strongest
from lvmtui.liveness import lost_reason
from lvmtui.reading import aliases, baselines_by_protocol, best_of, run_view
from lvmtui.snapshot import DeviceView, RunView, Snapshot, State, shown_state
from lvmtui.store.lifecycle import Status
from lvmtui.store.records import DeviceSample, Evaluation, Latency, Promotion, Protocol, Run

if TYPE_CHECKING:
    from lvmtui.details import Detail
    from lvmtui.store.reader import Reader

DETAILS_KEPT = 6
"""Details kept of runs that are no longer looked at, so that coming back is quick."""

DEVICE_READINGS = 60
"""Readings of a device that are kept."""

DEVICE_STALE_SECONDS = 5.0
"""After that long without a reading, nothing measures a device any more."""

DEVICE_PAST_SECONDS = 120.0
"""How far back device readings are taken up at the start."""

SAME_READING_SECONDS = 0.6
"""Two runs on one host both sample its devices; readings closer than this are one."""


def snapshot(reader: Reader, *, looked_at: Collection[int] = (), now: float) -> Snapshot:
    """Read everything once.

    Args:
        reader: an open store.
        looked_at: ids of runs to read curves, events and the log of.
        now: seconds since the epoch.
    """
    merge = Merge(reader)
    merge.read(now)
    merge.read_details(looked_at)
    return merge.build(looked_at, now)


class Merge:
    """Everything known of one store."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._location = reader.database.location
        self._runs: dict[int, Run] = {}
        self._views: dict[int, RunView] = {}
        self._stale: set[int] = set()
        """Runs whose view must be built again."""
        self._rewound: dict[int, int | None] = {}
        """Runs that a new attempt has taken up, whose rows may be rewritten -> step when it began."""
        self._evaluations: dict[int, list[Evaluation]] = {}
        self._baseline_rows: list[Evaluation] = []
        self._baselines: Mapping[str, tuple[Evaluation, ...]] = {}
        self._protocols: Mapping[str, Protocol] = {}
        self._promotions: list[Promotion] = []
        self._asked: frozenset[int] = frozenset()
        self._samples: dict[tuple[str, str], deque[DeviceSample]] = {}
        self._devices: tuple[DeviceView, ...] = ()
        self._details: OrderedDict[int, Detail] = OrderedDict()
        self._tests: dict[int, Evaluation] = {}
        """The newest evaluation of the test split of each run that has one."""
        self._latencies: dict[int, tuple[Latency, ...]] = {}
        self._audits = Audits()
        self._last_evaluation = self._last_sample = self._last_audit = self._last_latency = 0
        self._snapshot: Snapshot | None = None

    def read(self, now: float) -> None:
        """Read what the store has new, without details."""
        self._read_runs()
        self._read_latencies()
        self._read_evaluations()
        self._read_promotions()
        self._read_audits()
        asked = frozenset(control.run_id for control in self._reader.pending_controls())
        self._stale |= asked ^ self._asked
        self._asked = asked
        self._read_devices(now)

    def read_details(self, looked_at: Collection[int]) -> None:
        """Read what is new of the runs that are looked at."""
        for run_id in looked_at:
            run = self._runs.get(run_id)
            if run is None:
                continue
            if run_id not in self._details:
                # It loads numpy, which lists do without.
                from lvmtui.details import Detail

                self._details[run_id] = Detail(self._location.root, run)
            self._details.move_to_end(run_id)
            detail = self._details[run_id]
            detail.read(self._reader)
            best = best_of(run, self._evaluations.get(run_id, ()))
            baselines = self._baselines.get(run.protocol_id or "", ())
            protocol = self._protocols.get(run.protocol_id or "")
            detail.read_hits(self._reader, run, best, strongest(baselines), protocol)
        while len(self._details) > len(looked_at) + DETAILS_KEPT:
            self._details.popitem(last=False)

    def _read_runs(self) -> None:
        newest = max((run.revision for run in self._runs.values()), default=0)
        for run in self._reader.runs(after_revision=newest):
            known = self._runs.get(run.id)
            if run.attempt != (known.attempt if known else 1) and run.attempt > 1:
                self._rewound[run.id] = None
            self._runs[run.id] = run
            self._stale.add(run.id)

    def _read_evaluations(self) -> None:
        new = self._reader.all_evaluations(after=self._last_evaluation)
        if new:
            self._last_evaluation = new[-1].id
        for evaluation in new:
            if evaluation.run_id is None:
                self._baseline_rows.append(evaluation)
            elif evaluation.split == "validation":
                self._evaluations.setdefault(evaluation.run_id, []).append(evaluation)
                self._stale.add(evaluation.run_id)
            elif evaluation.split == "test":
                self._tests[evaluation.run_id] = evaluation
                self._stale.add(evaluation.run_id)
        if any(evaluation.run_id is None for evaluation in new):
            self._baselines = MappingProxyType(baselines_by_protocol(self._baseline_rows))
            self._stale |= self._runs.keys()
        known = {evaluation.protocol_id for evaluation in new} <= self._protocols.keys()
        if not known:
            self._protocols = MappingProxyType({p.id: p for p in self._reader.protocols()})
        for run_id in list(self._rewound):
            self._read_again(self._runs[run_id])

    def _read_latencies(self) -> None:
        new = self._reader.latencies(after=self._last_latency)
        if new:
            self._last_latency = new[-1].id
        for latency in new:
            self._latencies[latency.run_id] = (*self._latencies.get(latency.run_id, ()), latency)
            self._stale.add(latency.run_id)

    def _read_again(self, run: Run) -> None:
        """Read a resumed run's rows from their start: the engine drops those behind its checkpoint and
        writes them again. Goes on until progress shows that this is over."""
        kept = [e for e in self._reader.evaluations(run.id) if e.split == "validation"]
        self._evaluations[run.id] = [replace(evaluation, ranks=b"") for evaluation in kept]
        self._latencies[run.id] = tuple(self._reader.latencies(run_id=run.id))
        self._stale.add(run.id)
        if run.id in self._details:
            self._details[run.id].forget_curves()
        if run.status is Status.DONE:
            del self._rewound[run.id]
        elif run.status in {Status.RUNNING, Status.STOPPING}:
            begun = self._rewound[run.id]
            if begun is None:
                self._rewound[run.id] = run.progress.step
            elif run.progress.step != begun:
                del self._rewound[run.id]

    def _read_promotions(self) -> None:
        after = self._promotions[-1].id if self._promotions else 0
        new = self._reader.promotions(after=after)
        if new:
            before = aliases(self._promotions)
            self._promotions += new
            self._stale |= before.keys() | aliases(self._promotions).keys()

    def _read_audits(self) -> None:
        new = self._reader.events_of_kind(*EVENT_KINDS, after=self._last_audit)
        if not new:
            return
        self._last_audit = new[-1].id
        runs, fingerprints = self._audits.add(new)
        self._stale |= runs
        self._stale |= {run.id for run in self._runs.values() if run.data_fingerprint in fingerprints}

    def _read_devices(self, now: float) -> None:
        since = now - DEVICE_PAST_SECONDS if not self._last_sample else 0.0
        samples = self._reader.device_samples(after=self._last_sample, since=since)
        for sample in samples:
            held = self._samples.setdefault((sample.host, sample.device), deque(maxlen=DEVICE_READINGS))
            same = held and sample.time - held[-1].time < SAME_READING_SECONDS
            if not (same and sample.run_id != held[-1].run_id):
                held.append(sample)
        if samples:
            self._last_sample = samples[-1].id

    @property
    def has_unfinished(self) -> bool:
        """Whether there is a run that is not done: its process may die at any time."""
        return any(run.status is not Status.DONE for run in self._runs.values())

    def build(self, looked_at: Iterable[int], now: float) -> Snapshot:
        """Everything as it is now; the same object as before when nothing in it changed."""
        self._build_views(now)
        details = {
            run_id: self._details[run_id].build(
                tuple(self._evaluations.get(run_id, ())), self._latencies.get(run_id, ())
            )
            for run_id in looked_at
            if run_id in self._details
        }
        devices = self._device_views(now)
        views = tuple(self._views[run_id] for run_id in sorted(self._views, reverse=True))
        old = self._snapshot
        if (
            old is not None
            and len(old.runs) == len(views)
            and all(first is second for first, second in zip(old.runs, views, strict=True))
            and old.details.keys() == details.keys()
            and all(old.details[run_id] is detail for run_id, detail in details.items())
            and old.devices == devices
            and old.baselines is self._baselines
            and old.protocols is self._protocols
            and len(old.promotions) == len(self._promotions)
            and old.audits is self._audits.data
            and old.test_looks is self._audits.test_looks
        ):
            return old
        self._snapshot = Snapshot(
            store=self._location.where,
            taken=now,
            runs=views,
            details=MappingProxyType(details),
            baselines=self._baselines,
            protocols=self._protocols,
            promotions=tuple(self._promotions),
            devices=devices,
            audits=self._audits.data,
            test_looks=self._audits.test_looks,
        )
        return self._snapshot

    def _build_views(self, now: float) -> None:
        unfinished = {run.id for run in self._runs.values() if run.status is not Status.DONE}
        names = aliases(self._promotions)
        for run_id in self._stale | unfinished:
            run = self._runs.get(run_id)
            if run is None:
                continue
            view = run_view(
                run,
                self._evaluations.get(run_id, ()),
                self._baselines,
                now=now,
                run_aliases=names.get(run_id, ()),
                stop_requested=run_id in self._asked,
                findings=self._audits.wrong_with(run),
                test=self._tests.get(run_id),
                latencies=self._latencies.get(run_id, ()),
            )
            old = self._views.get(run_id)
            if old is not None and old.state is State.LOST is view.state and old.run == run:
                # Else "no heartbeat for 7 s" would count on, and repaint, for ever.
                view = replace(view, lost_reason=old.lost_reason)
            elif view.lost_reason:
                view = self._confirmed(view, now)
            if view != old:
                self._views[run_id] = view
        self._stale.clear()

    def _confirmed(self, view: RunView, now: float) -> RunView:
        """The view again if its process just ended, between reading the run and looking for it."""
        run = self._reader.run(view.run.id)
        reason = lost_reason(run, now) or ""
        return replace(view, run=run, state=shown_state(run, reason), lost_reason=reason)

    def _device_views(self, now: float) -> tuple[DeviceView, ...]:
        views = tuple(
            DeviceView(
                sample=held[-1],
                history=tuple(sample.utilisation for sample in held),
                stale=now - held[-1].time > DEVICE_STALE_SECONDS,
            )
            for _, held in sorted(self._samples.items())
        )
        if views != self._devices:
            self._devices = views
        return self._devices
