"""Questions before something outside the dashboard is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from lvmtui.errors import LvmtuiError
from lvmtui.format import plain, plain_lines
from lvmtui.gates import Gate
from lvmtui.widgets.look import Ink, ink


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and what will happen."""

    title: str
    text: str
    """Exactly what will happen on yes."""
    yes: str
    """The verb on the button."""
    danger: bool = False

    def __post_init__(self) -> None:
        # Names of runs stand in both.
        object.__setattr__(self, "title", plain(self.title))
        object.__setattr__(self, "text", "\n".join(plain_lines(self.text)))


class ConfirmScreen(ModalScreen[bool]):
    """A question; `y` and `n` answer it."""

    CSS_PATH = "confirm.tcss"
    BINDINGS = [
        ("y", "answer(True)", "yes"),
        ("n", "answer(False)", "no"),
        ("escape", "answer(False)", "no"),
        ("left,right,h,l", "app.focus_next", ""),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog", can_focus=False) as dialog:
            dialog.border_title = Text(self.question.title)
            yield from self.compose_body()
            with Horizontal(classes="buttons"):
                yield Button(Content(f"{self.question.yes} (y)"), id="yes", compact=True)
                yield Button(Content("Cancel (n)"), id="no", compact=True)

    def compose_body(self) -> ComposeResult:
        """What stands over the buttons."""
        yield Static(Content(self.question.text), classes="text")

    def on_mount(self) -> None:
        self.set_class(self.question.danger, "-danger")
        self.query_one("#no", Button).focus()

    @on(Button.Pressed)
    def answer_by_button(self, event: Button.Pressed) -> None:
        """Answer as the button says."""
        self.action_answer(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        if not answer or not self.query_one("#yes", Button).disabled:
            self.dismiss(answer)


class GatesScreen(ConfirmScreen):
    """Asks whether to promote, with what speaks for and against it."""

    def __init__(self, question: Question, check: Callable[[], Sequence[Gate]]) -> None:
        """
        Args:
            question: what is asked.
            check: finds out the gates; runs in a thread.
        """
        super().__init__(question)
        self._check = check

    def compose_body(self) -> ComposeResult:
        yield from super().compose_body()
        yield Static(Content("checking …"), id="gates")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#yes", Button).disabled = True
        self.find_out()

    @work(exclusive=True, group="gates")
    async def find_out(self) -> None:
        """Check the gates and show them."""
        shown = self.query_one("#gates", Static)
        try:
            gates = await asyncio.to_thread(self._check)
        except LvmtuiError as error:
            shown.update(Content.assemble(("✖ ", "$text-error"), str(error)))
            return
        shown.update(_gates_table(gates, ink(self)))
        broken = any(gate.integrity and gate.passed is False for gate in gates)
        self.query_one("#yes", Button).disabled = broken
        if broken:
            self.query_one(".text", Static).update(
                Content("It cannot be promoted: there is no sound checkpoint.")
            )
        elif any(gate.passed is False for gate in gates):
            self.add_class("-danger")


def _gates_table(gates: Sequence[Gate], colours: Ink) -> Table:
    """One gate a row: verdict, then what was found."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    styles = {True: colours.success, False: colours.error, None: colours.muted}
    for gate in gates:
        verdict = Text(f"{gate.glyph} {gate.verdict}", styles[gate.passed])
        table.add_row(verdict, Text.assemble((f"{plain(gate.name)}: ", "bold"), plain(gate.words)))
    return table
