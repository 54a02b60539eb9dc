"""Errors that a user can cause, each with what is wrong and what to do about it.

The standard library only: every other module, the engine included, may raise these.
"""

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint on a name that does not exist: the nearest that does, else all of them."""
    import difflib

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(names)}."


class LvmtuiError(Exception):
    """Base of all errors that are shown to the user without a traceback."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        """What is wrong and where."""
        self.hint = hint
        """What to do about it; empty when there is nothing to say."""

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(LvmtuiError):
    """The command line itself is wrong."""

    exit_code = 2


class StoreError(LvmtuiError):
    """The run store cannot be used."""


class StoreMissing(StoreError):
    """There is no store at the given place."""


class StoreCorrupt(StoreError):
    """The file is there but is no readable run store."""


class StoreTooNew(StoreError):
    """The store was written by a later version of lvmtui."""


class RunNotFound(LvmtuiError):
    """No run has the given id or name."""


class IllegalTransition(LvmtuiError):
    """The run's state does not allow what was asked."""


class RecipeError(LvmtuiError):
    """A recipe is unknown, unreadable or has a wrong field."""


class DataError(LvmtuiError):
    """A vector set is missing, malformed or unusable."""


class CheckpointError(LvmtuiError):
    """A checkpoint is missing, damaged or does not belong to this run."""


class TrainingError(LvmtuiError):
    """Training cannot start or go on."""


class MissingDependency(LvmtuiError):
    """An optional package is needed for this and is not installed."""


class LaunchError(LvmtuiError):
    """A run's process could not be started or signalled."""


class RemoteError(LvmtuiError):
    """A watched host cannot be reached, or does not do what was asked of it."""
