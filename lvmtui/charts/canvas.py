"""A grid of terminal cells to draw curves on: 2x4 braille dots a cell, or one character a cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.text import Span

from lvmtui.charts.figure import style_of
from lvmtui.charts.raster import Array, Ints, Spans, column_spans

_BLANK = ord(" ")
_BRAILLE = 0x2800
_SHORT_GAP = 8
"""Blanks between marks of two styles that are rather given one of these than a span of their own."""

_DOTS = np.array([[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]], dtype=np.uint8)
"""Bits of the left and right dots of a braille cell from the top (Unicode block U+2800)."""

_OF_ROWS = np.array(
    [[sum(int(_DOTS[side, r]) for r in range(4) if rows >> r & 1) for rows in range(16)] for side in (0, 1)],
    dtype=np.uint8,
)
"""Bits of a set of rows, by side."""


class Weave(Enum):
    """Which dots of what is drawn are set: the rows of the left and of the right half of a cell."""

    FULL = (0b1111, 0b1111)
    HALF = (0b0101, 0b1010)
    """Every other dot, as on a chessboard: a line behind another."""
    SPARSE = (0b0001, 0b0100)
    """Every fourth dot: an area."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line in dots from the top left, or the area between two: `u`, `v` (n,), NaN in `v` breaks it."""

    u: Array
    v: Array
    colour: str
    marker: str
    """The character used in ASCII."""
    v_other: Array | None = None
    """The area's other edge."""


@dataclass(slots=True)
class Canvas:
    """`height` x `width` cells. Later marks cover earlier ones; style 0 is the terminal's own."""

    width: int
    height: int
    ascii_only: bool = False
    codes: NDArray[np.uint32] = field(init=False)
    """Code point of each cell; 0 where the character before it is two cells wide."""
    owner: NDArray[np.int16] = field(init=False)
    """Style number of each cell."""
    weight: NDArray[np.int16] = field(init=False)
    """How much would be hidden by a text that covers a cell: 0 nothing, most for signs and names."""
    shaded: NDArray[np.bool_] | None = None
    """Columns with the background `shade`."""
    shade: str = ""
    styles: dict[str, int] = field(default_factory=lambda: {"": 0})

    def __post_init__(self) -> None:
        self.codes = np.full((self.height, self.width), _BLANK, dtype=np.uint32)
        self.owner = np.zeros((self.height, self.width), dtype=np.int16)
        self.weight = np.zeros((self.height, self.width), dtype=np.int16)

    def copy(self) -> Canvas:
        """The same picture, to be drawn on without changing this one."""
        other = Canvas(self.width, self.height, self.ascii_only, self.shaded, self.shade, dict(self.styles))
        other.codes, other.owner, other.weight = self.codes.copy(), self.owner.copy(), self.weight.copy()
        return other

    @property
    def dots(self) -> tuple[int, int]:
        """Dots across and down."""
        return (self.width, self.height) if self.ascii_only else (2 * self.width, 4 * self.height)

    def style(self, colour: str) -> int:
        """The number of a style; registers it when it is new."""
        return self.styles.setdefault(colour, len(self.styles))

    def put(self, row: int, column: int, text: str, colour: str, weight: int = 0) -> None:
        """Write `text` from a cell to the right; what falls outside is cut."""
        if not 0 <= row < self.height:
            return
        number = self.style(colour)
        for character in text:
            width = cell_len(character)
            if width and column >= 0:
                if column + width > self.width:
                    return
                self._clear(row, column, width)
                self.codes[row, column] = ord(character)
                self.codes[row, column + 1 : column + width] = 0
                self.owner[row, column : column + width] = number
                self.weight[row, column : column + width] = weight
            column += width

    def _clear(self, row: int, column: int, width: int) -> None:
        """Leave no half of a wide character behind."""
        if not self.codes[row, column]:
            self.codes[row, column - 1] = _BLANK
        after = column + width
        if after < self.width and not self.codes[row, after]:
            self.codes[row, after] = _BLANK

    def fill(
        self, where: tuple[slice | Ints, slice | Ints], character: str, colour: str, weight: int
    ) -> None:
        """Set a block of cells to one narrow character."""
        self.codes[where] = ord(character)
        self.owner[where] = self.style(colour)
        self.weight[where] = weight

    def draw(self, strokes: list[Stroke], weave: Weave = Weave.FULL, weight: int = 4) -> Spans:
        """Draw lines, or areas, all at once; the last of them is on top. Points outside are clipped.

        A cell shows the dots of its topmost stroke only, so that they have its colour. Returns what they
        cover, in dots, by the number of the stroke.
        """
        spans = self._spans(strokes)
        height = self.dots[1]
        inside = (spans.bottom >= 0) & (spans.top < height)
        line, column = spans.line[inside], spans.column[inside]
        top, bottom = np.maximum(spans.top[inside], 0), np.minimum(spans.bottom[inside], height - 1)
        if not len(line):
            return spans
        down = 1 if self.ascii_only else 4
        first = top // down
        counts = bottom // down - first + 1
        offset = np.cumsum(counts) - counts
        of = np.repeat(np.arange(len(line)), counts)
        rows = np.arange(len(of)) - (offset - first)[of]
        owner = line[of]
        if self.ascii_only:
            cell = rows * self.width + column[of]
            if weave is Weave.SPARSE:
                even = (rows + column[of]) % 2 == 0
                cell, owner = cell[even], owner[even]
            marks = np.array([ord(stroke.marker) for stroke in strokes], dtype=np.uint32)
            covers = self._topmost(cell, owner)
            self._colour(strokes, cell[covers], owner[covers], marks[owner[covers]], weight)
            return spans
        covered = np.full(len(of), 0b1111, dtype=np.int64)
        covered[offset] &= 0b1111 << (top & 3)
        covered[offset + counts - 1] &= 0b1111 >> (3 - (bottom & 3))
        side = (column & 1)[of]
        if weave is not Weave.FULL:
            covered &= np.array(weave.value)[side]
        cell = rows * self.width + (column >> 1)[of]
        if weave is not Weave.FULL:
            some = np.flatnonzero(covered)
            covered, side, cell, owner = covered[some], side[some], cell[some], owner[some]
        covers = self._topmost(cell, owner)
        cell, owner = cell[covers], owner[covers]
        bits = np.zeros(self.height * self.width, dtype=np.uint8)
        np.bitwise_or.at(bits, cell, _OF_ROWS[side[covers], covered[covers]])
        self._colour(strokes, cell, owner, bits[cell] + np.uint32(_BRAILLE), weight)
        return spans

    def _spans(self, strokes: list[Stroke]) -> Spans:
        across, down = self.dots
        if not strokes:
            return column_spans(*_NO_POINTS, across, down)
        line = np.repeat(np.arange(len(strokes)), [len(stroke.u) for stroke in strokes])
        u = np.concatenate([stroke.u for stroke in strokes])
        v = np.concatenate([stroke.v for stroke in strokes])
        if strokes[0].v_other is None:
            return column_spans(u, v, line, across, down)
        other = np.concatenate([stroke.v if stroke.v_other is None else stroke.v_other for stroke in strokes])
        known = np.isfinite(v) & np.isfinite(other)
        edges = [column_spans(u, np.where(known, edge, np.nan), line, across, down) for edge in (v, other)]
        return _between(*edges, across=across, lines=len(strokes))

    def _topmost(self, cell: Ints, owner: Ints) -> NDArray[np.bool_]:
        """Which of the marks, given in the order of their owners, lie on top in their cell."""
        top = np.zeros(self.height * self.width, dtype=np.int64)
        top[cell] = owner
        covers: NDArray[np.bool_] = top[cell] == owner
        return covers

    def _colour(
        self, strokes: list[Stroke], cell: Ints, owner: Ints, codes: NDArray[np.uint32], weight: int
    ) -> None:
        numbers = np.array([self.style(stroke.colour) for stroke in strokes], dtype=np.int16)
        self.codes.reshape(-1)[cell] = codes
        self.owner.reshape(-1)[cell] = numbers[owner]
        self.weight.reshape(-1)[cell] = weight

    def lines(self, left: int = 0) -> list[tuple[str, list[Span]]]:
        """Each row as text of exactly `width` cells and as few spans of one style as it takes.

        `left` is how many characters will stand before the text; the spans are counted with them.
        """
        owner = self._blanks_joined()
        background = 0
        styles = [style_of(colour) for colour in self.styles]
        if self.shaded is not None:
            background = len(styles)
            tint = style_of(f"on {self.shade}")
            styles += [style + tint for style in styles]
            owner = owner + np.where(self.shaded, background, 0)
        rows, columns = np.nonzero(owner[:, 1:] != owner[:, :-1])
        first = np.searchsorted(rows, np.arange(self.height + 1)).tolist()
        text = self.codes.astype("<u4").tobytes().decode("utf-32-le")
        cuts = (columns + 1).tolist()
        drawn = []
        for row in range(self.height):
            characters = text[row * self.width : (row + 1) * self.width]
            starts = [0, *cuts[first[row] : first[row + 1]]]
            numbers = owner[row, starts].tolist()
            if "\0" in characters:
                starts = [start - characters.count("\0", 0, start) for start in starts]
                characters = characters.replace("\0", "")
            ends = [*starts[1:], len(characters)]
            spans = [
                Span(left + start, left + end, styles[number])
                for start, end, number in zip(starts, ends, numbers, strict=True)
                if number
            ]
            drawn.append((characters, spans))
        return drawn

    def _blanks_joined(self) -> NDArray[np.int16]:
        """The style of each cell, where blanks between marks take the style of those: no mark, no style."""
        blank = self.codes == _BLANK
        places = np.arange(self.width)
        before = np.maximum.accumulate(np.where(blank, -1, places), 1)
        after = np.minimum.accumulate(np.where(blank, self.width, places)[:, ::-1], 1)[:, ::-1]
        held = np.take_along_axis(self.owner, np.maximum(before, 0), 1)
        next_one = np.take_along_axis(self.owner, np.minimum(after, self.width - 1), 1)
        between = blank & (before >= 0) & (after < self.width)
        joins = between & ((held == next_one) | (after - before <= _SHORT_GAP))
        return np.where(blank, np.where(joins, held, 0), self.owner)


_NO_POINTS = (np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))


def _between(one: Spans, other: Spans, *, across: int, lines: int) -> Spans:
    """Everything from one edge to the other."""
    size = lines * across
    top, bottom = np.full(size, np.iinfo(np.int64).max), np.full(size, np.iinfo(np.int64).min)
    for edge in (one, other):
        place = edge.line * across + edge.column
        np.minimum.at(top, place, edge.top)
        np.maximum.at(bottom, place, edge.bottom)
    known = np.flatnonzero(top <= bottom)
    return Spans(known // across, known % across, top[known], bottom[known])
