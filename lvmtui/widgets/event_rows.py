"""Events of all runs and the alerts of this session as rows: order, filter, words. Pure."""

from __future__ import annotations

import json
import math
import time as clock_time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lvmtui.alerts.kinds import Alert
from lvmtui.findings import KIND
from lvmtui.format import clock, number, plain, stamp
from lvmtui.remote.hosts import number_of
from lvmtui.store.records import Event, Severity

WORDS: Mapping[Severity, str] = {Severity.INFO: "info", Severity.WARN: "warning", Severity.ERROR: "error"}

ALERT = "alert"
"""What the kind of an alert begins with."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened."""

    key: str
    time: float
    severity: Severity
    kind: str
    run_id: int | None
    run: str
    """The run's name; empty where it is about no run, or about one that is gone."""
    message: str
    advice: str = ""
    """What to do about it, where a finding of an audit says so."""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What a filter looks at, in small letters."""
        return f"{self.kind} {WORDS[self.severity]} {self.run} {self.message}".lower()

    @property
    def is_attention(self) -> bool:
        """Whether it is a warning or an error."""
        return self.severity is not Severity.INFO


def event_row(event: Event, names: Mapping[int, str]) -> EventRow:
    """An event of the store; outside text is made harmless."""
    run_id = event.run_id
    name = "" if run_id is None else names.get(run_id, f"#{number_of(run_id)}")
    return EventRow(
        key=f"event-{event.id}",
        time=event.time,
        severity=event.severity,
        kind=plain(event.kind).replace("_", " "),
        run_id=run_id if run_id in names else None,
        run=plain(name),
        message=plain(event.message),
        advice=plain(str(event.evidence.get("advice") or "")) if event.kind == KIND else "",
        evidence={key: value for key, value in event.evidence.items() if value and key != "advice"},
    )


def alert_rows(alerts: Sequence[Alert]) -> list[EventRow]:
    """Alerts of this session. What is told twice at one moment would be another alert: time, run and kind
    make the key."""
    return [
        EventRow(
            key=f"alert-{alert.time}-{alert.run_id}-{alert.kind}-{alert.message}",
            time=alert.time,
            severity=alert.severity,
            kind=f"{ALERT}: {alert.kind}",
            run_id=alert.run_id,
            run=alert.run,
            message=alert.message,
        )
        for alert in alerts
    ]


def newest_first(rows: Iterable[EventRow]) -> list[EventRow]:
    """By time; the order of arrival decides among equals."""
    return sorted(rows, key=lambda row: row.time)[::-1]


def fits(row: EventRow, words: Sequence[str]) -> bool:
    """Whether all words stand in a row, and none that has a hyphen before it."""
    text = row.text
    return all(
        word[1:] not in text if word.startswith("-") and len(word) > 1 else word in text for word in words
    )


def words_of(text: str) -> list[str]:
    """What is looked for."""
    return text.lower().split()


def midnight(now: float) -> float:
    """When the present day began here, seconds since the epoch."""
    day = clock_time.localtime(now)
    return clock_time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))


def when(time: float, *, today: bool) -> str:
    """The time of day of what happened on the present day, else the date too."""
    return clock(time) if today else stamp(time)[5:]


def evidence_pairs(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values, as text that is safe to show."""
    return [(plain(str(key)), _value(value)) for key, value in evidence.items()]


def _value(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple) and not any(
        isinstance(item, Mapping | list | tuple) for item in value
    ):
        return ", ".join(map(_value, value))
    if isinstance(value, Mapping | list | tuple):
        return plain(json.dumps(value, ensure_ascii=False, default=str))
    return plain(str(value))
