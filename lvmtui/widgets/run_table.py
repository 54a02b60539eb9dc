"""The rows of the list of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from lvmtui import commands
from lvmtui.widgets.row_table import Column, Line, RowTable


class RunTable(RowTable):
    """The rows: one a run, and headings of groups."""

    LEAST_GAP = 1
    DEFAULT_CSS = """
    RunTable > .row-table--header { background: $background; text-style: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*commands.bindings("sideways")]

    class Folded(RowTable.OfRow):
        """The group that a row belongs to, or heads, was folded."""

    class Unfolded(RowTable.OfRow):
        """The group that a heading stands for was unfolded."""

    _on_run = False
    """The cursor was on a run when the keys were last looked at."""

    def show(
        self,
        lines: Sequence[Line],
        *,
        columns: Sequence[Column] | None = None,
        sort: tuple[str, bool] = ("", False),
    ) -> None:
        super().show(lines, columns=columns, sort=sort)
        self._look_at_keys()

    def move_to(self, key: str | None) -> None:
        super().move_to(key)
        self._look_at_keys()

    def _look_at_keys(self) -> None:
        """Have the footer offer what can be done with a run, or no longer."""
        on_run = self.run_at_cursor is not None
        if on_run != self._on_run:
            self._on_run = on_run
            self.refresh_bindings()

    @property
    def run_at_cursor(self) -> int | None:
        """The id of the run under the cursor; None on a heading."""
        return int(self.cursor) if self.cursor is not None and self.cursor.isdecimal() else None

    @property
    def row_count(self) -> int:
        """How many runs are listed."""
        return sum(line.heading is None for line in self.lines)

    @property
    def has_groups(self) -> bool:
        """Whether there are headings."""
        return bool(self.lines) and self.lines[0].heading is not None

    def action_cursor_left(self) -> None:
        """Fold the group that the cursor is in."""
        if self.cursor is not None:
            self.post_message(self.Folded(self, self.cursor))

    def action_cursor_right(self) -> None:
        """Unfold the group under the cursor."""
        if self.cursor is not None:
            self.post_message(self.Unfolded(self, self.cursor))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only groups can be folded; only runs can be marked."""
        if action in {"cursor_left", "cursor_right"}:
            return self.has_groups
        if action == "mark" and self.run_at_cursor is None:
            return False
        return super().check_action(action, parameters)
