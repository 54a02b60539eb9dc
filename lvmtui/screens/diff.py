"""What differs between the recipes of marked runs, beside what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from lvmtui.errors import RecipeError
from lvmtui.format import MISSING, count, duration, interval, percent, plain, small
from lvmtui.ranking import training_seconds
from lvmtui.snapshot import RunView
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.row_table import Column, Line, RowTable

MOST = 4
"""Runs that fit side by side."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field and its value in each run."""

    field: str
    values: tuple[str, ...]


def recipe_differences(recipes: Sequence[str]) -> tuple[Difference, ...]:
    """The fields in which any recipe differs from the first. Imports pydantic: not for the UI thread.

    Args:
        recipes: as the store keeps them.

    Raises:
        RecipeError: one does not fit this version.
    """
    from lvmtui.recipe import differences, from_json

    first, *others = [from_json(text) for text in recipes]
    found = [differences(first, other) for other in others]
    originals = {field: pair[0] for pairs in found for field, pair in pairs.items()}
    return tuple(
        Difference(field, (original, *(pairs.get(field, (original, original))[1] for pairs in found)))
        for field, original in originals.items()
    )


class DiffScreen(ModalScreen[None]):
    """Only what differs. Any of esc, d, q, enter closes it."""

    DEFAULT_CSS = """
    DiffScreen {
        align: center middle;
        & > Vertical {
            width: 96; max-width: 100%; height: auto; max-height: 90%;
            border: round $primary; padding: 0 1; background: $surface;
        }
        & RowTable { height: auto; max-height: 1fr; background: $surface; }
        & #diff-note { height: auto; padding: 0 1; color: $text-muted; }
    }
    """
    BINDINGS = [("escape,d,q,enter", "dismiss", "Close")]

    @dataclass
    class Compared(Message):
        """The recipes were compared."""

        differences: tuple[Difference, ...]
        problem: str = ""

    def __init__(self, views: Sequence[RunView]) -> None:
        """
        Args:
            views: two or more runs; the first is what the others are compared to.
        """
        super().__init__()
        self._views = tuple(views[:MOST])
        self._left_out = len(views) - len(self._views)

    def compose(self) -> ComposeResult:
        columns = [Column("field", "")]
        columns += [Column(f"run{i}", plain(v.run.name), shrinks=True) for i, v in enumerate(self._views)]
        with Vertical() as box:
            box.border_title = Content("Recipes: what differs")
            box.border_subtitle = Content("esc closes")
            yield RowTable(columns, id="diff-table")
            yield Static("", id="diff-note", markup=False)

    def on_mount(self) -> None:
        self._show(())
        self._compare(tuple(view.run.recipe for view in self._views))

    @work(thread=True, exclusive=True, group="recipe-diff", description="comparing recipes")
    def _compare(self, recipes: tuple[str, ...]) -> None:
        try:
            self.post_message(self.Compared(recipe_differences(recipes)))
        except RecipeError as error:
            self.post_message(self.Compared((), str(error)))

    def on_diff_screen_compared(self, message: Compared) -> None:
        """Show what was found."""
        self._show(message.differences)
        notes = [message.problem] if message.problem else []
        if not message.differences and not message.problem:
            notes.append("The recipes are the same.")
        if len({view.run.protocol_id for view in self._views}) > 1:
            notes.append("They were judged under different protocols: the scores cannot be compared.")
        if self._left_out:
            notes.append(f"{self._left_out} more marked runs are left out.")
        self.query_one("#diff-note", Static).update(Content("\n".join(map(plain, notes))))

    def _show(self, differences: Sequence[Difference]) -> None:
        table = self.query_one(RowTable)
        lines = [*self._differing(differences), *self._outcome()]
        table.styles.height = len(lines) + 1
        table.show(lines)

    def _differing(self, differences: Sequence[Difference]) -> Iterator[Line]:
        section = ""
        for item in differences:
            head, _, name = item.field.partition(".")
            if head != section:
                section = head
                yield Line(f"section:{head}", heading=Content.styled(f"[{head}]", "bold $primary"))
            first = item.values[0]
            cells = {"field": Content(f"  {plain(name)}")}
            for number, value in enumerate(item.values):
                changed = number > 0 and value != first
                cells[f"run{number}"] = Content.styled(plain(value), "bold $warning" if changed else "")
            yield Line(item.field, cells)

    def _outcome(self) -> Iterator[Line]:
        yield Line("section:outcome", heading=Content.styled("outcome", "bold $primary"))
        rows = {
            "best Hit@5": [_score(view) for view in self._views],
            "MRR": [small(view.best.mrr) if view.best else MISSING for view in self._views],
            "best epoch": [str(view.best.epoch) if view.best else MISSING for view in self._views],
            "state": [view.state.value for view in self._views],
            "parameters": [count(view.run.parameters) for view in self._views],
            "time": [duration(training_seconds(view)) for view in self._views],
        }
        for name, values in rows.items():
            cells = {"field": Content.styled(f"  {name}", MUTED)}
            cells |= {f"run{number}": Content(value) for number, value in enumerate(values)}
            yield Line(f"outcome:{name}", cells)


def _score(view: RunView) -> str:
    best = view.best
    if best is None:
        return MISSING
    bounds = best.hit5_interval
    return f"{percent(best.hit5)} {interval(bounds.low, bounds.high) if bounds else ''}".strip()
