"""What is written to the terminal: as little as needed, and in the end the very same picture."""

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len, get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from lvmtui.parts.repaint import Frame, Piece, pieces_of

WIDTH, HEIGHT = 14, 4
CODE = re.compile(r"\x1b\[([\d;]*)([HCm])|\x1b\]8;[^;]*;([^\x1b]*)\x1b\\")


class Emulator:
    """As much of a terminal as is needed: cells with a character and a look."""

    def __init__(self) -> None:
        self.cells = {(y, x): (" ", ()) for y in range(HEIGHT) for x in range(WIDTH)}
        self.x = self.y = 0
        self.attributes: frozenset[str] = frozenset()
        self.fore = self.back = self.link = ""

    def feed(self, text: str) -> None:
        place = 0
        for found in CODE.finditer(text):
            self._print(text[place : found.start()])
            place = found.end()
            if found[2] is None:
                self.link = found[3]
            elif found[2] == "H":
                y, x = (int(part) for part in found[1].split(";"))
                self.y, self.x = y - 1, x - 1
            elif found[2] == "C":
                self.x += int(found[1])
            else:
                self._pen(found[1].split(";"))
        self._print(text[place:])

    def _pen(self, codes: list[str]) -> None:
        codes = [code or "0" for code in codes]
        while codes:
            code = codes.pop(0)
            if code == "0":
                self.attributes, self.fore, self.back = frozenset(), "", ""
            elif code in {"38", "48"}:
                count = 4 if codes[0] == "2" else 2
                colour, codes = ";".join(codes[:count]), codes[count:]
                if code == "38":
                    self.fore = colour
                else:
                    self.back = colour
            elif code == "39":
                self.fore = ""
            elif code == "49":
                self.back = ""
            elif 30 <= int(code) <= 37 or 90 <= int(code) <= 97:
                self.fore = code
            elif 40 <= int(code) <= 47 or 100 <= int(code) <= 107:
                self.back = code
            else:
                self.attributes |= {code}

    def _print(self, text: str) -> None:
        assert "\x1b" not in text
        for character in text:
            width = get_character_cell_size(character)
            look = (tuple(sorted(self.attributes)), self.fore, self.back, self.link)
            self.cells[self.y, self.x] = (character, look)
            for extra in range(1, width):
                self.cells[self.y, self.x + extra] = ("", look)
            self.x += width


def whole(pieces: list[Piece]) -> str:
    """As Textual writes it."""
    console = Console(color_system="truecolor", force_terminal=True)
    return "".join(f"\x1b[{y + 1};{x + 1}H{strip.render(console)}" for y, x, strip in pieces)


styles = st.sampled_from(
    [
        None,
        Style.parse("bold"),
        Style.parse("red"),
        Style.parse("#112233 on #445566"),
        Style.parse("italic #112233"),
        Style.parse("on #445566"),
        Style.parse("bold reverse"),
        Style.parse("underline bright_red on blue"),
    ]
)
texts = st.text(st.sampled_from("ab ·⣿█幅語é"), min_size=1, max_size=6)


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    found = []
    for y in draw(st.lists(st.integers(0, HEIGHT - 1), max_size=6)):
        segments, width = [], 0
        x = draw(st.integers(0, WIDTH - 1))
        for text, style in draw(st.lists(st.tuples(texts, styles), max_size=4)):
            if x + width + cell_len(text) <= WIDTH:
                segments.append(Segment(text, style))
                width += cell_len(text)
        found.append((y, x, Strip(segments, width)))
    return found


@given(st.lists(pieces(), min_size=1, max_size=5))
def test_the_picture_is_the_same(updates: list[list[Piece]]) -> None:
    """Full lines first, as after a start; then anything. (Halves of wide characters are no two pictures.)"""
    frame, thin, full = Frame(), Emulator(), Emulator()
    start = [(y, 0, Strip([Segment("." * WIDTH)], WIDTH)) for y in range(HEIGHT)]
    for update in [start, *updates]:
        thin.feed(frame.write(iter(update), ColorSystem.TRUECOLOR))
        full.feed(whole(update))
    assert {k: v for k, v in thin.cells.items() if v[0]} == {k: v for k, v in full.cells.items() if v[0]}


def line(text: str, style: str = "") -> list[Piece]:
    segment = Segment(text, Style.parse(style) if style else None)
    return [(0, 0, Strip([segment], cell_len(text)))]


def write(frame: Frame, found: list[Piece]) -> str:
    return frame.write(iter(found), ColorSystem.TRUECOLOR)


def test_the_same_again_writes_nothing() -> None:
    frame = Frame()
    write(frame, line("Hit@5 17.9", "bold #112233 on #445566"))
    assert write(frame, line("Hit@5 17.9", "bold #112233 on #445566")) == ""


def test_only_what_changed_is_written() -> None:
    frame = Frame()
    write(frame, line("Hit@5 17.9  epoch 19  patience 2/3"))
    assert write(frame, line("Hit@5 18.0  epoch 20  patience 2/3")) == "\x1b[1;8H8.0\x1b[8C20"


def test_a_colour_alone_is_a_change() -> None:
    frame = Frame()
    write(frame, line("abc", "#111111 on #222222"))
    assert write(frame, line("abc", "#333333 on #222222")) == (
        "\x1b[1;1H\x1b[38;2;51;51;51;48;2;34;34;34mabc\x1b[m"
    )


def test_between_pieces_only_the_colour_that_differs_is_named() -> None:
    frame = Frame()
    two = Strip(
        [Segment("ab", Style.parse("#111111 on #222222")), Segment("cd", Style.parse("on #222222"))], 4
    )
    assert "\x1b[39mcd" in write(frame, [(0, 0, two)])


def test_after_forgetting_all_is_written() -> None:
    frame = Frame()
    first = write(frame, line("abc"))
    frame.forget()
    assert write(frame, line("abc")) == first == "\x1b[1;1Habc"


def test_textuals_own_updates_are_understood() -> None:
    strips = [[Strip([Segment("ab")], 2), Strip([Segment("cd")], 2)], [Strip([Segment("ef")], 2)]]
    update = LayoutUpdate(strips, Region(3, 1, 4, 2))
    found = pieces_of(update)
    assert found is not None
    assert [(y, x, strip.text) for y, x, strip in found] == [(1, 3, "ab"), (1, 5, "cd"), (2, 3, "ef")]


def test_nothing_is_written_outside_of_the_terminal() -> None:
    """A widget may not know yet that the terminal has become smaller."""
    frame = Frame((3, 1))
    assert (
        write(frame, [(0, 1, Strip([Segment("abcd")], 4)), (1, 0, Strip([Segment("e")], 1))]) == "\x1b[1;2Hab"
    )
