"""Writes to the terminal only the cells that differ from what stands there.

Textual writes every widget that was repainted as a whole, each piece with its full colours: 10 kB and more
for one more point on a curve. Over a slow link that is felt. Here the screen as it was written last is kept,
and of each update only cells that changed are sent, with only those colours that changed between them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.screen import Screen
    from textual.strip import Strip

WHOLE = "LVMTUI_REPAINT"
"""Environment variable: `full` writes whole widgets, as Textual does."""

GAP = 4
"""Unchanged cells of one style that are written again rather than jumped over: a jump costs as much."""

_SINGLE = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff\u2190-\u21ff\u2500-\u25ff\u2800-\u28ff]*")
"""Texts whose characters are all one cell wide."""

Pen = tuple[str, str, str, str]
"""SGR codes of attributes, foreground and background, each empty for the terminal's own, and a link."""
_PLAIN: Pen = ("", "", "", "")
_ATTRIBUTES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "21", "51", "52", "53")
"""SGR code of each of rich's attributes, by bit."""
Piece = tuple[int, int, "Strip"]
"""Line and column at which a strip is to stand."""


class Frame:
    """What stands on the terminal, as far as it is known."""

    def __init__(self, size: tuple[int, int] = (10_000, 10_000)) -> None:
        self._size = size
        self._pens: dict[Style, Pen] = {}
        self._system = ColorSystem.TRUECOLOR
        self.forget()

    def forget(self, size: tuple[int, int] | None = None) -> None:
        """Nothing is known any more: whatever comes next is written in full.

        Args:
            size: columns and lines that the terminal has now, outside of which nothing is written; None: as
                before.
        """
        self._size = size or self._size
        self._characters: dict[int, list[str | None]] = {}
        self._styles: dict[int, list[Pen | None]] = {}

    def write(self, pieces: Iterator[Piece], system: ColorSystem) -> str:
        """The control sequences that bring the terminal to these pieces; it is known to have them then."""
        if system is not self._system:
            self._system = system
            self._pens.clear()
            self.forget()
        out: list[str] = []
        pen = _PLAIN
        width, height = self._size
        for y, x, strip in pieces:
            if not (0 <= y < height and x < width):
                continue
            if x + strip.cell_length > width:
                strip = strip.crop(0, width - x)
            characters, styles = self._cells(strip)
            pen = self._difference(y, x, characters, styles, pen, out)
        if pen != _PLAIN:
            out.append(_switch(pen, _PLAIN))
        return "".join(out)

    def _cells(self, strip: Strip) -> tuple[list[str], list[Pen]]:
        """One entry a cell: a wide character stands in its first, and its second is empty."""
        characters: list[str] = []
        styles: list[Pen] = []
        for text, style, control in strip:
            if control or not text:
                continue
            if _SINGLE.fullmatch(text):
                characters += text
            else:
                _add_wide(text, characters)
            styles += [self._pen(style)] * (len(characters) - len(styles))
        return characters, styles

    def _pen(self, style: Style | None) -> Pen:
        if style is None:
            return _PLAIN
        found = self._pens.get(style)
        if found is None:
            found = self._pens[style] = _pen_of(style, self._system)
        return found

    def _difference(
        self, y: int, x: int, characters: Sequence[str], styles: Sequence[Pen], pen: Pen, out: list[str]
    ) -> Pen:
        """Write what differs in one line from column x on; gives the pen as it is left."""
        end = x + len(characters)
        known = self._characters.setdefault(y, [])
        looks = self._styles.setdefault(y, [])
        if len(known) < end:
            known += [None] * (end - len(known))
            looks += [None] * (end - len(looks))
        old, old_looks = known[x:end], looks[x:end]
        if old == characters and old_looks == styles:
            return pen
        known[x:end], looks[x:end] = characters, styles
        at = -1
        for begin, stop in _runs(old, old_looks, characters, styles):
            if at < 0:
                out.append(f"\x1b[{y + 1};{x + begin + 1}H")
            elif begin > at:
                out.append(f"\x1b[{begin - at}C")
            for column in range(begin, stop):
                if styles[column] is not pen and styles[column] != pen:
                    out.append(_switch(pen, styles[column]))
                    pen = styles[column]
                out.append(characters[column])
            at = stop
        return pen


def _runs(
    old: Sequence[str | None], old_looks: Sequence[Pen | None], new: Sequence[str], looks: Sequence[Pen]
) -> Iterator[tuple[int, int]]:
    """Stretches of cells to write: those that changed, never half of a wide character, small gaps joined."""
    changed = [
        place
        for place, (a, b, c, d) in enumerate(zip(old, new, old_looks, looks, strict=True))
        if a != b or c != d
    ]
    begin = stop = -1
    for place in changed:
        first, last = place, place + 1
        while first > 0 and new[first] == "":
            first -= 1
        while last < len(new) and new[last] == "":
            last += 1
        if begin >= 0 and (first <= stop or (first - stop <= GAP and len(set(looks[stop - 1 : first])) == 1)):
            stop = max(stop, last)
            continue
        if begin >= 0:
            yield begin, stop
        begin, stop = first, last
    if begin >= 0:
        yield begin, stop


def _add_wide(text: str, characters: list[str]) -> None:
    """Add a text of characters of any width: what has none goes with the one before."""
    before = len(characters)
    for character in text:
        width = get_character_cell_size(character)
        if width == 0 and len(characters) > before:
            place = len(characters) - 1
            while place > before and characters[place] == "":
                place -= 1
            characters[place] += character
        elif width == 0:
            continue
        else:
            characters.append(character)
            characters += [""] * (width - 1)
    # Sequences that rich counts as one glyph (families, flags) are kept whole and as wide as it says.
    width = cell_len(text)
    if len(characters) - before != width:
        characters[before:] = [text, *[""] * (width - 1)] if width else []


def _pen_of(style: Style, system: ColorSystem) -> Pen:
    attributes = style._attributes & style._set_attributes
    codes = ";".join(code for bit, code in enumerate(_ATTRIBUTES) if attributes & (1 << bit))
    fore = ";".join(style.color.downgrade(system).get_ansi_codes()) if style.color else ""
    back = ";".join(style.bgcolor.downgrade(system).get_ansi_codes(foreground=False)) if style.bgcolor else ""
    return codes, fore, back, style.link or ""


def _switch(old: Pen, new: Pen) -> str:
    """From one pen to another, naming only what differs."""
    link = "" if old[3] == new[3] else f"\x1b]8;;{new[3]}\x1b\\"
    if new[:3] == _PLAIN[:3]:
        return f"{link}\x1b[m" if old[:3] != new[:3] else link
    if old[0] != new[0] and old[0]:
        codes = ["0", new[0], new[1], new[2]]  # attributes are taken back all at once only
    else:
        codes = [new[0] if new[0] != old[0] else ""]
        codes.append((new[1] or "39") if new[1] != old[1] else "")
        codes.append((new[2] or "49") if new[2] != old[2] else "")
    said = ";".join(code for code in codes if code)
    return f"{link}\x1b[{said}m" if said else link


def pieces_of(update: CompositorUpdate) -> Iterator[Piece] | None:
    """Where an update puts which strips; None for one that is not known here."""
    if isinstance(update, LayoutUpdate):
        return _laid_out(update)
    return _chopped(update) if isinstance(update, ChopsUpdate) else None


def _laid_out(update: LayoutUpdate) -> Iterator[Piece]:
    for y, line in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in line:
            yield y, x, strip
            x += strip.cell_length


def _chopped(update: ChopsUpdate) -> Iterator[Piece]:
    """As `ChopsUpdate.render_segments` goes through them."""
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x > right or end <= left:
                continue
            whole = right > x >= left and end <= right
            yield y, x, strip if whole else strip.crop(0, min(end, right) - x)


class _Thin(CompositorUpdate):
    """An update that is written through a frame."""

    def __init__(self, update: CompositorUpdate, frame: Frame) -> None:
        self._update = update
        self._frame = frame

    def render_segments(self, console: Console) -> str:
        pieces = pieces_of(self._update)
        if pieces is None:
            self._frame.forget()
            return self._update.render_segments(console)
        return self._frame.write(pieces, console._color_system or ColorSystem.TRUECOLOR)


class ThinRepaint(App[int]):
    """The part of the App that writes to the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._frame = Frame()
        self._thin = os.environ.get(WHOLE) != "full"
        self._frame_size = (0, 0)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        size = (self.size.width, self.size.height)
        if size != self._frame_size:
            # Terminals reflow, cut or clear what stood there.
            self._frame_size = size
            self._frame.forget(size)
        if self._thin and isinstance(renderable, CompositorUpdate) and not self.is_inline:
            renderable = _Thin(renderable, self._frame)
        super()._display(screen, renderable)

    def _resume_signal(self) -> None:
        """Another program has written to the terminal meanwhile."""
        self._frame.forget()
        super()._resume_signal()

    def action_repaint(self) -> None:
        """Write the whole screen again, whatever is taken to stand there."""
        self._frame.forget()
        self.refresh(layout=True)
