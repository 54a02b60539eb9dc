"""The form in which the columns of the list of runs are chosen and ordered; the list follows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from lvmtui.config import ViewOptions
from lvmtui.messages import OptionsChanged
from lvmtui.run_fields import FIELDS, columns_of
from lvmtui.widgets.cells import FAINT, MUTED
from lvmtui.widgets.row_table import Column, Line, RowTable
from lvmtui.widgets.run_rows import AUTOMATIC

COLUMNS = (
    Column("sign", ""),
    Column("title", "column"),
    Column("help", "what it is", shrinks=True, least=10),
)

KEYS = "space show · < > move · r what fits"


class ColumnsScreen(ModalScreen[None]):
    """All fields, the chosen ones first in their order. Stands at the right, beside the list."""

    CSS = """
    ColumnsScreen {
        align: right top;
        background: $background 0%;
        & > Vertical {
            width: 50%; min-width: 50; max-width: 62; height: 100%;
            border: round $primary; background: $surface;
        }
        & RowTable { background: $surface; }
        & Static { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,o", "dismiss", "close"),
        Binding("space", "choose", "show"),
        Binding("ctrl+up,less_than_sign", "shift(-1)", "earlier"),
        Binding("ctrl+down,greater_than_sign", "shift(1)", "later"),
        Binding("r", "reset", "reset"),
    ]

    def __init__(self, options: ViewOptions, shown: Sequence[str]) -> None:
        """
        Args:
            options: as they are now.
            shown: keys of the fields that the list shows now: what the first choice begins with.
        """
        super().__init__()
        self._options = options
        self._shown = tuple(shown)
        self._chosen = [field.key for field in columns_of(options.columns)]

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content("Columns of the runs")
            box.border_subtitle = Content("esc closes")
            yield RowTable(COLUMNS, id="columns")
            yield Static(markup=False)

    def on_mount(self) -> None:
        self._show()

    @property
    def _now(self) -> list[str]:
        """Keys of the fields that are shown, in order."""
        return self._chosen or list(self._shown)

    def _show(self) -> None:
        now = self._now
        others = [key for key in FIELDS if key not in now]
        mark = "•" if not self._chosen else "✔"
        lines = [
            Line(
                key,
                {
                    "sign": Content.styled(mark if key in now else " ", "$success"),
                    "title": Content.styled(FIELDS[key].title, "bold" if key in now else ""),
                    "help": Content.styled(FIELDS[key].help, MUTED if key in now else FAINT),
                },
            )
            for key in [*now, *others]
        ]
        table = self.query_one(RowTable)
        table.show(lines)
        self._explain()
        said = f"{len(self._chosen)} chosen" if self._chosen else "what fits"
        self.query_one(Vertical).border_title = Content(f"Columns of the runs: {said}")

    @on(RowTable.Moved)
    def follow(self, message: RowTable.Moved) -> None:
        """Explain the field under the cursor."""
        message.stop()
        self._explain()

    def _explain(self) -> None:
        field = FIELDS.get(self.query_one(RowTable).cursor or "")
        words = Content.styled(field.help if field else "", "$foreground")
        self.query_one(Static).update(Content("\n").join([words, Content(KEYS)]))

    def _take(self, chosen: Sequence[str]) -> None:
        """Take another choice, and show it in the list."""
        self._chosen = list(chosen)
        self._options = replace(self._options, columns=tuple(chosen))
        self.post_message(OptionsChanged(self._options))
        self._show()

    @on(RowTable.Opened)
    def close(self, message: RowTable.Opened) -> None:
        """A double click toggles; enter is taken by the screen."""
        message.stop()
        self.action_choose()

    def action_choose(self) -> None:
        """Show the field under the cursor, or show it no longer; one column stays."""
        key, now = self.query_one(RowTable).cursor, self._now
        if key is None or now == [key]:
            self.app.bell()
            return
        self._take([other for other in now if other != key] if key in now else [*now, key])

    def action_shift(self, by: int) -> None:
        """Move the column under the cursor to the left or the right."""
        key, now = self.query_one(RowTable).cursor, self._now
        if key is None or key not in now:
            return
        place = min(max(now.index(key) + by, 0), len(now) - 1)
        now = [other for other in now if other != key]
        self._take([*now[:place], key, *now[place:]])

    def action_reset(self) -> None:
        """Show what fits."""
        self._shown = tuple(dict.fromkeys(column.sort_key for column in AUTOMATIC))
        self._take([])

    async def action_dismiss(self, result: None = None) -> None:
        """Close; what was chosen is kept."""
        self.dismiss(result)
