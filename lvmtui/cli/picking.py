"""Which runs a subcommand is about, and in which fields and order: shared options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lvmtui.errors import UsageError

if TYPE_CHECKING:
    from lvmtui.run_fields import RunField
    from lvmtui.snapshot import RunView

_FILTER_HELP = "Only runs that fit: 'phase:3 hit5>15 -state:lost'. `lvmtui ls --columns help` names fields."

FilterOption = Annotated[str, typer.Option("--filter", "-f", metavar="FILTER", help=_FILTER_HELP)]
LongFilterOption = Annotated[str, typer.Option("--filter", metavar="FILTER", help=_FILTER_HELP)]
"""Where `-f` is the format."""
RegexOption = Annotated[
    bool, typer.Option("--regex", help="Texts in the filter are regular expressions, not globs.")
]
ArchivedOption = Annotated[bool, typer.Option("--archived", help="Archived runs instead of the others.")]
TrashOption = Annotated[bool, typer.Option("--trash", help="Runs in the trash instead of the others.")]
AllOption = Annotated[bool, typer.Option("--all", help="Archived runs and those in the trash as well.")]


def pick(
    views: Sequence[RunView],
    text: str = "",
    *,
    regex: bool = False,
    archived: bool = False,
    trash: bool = False,
    everything: bool = False,
) -> list[RunView]:
    """The runs on the shelves asked for that fit the filter, in their order.

    Raises:
        UsageError: the filter cannot be understood; shows where.
    """
    from lvmtui.filters import FilterError, on_shelf, parse
    from lvmtui.store.records import Shelf

    shelves = [shelf for shelf, wanted in ((Shelf.ARCHIVED, archived), (Shelf.TRASH, trash)) if wanted]
    shown = on_shelf(views, *(Shelf if everything else shelves))
    try:
        return parse(text, regex=regex).choose(shown)
    except FilterError as error:
        sign = " " * error.start + "^" * max(1, error.end - error.start)
        where = f"\n  {text}\n  {sign}" if text.isprintable() and len(text) <= 200 else ""
        hint = "`lvmtui ls --columns help` names the fields."
        raise UsageError(f"in the filter: {error.message}{where}", hint) from error


def field_named(name: str) -> RunField:
    """The field that is meant.

    Raises:
        UsageError: there is none; names the nearest.
    """
    from lvmtui.filters.terms import nearest
    from lvmtui.run_fields import FIELDS, field_of

    field = field_of(name)
    if field is None:
        near = nearest(name)
        hint = f"Did you mean {near}?" if near else f"Known: {', '.join(FIELDS)}."
        raise UsageError(f"there is no field {name!r}", hint)
    return field


def fields_named(names: str) -> list[RunField]:
    """The fields of a list with commas, each once.

    Raises:
        UsageError: one is not known, or none is named.
    """
    fields = list(dict.fromkeys(field_named(name) for name in names.split(",") if name.strip()))
    if not fields:
        raise UsageError("--columns names no field", "For example: --columns name,state,hit5,left")
    return fields
