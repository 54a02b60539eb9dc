"""Finds out whether a terminal at the other end of ssh shows 16 million colours.

Terminals say so in COLORTERM, which ssh does not hand on. So the terminal is given a colour and asked which
it has now (DECRQSS); a terminal that knows only a palette names another one, or does not answer. Every
terminal answers the second question (DA1), which tells that no more will come.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Mapping

VARIABLE = "COLORTERM"

SECONDS = 1.0
"""How long a terminal that does not answer at all is waited for."""

KNOWN = ("kitty", "alacritty", "foot", "wezterm", "ghostty", "contour")
"""Values of TERM, or what they have after `xterm-`, of terminals that all show 16 million colours."""

# On the alternate screen, so that nothing is left of it where a terminal prints what it does not know.
QUESTION = b"\x1b[?1049h\x1b[48;2;1;2;3m\x1bP$qm\x1b\\\x1b[0m\x1b[2J\x1b[?1049l\x1b[c"
_LAST = re.compile(rb"\x1b\[\?[0-9;]*c")
_COLOUR = re.compile(rb"\x1bP1\$r[0-9;:]*48[;:]2[;:]+1[;:]2[;:]3")


def needs_question(environment: Mapping[str, str]) -> bool:
    """Whether only the terminal itself can tell: it is at the other end of ssh, and neither a multiplexer nor
    a terminal that is known by its name."""
    term = environment.get("TERM", "")
    return (
        VARIABLE not in environment
        and "NO_COLOR" not in environment
        and "SSH_CONNECTION" in environment
        and term.startswith("xterm")
        and not known_to_show(environment)
    )


def known_to_show(environment: Mapping[str, str]) -> bool:
    """Whether 16 million colours can be sent without asking. tmux takes them and makes of them what the
    terminal outside can show."""
    term = environment.get("TERM", "")
    family = term.removeprefix("xterm-").partition("-")[0]
    in_tmux = "TMUX" in environment or term.startswith("tmux")
    return in_tmux or term.endswith("-direct") or family in KNOWN


class Question:
    """Asked when it is made; the answer is waited for later, so that there is time for something else."""

    def __init__(self) -> None:
        self._before: list[object] | None = None
        if not needs_question(os.environ):
            return
        try:
            self._before = termios.tcgetattr(sys.stdin.fileno())
            tty.setcbreak(sys.stdin.fileno(), termios.TCSANOW)
            os.write(sys.stdout.fileno(), QUESTION)
        except (OSError, ValueError, termios.error):
            self.restore()

    def take_answer(self) -> None:
        """Set COLORTERM for this process where 16 million colours are shown and it does not say so."""
        shows = VARIABLE not in os.environ and known_to_show(os.environ)
        if self._before is not None:
            try:
                shows = bool(_COLOUR.search(_answer(sys.stdin.fileno(), SECONDS)))
            finally:
                self.restore()
        if shows:
            os.environ[VARIABLE] = "truecolor"

    def restore(self) -> None:
        """Leave the terminal as it was."""
        if self._before is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._before)  # type: ignore[arg-type]
            self._before = None


def _answer(terminal: int, seconds: float) -> bytes:
    """What comes in up to the answer to the last question."""
    found = b""
    deadline = time.monotonic() + seconds
    while not _LAST.search(found) and len(found) < 4096:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            break
        found += os.read(terminal, 1024)
    return found
