"""How a run's process is told to stop (a signal, or a request in the store), and how its work has ended."""

import signal
from dataclasses import dataclass
from types import FrameType

from lvmtui.store.lifecycle import Result
from lvmtui.store.records import Severity


class Stopped(Exception):
    """Raised between two pieces of work once a stop was asked for."""


@dataclass(frozen=True)
class Outcome:
    """How the work of this process has ended."""

    result: Result
    message: str
    """In words, for people."""
    severity: Severity = Severity.INFO
    error: str | None = None
    """Message and traceback of a failure."""


class StopFlag:
    """Set once, by a signal handler or by the reporter; read by the training thread at safe places.

    A plain attribute, not a `threading.Event`: a handler that interrupts the thread inside the event's lock
    would wait for itself.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        """Who asked; None while nobody has."""

    def set(self, reason: str) -> None:
        """Ask for a stop; the first one is remembered."""
        if self.reason is None:
            self.reason = reason

    def is_set(self) -> bool:
        """Whether a stop was asked for."""
        return self.reason is not None

    def check(self) -> None:
        """Go no further if a stop was asked for.

        Raises:
            Stopped: it was.
        """
        if self.reason is not None:
            raise Stopped(self.reason)


def listen(flag: StopFlag) -> None:
    """Let SIGTERM and SIGINT set the flag, and let no terminal that closes end the run."""

    def handle(number: int, _frame: FrameType | None) -> None:
        flag.set(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
