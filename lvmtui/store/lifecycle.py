"""Where a run stands, how it ended, and what each state allows. Standard library only."""

from enum import StrEnum

from lvmtui.errors import IllegalTransition


class Status(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"


class Result(StrEnum):
    """How a run that is done has ended."""

    COMPLETED = "completed"
    EARLY_STOPPED = "early_stopped"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.STARTING, Status.DONE}),
    Status.STARTING: frozenset({Status.RUNNING, Status.STOPPING, Status.DONE}),
    Status.RUNNING: frozenset({Status.STOPPING, Status.DONE}),
    Status.STOPPING: frozenset({Status.DONE}),
    Status.DONE: frozenset({Status.QUEUED}),
}
"""Legal moves. `done -> queued` is a resume."""

ACTIVE = frozenset({Status.STARTING, Status.RUNNING, Status.STOPPING})
"""States in which a process works on the run."""

RESUMABLE = frozenset({Result.STOPPED, Result.FAILED, Result.LOST})
"""Results after which there is training left to do."""


def check_transition(old: Status, new: Status, run: str) -> None:
    """Refuse an illegal move.

    Raises:
        IllegalTransition: `old -> new` is not in `TRANSITIONS`.
    """
    if new not in TRANSITIONS[old]:
        allowed = ", ".join(sorted(TRANSITIONS[old]))
        raise IllegalTransition(
            f"{run} is {old} and cannot become {new}", f"From {old} it can become: {allowed}."
        )


def can_stop(status: Status) -> bool:
    """Whether a stop request makes sense."""
    return status in {Status.QUEUED, Status.STARTING, Status.RUNNING}


def can_resume(status: Status, result: Result | None) -> bool:
    """Whether the run can be taken up again from its last checkpoint."""
    return status is Status.DONE and result in RESUMABLE
