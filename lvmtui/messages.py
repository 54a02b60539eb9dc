"""What the user wants and what the feed has read, as messages to the App.

Widgets and screens post them, the App turns them into state or into calls to the launcher.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from lvmtui.config import ViewOptions
from lvmtui.snapshot import CloseUp, Snapshot


@dataclass
class SnapshotRead(Message):
    """The feed has read the store."""

    snapshot: Snapshot

    def can_replace(self, message: Message) -> bool:
        """Only the newest reading matters."""
        return isinstance(message, SnapshotRead)


class ScreenShown(Message):
    """A screen came to the front and needs the state of the moment."""


@dataclass
class OptionsChanged(Message):
    """Sort, filter or how curves are drawn was changed."""

    options: ViewOptions


@dataclass
class StretchEnlarged(Message):
    """A stretch of the x axis is enlarged, or None is any more: long curves are wanted in full there."""

    close_up: CloseUp | None


@dataclass
class RunFocused(Message):
    """The cursor is on this run; None: on something that is no run."""

    run_id: int | None


@dataclass
class RunMarked(Message):
    """The run's mark was toggled."""

    run_id: int


@dataclass
class RunOpened(Message):
    """The run's own screen was asked for."""

    run_id: int


@dataclass
class EventsSeen(Message):
    """The events screen has shown everything up to here."""

    newest: tuple[int, ...]
    """Id of the newest event of each store."""
    alerts: int
    """How many alerts there were in this session."""


@dataclass
class LaunchRequested(Message):
    """The launch form was asked for, on a phase if one is named."""

    phase: str | None = None


@dataclass
class StopRequested(Message):
    """The run should save a checkpoint and stop."""

    run_id: int


@dataclass
class ResumeRequested(Message):
    """The run should go on from its last checkpoint."""

    run_id: int


@dataclass
class PromoteRequested(Message):
    """The run's best checkpoint should become the champion."""

    run_id: int


@dataclass
class KillRequested(Message):
    """The run's process should be killed."""

    run_id: int


@dataclass
class AnnotateRequested(Message):
    """The run's note and tags should be edited."""

    run_id: int


@dataclass
class HostTried(Message):
    """A watched host that cannot be reached should be tried again at once."""

    host: str
    """Its name."""


@dataclass
class RequestWithdrawn(Message):
    """Something that a watched host was to be asked should not be asked any more."""

    host: str
    """Its name."""
    request_id: str
