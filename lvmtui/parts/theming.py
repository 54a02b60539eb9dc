"""The part of the App that has to do with themes: which there are, which is used, and files that change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from textual.app import App
from textual.filter import LineFilter, Monochrome, NoColor
from textual.widget import Widget

from lvmtui.paths import config_file
from lvmtui.themes import DEFAULT_THEME, Theme, load_themes, to_textual_theme

LOOK_SECONDS = 2.0
"""Between two looks at the folder of the user's themes."""


def user_themes() -> Path:
    """The folder of the user's own themes."""
    return config_file().parent / "themes"


class Theming(App[int]):
    """Knows the shipped themes and the user's own; a file that changes is read again."""

    ascii_only = False
    ascii_chosen = False

    def __init__(self) -> None:
        super().__init__()
        self.own_themes: tuple[str, ...] = ()
        """Names of the themes that can be chosen."""
        self._read_themes: dict[str, Theme] = {}
        self._theme_problems: tuple[str, ...] = ()
        self._theme_files: object = None

    def remember(self) -> None:
        """Write what is to be remembered, soon."""
        raise NotImplementedError

    def take_themes(self, wanted: str) -> list[str]:
        """Register all themes and use one.

        Args:
            wanted: its name; empty: the default.

        Returns:
            What is wrong with files and with the name.
        """
        self._theme_files = _signature(user_themes())
        problems = self._take_up(*load_themes(user_themes()))
        if wanted and wanted not in self.available_themes:
            problems.append(f"there is no theme {wanted!r}; known: {', '.join(self.own_themes)}")
            wanted = ""
        self.theme = wanted or DEFAULT_THEME
        return problems

    def watch_themes(self) -> None:
        """Look for changed files from now on. A folder that is not there costs one call a second."""
        self.set_interval(LOOK_SECONDS, self.look_at_themes)

    def look_at_themes(self) -> None:
        """Read the user's themes again if a file has changed; what is wrong with them is told once."""
        files = _signature(user_themes())
        if files == self._theme_files:
            return
        self._theme_files = files
        before = self._read_themes.get(self.theme)
        told = set(self._theme_problems)
        problems = [text for text in self._take_up(*load_themes(user_themes())) if text not in told]
        if problems:
            self.notify("\n".join(problems), title="Themes", severity="warning", markup=False, timeout=10)
        now = self._read_themes.get(self.theme)
        if now is None:
            self.theme = DEFAULT_THEME
        elif now != before:
            self._apply_again()

    def _take_up(self, themes: dict[str, Theme], problems: Sequence[str]) -> list[str]:
        """Make these the themes there are. The one in use stays, when its file is broken."""
        in_use = self._read_themes.get(self.theme)
        if in_use is not None and problems and in_use.name not in themes:
            themes[in_use.name] = in_use
        for name in self._read_themes.keys() - themes.keys():
            self.unregister_theme(name)
        for theme in themes.values():
            self.register_theme(to_textual_theme(theme))
        self._read_themes = themes
        self.own_themes = tuple(themes)
        self._theme_problems = tuple(problems)
        return list(problems)

    def _apply_again(self) -> None:
        """Draw with the changed colours of the theme in use."""
        self._invalidate_css()
        self.call_next(partial(self.refresh_css, animate=False))
        self.call_next(self.theme_changed_signal.publish, self.current_theme)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual decides by its first theme what to do under NO_COLOR, but the terminal's own colours are
        not to be made grey: that would be black on black."""
        filters = super().get_line_filters()
        if not self.native_ansi_color:
            return [Monochrome() if isinstance(item, NoColor) else item for item in filters]
        return [NoColor() if isinstance(item, Monochrome) else item for item in filters]

    def choose_ascii(self, ascii_only: bool) -> None:
        """Draw with ASCII characters only, or with all; remembered."""
        self.ascii_only = self.ascii_chosen = ascii_only
        for screen in self.screen_stack:
            for widget in screen.query("Panel, RunList"):
                widget.set_class(ascii_only, "-ascii")
            for widget in screen.walk_children(Widget):
                widget.refresh()
        self.theme_changed_signal.publish(self.current_theme)
        self.remember()

    def following_theme(self, step: int = 1) -> str:
        """The theme after the one in use, or before it."""
        names = self.own_themes
        return names[(names.index(self.theme) + step) % len(names)] if self.theme in names else names[0]


def _signature(folder: Path) -> object:
    """How the files of a folder look from outside; None where there is none."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.glob("*.toml"))]
    except OSError:
        return None
    return tuple((name, status.st_mtime_ns, status.st_size) for name, status in found)
