"""Looks at test splits, which the store counts: the more there are, the less a test score proves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvmtui.store.records import Checkpoint, Evaluation, Event

if TYPE_CHECKING:
    from lvmtui.store.reader import Reader

KIND = "test_look"
"""Kind of the events that looks are stored as, each written before the split is read."""


def looks_at(reader: Reader, fingerprint: str) -> list[Event]:
    """The looks at the test split of some data so far, by fingerprint, oldest first."""
    return [event for event in reader.events_of_kind(KIND) if event.evidence.get("data") == fingerprint]


def test_looks(reader: Reader, fingerprint: str) -> int:
    """How often the test split of some data was looked at."""
    return len(looks_at(reader, fingerprint))


def test_evaluation(reader: Reader, checkpoint: Checkpoint) -> Evaluation | None:
    """What this very checkpoint scored on the test split; None where it was never judged there."""
    for evaluation in reversed(reader.evaluations(checkpoint.run_id)):
        if evaluation.split == "test" and evaluation.step == checkpoint.step:
            return evaluation
    return None


def words(looks: int) -> str:
    """How often, in words: `looked at once so far`."""
    times = {0: "never looked at", 1: "looked at once"}
    return f"{times.get(looks, f'looked at {looks} times')} so far"
