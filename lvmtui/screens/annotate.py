"""A run's note and tags, edited where the run stands in the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from lvmtui.format import plain
from lvmtui.widgets.row_table import RowTable

HEIGHT = 3
"""Note, tags, and a line above that says whose they are."""

KEYS = (("enter", "save"), ("tab", "other line"), ("esc", "cancel"))

LEAST_WIDTH = 44
"""Narrower lists are overlapped."""

LONGEST_NAME = 200
"""Characters of a run's name that are looked at."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A run's note and tags."""

    note: str
    tags: str


class AnnotateScreen(ModalScreen[Annotation | None]):
    """Two lines under the row that the cursor is on; at the bottom of screens without one."""

    CSS = """
    AnnotateScreen {
        background: $background 0%;
        & > Vertical { position: absolute; background: $panel; }
        & Horizontal { height: 1; padding: 0 1; }
        & Label { width: 6; color: $text-muted; }
        & Input { width: 1fr; background: $panel; }
        & Input:focus { background: $boost; }
        & Static { height: 1; padding: 0 1; }
        & #whose { text-style: bold; }
        & > #keys { dock: bottom; background: $footer-background; color: $footer-description-foreground; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "cancel"),
        Binding("down", "app.focus_next", "next", show=False),
        Binding("up", "app.focus_previous", "previous", show=False),
    ]

    def __init__(self, run: str, annotation: Annotation) -> None:
        """
        Args:
            run: its name.
            annotation: what it has now.
        """
        super().__init__()
        self._run_name = run
        self._annotation = annotation

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content(f"note and tags of {plain(self._run_name[:LONGEST_NAME])}"), id="whose")
            with Horizontal():
                yield Label("note")
                yield Input(
                    self._annotation.note, id="note", compact=True, select_on_focus=False, max_length=2000
                )
            with Horizontal():
                yield Label("tags")
                yield Input(
                    self._annotation.tags,
                    id="tags",
                    compact=True,
                    select_on_focus=False,
                    max_length=200,
                    placeholder="separated by commas",
                )
        style = "bold $footer-key-foreground"
        keys = (Content.assemble((key, style), f" {does}") for key, does in KEYS)
        yield Static(Content("  ").join(keys), id="keys")

    def on_mount(self) -> None:
        self._place()

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        """Keep to the row."""
        self.call_after_refresh(self._place)

    def _place(self) -> None:
        at = self._beside()
        box = self.query_one(Vertical)
        box.styles.offset = at.x, at.y
        box.styles.width, box.styles.height = at.width, at.height

    def _beside(self) -> Region:
        """Where the lines stand: under the row, over it where there is no room; else at the bottom."""
        room = self.size
        row = self._row()
        if row is None:
            return Region(0, max(0, room.height - HEIGHT), room.width, min(HEIGHT, room.height))
        width = min(room.width, max(row.width, LEAST_WIDTH))
        under, over = row.bottom, row.y - HEIGHT
        y = under if under + HEIGHT <= room.height or over < 0 else over
        return Region(min(row.x, room.width - width), y, width, HEIGHT)

    def _row(self) -> Region | None:
        """The row that the cursor is on, in the screen below."""
        below = [screen for screen in self.app.screen_stack if screen is not self]
        table = below[-1].focused if below else None
        return table.cursor_region if isinstance(table, RowTable) else None

    @on(Input.Submitted)
    def save(self) -> None:
        """Close with what was typed."""
        note, tags = (self.query_one(name, Input).value.strip() for name in ("#note", "#tags"))
        self.dismiss(Annotation(note, tags))

    def action_cancel(self) -> None:
        """Close without saving."""
        self.dismiss(None)
