"""What differs between the recipes of marked runs, beside what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from lvmtui.compare.side_by_side import Difference, recipe_differences
from lvmtui.errors import RecipeError
from lvmtui.format import plain
from lvmtui.snapshot import RunView
from lvmtui.widgets.compare_recipe import RecipeDiff

MOST = 4
"""Runs that fit side by side."""


class DiffScreen(ModalScreen[None]):
    """Only what differs. Any of esc, d, q, enter closes it."""

    DEFAULT_CSS = """
    DiffScreen {
        align: center middle;
        & > Vertical {
            width: 96; max-width: 100%; height: auto; max-height: 90%;
            border: round $primary; padding: 0 1; background: $surface;
        }
        & RecipeDiff { height: auto; max-height: 1fr; background: $surface; }
        & #diff-note { height: auto; padding: 0 1; color: $text-muted; }
    }
    """
    BINDINGS = [("escape,d,q,enter", "dismiss", "Close")]

    @dataclass
    class Compared(Message):
        """The recipes were compared."""

        differences: tuple[Difference, ...]
        problem: str = ""

    def __init__(self, views: Sequence[RunView]) -> None:
        """
        Args:
            views: two or more runs; the first is what the others are compared to.
        """
        super().__init__()
        self._views = tuple(views[:MOST])
        self._left_out = len(views) - len(self._views)

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content("Recipes: what differs")
            box.border_subtitle = Content("esc closes")
            yield RecipeDiff(id="diff-table")
            yield Static("", id="diff-note", markup=False)

    def on_mount(self) -> None:
        self._show(())
        self._compare(tuple(view.run.recipe for view in self._views))

    @work(thread=True, exclusive=True, group="recipe-diff", description="comparing recipes")
    def _compare(self, recipes: tuple[str, ...]) -> None:
        try:
            self.post_message(self.Compared(recipe_differences(recipes)))
        except RecipeError as error:
            self.post_message(self.Compared((), str(error)))

    def on_diff_screen_compared(self, message: Compared) -> None:
        """Show what was found."""
        self._show(message.differences)
        notes = [message.problem] if message.problem else []
        if not message.differences and not message.problem:
            notes.append("The recipes are the same.")
        if len({view.run.protocol_id for view in self._views}) > 1:
            notes.append("They were judged under different protocols: the scores cannot be compared.")
        if self._left_out:
            notes.append(f"{self._left_out} more marked runs are left out.")
        self.query_one("#diff-note", Static).update(Content("\n".join(map(plain, notes))))

    def _show(self, differences: Sequence[Difference]) -> None:
        table = self.query_one(RecipeDiff)
        table.show_runs(self._views, differences)
        table.styles.height = len(table.lines) + 1
        if differences:
            table.move_to(differences[0].field)  # the outcome stood there alone, and the cursor on it
