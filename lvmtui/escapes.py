"""What a terminal would obey, taken out of texts from outside. Needs the standard library only."""

from __future__ import annotations

import re

ESCAPES = re.compile(
    r"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-~]?)"
    r"|\x9b[0-?]*[ -/]*[@-~]?"
)

_HARMFUL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e001f]"
)


def harmless(text: str) -> str:
    """Outside text to be kept: no escape sequences, control or direction characters. Line breaks, tabs and
    signs of all scripts stay, so that it can be edited and given back."""
    if text.isascii() and text.isprintable():
        return text
    return _HARMFUL.sub("", re.sub(r"\r\n?", "\n", ESCAPES.sub("", text)))
