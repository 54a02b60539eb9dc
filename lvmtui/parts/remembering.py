"""The part of the App that remembers how things were, from one start to the next."""

from __future__ import annotations

import contextlib
import os

from textual.app import App

from lvmtui.config import UiState, ViewOptions, load_state, save_state

SAVE_SECONDS = 1.0
"""Changes of what is remembered are gathered for this long before they are written."""


class Remembering(App[int]):
    """Keeps cursor, marks, options and theme of each store."""

    store: str
    focused_run: int | None = None
    marked: tuple[int, ...] = ()
    options = ViewOptions()
    ascii_chosen = False
    """ASCII only, as chosen in the settings."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_state = True
        """False: nothing of this session is kept."""
        self._remembered = UiState()
        self._saving = False

    @property
    def store_name(self) -> str:
        """The store, told apart from all others."""
        return self.store if "://" in self.store else os.path.abspath(os.path.expanduser(self.store))

    def recall(self) -> UiState:
        """Take up where the last session ended, all but the theme."""
        self._remembered = state = load_state(self.store_name)
        self.focused_run, self.marked, self.options = state.focused_run, state.marked, state.options
        self.ascii_chosen = state.ascii
        return state

    def remember(self) -> None:
        """Write what is to be remembered, soon."""
        if not self._saving:
            self._saving = True
            self.set_timer(SAVE_SECONDS, self.save)

    def save(self) -> None:
        """Write what is to be remembered, if it has changed."""
        self._saving = False
        state = UiState(
            theme=self.theme,
            ascii=self.ascii_chosen,
            options=self.options,
            focused_run=self.focused_run,
            marked=self.marked,
        )
        if state != self._remembered and self.writes_state:
            # Without a place to write to, the dashboard works all the same and forgets.
            with contextlib.suppress(OSError):
                save_state(self.store_name, state)
            self._remembered = state
