"""When to try again: 1, 2, 4, … seconds after a failure, up to a minute, never all hosts at once."""

from __future__ import annotations

import random

from lvmtui.remote.connection import Timing

JITTER = 0.2
"""Part of a wait that is left to chance, up and down."""


class Backoff:
    """Counts failures in a row."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._failures = 0

    def failed(self, *, lasted: float, needs_user: bool) -> float:
        """How long to wait after a failure, in seconds.

        Args:
            lasted: how long the connection was whole; 0: never.
            needs_user: it will not get better by itself.
        """
        if lasted >= self._timing.lasting:
            self._failures = 0
        longest = self._timing.last_retry
        wait = min(longest, self._timing.first_retry * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return (longest if needs_user else wait) * random.uniform(1 - JITTER, 1 + JITTER)

    def forget(self) -> None:
        """Somebody wants it tried: failures are counted anew."""
        self._failures = 0
