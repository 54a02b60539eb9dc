"""The current theme's colours, as the line-drawing widgets need them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from textual.color import Color, ColorParseError
from textual.widget import Widget

from lvmtui.charts.figure import OKABE_ITO, Look
from lvmtui.snapshot import State

SERIES = 8
"""Colours of curves that a theme may give."""


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours of text, as rich styles."""

    text: str
    muted: str
    primary: str
    accent: str
    success: str
    warning: str
    error: str
    ascii_only: bool = False

    def of_state(self, state: State) -> str:
        """The colour of a run's state; its glyph and word stand beside it."""
        return {
            State.RUNNING: self.success,
            State.STARTING: self.success,
            State.STOPPING: self.warning,
            State.STOPPED: self.warning,
            State.QUEUED: self.muted,
            State.FAILED: self.error,
            State.LOST: self.error,
        }.get(state, self.text)


def ascii_only(widget: Widget) -> bool:
    """Whether the App draws with ASCII characters only."""
    return bool(getattr(widget.app, "ascii_only", False))


def ink(widget: Widget) -> Ink:
    """The theme's text colours."""
    theme = widget.app.theme_variables
    text = _colour(theme, "foreground", "#dfe3ea")
    return Ink(
        text=text,
        muted=_colour(theme, "muted", "") or _faded(theme, text),
        primary=_colour(theme, "primary", text),
        accent=_colour(theme, "accent", text),
        success=_colour(theme, "success", text),
        warning=_colour(theme, "warning", text),
        error=_colour(theme, "error", text),
        ascii_only=ascii_only(widget),
    )


def many_colours(widget: Widget) -> bool:
    """Whether the terminal has more than 16 colours."""
    return widget.app.console.color_system in {"256", "truecolor"}


def chart_look(widget: Widget) -> Look:
    """The theme's chart colours; Okabe and Ito's palette where the theme has none."""
    theme = widget.app.theme_variables
    muted = ink(widget).muted
    palette = tuple(_colour(theme, f"series-{i}", OKABE_ITO[i - 1]) for i in range(1, SERIES + 1))
    return Look(
        palette=palette,
        axis=_colour(theme, "chart-axis", muted),
        level=_colour(theme, "chart-level", muted),
        star=f"bold {_colour(theme, 'chart-star', palette[4])}".strip(),
        target=_colour(theme, "chart-target", ""),
        # The nearest of 16 colours would be no shade but a block.
        shade=_colour(theme, "chart-shade", _colour(theme, "panel", "")) if many_colours(widget) else "",
        ascii_only=ascii_only(widget),
        marks=bool(os.environ.get("NO_COLOR")),
    )


def _colour(theme: Mapping[str, str], name: str, default: str) -> str:
    """A variable as rich writes colours; `default` where it is missing or no plain colour."""
    value = theme.get(name, "")
    if value.startswith("ansi_"):
        return "" if value == "ansi_default" else value.removeprefix("ansi_")
    try:
        return Color.parse(value).with_alpha(1.0).hex if value else default
    except ColorParseError:
        return default


def _faded(theme: Mapping[str, str], text: str) -> str:
    """Text on its way to the background, for themes without a colour of their own for lesser text."""
    try:
        return Color.parse(text).blend(Color.parse(theme.get("background", "")), 0.4).hex
    except ColorParseError:
        return text
