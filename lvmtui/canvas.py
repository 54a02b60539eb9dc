"""A grid of terminal cells to draw curves on: 2x4 braille dots a cell, or one character a cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.text import Text

from lvmtui.figure import style_of

Array = NDArray[np.float64]

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
"""Braille dot bits by row and column within a cell (Unicode block U+2800)."""


@dataclass(slots=True)
class Canvas:
    """`height` x `width` cells. Later marks cover earlier ones; style 0 is the terminal's own."""

    width: int
    height: int
    ascii_only: bool = False
    cells: NDArray[np.str_] = field(init=False)
    owner: NDArray[np.int16] = field(init=False)
    """Style number of each cell."""
    weight: NDArray[np.int16] = field(init=False)
    """How much a text that covers a cell hides: 0 nothing, 1 a piece of curve, more for signs."""
    styles: list[str] = field(default_factory=lambda: [""])

    def __post_init__(self) -> None:
        self.cells = np.full((self.height, self.width), " ", dtype="<U1")
        self.owner = np.zeros((self.height, self.width), dtype=np.int16)
        self.weight = np.zeros((self.height, self.width), dtype=np.int16)

    @property
    def dots(self) -> tuple[int, int]:
        """Dots across and down."""
        return (self.width, self.height) if self.ascii_only else (2 * self.width, 4 * self.height)

    def style(self, colour: str) -> int:
        """The number of a style; registers it when it is new."""
        if colour not in self.styles:
            self.styles.append(colour)
        return self.styles.index(colour)

    def put(self, row: int, column: int, text: str, colour: str) -> None:
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
                self.cells[row, column] = character
                self.cells[row, column + 1 : column + width] = ""
                self.owner[row, column : column + width] = number
            column += width

    def _clear(self, row: int, column: int, width: int) -> None:
        """Leave no half of a wide character behind: its second cell holds an empty string."""
        if not self.cells[row, column]:
            self.cells[row, column - 1] = " "
        after = column + width
        if after < self.width and not self.cells[row, after]:
            self.cells[row, after] = " "

    def polyline(self, u: Array, v: Array, colour: str, marker: str) -> None:
        """Draw straight lines between points given in dots from the top left; NaN in `v` breaks the line.

        `marker` is the character used in ASCII. Points may lie outside: they are clipped.
        """
        rows, columns = self._rasterise(u, v)
        if not len(rows):
            return
        number = self.style(colour)
        if self.ascii_only:
            self.cells[rows, columns] = marker
            self.owner[rows, columns] = number
            self.weight[rows, columns] = 1
            return
        bits = np.zeros((self.height, self.width), dtype=np.uint8)
        np.bitwise_or.at(bits, (rows // 4, columns // 2), _DOTS[rows % 4, columns % 2])
        touched = bits > 0
        codes = bits[touched].astype(np.uint32) + 0x2800
        self.cells[touched] = codes.view("<U1") if len(codes) else codes
        self.owner[touched] = number
        self.weight[touched] = 1

    def _rasterise(self, u: Array, v: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Dots (row, column) on the lines through the points, inside the canvas."""
        across, down = self.dots
        finite = np.isfinite(u) & np.isfinite(v)
        u, v = u.clip(-4 * across, 5 * across), v.clip(-4 * down, 5 * down)
        linked = finite[1:] & finite[:-1]
        start_u, start_v = u[:-1][linked], v[:-1][linked]
        du, dv = u[1:][linked] - start_u, v[1:][linked] - start_v
        steps = np.ceil(np.maximum(np.abs(du), np.abs(dv))).astype(np.int64) + 1
        total = int(steps.sum())
        within = np.arange(total) - np.repeat(np.cumsum(steps) - steps, steps)
        share = within / np.repeat(np.maximum(steps - 1, 1), steps)
        all_u = np.concatenate((np.repeat(start_u, steps) + share * np.repeat(du, steps), u[finite]))
        all_v = np.concatenate((np.repeat(start_v, steps) + share * np.repeat(dv, steps), v[finite]))
        columns, rows = np.rint(all_u).astype(np.int64), np.rint(all_v).astype(np.int64)
        inside = (columns >= 0) & (columns < across) & (rows >= 0) & (rows < down)
        return rows[inside], columns[inside]

    def line(self, row: int) -> Text:
        """One row as text, exactly `width` cells."""
        text = Text(no_wrap=True, end="")
        owner = self.owner[row]
        cuts = [0, *(np.flatnonzero(owner[1:] != owner[:-1]) + 1).tolist(), self.width]
        characters = "".join(self.cells[row].tolist())
        for start, stop in pairwise(cuts):
            text.append(characters[start:stop], style_of(self.styles[int(owner[start])]))
        return text
