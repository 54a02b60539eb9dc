"""Checks the arguments of operations, which come as plain JSON from anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lvmtui.errors import UsageError, did_you_mean
from lvmtui.store.records import SLOT_BITS

LONGEST_NAME = 64
"""Characters of a name."""

MOST_ITEMS = 200
"""Items of a list, and fields of an object."""

LAST_MOMENT = 1e11
"""Seconds since the epoch."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
"""Names of phases, aliases and the like."""


class Given:
    """The arguments of one operation, each checked when it is asked for."""

    def __init__(self, what: str, arguments: Mapping[str, Any], names: Sequence[str]) -> None:
        """
        Args:
            what: name of the operation.
            arguments: what was given.
            names: what it takes.

        Raises:
            UsageError: something was given that it does not take.
        """
        self._what = what
        self._arguments = arguments
        for name in arguments:
            if name not in names:
                raise UsageError(f"{what} takes no {name!r}", did_you_mean(str(name), names))

    def __contains__(self, name: str) -> bool:
        return self._arguments.get(name) is not None

    def wrong(self, name: str, allowed: str) -> UsageError:
        """A value that is not allowed."""
        shown = repr(self._arguments.get(name))
        shown = f"{shown[:60]}…" if len(shown) > 60 else shown
        return UsageError(f"{self._what}: {name} = {shown} is not allowed", f"{name} is {allowed}.")

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to `high`."""
        value = self._arguments.get(name)
        value = default if value is None else value
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(name, f"a whole number from {low} to {high}")
        return value

    def run(self, name: str = "run") -> int:
        """Number of a run."""
        return self.whole(name, 1, (1 << SLOT_BITS) - 1)

    def run_or_none(self, name: str) -> int | None:
        """Number of a run, or None."""
        return self.run(name) if name in self else None

    def moment(self, name: str) -> float:
        """A time in seconds since the epoch."""
        value = self._arguments.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LAST_MOMENT:
            raise self.wrong(name, "a time in seconds since 1970")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """Yes or no."""
        value = self._arguments.get(name)
        value = default if value is None else value
        if type(value) is not bool:
            raise self.wrong(name, "true or false")
        return value

    def text(self, name: str, longest: int, default: str | None = "") -> str:
        """A text; `default` None: it must be given."""
        value = self._arguments.get(name)
        value = default if value is None else value
        if not isinstance(value, str) or len(value) > longest or not _is_unicode(value):
            raise self.wrong(name, f"a text of at most {longest} characters")
        return value

    def name(self, name: str, default: str | None = None) -> str:
        """A name: letters, digits, `.`, `_` and `-`."""
        value = self.text(name, LONGEST_NAME, default)
        if not NAME.fullmatch(value):
            raise self.wrong(name, "a name of letters, digits, '.', '_' and '-'")
        return value

    def choice(self, name: str, known: Sequence[str]) -> str:
        """One of some words."""
        value = self._arguments.get(name)
        if not isinstance(value, str) or value not in known:
            raise self.wrong(name, f"one of {', '.join(known)}")
        return value

    def texts(self, name: str, longest: int) -> list[str]:
        """A list of texts; empty where there is none."""
        value = self._arguments.get(name)
        value = [] if value is None else value
        if not isinstance(value, list) or len(value) > MOST_ITEMS or not _are_texts(value, longest):
            raise self.wrong(name, f"a list of at most {MOST_ITEMS} texts")
        return list(value)

    def runs(self, name: str) -> list[int]:
        """Numbers of runs, at least one."""
        value = self._arguments.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_ITEMS:
            raise self.wrong(name, f"a list of 1 to {MOST_ITEMS} numbers of runs")
        if not all(type(item) is int and 1 <= item < 1 << SLOT_BITS for item in value):
            raise self.wrong(name, "a list of numbers of runs")
        return list(value)

    def mapping(self, name: str, longest: int) -> dict[str, str]:
        """Texts by name; empty where there are none."""
        value = self._arguments.get(name)
        value = {} if value is None else value
        if not isinstance(value, dict) or len(value) > MOST_ITEMS or not _are_texts(value.values(), longest):
            raise self.wrong(name, f"an object of at most {MOST_ITEMS} texts")
        return dict(value)

    def object(self, name: str) -> dict[str, Any]:
        """An object, whose own checks are the caller's."""
        value = self._arguments.get(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return value


def _is_unicode(text: str) -> bool:
    """Whether a text can be written: JSON lets halves of characters in."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _are_texts(values: Any, longest: int) -> bool:
    return all(isinstance(item, str) and len(item) <= longest and _is_unicode(item) for item in values)
