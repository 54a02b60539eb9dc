"""Keeps what was read of the store and adds what is new, so that no row is read twice.

Owned by the feed's thread; what it hands out is frozen.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from lvmtui import light_numpy
from lvmtui.audits import EVENT_KINDS, Audits
from lvmtui.device_views import Devices
from lvmtui.history import OVERLAID_KEYS
from lvmtui.leaderboard.verdicts import strongest
from lvmtui.liveness import lost_reason
from lvmtui.reading import aliases, run_view
from lvmtui.scores import Scores
from lvmtui.snapshot import CloseUp, RunView, Snapshot, State, shown_state
from lvmtui.store.lifecycle import Status
from lvmtui.store.records import Event, Latency, Promotion, Run

if TYPE_CHECKING:
    from lvmtui.details import Detail
    from lvmtui.store.reader import Reader, WrittenOver

DETAILS_KEPT = 6
"""Details kept of runs that are no longer looked at, so that coming back is quick."""

EVENTS_KEPT = 2_000
"""Events of all runs that are kept."""

CHECK_SECONDS = 0.9
"""Between two looks at the process of a run."""

CATCH_UP_ROWS = 50_000
"""Metric values of all runs since a detail was read last; with more of them its own are looked up alone."""


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
    merge.read_curves(looked_at)
    return merge.build(looked_at, now)


class Merge:
    """Everything known of one store."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._location = reader.database.location
        self._runs: dict[int, Run] = {}
        self._revision = 0
        self._unfinished: set[int] = set()
        self._views: dict[int, RunView] = {}
        self._shown: tuple[RunView, ...] = ()
        """The views, newest first."""
        self._stale: set[int] = set()
        """Runs whose view must be built again."""
        self._rewound: dict[int, int | None] = {}
        """Runs that a new attempt has taken up, whose rows may be rewritten -> step when it began."""
        self._checked: dict[int, tuple[float, float]] = {}
        """Unfinished runs -> when their process was looked for: by the given clock, and by the machine's."""
        self._scores = Scores(reader)
        self._promotions: tuple[Promotion, ...] = ()
        self._aliases: dict[int, tuple[str, ...]] = {}
        self._asked: frozenset[int] = frozenset()
        self._devices = Devices()
        self._details: OrderedDict[int, Detail] = OrderedDict()
        self._latencies: dict[int, tuple[Latency, ...]] = {}
        self._audits = Audits()
        self._events: tuple[Event, ...] = ()
        self._last_audit = self._last_latency = self._audit_events = 0
        self._mark: int | None = None
        """Up to where it is known what was written elsewhere than behind what is known."""
        self._lost: Mapping[int, str] | None = None
        """What a mirror says of unfinished runs; None: this is found out here."""
        self.is_close_up_old = False
        """Whether there are more values of a run than when a stretch was enlarged."""
        self._snapshot: Snapshot | None = None

    def read(self, now: float, *, quickly: bool = False) -> None:
        """Read what the store has new, without details.

        Args:
            now: seconds since the epoch.
            quickly: leave out what takes a look at every evaluation: those on test.
        """
        is_first = self._mark is None
        over = self._read_over()
        changed = self._read_runs()
        self._stale |= changed
        self._stale |= self._scores.read(self._runs, changed)
        self._read_promotions()
        self._read_controls()
        if not quickly:
            self._stale |= self._scores.read_tests()
        self._read_latencies()
        self._read_audits()
        self._read_events()
        self._devices.read(self._reader, now)
        if self._reader.origin and not is_first:
            # A run may come after its evaluations.
            self._take_over_scores({*over.get("evaluation", ()), *(changed - self._views.keys())})
            self._take_over(over)
        self._read_lost()
        for run_id in list(self._rewound):
            self._read_again(self._runs[run_id])

    def read_details(self, looked_at: Collection[int]) -> None:
        """Read what is new of the runs that are looked at, but for their curves."""
        for run_id in looked_at:
            run = self._runs.get(run_id)
            if run is None:
                continue
            if run_id not in self._details:
                # It needs numpy, which lists do without.
                light_numpy.load()
                from lvmtui.details import Detail

                self._details[run_id] = Detail(self._location.root, run)
            self._details.move_to_end(run_id)
            self._details[run_id].read(self._reader)
        while len(self._details) > len(looked_at) + DETAILS_KEPT:
            self._details.popitem(last=False)

    def read_curves(
        self, looked_at: Collection[int], seconds: float = float("inf"), glanced_at: Collection[int] = ()
    ) -> bool:
        """Read on in the curves of the runs that are looked at, the most wanted first, then in what is worked
        out of their best evaluations.

        Args:
            looked_at: ids of runs, the most wanted first.
            seconds: how long.
            glanced_at: ids of those of which only `OVERLAID_KEYS` are wanted.

        Returns:
            Whether all of it is read.
        """
        deadline = time.monotonic() + seconds
        details = [self._details[run_id] for run_id in looked_at if run_id in self._details]

        def left(detail: Detail) -> int | None:
            """How much the next piece of its history is wanted; None: it is not."""
            wanted = detail.history_wanted
            enough = detail.run_id in glanced_at and wanted is not None and wanted >= len(OVERLAID_KEYS)
            return None if enough else wanted

        self._add_new_values(detail for detail in details if left(detail) is None)
        while wanted := [most for detail in details if (most := left(detail)) is not None]:
            most_wanted = min(wanted)
            for detail in details:
                if left(detail) == most_wanted:
                    detail.read_history()
                    if time.monotonic() >= deadline:
                        return False
        # Each call does at least one of them, however little time there is.
        return not any(self._read_hits(detail) and time.monotonic() >= deadline for detail in details)

    def read_close_up(self, looked_at: Collection[int], close_up: CloseUp | None) -> None:
        """Read an enlarged stretch of long curves in full; None: be done with that."""
        self.is_close_up_old = False
        for run_id in looked_at:
            if run_id in self._details:
                self._details[run_id].read_close_up(self._reader, close_up)

    def _add_new_values(self, details: Iterable[Detail]) -> None:
        newest = self._reader.last_metric()
        behind: dict[int, list[Detail]] = {}
        for detail in details:
            if detail.position < newest:
                behind.setdefault(detail.position, []).append(detail)
        for position, group in behind.items():
            if position == 0 or newest - position > CATCH_UP_ROWS:
                for detail in group:
                    detail.read_history_upto(self._reader, newest)
                continue
            found = self._reader.new_metrics([detail.run_id for detail in group], after=position, upto=newest)
            for detail in group:
                own = {key: points for (run_id, key), points in found.items() if run_id == detail.run_id}
                detail.add_new(own, newest)

    def _read_hits(self, detail: Detail) -> bool:
        """Whether there was something to work out."""
        run = self._runs[detail.run_id]
        baselines = self._scores.baselines.get(run.protocol_id or "", ())
        protocol = self._scores.protocols.get(run.protocol_id or "")
        return detail.read_hits(self._reader, run, self._scores.best(run), strongest(baselines), protocol)

    def _read_runs(self) -> set[int]:
        changed = set()
        for run in self._reader.runs(after_revision=self._revision):
            known = self._runs.get(run.id)
            again = run.attempt != (known.attempt if known else 1) and run.attempt > 1
            if again and not self._reader.origin:
                self._rewound[run.id] = None
            self._runs[run.id] = run
            self._revision = max(self._revision, run.revision)
            changed.add(run.id)
            if run.status is Status.DONE:
                self._unfinished.discard(run.id)
                self._checked.pop(run.id, None)
            else:
                self._unfinished.add(run.id)
                self._checked.setdefault(run.id, (0.0, 0.0))
        if self._reader.run_count() < len(self._runs):
            self._forget(self._runs.keys() - set(self._reader.run_ids()))
        return changed

    def _read_over(self) -> WrittenOver:
        self._mark, found = self._reader.written_over(self._mark)
        return found

    def _take_over(self, over: WrittenOver) -> None:
        """Read anew where a mirror was written elsewhere than behind what is known."""
        if "protocol" in over:
            self._scores.read_protocols_again()
        for run_id in over.get("latency", ()):
            self._latencies[run_id] = tuple(self._reader.latencies(run_id=run_id))
            self._stale.add(run_id)
        if "promotion" in over:
            self._promotions = ()
            self._read_promotions()
        if "event" in over:
            self._events = tuple(self._reader.events(limit=EVENTS_KEPT))
            self._take_over_audits()
        self.is_close_up_old |= "zoom" in over
        for what, forget in _FORGET.items():
            chosen = over.get(what, ())
            for detail in self._details.values():
                if detail.run_id in chosen or (0 in chosen and what == "ranks"):
                    forget(detail)

    def _take_over_scores(self, run_ids: Collection[int]) -> None:
        known = {run_id: self._runs[run_id] for run_id in run_ids if run_id in self._runs}
        self._scores.read_all_again(known)
        self._scores.read_tests_again(known)
        self._stale |= known.keys()
        if 0 in run_ids:
            self._scores.read_baselines_again()
            self._stale |= self._runs.keys()

    def _take_over_audits(self) -> None:
        every = self._reader.events_of_kind(*EVENT_KINDS)
        if len(every) != self._audit_events:
            self._audits, self._audit_events = Audits(), 0
            if every:
                self._add_audits(every)

    def _read_lost(self) -> None:
        lost = self._reader.lost_reasons()
        if lost is not None and lost != self._lost:
            self._stale |= lost.keys() | (self._lost or {}).keys()
            self._lost = lost

    def _forget(self, run_ids: Collection[int]) -> None:
        """Let go of runs that have left the store."""
        self._scores.forget(run_ids)
        for run_id in run_ids:
            del self._runs[run_id]
            self._unfinished.discard(run_id)
            for kept in (self._views, self._rewound, self._checked, self._details, self._latencies):
                kept.pop(run_id, None)
        self._show_views()

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
        self._scores.read_again(run)
        self._latencies[run.id] = tuple(self._reader.latencies(run_id=run.id))
        self._stale.add(run.id)
        if run.id in self._details:
            self._details[run.id].forget_history()
        if run.status is Status.DONE:
            del self._rewound[run.id]
        elif run.status in {Status.RUNNING, Status.STOPPING}:
            begun = self._rewound[run.id]
            if begun is None:
                self._rewound[run.id] = run.progress.step
            elif run.progress.step != begun:
                del self._rewound[run.id]

    def _read_promotions(self) -> None:
        new = self._reader.promotions(after=self._promotions[-1].id if self._promotions else 0)
        if new:
            self._promotions = (*self._promotions, *new)
            before, self._aliases = self._aliases, aliases(self._promotions)
            self._stale |= before.keys() | self._aliases.keys()

    def _read_controls(self) -> None:
        asked = frozenset(control.run_id for control in self._reader.pending_controls())
        self._stale |= asked ^ self._asked
        self._asked = asked

    def _read_audits(self) -> None:
        new = self._reader.events_of_kind(*EVENT_KINDS, after=self._last_audit)
        if new:
            self._add_audits(new)

    def _add_audits(self, new: list[Event]) -> None:
        self._last_audit = new[-1].id
        self._audit_events += len(new)
        runs, fingerprints = self._audits.add(new)
        self._stale |= runs
        if fingerprints:
            self._stale |= {run.id for run in self._runs.values() if run.data_fingerprint in fingerprints}

    def _read_events(self) -> None:
        if self._events:
            new = self._reader.events(after=self._events[-1].id)
        else:
            new = self._reader.events(limit=EVENTS_KEPT)
        if new:
            self._events = (*self._events, *new)[-EVENTS_KEPT:]

    @property
    def has_unfinished(self) -> bool:
        """Whether there is a run that is not done and that is to be looked after: its process may die at any
        time."""
        return bool(self._unfinished) and self._lost is None

    def build(
        self,
        looked_at: Iterable[int],
        now: float,
        *,
        is_whole: bool = True,
        glanced_at: frozenset[int] = frozenset(),
    ) -> Snapshot:
        """Everything as it is now; the same object as before when nothing in it changed.

        Args:
            looked_at: ids of the runs to show details of.
            now: seconds since the epoch.
            is_whole: whether all of that is read.
            glanced_at: as for `read_curves`.
        """
        self._build_views(now)
        details = {
            run_id: self._details[run_id].build(self._latencies.get(run_id, ()))
            for run_id in looked_at
            if run_id in self._details
        }
        devices = self._devices.views(now)
        old = self._snapshot
        if (
            old is not None
            and old.is_whole == is_whole
            and old.glanced_at == glanced_at
            and old.runs is self._shown
            and old.details.keys() == details.keys()
            and all(old.details[run_id] is detail for run_id, detail in details.items())
            and old.devices is devices
            and old.baselines is self._scores.baselines
            and old.protocols is self._scores.protocols
            and old.promotions is self._promotions
            and old.audits is self._audits.data
            and old.test_looks is self._audits.test_looks
            and old.events is self._events
        ):
            return old
        self._snapshot = Snapshot(
            store=self._location.where,
            taken=now,
            runs=self._shown,
            details=MappingProxyType(details),
            baselines=self._scores.baselines,
            protocols=self._scores.protocols,
            promotions=self._promotions,
            devices=devices,
            audits=self._audits.data,
            test_looks=self._audits.test_looks,
            events=self._events,
            is_whole=is_whole,
            glanced_at=glanced_at,
        )
        return self._snapshot

    def _build_views(self, now: float) -> None:
        changed = False
        for run_id in self._stale | self._due(now):
            run = self._runs.get(run_id)
            if run is None:
                continue
            view = self._view(run, now)
            if view != self._views.get(run_id):
                self._views[run_id] = view
                changed = True
        self._stale.clear()
        if changed:
            self._show_views()

    def _show_views(self) -> None:
        self._shown = tuple(self._views[run_id] for run_id in sorted(self._views, reverse=True))

    def _due(self, now: float) -> set[int]:
        """Unfinished runs whose process was not looked for lately."""
        if self._lost is not None:
            return set()
        clock = time.monotonic()
        return {
            run_id
            for run_id in self._unfinished
            if abs(now - self._checked[run_id][0]) >= CHECK_SECONDS
            or clock - self._checked[run_id][1] >= CHECK_SECONDS
        }

    def _view(self, run: Run, now: float) -> RunView:
        if self._lost is not None:
            reason = self._lost.get(run.id) if run.id in self._unfinished else None
        else:
            reason = lost_reason(run, now)
        if run.id in self._unfinished:
            self._checked[run.id] = now, time.monotonic()
        view = run_view(
            run,
            self._scores.best(run),
            self._scores.last(run.id),
            self._scores.baselines,
            lost_reason=reason or "",
            run_aliases=self._aliases.get(run.id, ()),
            stop_requested=run.id in self._asked,
            findings=self._audits.wrong_with(run),
            test=self._scores.test(run.id),
            latencies=self._latencies.get(run.id, ()),
        )
        if self._lost is not None:
            return view
        old = self._views.get(run.id)
        if old is not None and old.state is State.LOST is view.state and old.run == run:
            # Else "no heartbeat for 7 s" would count on, and repaint, for ever.
            return replace(view, lost_reason=old.lost_reason)
        return self._confirmed(view, now) if reason else view

    def _confirmed(self, view: RunView, now: float) -> RunView:
        """The view again if its process just ended, between reading the run and looking for it."""
        run = self._reader.run(view.run.id)
        reason = lost_reason(run, now) or ""
        return replace(view, run=run, state=shown_state(run, reason), lost_reason=reason)


_FORGET: Mapping[str, Callable[[Detail], None]] = {
    "metric": lambda detail: detail.forget_history(),
    "evaluation": lambda detail: detail.forget_scores(),
    "event": lambda detail: detail.forget_events(),
    "ranks": lambda detail: detail.forget_hits(),
}
"""What was written elsewhere -> what a detail lets go of."""
