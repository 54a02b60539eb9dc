"""Pins, archives, deletes and takes it back: the part of the App that keeps runs in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual import work

from lvmtui.format import counted, duration, size
from lvmtui.leaderboard.ranking import training_seconds
from lvmtui.parts.requests import RequestHandling
from lvmtui.snapshot import RunView
from lvmtui.store.records import Run, Shelf

if TYPE_CHECKING:
    from lvmtui.store.shelves import Kept

MOST_STEPS = 50
"""Changes that can be taken back."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change that can be taken back."""

    run_id: int
    what: str
    """In words: `archiving phase-3 #17`."""
    before: Kept
    names: tuple[str, ...]
    """The fields of `before` that it changed."""


class Organising(RequestHandling):
    """Acts on the run under the cursor. Marks do not matter: they choose curves, and eight runs gone at one
    key would be a fright."""

    marked: tuple[int, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[Step] = []

    def can_be_undone(self, run: Run, what: str, *names: str) -> None:
        """Remember how a run was kept before a change.

        Args:
            run: as it was before.
            what: the change in words: `archiving phase-3 #17`.
            names: the fields of the run that it changed.
        """
        from lvmtui.store.shelves import kept_of

        self._steps = [*self._steps, Step(run.id, what, kept_of(run), names)][-MOST_STEPS:]

    def action_pin(self) -> None:
        """Keep the run on top of the list, or no longer."""
        from lvmtui import shelving

        if (view := self._run_to_change()) is not None:
            on = not view.run.pinned
            told = f"{view.run.name} stays on top" if on else f"{view.run.name} is no longer pinned"
            call = partial(shelving.pin, self.store, view.run.id, on)
            self.keep_elsewhere(call, f"{'' if on else 'un'}pinning {view.run.name}", told, ("pinned",))

    def action_archive(self) -> None:
        """Put the run aside, or bring it back: from the archive, or out of the trash."""
        from lvmtui import shelving

        if (view := self._run_to_change()) is None:
            return
        run = view.run
        if run.shelf is Shelf.TRASH:
            call = partial(shelving.restore, self.store, run.id)
            what = f"taking {run.name} out of the trash"
            self.keep_elsewhere(call, what, f"{run.name} is out of the trash", ("trashed",))
            return
        on = not run.archived
        told = f"{run.name} is archived: u takes it back, a lists what is archived"
        told = told if on else f"{run.name} is listed again"
        call = partial(shelving.archive, self.store, run.id, on)
        what = f"archiving {run.name}" if on else f"bringing {run.name} back"
        self.keep_elsewhere(call, what, told, ("archived",), unmark=on)

    def action_trash(self) -> None:
        """Put the run into the trash after asking; there, delete it for good after asking twice."""
        if (view := self._run_to_change()) is None:
            return
        if view.run.shelf is Shelf.TRASH:
            self.ask_to_delete(view)
        else:
            self.ask_to_trash(view)

    def action_undo(self) -> None:
        """Take back the last change."""
        if self.readonly:
            return
        if not self._steps:
            self.tell("There is nothing to take back.", severity="warning")
            return
        self.take_back(self._steps.pop())

    def _run_to_change(self) -> RunView | None:
        return None if self.readonly else self.view_of(self._need_run())

    @work(group="change")
    async def keep_elsewhere(
        self, call: Callable[[], Run], what: str, told: str, names: tuple[str, ...], unmark: bool = False
    ) -> None:
        """Change how a run is kept, tell so, and remember how it was."""
        before = await self.call_blocking(call)
        if before is not None:
            self.can_be_undone(before, what, *names)
            if unmark:
                self.marked = tuple(run_id for run_id in self.marked if run_id != before.id)
            self.tell(told)

    @work(exclusive=True, group="ask")
    async def ask_to_trash(self, view: RunView) -> None:
        """Say what the trash is, ask, then put the run there."""
        from lvmtui import shelving
        from lvmtui.screens.confirm import ConfirmScreen, Question

        run = view.run
        text = (
            f"{run.name} leaves lists and leaderboards. Nothing is deleted yet: u takes it back, a shows the "
            "trash, where A brings it back and D deletes it for good."
        )
        if await self.push_screen_wait(ConfirmScreen(Question(f"Delete {run.name}?", text, "Delete"))):
            told = f"{run.name} is in the trash: u takes it back"
            call = partial(shelving.trash, self.store, run.id)
            self.keep_elsewhere(call, f"deleting {run.name}", told, ("trashed",), unmark=True)

    @work(exclusive=True, group="ask")
    async def ask_to_delete(self, view: RunView) -> None:
        """Ask twice, then delete a run in the trash for good."""
        from lvmtui import shelving
        from lvmtui.screens.confirm import ConfirmScreen, Question

        run = view.run
        trained = f"{counted(run.progress.epoch, 'epoch')} of training ({duration(training_seconds(view))})"
        first = Question(
            f"Delete {run.name} for good?",
            f"{trained}, its evaluations, checkpoints and log in {run.folder} are lost.",
            "Delete",
            danger=True,
        )
        second = Question(f"Really delete {run.name}?", "This cannot be undone.", "Delete now", danger=True)
        if not await self.push_screen_wait(ConfirmScreen(first)):
            return
        if not await self.push_screen_wait(ConfirmScreen(second)):
            return
        deleted = await self.call_blocking(partial(shelving.delete_for_good, self.store, [run.id]))
        if deleted is None:
            return
        self._steps = [step for step in self._steps if step.run_id != run.id]
        left = next((item.leftover for item in deleted if item.leftover), "")
        if left:
            self.tell(f"{run.name} is deleted, but some of its files are left in {left}", severity="warning")
        else:
            self.tell(f"{run.name} is deleted: {size(sum(item.size for item in deleted))} freed")

    @work(group="change")
    async def take_back(self, step: Step) -> None:
        """Keep a run as before a change."""
        from lvmtui import shelving

        call = partial(shelving.put_back, self.store, step.run_id, step.before, step.names)
        if await self.call_blocking(call) is not None:
            more = f"; u again: {self._steps[-1].what}" if self._steps else ""
            self.tell(f"Taken back: {step.what}{more}")
