"""What there is to say of watched hosts, and of runs on them, in words.

Pure. Times stand as they are, so that nothing changes while nothing happens.
"""

from __future__ import annotations

import time as clock_time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePath

from lvmtui import format as fmt
from lvmtui.snapshot import Contact, HostView, PendingRequest, RunDetail, RunView, Snapshot, State

SILENCES = ("no answer", "it does not answer", "nothing has come from it")
"""Beginnings of reasons that say no more than that nothing is heard."""

SKEW_SECONDS = 2.0
"""Clocks that are closer than this count as equal."""


class Standing(StrEnum):
    """How a host is, the worst first."""

    OFFLINE = "offline"
    TROUBLE = "trouble"
    """It answers, but its store cannot be read."""
    CONNECTING = "connecting"
    READING = "reading its runs"
    READONLY = "read-only"
    LIVE = "live"


GLYPHS: Mapping[Standing, str] = {
    Standing.OFFLINE: "✖",
    Standing.TROUBLE: "⚠",
    Standing.CONNECTING: "◌",
    Standing.READING: "◌",
    Standing.READONLY: "○",
    Standing.LIVE: "●",
}
"""The sign beside the words."""

_ORDER = tuple(Standing)


def standing(host: HostView) -> Standing:
    """How the host is."""
    if host.contact is Contact.OFFLINE:
        return Standing.OFFLINE
    if host.contact is Contact.CONNECTING:
        return Standing.CONNECTING
    if host.reason:
        return Standing.TROUBLE
    if not host.is_whole:
        return Standing.READING
    return Standing.READONLY if host.readonly else Standing.LIVE


def worst_first(hosts: Iterable[HostView]) -> list[HostView]:
    """The hosts with those that want attention before the others, else in their order."""
    return sorted(hosts, key=lambda host: _ORDER.index(standing(host)))


def moment(when: float, now: float) -> str:
    """`14:02`, with the date where that is not the present day: `11-21 14:02`."""
    today = clock_time.localtime(when)[:3] == clock_time.localtime(now)[:3]
    return fmt.clock(when)[:5] if today else fmt.stamp(when)[5:]


def milliseconds(seconds: float) -> str:
    """A round trip: `24 ms`."""
    return "<1 ms" if seconds < 0.0005 else f"{fmt.thousands(1000 * seconds)} ms"


def said(host: HostView, now: float) -> tuple[str, ...]:
    """How a host is, in a line: from the fullest way to say it to the shortest.

    Args:
        host: the host.
        now: seconds since the epoch; what happened on the present day has no date.
    """
    how, reason = standing(host), fmt.plain(host.reason)
    if how is Standing.OFFLINE:
        first, why = offline(host, now), "" if _is_silence(reason) else reason
        again = f"next try {fmt.clock(host.next_try)}" if host.next_try is not None else ""
        since = first.partition(" since ")[2]
        # The reason comes last: where it is cut, all of it stands on the hosts screen.
        ways = {_dotted(first, again, why), _dotted(first, why), _dotted(first, again), first}
        return tuple(sorted({*ways, f"since {since}" if since else first}, key=len, reverse=True))
    if how is Standing.TROUBLE:
        return reason, "trouble with its store", "trouble"
    trip = milliseconds(host.round_trip) if host.round_trip is not None else ""
    if how is Standing.LIVE:
        return (trip or "live",)
    if how is Standing.CONNECTING and host.news is not None:
        return f"connecting · last heard of {moment(host.news, now)}", "connecting"
    if how is Standing.READONLY:
        return _dotted(how.value, trip), how.value
    return (how.value,)


def offline(host: HostView, now: float) -> str:
    """`no answer since 14:02`; `offline since 14:02` where the reason says more than that."""
    since = f" since {moment(host.news, now)}" if host.news is not None else ""
    return f"{'no answer' if _is_silence(host.reason) else 'offline'}{since}"


def _is_silence(reason: str) -> bool:
    return not reason or reason.startswith(SILENCES)


def _dotted(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def waits(host: HostView) -> str:
    """`2 requests wait`; empty where none does."""
    number = len(host.pending)
    return f"{fmt.counted(number, 'request')} {'waits' if number == 1 else 'wait'}" if number else ""


def clock_difference(host: HostView) -> str:
    """`3m20s ahead`, `12s behind`: its clock beside ours; empty where they agree."""
    if abs(host.skew) <= SKEW_SECONDS:
        return ""
    return f"{fmt.duration(abs(host.skew))} {'ahead' if host.skew > 0 else 'behind'}"


def sent_words(request: PendingRequest, host: HostView) -> str:
    """What has become of a request so far."""
    if request.sent:
        return "sent, not answered yet"
    return "about to be sent" if host.contact is Contact.LIVE else "not sent yet"


def is_doubtful(view: RunView) -> bool:
    """Whether the run may have gone on since its host was last heard of."""
    return view.silent is not None and (view.state.is_active or view.state is State.QUEUED)


def silence(view: RunView, now: float) -> str:
    """`gpu3 has not answered since 14:02: this is how it was then`; empty where its host answers."""
    if view.silent is None:
        return ""
    since = f"{view.run.origin} has not answered since {moment(view.silent, now)}"
    return f"{since}: this is how it was then" if is_doubtful(view) else since


def pending(view: RunView) -> str:
    """`stop waits for gpu3`; empty where nothing was asked."""
    if not view.pending:
        return ""
    asked = ", ".join(map(fmt.plain, view.pending))
    return f"{asked} {'waits' if len(view.pending) == 1 else 'wait'} for {view.run.origin or 'its host'}"


def asking(view: RunView, snapshot: Snapshot) -> str:
    """Where what is missing of a run comes from: `asking gpu1…`; empty where the run is in the store here."""
    origin = view.run.origin
    if not origin:
        return ""
    host = snapshot.host(origin)
    if view.silent is None and (host is None or host.contact is not Contact.OFFLINE):
        return f"asking {origin}…"
    heard = view.silent if view.silent is not None or host is None else host.news
    since = f" since {moment(heard, snapshot.taken)}" if heard is not None else ""
    return f"{origin} has not answered{since}; this is asked for as soon as it does."


def awaited(view: RunView, detail: RunDetail, snapshot: Snapshot) -> str:
    """`asking` as long as nothing has come that there must be; else empty."""
    has_begun = view.run.progress.step > 0
    nothing = not (detail.series or detail.checkpoints or detail.log)
    return asking(view, snapshot) if has_begun and nothing else ""


def is_elsewhere(view: RunView, snapshot: Snapshot) -> bool:
    """Whether its curves are on a host that does not answer, and not here."""
    detail = snapshot.details.get(view.run.id)
    return view.silent is not None and not (detail is not None and detail.series)


def root_of(view: RunView, snapshot: Snapshot) -> PurePath:
    """The folder that the paths of a run's files are relative to, on the machine where they are."""
    host = snapshot.host(view.run.origin) if view.run.origin else None
    store = host.store if host is not None else "" if view.run.origin else snapshot.store
    return PurePath(store).parent


def requests(hosts: Sequence[HostView]) -> int:
    """How many requests wait on all hosts."""
    return sum(len(host.pending) for host in hosts)
