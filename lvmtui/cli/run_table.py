"""The list of runs on the terminal: the usual columns, or those that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from lvmtui.cli.render import VERDICT_STYLES, badge_text, state_text, worth_of
from lvmtui.cli.session import line
from lvmtui.cli.tables import Column, print_table
from lvmtui.filters.language import EXAMPLES
from lvmtui.format import MISSING, counted, duration, percent, plain_lines, plus_minus, signed
from lvmtui.leaderboard.ranking import training_seconds
from lvmtui.leaderboard.verdicts import GLYPHS as VERDICT_GLYPHS
from lvmtui.run_fields import FIELDS, RunField
from lvmtui.snapshot import RunView, Snapshot, State
from lvmtui.store.records import GROUP_PREFIX, Shelf
from lvmtui.waiting import waiting_reasons

_SHELVES = {Shelf.ARCHIVED: "archived", Shelf.TRASH: "in the trash"}
_KINDS = {"text": "text", "number": "number", "share": "percent", "seconds": "time", "moment": "date"}


def print_runs(
    views: Sequence[RunView],
    snapshot: Snapshot,
    *,
    fields: Sequence[RunField] = (),
    group: RunField | None = None,
) -> None:
    """The list of runs.

    Args:
        views: the runs, in order.
        snapshot: where they are from.
        fields: the columns; none: the usual ones.
        group: runs with the same value of this field stand under a heading of their own.
    """
    reasons = waiting_reasons([view.run for view in snapshot.runs], snapshot.taken)
    mixed = len({view.run.shelf for view in views}) > 1
    for number, (heading, members) in enumerate(_groups(views, group)):
        if group is not None:
            if number:
                line()
            line(f"{group.title} {heading or MISSING}, {counted(len(members), 'run')}")
        if fields:
            columns = [
                Column(item.title, "right", shrinks=False)
                if item.right
                else Column(item.title, shrinks=place > 0)
                for place, item in enumerate(fields)
            ]
            print_table(columns, [[_cell(item, view, snapshot) for item in fields] for view in members])
        else:
            cells = [_usual_cells(view, snapshot, reasons.get(view.run.id, ""), mixed) for view in members]
            print_table(_usual_columns(members), cells)


def _groups(views: Sequence[RunView], group: RunField | None) -> Iterator[tuple[str, Sequence[RunView]]]:
    """The runs by their value of a field; groups and runs in the order in which they come."""
    if group is None:
        yield "", views
        return
    names = {view.run.id: group.written(view) for view in views}
    first = {name: place for place, name in reversed(list(enumerate(names.values())))}
    ordered = sorted(views, key=lambda view: first[names[view.run.id]])
    for name, members in groupby(ordered, key=lambda view: names[view.run.id]):
        yield name, list(members)


def print_fields() -> None:
    """Every field, and the language of filters."""
    columns = [Column("field"), Column("kind"), Column("what it is", shrinks=True), Column("or", drop=1)]
    rows = [
        [field.key, _KINDS[field.kind.value], field.help, " ".join(field.aliases)]
        for field in FIELDS.values()
    ]
    print_table(columns, rows)
    line()
    line("In a filter:")
    for kind, examples in EXAMPLES:
        line(f"  {kind:<11}  {examples}")


def _cell(field: RunField, view: RunView, snapshot: Snapshot) -> str | Text:
    """A field as it is written, in its colours."""
    if field.key == "state":
        return state_text(view)
    if field.key == "found":
        return badge_text(view.findings)
    if field.key in {"vs", "skill", "verdict"}:
        found = worth_of(view, snapshot)
        style = VERDICT_STYLES.get(found.verdict, "") if found else ""
        glyph = f"{VERDICT_GLYPHS[found.verdict]} " if found and field.key == "verdict" else ""
        return Text(f"{glyph}{field.written(view)}", style)
    return field.written(view)


def _usual_columns(views: Sequence[RunView]) -> list[Column]:
    """What is empty for all of the runs has no heading."""
    trains = any(view.state.is_active for view in views)
    return [
        Column("run"),
        Column("found" if any(view.findings for view in views) else "", drop=4),
        Column("state"),
        Column("epoch", "right"),
        Column("Hit@5", "right"),
        Column("", drop=6),
        Column("skill", "right", drop=3),
        Column("vs baseline", drop=8),
        Column("patience", "right", drop=5),
        Column("to beat" if trains else "", "right", drop=7),
        Column("left" if trains else "", "right", drop=2),
        Column("time", "right", drop=3),
        Column("started", drop=10),
        Column("group" if any(view.run.group for view in views) else "", drop=9),
        Column("note", drop=11, shrinks=True),
    ]


def _usual_cells(view: RunView, snapshot: Snapshot, reason: str, mixed: bool) -> list[str | Text]:
    """One row.

    Args:
        view: the run.
        snapshot: where it is from.
        reason: why it waits.
        mixed: say where it is kept; else all that are shown are kept alike.
    """
    run, best = view.run, view.best
    progress = run.progress
    bounds = best.hit5_interval if best else None
    found = worth_of(view, snapshot)
    style = VERDICT_STYLES.get(found.verdict, "") if found else ""
    active = view.state.is_active
    kept = ["pinned"] * run.pinned + ([_SHELVES[run.shelf]] if mixed and run.shelf in _SHELVES else [])
    signs = " ♛" * ("champion" in view.aliases) + (f" ({', '.join(kept)})" if kept else "")
    return [
        f"{run.name}{signs}",
        badge_text(view.findings),
        state_text(view),
        f"{progress.epoch}/{progress.epochs}",
        percent(best.hit5) if best else MISSING,
        plus_minus(bounds.low, bounds.high) if bounds else "",
        Text(signed(found.skill) if found else MISSING, style),
        Text(f"{VERDICT_GLYPHS[found.verdict]} {signed(found.gain)}" if found else "", style),
        f"{progress.patience_used}/{progress.patience}",
        FIELDS["beat"].written(view) if active else "",
        FIELDS["left"].written(view) if active else "",
        duration(training_seconds(view)),
        f"{duration(max(0.0, snapshot.taken - run.created))} ago",
        (run.group or "").removeprefix(GROUP_PREFIX),
        view.lost_reason
        or (plain_lines(run.error or "")[0] if view.state is State.FAILED else "")
        or " · ".join(filter(None, [reason, run.note])),
    ]
