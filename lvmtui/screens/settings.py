"""The settings: how things are shown, changed here with effect at once; and what the config file says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from lvmtui import commands, keymap
from lvmtui.alerts.settings import AlertSettings
from lvmtui.config import AXES, LIST_SHARES, SMOOTHING, Config, ViewOptions
from lvmtui.format import plain
from lvmtui.messages import OptionsChanged
from lvmtui.paths import config_file, state_file


class HasSettings(Protocol):
    """What the App must have."""

    config: Config
    options: ViewOptions
    own_themes: tuple[str, ...]
    theme: str
    ascii_only: bool

    def choose_theme(self, name: str) -> None: ...

    def choose_ascii(self, ascii_only: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be chosen."""

    name: str
    help: str
    choices: Sequence[str]
    """In words, in the order in which the arrows go through them."""
    chosen: Callable[[], int]
    """The place of what is chosen now."""
    choose: Callable[[int], None]
    note: str = ""
    """What else decides about it."""


class SettingLine(Widget, can_focus=True):
    """`theme            ‹ lvm-dark ›`"""

    DEFAULT_CSS = """
    SettingLine { height: 1; padding: 0 1; }
    SettingLine:focus { background: $block-cursor-background; color: $block-cursor-foreground; }
    SettingLine:focus:nocolor { text-style: reverse; }
    """
    BINDINGS = [
        ("left,h,minus", "change(-1)", "before"),
        ("right,l,plus,enter,space", "change(1)", "next"),
        # Here and not on the screen: between them stands a container that scrolls with these keys.
        ("up,k", "app.focus_previous", ""),
        ("down,j", "app.focus_next", ""),
    ]
    NAME_WIDTH = 18

    place: reactive[int] = reactive(0)

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting = setting
        self.set_reactive(SettingLine.place, setting.chosen())

    def render(self) -> Content:
        name = self.setting.name.ljust(self.NAME_WIDTH)
        note = f"  {self.setting.note}" if self.setting.note else ""
        chosen = self.setting.choices[self.place]
        line = Content.assemble(name, ("‹ ", "bold"), chosen, (" ›", "bold"), note)
        return line.pad_right(max(0, self.size.width - line.cell_length))

    def action_change(self, step: int) -> None:
        """Take a neighbour of what is chosen; after the last comes the first."""
        self.place = (self.setting.chosen() + step) % len(self.setting.choices)
        self.setting.choose(self.place)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        self.action_change(-1 if offset and offset.x <= self.NAME_WIDTH + 1 else 1)


class SettingsScreen(ModalScreen[None]):
    """What can be chosen, and below it what the config file says."""

    CSS_PATH = "settings.tcss"
    AUTO_FOCUS = "SettingLine"
    BINDINGS = [
        ("escape,q,comma", "dismiss", "close"),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog", can_focus=False) as dialog:
            dialog.border_title = "Settings"
            dialog.border_subtitle = "↑↓ which · ←→ change · esc closes"
            for setting in self._settings():
                yield SettingLine(setting)
            yield Static(id="about")
            yield Static(Content("In the config file"), classes="heading")
            with Grid(classes="said"):
                for name, text in _said(self._owner.config):
                    yield Static(Content(name))
                    yield Static(Content(text))

    def on_descendant_focus(self) -> None:
        """Say what the setting is that the cursor is on."""
        line = self.focused
        if isinstance(line, SettingLine):
            self.query_one("#about", Static).update(Content(line.setting.help))

    @property
    def _owner(self) -> HasSettings:
        return cast(HasSettings, self.app)

    def _settings(self) -> list[Setting]:
        from lvmtui.widgets.chart_page import GRIDS

        app = self._owner
        smoothing = [f"{weight:g}" if weight else "off" for weight in SMOOTHING]
        shares = [f"{share:.0%}" for share in LIST_SHARES]
        return [
            Setting(
                "theme",
                f"kept for each store; your own go to {plain(str(config_file().parent / 'themes'))}",
                app.own_themes,
                lambda: _nearest(app.own_themes, app.theme),
                lambda place: app.choose_theme(app.own_themes[place]),
                f"(each start: {plain(app.config.theme)}, by the config file)" if app.config.theme else "",
            ),
            Setting(
                "characters",
                "ASCII for fonts and terminals without the others",
                ("all of Unicode", "ASCII only"),
                lambda: int(app.ascii_only),
                lambda place: app.choose_ascii(bool(place)),
                "(each start: ASCII only, by the config file)" if app.config.ascii else "",
            ),
            self._option("x axis", "what the charts have on x", "axis", AXES, AXES),
            self._option(
                "smoothing",
                "exponential mean; the raw curve stays, dimmed",
                "smoothing",
                SMOOTHING,
                smoothing,
            ),
            self._switch("logarithmic y", "of all charts", "log_y"),
            self._switch("logarithmic x", "of all charts", "log_x"),
            self._switch("confidence bands", "95 %, where a metric has an interval", "bands"),
            self._switch(
                "outliers", "left out: they do not widen the range of y", "clip", "shown", "left out"
            ),
            self._option(
                "charts on a page",
                "of the screen of a run",
                "grid",
                GRIDS,
                [grid.replace("x", " by ") or "what fits" for grid in GRIDS],
            ),
            self._option(
                "list of runs",
                "its share of the dashboard's width; its border can be dragged with the mouse too",
                "list_share",
                LIST_SHARES,
                shares,
            ),
        ]

    def _switch(self, name: str, text: str, field: str, off: str = "off", on: str = "on") -> Setting:
        return self._option(name, text, field, (False, True), (off, on))

    def _option(
        self, name: str, text: str, field: str, values: Sequence[object], words: Sequence[str]
    ) -> Setting:
        """A setting that is a field of `ViewOptions`."""

        def choose(place: int) -> None:
            options = replace(self._owner.options, **{field: values[place]})  # type: ignore[arg-type]
            self.app.post_message(OptionsChanged(options))

        def chosen() -> int:
            return _nearest(values, getattr(self._owner.options, field))

        return Setting(name, text, words, chosen, choose)


def _nearest(values: Sequence[object], now: object) -> int:
    """The place of a value, or of the number nearest to it."""
    if now in values:
        return values.index(now)
    numbers = [value for value in values if isinstance(value, float)]
    if not numbers or not isinstance(now, float):
        return 0
    return values.index(min(numbers, key=lambda value: abs(value - now)))


def _said(config: Config) -> list[tuple[str, str]]:
    """The config file's part, which is only read: what it is about, and what is said."""
    file = config_file()
    remapped = [
        f"{commands.BY_ID[name].name}: {' '.join(commands.keys_of(commands.BY_ID[name], config.keys))}"
        for name in config.keys
        if name in commands.BY_ID
    ]
    return [
        ("file", f"{plain(str(file))}{'' if file.exists() else '  (there is none)'}"),
        ("keys", plain(", ".join(remapped)) or "as shipped"),
        *(("", plain(problem)) for problem in keymap.problems(config.keys)),
        ("alerts", _alerts(config.alerts)),
        ("memory", plain(str(state_file()))),
    ]


def _alerts(settings: AlertSettings) -> str:
    """Which, and where to."""
    ways = ["toast"]
    ways += ["bell"] if settings.bell else []
    ways += [f"OSC {settings.osc}"] if settings.osc != "off" else []
    ways += [f"command {plain(settings.command[0])}"] if settings.command else []
    ways += ["webhook"] if settings.webhook else []
    return f"{', '.join(settings.kinds) or 'none'}; by {', '.join(ways)}"
