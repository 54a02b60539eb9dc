"""The part of the App that remembers how things were, from one start to the next."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable

from textual.app import App

from lvmtui.config import UiState, ViewOptions, load_state, save_state

SAVE_SECONDS = 1.0
"""Changes of what is remembered are gathered for this long before they are written."""


class Remembering(App[int]):
    """Keeps cursor, marks, options and theme of each store."""

    store: str
    focused_run: int | None = None
    marked: tuple[int, ...] = ()
    marked_elsewhere: tuple[int, ...] = ()
    """Runs of hosts that are not there now and may return."""
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

    def settle_marks(self, known: Collection[int], may_return: Callable[[int], bool]) -> None:
        """Keep marks only of runs that there are, or may be again.

        Args:
            known: ids of all runs.
            may_return: whether a run that is not among them may come yet.
        """
        if not known:
            return
        missing = [run_id for run_id in self.marked if run_id not in known]
        back = [run_id for run_id in self.marked_elsewhere if run_id in known]
        if not (missing or back):
            return
        marked = tuple(run_id for run_id in (*self.marked, *back) if run_id in known)
        self.marked = self._in_order(marked) if back else marked
        away = [run_id for run_id in self.marked_elsewhere if run_id not in known]
        self.marked_elsewhere = (*away, *(run_id for run_id in missing if may_return(run_id)))

    def _in_order(self, marked: Iterable[int]) -> tuple[int, ...]:
        """Marks in the order in which they are remembered, then others: colours and signs go by it."""
        place = {run_id: index for index, run_id in enumerate(self._remembered.marked)}
        return tuple(sorted(marked, key=lambda run_id: place.get(run_id, len(place))))

    def remember(self) -> None:
        """Write what is to be remembered, soon."""
        if not self._saving:
            self._saving = True
            self.set_timer(SAVE_SECONDS, self.save)

    def save(self) -> None:
        """Write what is to be remembered, if it has changed."""
        self._saving = False
        elsewhere = self.marked_elsewhere
        state = UiState(
            theme=self.theme,
            ascii=self.ascii_chosen,
            options=self.options,
            focused_run=self.focused_run,
            marked=self._in_order((*self.marked, *elsewhere)) if elsewhere else self.marked,
        )
        if state != self._remembered and self.writes_state:
            # Without a place to write to, the dashboard works all the same and forgets.
            with contextlib.suppress(OSError):
                save_state(self.store_name, state)
            self._remembered = state
