"""The footer: the keys that do something here and now."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from lvmtui import commands

ALWAYS = ("help",)
"""Kept to the last where the width does not do."""

SPARE = ("devices", "events", "hosts")
"""The first to go, from the right."""


class KeyLine(Widget):
    """One line of keys, most useful first; clickable."""

    DEFAULT_CSS = """
    KeyLine {
        dock: bottom;
        height: 1;
        background: $footer-background;
        color: $footer-description-foreground;
        & > .key-line--key { color: $footer-key-foreground; text-style: bold; }
    }
    """
    COMPONENT_CLASSES = {"key-line--key"}

    def __init__(self) -> None:
        super().__init__()
        self._items: tuple[tuple[str, str, str], ...] = ()
        """What stands there: key as written, name, key as Textual names it."""
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self.update()

    def _changed(self, _: Screen[object]) -> None:
        self.update()

    def update(self) -> None:
        """Look again which keys do something; repaints only when that has changed."""
        if not self.is_attached or self.app.screen is not self.screen:
            return  # under a dialog the keys stay as they were
        active: dict[str, tuple[str, str | None]] = {}
        for key, item in self.screen.active_bindings.items():
            if item.enabled and item.binding.id:
                active.setdefault(item.binding.id, (key, item.binding.key_display))
        applicable = getattr(self.screen, "applicable", lambda _: True)
        items = tuple(
            (active[command.id][1] or commands.show_key(active[command.id][0]), command.name, key)
            for command in commands.COMMANDS
            if command.shown_in_footer and command.id in active and applicable(command.id)
            for key in (active[command.id][0],)
        )
        if items != self._items:
            self._items = items
            self.refresh()

    def render(self) -> Content:
        items = list(self._items)
        while len(items) > 1 and self._width(items) > self.size.width:
            kept, spare = ({commands.BY_ID[name].name for name in group} for group in (ALWAYS, SPARE))
            last = max(
                (i for i, item in enumerate(items) if item[1] not in kept),
                key=lambda i: (items[i][1] in spare, i),
            )
            del items[last]
        style = self.get_visual_style("key-line--key")
        parts: list[Content] = []
        self._spans = []
        x = 1
        for shown, name, key in items:
            text = Content.assemble((shown, style), " ", name)
            self._spans.append((x, x + text.cell_length, key))
            x += text.cell_length + 2
            parts.append(text)
        return Content("  ").join(parts).pad_left(1)

    @staticmethod
    def _width(items: list[tuple[str, str, str]]) -> int:
        return sum(len(shown) + len(name) + 3 for shown, name, _ in items)

    def on_click(self, event: events.Click) -> None:
        for first, end, key in self._spans:
            if first <= event.x < end:
                self.app.simulate_key(key)
