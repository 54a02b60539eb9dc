"""What an alert is, and what it can be about. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lvmtui.format import plain
from lvmtui.remote.hosts import number_of
from lvmtui.store.records import Severity

if TYPE_CHECKING:
    from lvmtui.snapshot import RunView


class Kind(StrEnum):
    """The causes of alerts."""

    NEW_BEST = "new-best"
    TARGET = "target"
    EARLY_STOP = "early-stop"
    COMPLETED = "completed"
    STALL = "stall"
    DIVERGENCE = "divergence"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    LOST = "lost"
    DISK = "disk"
    HOST = "host"


MEANINGS: Mapping[Kind, str] = {
    Kind.NEW_BEST: "a run has a new best evaluation",
    Kind.TARGET: "a best evaluation reaches one of its phase's targets",
    Kind.EARLY_STOP: "early stopping ended a run",
    Kind.COMPLETED: "a run has trained all its epochs",
    Kind.STALL: "a run takes no step for several times as long as usual",
    Kind.DIVERGENCE: "a loss is not a number, or runs away",
    Kind.NO_ANSWER: "a run goes on although it was asked to stop",
    Kind.FAILED: "a run ended with an error",
    Kind.LOST: "a run's process is gone or silent",
    Kind.DISK: "the store's disk is nearly full",
    Kind.HOST: "a watched host cannot be reached any more, or is back",
}

SEVERITIES: Mapping[Kind, Severity] = {
    Kind.NEW_BEST: Severity.INFO,
    Kind.TARGET: Severity.INFO,
    Kind.EARLY_STOP: Severity.INFO,
    Kind.COMPLETED: Severity.INFO,
    Kind.STALL: Severity.WARN,
    Kind.DIVERGENCE: Severity.ERROR,
    Kind.NO_ANSWER: Severity.WARN,
    Kind.FAILED: Severity.ERROR,
    Kind.LOST: Severity.ERROR,
    Kind.DISK: Severity.WARN,
    Kind.HOST: Severity.WARN,
}

GLYPHS: Mapping[Severity, str] = {Severity.INFO: "·", Severity.WARN: "▲", Severity.ERROR: "✖"}
"""The sign beside the word of a severity."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something worth telling, once."""

    kind: Kind
    run_id: int | None
    severity: Severity
    message: str
    """In a sentence, without the run's name and without a full stop."""
    time: float
    run: str = ""
    """The run's name; empty where it is about no run."""
    origin: str = ""
    """The watched host that the run is on; empty: this machine's store."""

    @property
    def run_ref(self) -> str:
        """The run as a command takes it: `17`, or `17@gpu1`; a host's alert is never about a run of this
        machine. Empty where it is about no run."""
        if self.run_id is None:
            return ""
        number = number_of(self.run_id)
        return f"{number}@{self.origin}" if self.origin else str(number)

    @property
    def text(self) -> str:
        """The message with what it is about."""
        return f"{self.run}: {self.message}" if self.run else self.message

    def record(self) -> dict[str, object]:
        """The alert as JSON."""
        return {
            "kind": self.kind.value,
            "severity": self.severity.value,
            "run_id": number_of(self.run_id),
            "run": self.run or None,
            "host": self.origin or None,
            "message": self.message,
            "text": self.text,
            "time": self.time,
        }


def alert_of(view: RunView | None, kind: Kind, message: str, now: float) -> Alert:
    """An alert about a run, or about none."""
    run = view.run if view else None
    name = plain(run.name) if run else ""
    return Alert(
        kind, run.id if run else None, SEVERITIES[kind], plain(message), now, name, run.origin if run else ""
    )


@dataclass(frozen=True, slots=True)
class DiskLimit:
    """How much of a disk should be free."""

    bytes: int = 2 << 30
    share: float = 0.0
    """Of the whole disk; where it is not 0, `bytes` does not count."""

    def least(self, total: int) -> float:
        """Bytes that should be free on a disk of `total` bytes."""
        return self.share * total if self.share else self.bytes


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file system of the store."""

    path: str
    free: int
    """Bytes."""
    total: int
