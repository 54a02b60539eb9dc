"""One watched host: its link, the feed on its mirror, and what both say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui.device_views import Devices
from lvmtui.errors import LvmtuiError
from lvmtui.feed import Feed
from lvmtui.format import plain
from lvmtui.history import OVERLAID_KEYS
from lvmtui.remote.combining import Part, last_news
from lvmtui.remote.hosts import Host, number_of
from lvmtui.remote.looks import Looks
from lvmtui.snapshot import CloseUp, Contact, DeviceView, HostView, RunDetail, Snapshot

if TYPE_CHECKING:
    from lvmtui.remote.link import Link
    from lvmtui.store.records import DeviceSample

MOST_ENLARGED = 16
"""Runs of a host whose enlarged stretches are asked for at once."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A host that can be watched."""

    link: Link
    path: Path
    """The mirror, a store."""
    slot: int


Opener = Callable[[Host, Callable[[], None]], Opened]
"""Opens the mirror of a host, with a link that is not started and calls back after each change."""


class Watched:
    """Owned by the fleet's thread, but for `open` and what is said to be for all."""

    def __init__(
        self, host: Host, opener: Opener, on_change: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        """
        Args:
            host: the machine.
            opener: makes link and mirror.
            on_change: called in any thread when `part` may have changed.
            clock: seconds since the epoch.
        """
        self.host = host
        self.slot: int | None = None
        """Which ids are its own; None until its mirror is open."""
        self.path: Path | None = None
        """Its mirror."""
        self.link: Link | None = None
        self.is_open = threading.Event()
        """Set when its mirror is open, or cannot be opened."""
        self._opener, self._on_change, self._clock = opener, on_change, clock
        self._feed: Feed | None = None
        self._snapshot: Snapshot | None = None
        self._view = HostView(host.name, Contact.CONNECTING)
        self._mirrored: float | None = None
        """When it was last heard of in an earlier session."""
        self._part = Part(self._view, None)
        self._listed, self._complete = _Read(), _Read()
        self._samples: tuple[DeviceSample, ...] = ()
        self._devices = Devices()
        self._device_views: tuple[DeviceView, ...] = ()
        self._looks = Looks()
        self._enlarged: tuple[CloseUp | None, frozenset[int]] = (None, frozenset())
        self._lock = threading.Lock()
        self._stopped = False

    def open(self, looks: Looks | None = None) -> None:
        """Open the mirror and begin to connect; where that fails, the host counts as offline and says why.

        Args:
            looks: what is looked at, if that is known already: said with the greeting.
        """
        try:
            opened = self._opener(self.host, self._news)
        except Exception as error:  # whatever it is: a host must not seem to be connecting for ever
            hint = error.hint if isinstance(error, LvmtuiError) else ""
            reason = error.message if isinstance(error, LvmtuiError) else plain(str(error))[:300]
            self._view = HostView(self.host.name, Contact.OFFLINE, reason=reason, hint=hint)
            self.is_open.set()
            self._on_change()
            return
        with self._lock:
            if self._stopped:
                opened.link.stop()
                return
            self._mirrored = last_news(opened.path)
            self.link, self.path, self.slot = opened.link, opened.path, opened.slot
            self._feed = Feed(str(opened.path), self._take, clock=self._clock_there, mirror=True)
            self._feed.start()
            own = looks.of_slot(opened.slot) if looks is not None else None
            if own is not None and own.run_ids:
                _want(opened.link, own)
            opened.link.start()
        self.is_open.set()
        self._on_change()
        _load_details()

    def _clock_there(self) -> float:
        """Seconds since the epoch by the clock of the host."""
        return self._clock() + (self.link.view.skew if self.link is not None else 0.0)

    def _take(self, snapshot: Snapshot) -> None:
        """Called in the feed's thread."""
        self._snapshot = snapshot
        self._on_change()

    def _news(self) -> None:
        """Called in the link's thread."""
        self.refresh()
        self._on_change()

    def refresh(self) -> None:
        """Look at the mirror now. For all threads."""
        if self._feed is not None:
            self._feed.refresh()

    def part(self) -> Part:
        """The host as it is now; the same object as before when nothing changed."""
        view = self.link.view if self.link is not None else self._view
        if view.contact is not Contact.LIVE and view.news is None and self._mirrored is not None:
            view = replace(view, news=self._mirrored)
        if not self._listed.is_read(view.is_whole, self._feed) and view.is_whole:
            # Else what has just arrived would seem to come afterwards.
            view = replace(view, is_whole=False)
        is_complete = self._complete.is_read(self._has_details(view), self._feed)
        old, devices = self._part, self._live_devices()
        same = self._snapshot is old.snapshot and devices is old.live_devices
        if not same or (view, is_complete) != (old.view, old.is_complete):
            view = view if view != old.view else old.view
            self._part = Part(view, self._snapshot, self._mirrored, is_complete, devices)
        return self._part

    def _live_devices(self) -> tuple[DeviceView, ...]:
        """What the sensors there say; the same object as before when they say nothing more."""
        samples = self.link.live_devices if self.link is not None else ()
        if samples is not self._samples:
            self._samples = samples
            self._devices = self._devices if samples else Devices()
            self._devices.add(samples)
            self._device_views = self._devices.views(self._clock_there())
        return self._device_views

    def _has_details(self, view: HostView) -> bool:
        """Whether the mirror has all that can come for now of what is looked at."""
        if self.link is None or self._snapshot is None or view.contact is not Contact.LIVE:
            return True
        there = (run_id for run_id in self._looks.run_ids if self._snapshot.view(run_id) is not None)
        return all(self.link.has_come(number_of(run_id)) for run_id in there)

    @property
    def is_settling(self) -> bool:
        """Whether the part may change without a word from link or feed."""
        return self._listed.is_awaited or not self._part.is_complete

    def steer(self, looks: Looks) -> None:
        """Have feed and link read what is looked at; what is the same as before is not asked for again."""
        if self.slot is None or self._feed is None or self.link is None:
            return
        own = looks.of_slot(self.slot)
        before, self._looks = self._looks, own
        if (own.run_ids, own.glanced_at, own.devices) != (before.run_ids, before.glanced_at, before.devices):
            self._feed.set_looked_at(own.run_ids, glanced_at=own.glanced_at)
            _want(self.link, own)
        self._feed.set_close_up(own.close_up)
        self._enlarge(own)

    def _enlarge(self, looks: Looks) -> None:
        """Ask for every value of a stretch, once for each run as soon as its curves are there."""
        close_up, asked = self._enlarged
        if close_up != looks.close_up:
            close_up, asked = looks.close_up, frozenset()
        details = self._snapshot.details if self._snapshot is not None else {}
        is_live = self._part.view.contact is Contact.LIVE
        if not is_live:
            asked = frozenset()  # what was asked for may never have come
        elif close_up is not None and self.link is not None:
            for run_id in looks.run_ids[:MOST_ENLARGED]:
                drawn = _drawn(details, run_id, looks)
                if drawn and run_id not in asked:
                    asked |= {run_id}
                    if keys := self._thinned(run_id, drawn):
                        self.link.zoom(number_of(run_id), keys, close_up.axis, close_up.low, close_up.high)
        self._enlarged = close_up, asked

    def _thinned(self, run_id: int, keys: Sequence[str]) -> list[str]:
        """Those of some metrics of which the mirror does not have every value."""
        from lvmtui.remote.mirrors.reader import open_mirror

        assert self.path is not None
        with suppress(LvmtuiError):
            reader = open_mirror(self.path)
            try:
                thinned = reader.thinned(run_id)
            finally:
                reader.database.close()
            return [key for key in keys if key in thinned]
        return []

    def stop(self) -> None:
        """End the connection and close the mirror. For all threads."""
        with self._lock:
            self._stopped = True
        if self.link is not None:
            self.link.stop()
        if self._feed is not None:
            self._feed.stop()

    def retry(self) -> None:
        """Try to connect now. For all threads."""
        if self.link is not None:
            self.link.retry_now()
        elif self._view.contact is Contact.OFFLINE:
            self._view = HostView(self.host.name, Contact.CONNECTING)
            self._on_change()
            threading.Thread(target=self.open, name=f"open-{self.host.name}", daemon=True).start()


class _Read:
    """Whether what has arrived in a mirror was read from it too."""

    def __init__(self) -> None:
        self._target = 0
        """How many readings must be over by then."""
        self.is_awaited = False
        self._is_done = False

    def is_read(self, has_arrived: bool, feed: Feed | None) -> bool:
        """Whether something is in the snapshots of the feed, given whether it is in the mirror."""
        if not has_arrived or feed is None:
            self.is_awaited = self._is_done = False
            return has_arrived
        if not (self._is_done or self.is_awaited):
            # The reading that is under way may have begun before.
            self._target = feed.readings + 2
            self.is_awaited = True
        if self.is_awaited:
            feed.refresh()
            self._is_done = feed.readings >= self._target
            self.is_awaited = not self._is_done
        return self._is_done


def _drawn(details: Mapping[int, RunDetail], run_id: int, looks: Looks) -> Sequence[str]:
    """Metrics of a run that are drawn."""
    keys = list(details[run_id].series) if run_id in details else []
    return [key for key in OVERLAID_KEYS if key in keys] if run_id in looks.glanced_at else keys


def _want(link: Link, own: Looks) -> None:
    """Say to a host what of its own is looked at."""
    full = [number_of(run_id) for run_id in own.run_ids if run_id not in own.glanced_at]
    few = [number_of(run_id) for run_id in own.run_ids if run_id in own.glanced_at]
    link.want(full, few, devices=own.devices)


def _load_details() -> None:
    """Load what the feed needs for the first run that is looked at, while the host is waited for."""
    from lvmtui import light_numpy

    light_numpy.load()
    import lvmtui.details  # noqa: F401
