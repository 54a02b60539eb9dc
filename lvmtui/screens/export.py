"""Asks for a format and a file name, and writes the export in a thread; in a browser it is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from textual import events, on
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from lvmtui.errors import LvmtuiError
from lvmtui.format import plain

Format = Literal["csv", "json", "md"]

FORMATS: dict[Format, str] = {
    "md": "Markdown, for reading",
    "csv": "CSV, for a spreadsheet",
    "json": "JSON, complete",
}
"""File suffix -> what it is for."""

FOLDER = "exports"


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What was asked for."""

    kind: Format
    path: Path
    replace: bool
    """The file was there, and the user said to replace it."""


def problem_of(name: str) -> str:
    """What is wrong with a file name; empty when nothing is."""
    if not name.strip():
        return "Name a file."
    if plain(name) != name:
        return "The name has control characters in it."
    path = Path(name).expanduser()
    if path.is_dir() or name.endswith(("/", "/.")):
        return f"{name} is a folder: name a file in it."
    parent = next(folder for folder in [*path.absolute().parents] if folder.exists())
    return "" if parent.is_dir() else f"{parent} is a file, not a folder."


class FormatChoice(Widget, can_focus=True):
    """The formats, one of them chosen."""

    DEFAULT_CSS = """
    FormatChoice { height: 3; }
    FormatChoice:focus { background: $boost; }
    """
    BINDINGS = [("up,k", "move(-1)", "Up"), ("down,j", "move(1)", "Down")]

    chosen: reactive[int] = reactive(0)

    @dataclass
    class Chosen(Message):
        """Another format was chosen."""

        kind: Format

    def render(self) -> Content:
        chosen = "bold reverse" if self.has_focus and self.app.no_color else "bold"
        lines = (
            Content.styled(f"({'●' if place == self.chosen else ' '}) .{kind:5} {words}", style)
            for place, (kind, words) in enumerate(FORMATS.items())
            for style in (chosen if place == self.chosen else "",)
        )
        return Content("\n").join(lines)

    def action_move(self, by: int) -> None:
        """Choose the format above or below."""
        self.chosen = min(max(self.chosen + by, 0), len(FORMATS) - 1)

    def watch_chosen(self, chosen: int) -> None:
        self.post_message(self.Chosen(list(FORMATS)[chosen]))

    def on_click(self, event: events.Click) -> None:
        if 0 <= event.y < len(FORMATS):
            self.chosen = event.y


class ExportScreen(ModalScreen[ExportChoice | None]):
    """The form. Dismisses with the choice, or None."""

    DEFAULT_CSS = """
    ExportScreen {
        align: center middle;
        & > #export-form {
            width: 64; max-width: 100%; height: auto; max-height: 100%;
            border: round $primary; padding: 0 2; background: $surface;
        }
        & Input { margin: 1 0 0 0; border: tall $border-blurred; }
        & Input:focus { border: tall $border; }
        & #export-problem { height: auto; min-height: 1; color: $error; }
        & #export-hint { color: $text-muted; }
        & #export-buttons { height: auto; align-horizontal: right; }
        & Button { margin-left: 2; min-width: 10; }
    }
    """
    BINDINGS = [("escape", "cancel", "Cancel")]

    def __init__(self, what: str, stem: str, *, download: bool = False) -> None:
        """
        Args:
            what: what is written, for the title.
            stem: proposed name of the file, without suffix.
            download: the file goes to a browser, so it needs a name and no folder.
        """
        super().__init__()
        self._what, self._stem, self._download = what, stem, download
        self._kind: Format = "md"
        self._confirmed = ""
        """The name of the existing file that the user was asked about."""

    def compose(self) -> ComposeResult:
        with Vertical(id="export-form") as form:
            form.border_title = Content(f"Export {self._what}")
            yield FormatChoice()
            folder = "" if self._download else f"{FOLDER}/"
            yield Input(f"{folder}{self._stem}.{self._kind}", id="export-name", select_on_focus=False)
            yield Static("", id="export-problem", markup=False)
            does = "download" if self._download else "write"
            yield Static(
                f"enter {does}s · tab to the formats, ↑ ↓ there · esc cancels", id="export-hint", markup=False
            )
            with Horizontal(id="export-buttons"):
                yield Button("Cancel", id="export-cancel", compact=True)
                yield Button(does.capitalize(), id="export-write", variant="primary", compact=True)

    def on_mount(self) -> None:
        name = self.query_one(Input)
        name.focus()
        name.cursor_position = len(name.value)

    @on(FormatChoice.Chosen)
    def _take_format(self, message: FormatChoice.Chosen) -> None:
        self._kind = message.kind
        name = self.query_one(Input)
        path = Path(name.value)
        if path.suffix.lstrip(".") in FORMATS:
            name.value = str(path.with_suffix(f".{message.kind}"))

    @on(Input.Changed)
    def _check(self, message: Input.Changed) -> None:
        self._confirmed = ""
        typed = Path(message.value).suffix.lstrip(".")
        if typed in FORMATS and typed != self._kind:
            self.query_one(FormatChoice).chosen = list(FORMATS).index(typed)
        self._say(self._problem_of(message.value))

    def _problem_of(self, name: str) -> str:
        if self._download:
            return "" if name.strip() and plain(name) == name and "/" not in name else "Name a file."
        return problem_of(name)

    def _say(self, words: str) -> None:
        self.query_one("#export-problem", Static).update(Content(words))

    @on(Input.Submitted)
    @on(Button.Pressed, "#export-write")
    def _accept(self) -> None:
        name = self.query_one(Input).value.strip()
        problem = self._problem_of(name)
        if problem:
            self._say(problem)
            return
        path = Path(name).expanduser()
        if not path.suffix:
            path = path.with_suffix(f".{self._kind}")
        if not self._download and path.exists() and self._confirmed != name:
            self._confirmed = name
            self._say(f"{path} is there already: enter once more replaces it.")
            return
        self.dismiss(ExportChoice(self._kind, path, replace=self._confirmed == name))

    @on(Button.Pressed, "#export-cancel")
    def action_cancel(self) -> None:
        """Write nothing."""
        self.dismiss(None)


def export(screen: Screen[Any], what: str, stem: str, text_of: Callable[[Format], str]) -> None:
    """Ask for format and file, then write in a thread and say what came of it.

    Args:
        screen: the screen that asks.
        what: what is written, for the title: `leaderboard`.
        stem: proposed name of the file, without suffix.
        text_of: the text in a format; called in the thread.
    """

    def write_chosen(choice: ExportChoice | None) -> None:
        if choice is not None:
            work = partial(_write, screen.app, choice, text_of)
            screen.run_worker(work, thread=True, group="export", description="writing an export")

    screen.app.push_screen(ExportScreen(what, stem, download=screen.app.is_web), write_chosen)


def _write(app: App[Any], choice: ExportChoice, text_of: Callable[[Format], str]) -> None:
    from lvmtui.export.text import write

    try:
        if app.is_web:
            made = StringIO(text_of(choice.kind))
            app.call_from_thread(app.deliver_text, made, save_filename=choice.path.name)
            return
        write(choice.path, text_of(choice.kind), force=choice.replace)
    except LvmtuiError as error:
        app.call_from_thread(app.notify, str(error), title="Not exported", severity="error", markup=False)
    else:
        app.call_from_thread(app.notify, str(choice.path), title="Exported", markup=False)
