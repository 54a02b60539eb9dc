"""The help screen: every key, grouped, as the registry and the user's keymap have it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from lvmtui import commands
from lvmtui.filters.language import EXAMPLES

INTRODUCTION = (
    "lvmtui shows training runs and starts, stops, resumes and promotes them. Runs are processes of their "
    "own: they go on when lvmtui is closed. Capital letters that change runs ask first."
)


class HelpScreen(ModalScreen[None]):
    """All keys."""

    CSS_PATH = "help.tcss"
    BINDINGS = [
        ("escape,q,question_mark", "dismiss", "close"),
        ("j", "scroll(1)", ""),
        ("k", "scroll(-1)", ""),
    ]

    def __init__(self, keymap: commands.Keymap, *, readonly: bool, store: str) -> None:
        super().__init__()
        self._keymap = keymap
        self._readonly = readonly
        self._store = store

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = "↑↓ scroll · esc closes"
            yield Static(Content(INTRODUCTION))
            yield Static(Content.assemble(("run store  ", "$text-muted"), self._store), classes="gap")
            for group, members in commands.grouped(readonly=self._readonly):
                yield Static(Content(group), classes="heading")
                with Grid(classes="commands"):
                    for command in members:
                        keys = "  ".join(commands.keys_of(command, self._keymap))
                        yield Static(Content(keys), classes="keys")
                        yield Static(Content(command.help))
            yield Static(Content("What a filter understands"), classes="heading")
            with Grid(classes="commands"):
                for kind, examples in EXAMPLES:
                    yield Static(Content(kind), classes="keys")
                    yield Static(Content(examples))

    def action_scroll(self, lines: int) -> None:
        """Scroll by some lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
