"""Which watched hosts can be trusted to be up to date, and what of that is worth telling. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lvmtui.alerts.kinds import Alert, Kind
from lvmtui.format import counted, duration, plain
from lvmtui.snapshot import Contact, HostView
from lvmtui.store.records import Severity

PATIENCE_SECONDS = 10.0
"""A host is not told to be gone before it was for so long: connections break and are there again."""

TOLD_AT_ONCE = 3
"""More alerts than this from a host that was away are told as one."""

WORDS: dict[Kind, tuple[str, str]] = {
    Kind.NEW_BEST: ("has a new best", "have a new best"),
    Kind.TARGET: ("target reached", "targets reached"),
    Kind.EARLY_STOP: ("stopped early", "stopped early"),
    Kind.COMPLETED: ("completed", "completed"),
    Kind.DIVERGENCE: ("diverged", "diverged"),
    Kind.FAILED: ("failed", "failed"),
    Kind.LOST: ("was lost", "were lost"),
}
"""What became of runs, of one and of several."""


@dataclass(slots=True)
class _Known:
    """What is known of one host."""

    here: bool = False
    """It is live, and all of its runs have been read."""
    was_here: bool = False
    away_since: float | None = None
    told: bool = False
    """It was told to be gone."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the hosts are at one moment."""

    away: frozenset[str]
    """Their runs are as they were once: nothing is to be made of them."""
    arrived: frozenset[str]
    """They have just come, or come back: what is new of them has happened meanwhile."""
    alerts: tuple[Alert, ...] = ()
    again: float | None = None
    """After so many seconds there may be something to tell, even if nothing changes."""


class Hosts:
    """Follows the hosts from snapshot to snapshot."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def look(self, hosts: Iterable[HostView], now: float) -> Standing:
        """How they are now.

        Args:
            hosts: as the snapshot has them.
            now: seconds since the epoch.
        """
        away, arrived, alerts = set(), set(), []
        waits: list[float] = []
        for host in hosts:
            known = self._known.setdefault(host.name, _Known())
            here = host.contact is Contact.LIVE and host.is_whole
            if here and not known.here:
                arrived.add(host.name)
                if known.told and known.away_since is not None:
                    passed = duration(max(0.0, now - known.away_since))
                    alerts.append(_alert(host, f"is back after {passed}", now, Severity.INFO))
                known.away_since, known.told, known.was_here = None, False, True
            elif not here:
                away.add(host.name)
                if known.away_since is None:
                    known.away_since = now
                left = PATIENCE_SECONDS - (now - known.away_since)
                is_news = known.was_here and not known.told and host.contact is Contact.OFFLINE
                if is_news and left > 0:
                    waits.append(left)
                elif is_news:
                    known.told = True
                    reason = f": {plain(host.reason)}" if host.reason else ""
                    alerts.append(_alert(host, f"cannot be reached{reason}", now, Severity.WARN))
            known.here = here
        return Standing(frozenset(away), frozenset(arrived), tuple(alerts), min(waits, default=None))


def _alert(host: HostView, words: str, now: float, severity: Severity) -> Alert:
    return Alert(Kind.HOST, None, severity, f"{plain(host.name)} {words}", now)


def summed_up(name: str, alerts: Sequence[Alert], now: float) -> list[Alert]:
    """What has happened on a host while it was away, as one alert where it is much."""
    if len(alerts) <= TOLD_AT_ONCE:
        return list(alerts)
    counts = Counter(alert.kind for alert in alerts)
    order = list(Kind)
    said = [
        f"{count} {WORDS[kind][count != 1]}" if kind in WORDS else counted(count, f"{kind.value} alert")
        for kind, count in sorted(counts.items(), key=lambda item: -order.index(item[0]))
    ]
    worst = max((alert.severity for alert in alerts), key=list(Severity).index)
    return [Alert(Kind.HOST, None, worst, f"on {plain(name)} meanwhile: {', '.join(said)}", now)]
