"""What differs between recipes, beside what came of them: a column a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.content import Content
from textual.message import Message

from lvmtui.compare.side_by_side import Difference
from lvmtui.format import MISSING, count, duration, interval, percent, plain, small
from lvmtui.leaderboard.ranking import training_seconds
from lvmtui.snapshot import RunView
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.row_table import Column, Line, RowTable, choose


class RecipeDiff(RowTable):
    """Only what differs. The first run is what the others are compared to."""

    class Fitted(Message):
        """Another number of runs fits."""

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(empty=empty, id=id)
        self._left_out = 0

    @property
    def left_out(self) -> int:
        """Runs that there is no room for."""
        return self._left_out

    def show_runs(self, views: Sequence[RunView], differences: Sequence[Difference]) -> None:
        """Show these runs; each difference has a value for each of them."""
        columns = [Column("field", "")]
        columns += [
            Column(f"run{number}", plain(view.run.name), priority=max(0, number - 1), shrinks=True)
            for number, view in enumerate(views)
        ]
        self.show([*_differing(differences), *_outcome(views)], columns=columns)
        self._fit()

    def on_resize(self) -> None:
        super().on_resize()
        self._fit()

    def _fit(self) -> None:
        width = self.content_size.width - 2 - self.styles.scrollbar_size_vertical
        left_out = len(self.columns) - len(choose(self.columns, self.lines, width)) if width > 0 else 0
        if left_out != self._left_out:
            self._left_out = left_out
            self.post_message(self.Fitted())


def _differing(differences: Sequence[Difference]) -> Iterator[Line]:
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


def _outcome(views: Sequence[RunView]) -> Iterator[Line]:
    yield Line("section:outcome", heading=Content.styled("outcome", "bold $primary"))
    rows = {
        "best Hit@5": [_score(view) for view in views],
        "MRR": [small(view.best.mrr) if view.best else MISSING for view in views],
        "best epoch": [str(view.best.epoch) if view.best else MISSING for view in views],
        "state": [view.state.value for view in views],
        "parameters": [count(view.run.parameters) for view in views],
        "time": [duration(training_seconds(view)) for view in views],
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
