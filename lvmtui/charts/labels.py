"""The words in a chart: names and values at the ends of curves, and on the dashes of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len as cells

from lvmtui import format as fmt
from lvmtui.charts.canvas import Canvas
from lvmtui.charts.figure import Axes, Level, Look, padded
from lvmtui.charts.frame import Scale, on_scale

_BETWEEN = ", "

LONGEST = 300
"""Characters of a name that are looked at."""

CURVE_WEIGHT = 4
"""Weight of cells that a curve is in."""

LOW = 10
"""Lines of a chart up from which names may hide what they must."""

NAME_WEIGHT = 50
"""Weight of cells that hold a name."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a label says, and where its curve ends."""

    name: str
    colour: str
    marker: str
    value: float
    ended_nan: bool
    """NaN follows the value."""
    end: float
    """y at the curve's last drawn point, on the axis's scale."""
    beside: bool
    """The curve's own marker stands right beside the label, which need not repeat it."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Texts for the curves' ends, all `width` cells wide. A curve without one is counted in `more`."""

    texts: dict[int, str] = field(default_factory=dict)
    """By the curve's position."""
    width: int = 0
    more: int = 0


def end_labels(
    ended: Sequence[Ended | None],
    unsaid: int,
    rows: int,
    room: int,
    axes: Axes,
    look: Look,
    like: Sequence[float] = (),
) -> Labels:
    """Name and value of as many curves as there are rows, the first ones; or what there is room for.

    There are `unsaid` further curves, which cannot be named.
    The values take as many cells as those of `like` would, so that labels keep their width.
    """
    known = [(place, item) for place, item in enumerate(ended) if item is not None]
    count = len(known) + unsaid
    shown = known if count <= rows else known[: max(0, rows - 1)]
    more = count - len(shown)
    if not shown:
        return Labels(more=more)
    several = len(ended) > 1
    values = [look.text(f"{axes.written(p.value)}{' NaN' if p.ended_nan else ''}") for _, p in shown]
    value_width = max(map(cells, [*values, *(look.text(axes.written(value)) for value in like)]))
    names = [look.text(item.name[:LONGEST]) for _, item in shown]
    longest_name = max(map(cells, names))
    budget = min(room * 3 // 5, room - 12)
    named = [(longest, True) for longest in (24, 16, 12, 8, 6, 4, 3)]
    # Of several curves, names say more than numbers that could be anybody's; a cursor asks for numbers.
    bare = [(longest, False) for longest in (8, 6)] if several and axes.cursor is None else []
    for longest, with_value in [*named, *bare, (0, True)]:
        if longest and longest_name > longest and longest < 6:
            continue
        short = _shortened_names(names, longest, "." if look.ascii_only else "…")
        name_width = max(map(cells, short))
        texts = [
            (f" {item.marker}" if several else "")
            + (f" {padded(name, name_width)}" if name_width else "")
            + (f" {value.rjust(value_width)}" if with_value else "")
            for (_, item), name, value in zip(shown, short, values, strict=True)
        ]
        widest = max(cells(_more(more)) if more else 0, *map(cells, texts))
        if widest <= budget:
            places = (place for place, _ in shown)
            return Labels(dict(zip(places, texts, strict=True)), widest, more)
    return Labels(more=count)


def _shortened_names(names: Sequence[str], longest: int, dots: str) -> list[str]:
    """Names in at most `longest` cells; their ends, where the beginnings do not tell them apart."""
    short = [fmt.fit(name, longest, dots) for name in names]
    if longest < 3 or len(set(short)) == len(set(names)):
        return short
    return [
        name if cells(name) <= longest else dots + fmt.fit(name[::-1], longest - 1, "")[::-1].lstrip()
        for name in names
    ]


def place_labels(
    ended: Sequence[Ended | None], labels: Labels, scale: Scale, rows: int
) -> list[tuple[str, str]]:
    """Text and colour for each row: labels beside their curves' ends, moved apart where they would overlap.

    The last row counts the curves that have none.
    """
    ends = [(" " * labels.width, "")] * rows
    if not labels.width:
        return ends
    free = rows
    if labels.more:
        free -= 1
        ends[free] = (padded(_more(labels.more), labels.width), "")
    wanted = []
    for position, text in labels.texts.items():
        item = ended[position]
        if item is not None:
            dot = float(np.clip(scale.v(np.array(item.end)), 0, scale.down - 1))
            wanted.append((dot, position, text, item))
    wanted.sort(key=lambda entry: entry[:2])
    ideal = [round(dot) * rows // scale.down for dot, *_ in wanted]
    for row, best_row, (_, _, text, item) in zip(_apart(ideal, free), ideal, wanted, strict=True):
        if row == best_row and len(ended) > 1 and item.beside:
            text = text.replace(item.marker, " ", 1)
        ends[row] = (padded(text, labels.width), item.colour)
    return ends


def _more(count: int) -> str:
    return f" +{count} more"


def _apart(wanted: Sequence[int], rows: int) -> list[int]:
    """Rows, ascending and all different, near the wanted ones: one pass down, one up."""
    placed = list(wanted)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + 1)
    limit = rows - 1
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - 1
    return placed


def level_colour(level: Level, look: Look) -> str:
    """A level's own colour, or that of its kind."""
    return level.colour or ((look.target or look.star) if level.target else look.level)


def name_levels(canvas: Canvas, scale: Scale, levels: Sequence[Level], axes: Axes, look: Look) -> None:
    """Write each level's name and value on its dashes, where it covers the least of the curves.

    Levels in one row share a text, targets first; names that do not fit are counted instead. In a low chart,
    where a row may be a third of what there is to see, a text that would hide curves goes into the row below
    or above, and is left out where there is no room either: a number without a name would say nothing.
    """
    rows: dict[int, list[Level]] = {}
    for level in sorted(levels, key=lambda level: not level.target):
        row = scale.row(on_scale(level.value, axes), canvas.height)
        if row is not None:
            rows.setdefault(row, []).append(level)
    taken = set(rows)
    for row, group in rows.items():
        room = max(8, canvas.width // 2)
        dots = "." if look.ascii_only else "…"
        names = [fmt.fit(look.text(_name(level)[:LONGEST]), room, dots) for level in group]
        texts = [
            f"{name} {look.text(axes.written(level.value))}" for name, level in zip(names, group, strict=True)
        ]
        beside = [other for other in (row + 1, row - 1) if 0 <= other < canvas.height and other not in taken]
        for chosen in [texts, texts[:1]] if canvas.height < LOW else [texts]:
            shown, text = _shortened(chosen, len(group), canvas.width - 4)
            place = _place(canvas, row, beside, cells(text)) if shown else None
            if place is not None:
                taken.add(place[0])
                _write(canvas, *place, text, chosen[:shown], group, look)
                break


def _place(canvas: Canvas, row: int, beside: Sequence[int], width: int) -> tuple[int, int] | None:
    """Row and column of a text: on its level's row, or beside it where it would hide a low chart's curves."""
    column = _free_place(canvas.weight[row], width)
    hidden = canvas.weight[row, column : column + width] >= CURVE_WEIGHT
    if canvas.height >= LOW or 5 * hidden.sum() <= width:
        return row, column
    for other in beside:
        column = _free_place(canvas.weight[other], width)
        if not (canvas.weight[other, column : column + width] >= CURVE_WEIGHT).any():
            return other, column
    return None


def _write(
    canvas: Canvas,
    row: int,
    column: int,
    text: str,
    parts: Sequence[str],
    group: Sequence[Level],
    look: Look,
) -> None:
    """Write a text of parts, each in its level's colour."""
    canvas.put(row, column, text, look.level, NAME_WEIGHT)
    column += 1
    for level, part in zip(group, parts, strict=False):
        canvas.put(row, column, part, level_colour(level, look), NAME_WEIGHT)
        column += cells(part) + len(_BETWEEN)


def _name(level: Level) -> str:
    """A target says that it is one."""
    if level.target and not level.label.lower().startswith("target"):
        return f"target {level.label}".rstrip()
    return level.label


def _shortened(texts: Sequence[str], count: int, room: int) -> tuple[int, str]:
    """As many texts as fit between blanks, and how many of `count` are left out; none where not one fits."""
    for shown in range(len(texts), 0, -1):
        more = f" +{count - shown}" if shown < count else ""
        text = f" {_BETWEEN.join(texts[:shown])}{more} "
        if cells(text) <= room:
            return shown, text
    return 0, ""


def _free_place(taken: NDArray[np.int16], width: int) -> int:
    """The column where `width` cells cover the least; nearest to the middle among equals."""
    covered = np.convolve(taken.astype(np.int64), np.ones(width, dtype=np.int64), mode="valid")
    middle = (len(taken) - width) / 2
    distance = np.abs(np.arange(len(covered)) - middle)
    return int(np.lexsort((distance, covered))[0])
