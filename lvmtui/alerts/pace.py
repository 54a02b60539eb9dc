"""How fast a run usually goes on, and whether it stands still. Pure."""

from __future__ import annotations

from collections import deque
from statistics import median

from lvmtui.format import duration
from lvmtui.store.records import Progress

LEAST_SECONDS = 60.0
"""A shorter silence is never a stall."""

UNKNOWN_SECONDS = 600.0
"""Silence that is a stall where nothing is known of the usual time: before the first epoch's end, or while
a model is judged for the first time."""

LEAST_INTERVALS = 3
"""Intervals that a median is taken of."""


class Pace:
    """The steps of one run, as they are seen to come.

    Between steps the usual time is the median of the newest intervals. At the end of an epoch, where the
    model is judged and saved, it is the median of those pauses, or an epoch's own time until one was seen.
    """

    def __init__(self) -> None:
        self._step: int | None = None
        self._silence = 0.0
        self._whole = False
        """The beginning of the present silence was seen."""
        self._steps: deque[float] = deque(maxlen=64)
        self._ends: deque[float] = deque(maxlen=8)
        self._told: tuple[int, int] | None = None
        """Attempt and step of the stall that was told."""

    def pause(self) -> None:
        """The run does not run: what was silent so far says nothing."""
        self._step, self._silence, self._whole = None, 0.0, False

    def stalled(self, progress: Progress, attempt: int, passed: float, factor: float) -> str:
        """Take note of a moment.

        Args:
            progress: how far the run is.
            attempt: how often a process has taken it up.
            passed: seconds that were watched since the moment before.
            factor: how many times the usual time is a stall.

        Returns:
            Words on a stall that has just been noticed; empty where there is none, or where it was told.
        """
        if progress.step != self._step:
            self._moved(progress, passed)
            return ""
        self._silence += passed
        limit, usual = self._limit(progress, factor)
        if self._silence < limit or self._told == (attempt, progress.step):
            return ""
        self._told = (attempt, progress.step)
        known = f"usual: {duration(usual)}" if usual is not None else "the usual time is not known yet"
        where = "the end of " if self._at_end(progress.step, progress) and progress.step else ""
        return (
            f"no step for {duration(self._silence)} at {where}epoch {progress.epoch + (not where)} ({known})"
        )

    def _moved(self, progress: Progress, passed: float) -> None:
        if self._step is not None and self._whole:
            waits = self._ends if self._at_end(self._step, progress) else self._steps
            waits.append(self._silence + passed)
        self._whole = self._step is not None
        self._step, self._silence = progress.step, 0.0

    @staticmethod
    def _at_end(step: int, progress: Progress) -> bool:
        """Whether a step is the last of its epoch, or the first has not been made."""
        per_epoch = progress.steps // progress.epochs if progress.epochs else 0
        return step == 0 or (per_epoch > 0 and step % per_epoch == 0)

    def _limit(self, progress: Progress, factor: float) -> tuple[float, float | None]:
        """Seconds of silence that are a stall here, and the usual time; None where nothing is known."""
        usual: float | None = None
        if self._at_end(progress.step, progress):
            usual = median(self._ends) if self._ends else progress.epoch_seconds
        elif len(self._steps) >= LEAST_INTERVALS:
            usual = median(self._steps)
        elif progress.epoch_seconds and progress.steps and progress.epochs:
            usual = progress.epoch_seconds / max(1, progress.steps // progress.epochs)
        return (UNKNOWN_SECONDS if usual is None else max(LEAST_SECONDS, factor * usual)), usual
