"""Which runs are compared: their names in their colours, and what to do where there are none."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.content import Content

from lvmtui.format import percent, plain
from lvmtui.host_words import is_elsewhere
from lvmtui.snapshot import RunView, Snapshot
from lvmtui.widgets.curves import views_of
from lvmtui.widgets.look import chart_look, ink
from lvmtui.widgets.panel import Panel


def chosen(snapshot: Snapshot | None, focused: int | None, marked: Sequence[int]) -> tuple[RunView, ...]:
    """The runs to compare: the marked ones; a single one with the run under the cursor."""
    if snapshot is None:
        return ()
    ids = list(marked)
    if len(ids) < 2 and focused is not None and focused not in ids:
        ids.append(focused)
    return tuple(views_of(snapshot, ids))


class Legend(Panel):
    """Which run has which colour and sign, with its best Hit@5, in one line."""

    DEFAULT_CSS = """
    Legend { border: none; height: 1; padding: 0 1; background: $background; }
    Legend.-ascii { border: none; }
    """

    def draw(self, width: int, height: int) -> Sequence[Text]:  # noqa: ARG002
        look, colours = chart_look(self), ink(self)
        line = Text()
        views = chosen(self.snapshot, self.focused, self.marked)
        for place, view in enumerate(views):
            item = Text("   " if place else "")
            item.append(f"{look.marker(place)} {plain(view.run.name)}", look.colour(place))
            item.append(f" {percent(view.best.hit5) if view.best else view.state.value}", colours.text)
            if self.snapshot is not None and is_elsewhere(view, self.snapshot):
                item.append(" offline", colours.muted)
            more = f"   +{len(views) - place} more"
            last = place == len(views) - 1
            if place and line.cell_len + item.cell_len + (0 if last else len(more)) > width:
                line.append(more, colours.muted)
                break
            line.append_text(item)
        return [line]


def protocol_warning(views: Sequence[RunView]) -> Content:
    """What is to be said of the scores' curves; empty where they can be compared."""
    if len({view.best.protocol_id for view in views if view.best}) < 2:
        return Content("")
    return Content.styled("Judged under different protocols: their scores are not comparable.", "$warning")


def how_to_mark(views: Sequence[RunView]) -> Content:
    """What this screen is for, and the keys that fill it."""
    only = f"Only {plain(views[0].run.name)} is chosen.\n\n" if views else ""
    return Content.assemble(
        ("Compare runs\n\n", "bold $primary"),
        "Curves over each other, paired tests between each two, what differs in their recipes, "
        "and what context length does.\n\n",
        only,
        "Two runs or more are needed:\n\n",
        ("1", "bold $text-accent"),
        " or ",
        ("2", "bold $text-accent"),
        "   show the dashboard or the leaderboard\n",
        ("space", "bold $text-accent"),
        "    mark the run under the cursor, once for each\n",
        ("3", "bold $text-accent"),
        "        come back here\n\n",
        "With one mark, it is compared with the run under the cursor.",
    )
