"""What an audit has to say about data or a run. Imports nothing heavy; shared with the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lvmtui.format import counted
from lvmtui.store.records import Event, Severity

KIND = "audit"
"""Kind of the events that findings are stored as."""

GLYPHS: Mapping[Severity, str] = {Severity.INFO: "·", Severity.WARN: "!", Severity.ERROR: "✖"}
PASSED = "✔"

_ORDER = {Severity.ERROR: 0, Severity.WARN: 1, Severity.INFO: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    """Name of the check, in kebab-case: `scrambled-order`."""
    message: str
    """What was found, with its figures, in a sentence."""
    severity: Severity = Severity.INFO
    """INFO for a check that found nothing wrong."""
    advice: str = ""
    """What to do about it; empty where there is nothing to do."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """The figures behind the message, as JSON."""
    data: str = ""
    """Fingerprint of the data, for a finding on data; empty for one on a run."""

    @property
    def passed(self) -> bool:
        """Whether there is nothing to worry about."""
        return self.severity is Severity.INFO

    @property
    def glyph(self) -> str:
        """The sign beside the severity's word."""
        return PASSED if self.passed else GLYPHS[self.severity]

    @property
    def text(self) -> str:
        """What was found and what to do, as one text."""
        found = self.message if self.message.endswith((".", "!", "?")) else f"{self.message}."
        return f"{found} {self.advice}".rstrip()

    def record(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {
            "check": self.check,
            "severity": self.severity.value,
            "message": self.message,
            "advice": self.advice,
            "data_fingerprint": self.data or None,
            "evidence": dict(self.evidence),
        }

    def event(self, time: float) -> Event:
        """The event that the store keeps of it."""
        own = {"check": self.check, "advice": self.advice, "data": self.data}
        return Event(KIND, self.message, time, self.severity, {**self.evidence, **own})


def finding_of(event: Event) -> Finding:
    """The finding behind an event of the kind `KIND`."""
    evidence = dict(event.evidence)
    check, advice, data = (str(evidence.pop(key, "")) for key in ("check", "advice", "data"))
    return Finding(check, event.message, event.severity, advice, evidence, data)


def counted_by_severity(findings: Iterable[Finding]) -> list[str]:
    """How many there are to worry about: `1 error`, `2 warnings`; empty where there is nothing."""
    severities = [finding.severity for finding in findings]
    names = ((Severity.ERROR, "error"), (Severity.WARN, "warning"))
    return [counted(severities.count(kind), noun) for kind, noun in names if kind in severities]


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, warnings, then the rest; those of one severity stay in their order."""
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))
