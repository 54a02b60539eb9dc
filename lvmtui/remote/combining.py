"""Snapshots of several stores as one.

Made for one of nine stores to change ten times a second: whatever has not changed is handed on as the same
object, so that nothing that shows it works anything out again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, compress
from operator import is_not
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from lvmtui.findings import Finding
from lvmtui.remote.mirrors.places import HEARD_NAME
from lvmtui.snapshot import Contact, DeviceView, HostView, RunDetail, RunView, Snapshot
from lvmtui.store.records import Evaluation, Event, Promotion, Severity

EVENTS_KEPT = 2_000
"""Events of all stores together that are kept."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Part:
    """A watched host as it is now."""

    view: HostView
    snapshot: Snapshot | None
    """Of its mirror; None: not read yet."""
    mirrored: float | None = None
    """When it was last heard of in an earlier session."""
    is_complete: bool = True
    """Whether all that can come for now of the runs that are looked at is there."""
    live_devices: tuple[DeviceView, ...] = ()
    """What its sensors read now; empty while nobody looks."""

    @property
    def silent(self) -> float | None:
        """When it was last heard of; None while it is live."""
        if self.view.contact is Contact.LIVE:
            return None
        return self.view.news or self.mirrored

    @property
    def is_whole(self) -> bool:
        """Whether all that can come for now is there."""
        view = self.view
        if self.snapshot is None or not (self.snapshot.is_whole and self.is_complete):
            return view.contact is Contact.OFFLINE and self.snapshot is None
        # A host that is live and says why it has no runs has no more to say.
        listed = view.is_whole or (view.contact is Contact.LIVE and bool(view.reason))
        return listed or view.contact is Contact.OFFLINE


def last_news(mirror: Path) -> float | None:
    """When the host of a mirror was last heard of, seconds since the epoch; where that was not kept, when the
    mirror was last written to; None: never."""
    with suppress(OSError):
        return mirror.with_name(HEARD_NAME).stat().st_mtime
    # What was written last may still be beside the file; an empty file there was made by a reader.
    files = (mirror, mirror.with_name(f"{mirror.name}-wal"))
    with suppress(OSError):
        found = [file.stat() for file in files if file.exists()]
        return max((item.st_mtime for item in found if item.st_size), default=None)
    return None


class Combining:
    """Puts the snapshot of the local store and those of mirrors together, again and again."""

    def __init__(self) -> None:
        self._runs = _Runs()
        self._marked: list[_Marked] = []
        self._devices: dict[str, tuple[tuple[object, ...], tuple[DeviceView, ...]]] = {}
        """Name of a host -> what its devices were put together from, and they."""
        self._events = _Events()
        self._made: dict[str, tuple[tuple[Any, ...], Any]] = {}
        """Name of a field -> what it was united from, and what came of it."""
        self._parts: tuple[object, ...] = ()
        self._snapshot: Snapshot | None = None

    def combine(self, local: Snapshot, parts: Sequence[Part], now: float) -> Snapshot:
        """Everything as one; the same object as before when nothing in it changed.

        Args:
            local: of the local store.
            parts: the hosts, in the order in which they are to be named.
            now: seconds since the epoch.
        """
        seen = (local, *parts)
        if self._snapshot is not None and _same(self._parts, seen):
            return self._snapshot
        self._parts = seen
        snapshots = [local, *(part.snapshot for part in parts if part.snapshot is not None)]
        self._snapshot = Snapshot(
            store=local.store,
            taken=now,
            runs=self._runs.merged([local.runs, *self._marked_runs(parts)]),
            details=self._united("details", [item.details for item in snapshots], _details),
            baselines=self._united("baselines", [item.baselines for item in snapshots], _baselines),
            protocols=self._united("protocols", [item.protocols for item in snapshots], _first),
            promotions=self._united("promotions", [item.promotions for item in snapshots], _promotions),
            devices=self._united("devices", [local.devices, *self._host_devices(parts)], _devices),
            audits=self._united("audits", [item.audits for item in snapshots], _audits),
            test_looks=self._united("test_looks", [item.test_looks for item in snapshots], _summed),
            events=self._events.merged([item.events for item in snapshots]),
            is_whole=local.is_whole and all(part.is_whole for part in parts),
            glanced_at=frozenset().union(*(item.glanced_at for item in snapshots)),
            problem=local.problem,
            hosts=tuple(part.view for part in parts),
        )
        return self._snapshot

    def _marked_runs(self, parts: Sequence[Part]) -> list[tuple[RunView, ...]]:
        while len(self._marked) < len(parts):
            self._marked.append(_Marked())
        return [
            marked.runs(part.snapshot.runs if part.snapshot else (), part)
            for marked, part in zip(self._marked, parts, strict=True)
        ]

    def _host_devices(self, parts: Sequence[Part]) -> list[tuple[DeviceView, ...]]:
        """The devices of each host, under the name that the user has given it."""
        found = []
        for part in parts:
            stored = part.snapshot.devices if part.snapshot is not None else ()
            known = self._devices.get(part.view.name)
            if known is None or not _same(known[0], (stored, part.live_devices)):
                own = _devices([_named(stored, part.view.name), _named(part.live_devices, part.view.name)])
                known = self._devices[part.view.name] = (stored, part.live_devices), own
            found.append(known[1])
        return found

    def _united(self, name: str, values: Sequence[Value], unite: Callable[[Sequence[Value]], Value]) -> Value:
        """What several stores have of a kind as one; the same as before where none of it changed."""
        filled = tuple(value for value in values if value) or tuple(values[:1])
        known = self._made.get(name)
        if known is not None and _same(known[0], filled):
            return known[1]  # type: ignore[no-any-return]
        made = filled[0] if len(filled) == 1 else unite(filled)
        self._made[name] = filled, made
        return made


def _same(before: Sequence[object], now: Sequence[object]) -> bool:
    """Whether these are the very same objects."""
    return len(before) == len(now) and not any(map(is_not, before, now))


class _Marked:
    """The runs of one host, with what its connection adds to them."""

    def __init__(self) -> None:
        self._seen: tuple[object, ...] = ()
        self._views: tuple[RunView, ...] = ()
        self._of_run: dict[int, tuple[RunView, RunView]] = {}
        """Id -> the view without and with that."""
        self._silent: float | None = None
        self._pending: dict[int, tuple[str, ...]] = {}

    def runs(self, views: tuple[RunView, ...], part: Part) -> tuple[RunView, ...]:
        """Views that say since when nothing was heard of them, and what they were asked for."""
        silent, requests = part.silent, part.view.pending
        if not _same(self._seen, (views, requests)) or silent != self._silent:
            self._seen = views, requests
            self._silent, self._pending = silent, _by_run(requests)
            self._views = self._all(views)
        return self._views

    def _all(self, views: tuple[RunView, ...]) -> tuple[RunView, ...]:
        if self._silent is not None:
            return tuple(map(self._one, views))
        if self._pending:
            return tuple(self._one(view) if view.run.id in self._pending else view for view in views)
        self._of_run.clear()
        return views

    def _one(self, view: RunView) -> RunView:
        pending = self._pending.get(view.run.id, ())
        known = self._of_run.get(view.run.id)
        if (
            known is not None
            and known[0] is view
            and (known[1].silent, known[1].pending)
            == (
                self._silent,
                pending,
            )
        ):
            return known[1]
        made = replace(view, silent=self._silent, pending=pending)
        self._of_run[view.run.id] = view, made
        return made


def _by_run(requests: Iterable[Any]) -> dict[int, tuple[str, ...]]:
    """Run id -> what it was asked for: the first word of each request."""
    found: dict[int, tuple[str, ...]] = {}
    for request in requests:
        if request.run_id is not None:
            word = request.words.split(maxsplit=1)[0] if request.words.split() else ""
            found[request.run_id] = (*found.get(request.run_id, ()), word)
    return found


class _Runs:
    """The runs of several stores in one tuple, newest first."""

    def __init__(self) -> None:
        self._parts: list[tuple[RunView, ...]] = []
        self._places: list[list[int]] = []
        """Of each part's views, where they stand among all."""
        self._merged: tuple[RunView, ...] = ()

    def merged(self, parts: list[tuple[RunView, ...]]) -> tuple[RunView, ...]:
        """All of them, by when they were created."""
        before, self._parts = self._parts, parts
        if _same(before, parts):
            return self._merged
        if not self._exchanged(before, parts):
            self._sort(parts)
        return self._merged

    def _exchanged(self, before: list[tuple[RunView, ...]], parts: list[tuple[RunView, ...]]) -> bool:
        """Put views in the places of those that they follow; False where runs came or went."""
        if [len(views) for views in before] != [len(views) for views in parts]:
            return False
        merged = list(self._merged)
        for old, new, places in zip(before, parts, self._places, strict=True):
            if old is new:
                continue
            for index in compress(range(len(new)), map(is_not, old, new)):
                was, now = old[index].run, new[index].run
                if was.id != now.id or was.created != now.created:
                    return False
                merged[places[index]] = new[index]
        self._merged = tuple(merged)
        return True

    def _sort(self, parts: list[tuple[RunView, ...]]) -> None:
        filled = [views for views in parts if views]
        if len(filled) > 1:
            self._merged = tuple(sorted(chain(*filled), key=_created, reverse=True))
        else:
            self._merged = filled[0] if filled else ()
        place = {view.run.id: index for index, view in enumerate(self._merged)}
        self._places = [[place[view.run.id] for view in views] for views in parts]


def _created(view: RunView) -> float:
    return view.run.created


class _Events:
    """The newest events of several stores, oldest first."""

    def __init__(self) -> None:
        self._parts: list[tuple[Event, ...]] = []
        self._merged: tuple[Event, ...] = ()

    def merged(self, parts: list[tuple[Event, ...]]) -> tuple[Event, ...]:
        """The newest of all, by their time."""
        before, self._parts = self._parts, parts
        if _same(before, parts):
            return self._merged
        filled = [events for events in parts if events]
        if len(filled) <= 1:
            self._merged = filled[0] if filled else ()
            return self._merged
        fresh = _fresh(before, parts)
        events = chain(*filled) if fresh is None else chain(self._merged, fresh)
        self._merged = tuple(sorted(events, key=_when)[-EVENTS_KEPT:])
        return self._merged


def _when(event: Event) -> float:
    return event.time


def _fresh(before: list[tuple[Event, ...]], parts: list[tuple[Event, ...]]) -> list[Event] | None:
    """What was added to each part; None where something else happened."""
    if len(before) != len(parts) or not any(before):
        return None
    found: list[Event] = []
    for old, new in zip(before, parts, strict=True):
        if old is new:
            continue
        count = 0
        last = old[-1].id if old else 0
        while count < len(new) and new[-1 - count].id > last:
            count += 1
        left = len(new) - count
        if left and (not old or new[left - 1] is not old[-1]):
            return None
        if old and not left:
            return None
        found += new[left:]
    return found


def _first(values: Sequence[Mapping[str, Value]]) -> Mapping[str, Value]:
    """What stands under each key, of the first that has it."""
    found: dict[str, Value] = {}
    for value in reversed(values):
        found.update(value)
    return MappingProxyType(found)


def _details(values: Sequence[Mapping[int, RunDetail]]) -> Mapping[int, RunDetail]:
    """All of them: ids of runs are never the same in two stores."""
    return MappingProxyType({key: detail for value in values for key, detail in value.items()})


def _baselines(
    values: Sequence[Mapping[str, tuple[Evaluation, ...]]],
) -> Mapping[str, tuple[Evaluation, ...]]:
    """Protocol -> its baselines, weakest first; where several stores have one of them, the first one's. The
    same protocol is the same data, pool and filter, so their scores are too."""
    found: dict[str, dict[Hashable, Evaluation]] = {}
    for value in values:
        for protocol, items in value.items():
            known = found.setdefault(protocol, {})
            for item in items:
                known.setdefault((item.baseline, item.split, item.context), item)
    return MappingProxyType(
        {key: tuple(sorted(items.values(), key=lambda item: item.hit5)) for key, items in found.items()}
    )


def _promotions(values: Sequence[tuple[Promotion, ...]]) -> tuple[Promotion, ...]:
    """Oldest first; each store has its own champion."""
    return tuple(sorted(chain(*values), key=lambda promotion: promotion.time))


def _devices(values: Sequence[tuple[DeviceView, ...]]) -> tuple[DeviceView, ...]:
    """Each device once, as it was read last."""
    found: dict[tuple[str, str], DeviceView] = {}
    for device in chain(*values):
        key = (device.sample.host, device.sample.device)
        known = found.get(key)
        if known is None or device.sample.time > known.sample.time:
            found[key] = device
    return tuple(found.values())


def _named(devices: Iterable[DeviceView], host: str) -> tuple[DeviceView, ...]:
    return tuple(
        replace(
            device,
            sample=replace(device.sample, host=host),
            recent=tuple(replace(sample, host=host) for sample in device.recent),
        )
        for device in devices
    )


def _audits(values: Sequence[Mapping[str, tuple[Finding, ...]]]) -> Mapping[str, tuple[Finding, ...]]:
    """Fingerprint -> the outcomes of an audit of it, those of the store that found the worst."""
    found: dict[str, tuple[Finding, ...]] = {}
    for value in values:
        for fingerprint, outcomes in value.items():
            if fingerprint not in found or _weight(outcomes) > _weight(found[fingerprint]):
                found[fingerprint] = outcomes
    return MappingProxyType(found)


def _weight(outcomes: Collection[Finding]) -> tuple[int, int]:
    severities = [finding.severity for finding in outcomes]
    return severities.count(Severity.ERROR), severities.count(Severity.WARN)


def _summed(values: Sequence[Mapping[str, int]]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for value in values:
        for key, count in value.items():
            found[key] = found.get(key, 0) + count
    return MappingProxyType(found)
