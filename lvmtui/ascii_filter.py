"""The ASCII mode's last step: whatever is not ASCII by then (borders, scroll bars, data) gets a stand-in."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from lvmtui.format import ascii_text

_LINES = str.maketrans(
    {
        **dict.fromkeys("─━╌╍┄┅┈┉═▔", "-"),
        **dict.fromkeys("│┃╎╏║▏▎▍▌▕▐", "|"),
        **dict.fromkeys("╭╮╰╯┌┐└┘┏┓┗┛╔╗╚╝├┤┬┴┼", "+"),
        **dict.fromkeys("▁▂▃▄▅▆▇█▀", "#"),
        "▊": " ",
        "▋": " ",
        "▉": " ",
    }
)


class AsciiFilter(LineFilter):
    """Keeps every cell where it is."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        """The segments in ASCII."""
        return [
            segment if segment.text.isascii() else Segment(_written(segment.text), segment.style)
            for segment in segments
        ]


@lru_cache(4096)
def _written(text: str) -> str:
    return "".join(map(_character, text.translate(_LINES)))


def _character(character: str) -> str:
    if character.isascii():
        return character
    return ascii_text(character)[:1].ljust(get_character_cell_size(character), "?")
