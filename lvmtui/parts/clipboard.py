"""Copies what is under the cursor to the clipboard of the terminal, over ssh and through tmux as well."""

from __future__ import annotations

import base64
import os
from typing import Protocol, runtime_checkable

from lvmtui.format import fit, plain, thousands
from lvmtui.parts.requests import RequestHandling

MOST_BYTES = 70_000
"""Of a text: terminals drop longer ones in silence."""

SHOWN = 60
"""Characters of a copied text that are told."""


@runtime_checkable
class Copied(Protocol):
    """A widget that knows what is to be copied while it has the focus."""

    def copied(self) -> str:
        """The text; empty: nothing of its own."""


def sequence(text: str, *, in_tmux: bool | None = None) -> str:
    """What makes a terminal put a text into its clipboard (OSC 52).

    Args:
        text: anything: it is encoded.
        in_tmux: say it to tmux, which takes it where its `set-clipboard` is on, and once more to the terminal
            outside, which gets it where `allow-passthrough` is on; None: looks itself.
    """
    code = f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode('ascii')}\x07"
    if in_tmux is None:
        in_tmux = bool(os.environ.get("TMUX"))
    escaped = code.replace("\x1b", "\x1b\x1b")
    return f"{code}\x1bPtmux;{escaped}\x1b\\" if in_tmux else code


class Clipboard(RequestHandling):
    """The part of the App that copies."""

    def copy_to_clipboard(self, text: str) -> None:
        """Put a text into the clipboard of the terminal, wherever that is."""
        self._clipboard = text
        if self._driver is not None:
            self._driver.write(sequence(text))

    def action_copy(self) -> None:
        """Copy what the focused widget has under its cursor, else the name of the run."""
        text = self.copied_text()
        if not text:
            self.tell("There is nothing here to copy.", severity="warning")
        elif len(text.encode("utf-8", "replace")) > MOST_BYTES:
            told = f"This is too long for a terminal's clipboard: {thousands(len(text))} characters"
            self.tell(told, severity="warning")
        else:
            self.copy_to_clipboard(text)
            first, more, _ = text.partition("\n")
            self.tell(f"copied: {fit(plain(first), SHOWN)}{' …' if more else ''}")

    def copied_text(self) -> str:
        """What would be copied now; safe to print."""
        widget = self.focused
        own = widget.copied() if isinstance(widget, Copied) else ""
        screen = self.uppermost
        view = self.view_of(screen.cursor_run) if screen is not None and not own else None
        return own or (plain(view.run.name) if view is not None else "")
