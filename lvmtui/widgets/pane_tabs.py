"""One line of pane names, of which one is chosen: for terminals with room for one pane at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class PaneTabs(Widget):
    """`Hit@K  loss  run`; clickable."""

    DEFAULT_CSS = """
    PaneTabs {
        height: 1;
        padding: 0 1;
        color: $text-muted;
        & > .pane-tabs--chosen { color: $foreground; text-style: bold reverse; }
    }
    """
    COMPONENT_CLASSES = {"pane-tabs--chosen"}

    chosen: reactive[int] = reactive(0)

    @dataclass
    class Chosen(Message):
        """Another pane was chosen."""

        index: int

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.names = tuple(names)

    def labels(self) -> list[Content]:
        """What each name looks like now, the blank behind it included."""
        style = self.get_visual_style("pane-tabs--chosen")
        return [
            Content.assemble((f" {name} ", style), " ") if index == self.chosen else Content(f" {name}  ")
            for index, name in enumerate(self.names)
        ]

    def hint(self) -> Content:
        """What stands behind the names."""
        return Content(" tab: next")

    def render(self) -> Content:
        return Content("").join([*self.labels(), self.hint()])

    def move(self, by: int) -> None:
        """Choose a neighbour."""
        self.chosen = (self.chosen + by) % len(self.names)

    def watch_chosen(self, index: int) -> None:
        self.post_message(self.Chosen(index))

    def on_click(self, event: events.Click) -> None:
        position = event.get_content_offset(self)
        x = position.x if position else -1
        for index, label in enumerate(self.labels()):
            if 0 <= x < label.cell_length:
                self.chosen = index
                return
            x -= label.cell_length
