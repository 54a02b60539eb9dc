"""Tables on the terminal: fitted to its width, plain when piped. Cells are texts, never markup."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lvmtui.cli.session import terminal_width, write
from lvmtui.format import plain

GAP = 2
LEAST_TEXT = 8
"""Cells that a text keeps when it is cut."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    align: Literal["left", "right"] = "left"
    drop: int = 0
    """Columns with the highest number go first where the terminal is narrow; 0 stays."""
    shrinks: bool = False
    """Texts may be cut at their end when dropping columns was not enough; numbers never are."""


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print a table with its heading. Strings are printed plainly, a `Text` with its style."""
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [
        max([cell_len(column.title), *(cell_len(row[index].plain) for row in cells)])
        for index, column in enumerate(columns)
    ]
    limit = terminal_width()
    kept = _fitting(columns, widths, limit)
    table = Table(
        box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", collapse_padding=True
    )
    spare = (limit or 0) - sum(widths[index] + GAP for index in kept) + GAP
    for index in kept:
        column, width = columns[index], widths[index]
        if limit is not None and spare < 0 and column.shrinks:
            width = max(min(LEAST_TEXT, width), width + spare)
            spare += widths[index] - width
        table.add_column(
            Text(column.title), justify=column.align, no_wrap=True, overflow="ellipsis", width=width
        )
    for row in cells:
        table.add_row(*(row[index] for index in kept))
    console = make_console(limit or sum(widths) + GAP * len(widths))
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        write(f"{line.rstrip()}\n")


def print_facts(facts: Sequence[tuple[str, str | Text]]) -> None:
    """Print labels and values, one pair a line, long values wrapped under themselves."""
    width = max((cell_len(label) for label, _ in facts), default=0)
    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(min_width=width, no_wrap=True)
    grid.add_column(overflow="fold")
    limit = terminal_width()
    longest = max((cell_len(_text(value).plain) for _, value in facts), default=0)
    for label, value in facts:
        grid.add_row(Text(label, "dim"), _text(value))
    console = make_console(limit or width + longest + 2 * GAP)
    with console.capture() as capture:
        console.print(grid)
    for line in capture.get().splitlines():
        write(f"{line.rstrip()}\n")


def make_console(width: int | None = None) -> Console:
    """A console on standard output that interprets nothing in what it prints."""
    return Console(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False)


def _text(cell: str | Text) -> Text:
    return Text(plain(cell)) if isinstance(cell, str) else cell


def _fitting(columns: Sequence[Column], widths: Sequence[int], limit: int | None) -> list[int]:
    kept = list(range(len(columns)))
    while limit is not None and sum(widths[i] + GAP for i in kept) - GAP > limit:
        loose = [index for index in kept if columns[index].drop]
        if not loose:
            break
        kept.remove(max(loose, key=lambda index: (columns[index].drop, index)))
    return kept
