"""A screen of tabs, of which only the one in front is kept up to date."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.content import Content

from lvmtui.screens.base import LvmScreen
from lvmtui.widgets.cells import FAINT
from lvmtui.widgets.pane_tabs import PaneTabs


class ScreenTabs(PaneTabs):
    """The names of the tabs."""

    def labels(self) -> list[Content]:
        gap = "  " if sum(len(name) + 3 for name in self.names) <= self.content_size.width else ""
        return [
            Content.styled(f"▸{name}{gap}", "bold $primary")
            if index == self.chosen
            else Content(f" {name}{gap}")
            for index, name in enumerate(self.names)
        ]

    def hint(self) -> Content:
        return Content.styled("  [ ] other tab", FAINT)


class TabbedScreen(LvmScreen):
    """Has `ScreenTabs`; what they show is the subclass's."""

    TAB_IDS: ClassVar[tuple[str, ...]] = ()
    """Ids of the tabs, in the order of their names."""

    def on_mount(self) -> None:
        self._update()

    @property
    def tab(self) -> str:
        """Id of the tab that was chosen."""
        return self.TAB_IDS[self.query_one(ScreenTabs).chosen]

    def _update(self) -> None:
        """Show what is new in the tab in front."""
        raise NotImplementedError

    def _focus_tab(self) -> None:
        """Give the keys to what is in front."""
        raise NotImplementedError

    def watch_snapshot(self) -> None:
        """Show what is new."""
        self._update()

    @on(PaneTabs.Chosen)
    def show_tab(self, message: PaneTabs.Chosen) -> None:
        """Show the tab that was chosen, and give it the keys."""
        message.stop()
        self._update()
        self._focus_tab()

    def action_next_tab(self) -> None:
        """Choose the tab to the right."""
        self.query_one(ScreenTabs).move(1)

    def action_previous_tab(self) -> None:
        """Choose the tab to the left."""
        self.query_one(ScreenTabs).move(-1)
