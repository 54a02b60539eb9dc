"""The small form for a run's note and tags."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label


@dataclass(frozen=True, slots=True)
class Annotation:
    """A run's note and tags."""

    note: str
    tags: str


class AnnotateScreen(ModalScreen[Annotation | None]):
    """Edits a run's note and tags."""

    CSS_PATH = "confirm.tcss"
    BINDINGS = [("escape", "cancel", "cancel")]

    def __init__(self, run: str, annotation: Annotation) -> None:
        super().__init__()
        self._run_name = run
        self._annotation = annotation

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog", can_focus=False) as dialog:
            dialog.border_title = Text(f"Note on {self._run_name}")
            yield Label("note")
            yield Input(self._annotation.note, id="note", compact=True, max_length=2000)
            yield Label("tags, separated by commas")
            yield Input(self._annotation.tags, id="tags", compact=True, max_length=200)
            yield Label("enter saves, esc cancels", classes="hint")

    @on(Input.Submitted)
    def save(self) -> None:
        """Close with what was typed."""
        note, tags = (self.query_one(name, Input).value.strip() for name in ("#note", "#tags"))
        self.dismiss(Annotation(note, tags))

    def action_cancel(self) -> None:
        """Close without saving."""
        self.dismiss(None)
