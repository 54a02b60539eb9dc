"""Legal moves of a run, and the words that refuse the others."""

import pytest

from lvmtui.errors import IllegalTransition
from lvmtui.store.lifecycle import (
    RESUMABLE,
    TRANSITIONS,
    Result,
    Status,
    can_resume,
    can_stop,
    check_transition,
)


@pytest.mark.parametrize("old", Status)
@pytest.mark.parametrize("new", Status)
def test_only_the_moves_in_the_table_are_allowed(old: Status, new: Status) -> None:
    if new in TRANSITIONS[old]:
        check_transition(old, new, "phase-1 #1")
    else:
        with pytest.raises(IllegalTransition, match=f"phase-1 #1 is {old} and cannot become {new}"):
            check_transition(old, new, "phase-1 #1")


def test_every_status_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(Status)


@pytest.mark.parametrize("result", Result)
def test_what_has_training_left_can_be_resumed(result: Result) -> None:
    assert can_resume(Status.DONE, result) == (result in RESUMABLE)
    assert not can_resume(Status.RUNNING, None)


def test_a_run_that_stops_already_cannot_be_stopped_again() -> None:
    assert [status for status in Status if can_stop(status)] == [
        Status.QUEUED,
        Status.STARTING,
        Status.RUNNING,
    ]
