"""Pins, archives, deletes and takes it back: the part of the App that keeps runs in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual import work

from lvmtui.format import counted, duration
from lvmtui.leaderboard.ranking import training_seconds
from lvmtui.operations import Outcome
from lvmtui.parts.requests import RequestHandling
from lvmtui.store.records import Run, Shelf

MOST_STEPS = 50
"""Changes that can be taken back."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change that can be taken back."""

    run: Run
    what: str
    """In words: `archiving phase-3 #17`."""
    before: Mapping[str, object]
    names: tuple[str, ...]
    """The fields of `before` that it changed."""


class Organising(RequestHandling):
    """Acts on the run under the cursor. Marks do not matter: they choose curves, and eight runs gone at one
    key would be a fright."""

    marked: tuple[int, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[Step] = []

    def can_be_undone(self, run: Run, outcome: Outcome, what: str, *names: str) -> None:
        """Remember how a run was kept before a change.

        Args:
            run: the run.
            outcome: what was done, with how it was before.
            what: the change in words: `archiving phase-3 #17`.
            names: the fields of that which it changed.
        """
        before = outcome.data.get("before")
        if isinstance(before, dict):
            self._steps = [*self._steps, Step(run, what, before, names)][-MOST_STEPS:]

    def action_pin(self) -> None:
        """Keep the run on top of the list, or no longer."""
        if (run := self._run_to_change()) is not None:
            on = not run.pinned
            un = "" if on else "un"
            self.keep_elsewhere(run, "pin", f"{un}pin", f"{un}pinning {run.name}", "pinned", on=on)

    def action_archive(self) -> None:
        """Put the run aside, or bring it back: from the archive, or out of the trash."""
        if (run := self._run_to_change()) is None:
            return
        if run.shelf is Shelf.TRASH:
            self.keep_elsewhere(run, "restore", "restore", f"taking {run.name} out of the trash", "trashed")
        elif run.archived:
            self.keep_elsewhere(
                run, "archive", "unarchive", f"bringing {run.name} back", "archived", on=False
            )
        else:
            told = ": u takes it back, a lists what is archived"
            what = f"archiving {run.name}"
            self.keep_elsewhere(run, "archive", "archive", what, "archived", told, unmark=True, on=True)

    def action_trash(self) -> None:
        """Put the run into the trash after asking; there, delete it for good after asking twice."""
        if (run := self._run_to_change()) is None:
            return
        if run.shelf is Shelf.TRASH:
            self.ask_to_delete(run)
        else:
            self.ask_to_trash(run)

    def action_undo(self) -> None:
        """Take back the last change."""
        if self.readonly:
            return
        if not self._steps:
            self.tell("There is nothing to take back.", severity="warning")
            return
        self.take_back(self._steps.pop())

    def _run_to_change(self) -> Run | None:
        view = self.changeable(self._need_run())
        return None if view is None else view.run

    @work(group="change")
    async def keep_elsewhere(
        self,
        run: Run,
        operation: str,
        verb: str,
        what: str,
        name: str,
        more: str = "",
        /,
        *,
        unmark: bool = False,
        **arguments: object,
    ) -> None:
        """Change how a run is kept, tell so, and remember how it was.

        Args:
            run: the run.
            operation: the operation that does it.
            verb: the same in a word.
            what: the same as `can_be_undone` says it.
            name: the field that it changes.
            more: told behind what was done.
            unmark: overlay its curves no longer.
            arguments: of the operation.
        """
        outcome = await self.perform(run, operation, verb, **arguments)
        if outcome is not None:
            self.can_be_undone(run, outcome, what, name)
            if unmark:
                self.marked = tuple(run_id for run_id in self.marked if run_id != run.id)
            self.tell(f"{outcome.words}{more}")

    @work(exclusive=True, group="ask")
    async def ask_to_trash(self, run: Run) -> None:
        """Say what the trash is, ask, then put the run there."""
        from lvmtui.screens.confirm import ConfirmScreen, Question

        text = (
            f"{run.name} leaves lists and leaderboards. Nothing is deleted yet: u takes it back, a shows the "
            "trash, where A brings it back and D deletes it for good."
        )
        if await self.push_screen_wait(ConfirmScreen(Question(f"Delete {run.name}?", text, "Delete"))):
            what, more = f"deleting {run.name}", ": u takes it back"
            self.keep_elsewhere(run, "trash", "delete", what, "trashed", more, unmark=True)

    @work(exclusive=True, group="ask")
    async def ask_to_delete(self, run: Run) -> None:
        """Ask twice, then delete a run in the trash for good."""
        from lvmtui.screens.confirm import ConfirmScreen, Question

        view = self.view_of(run.id)
        if view is None:
            return
        trained = f"{counted(run.progress.epoch, 'epoch')} of training ({duration(training_seconds(view))})"
        where = f"on {run.origin}" if run.origin else f"in {run.folder}"
        first = Question(
            f"Delete {run.name} for good?",
            f"{trained}, its evaluations, checkpoints and log {where} are lost.",
            "Delete",
            danger=True,
        )
        second = Question(f"Really delete {run.name}?", "This cannot be undone.", "Delete now", danger=True)
        if await self.push_screen_wait(ConfirmScreen(first)) and await self.push_screen_wait(
            ConfirmScreen(second)
        ):
            self.delete(run)

    @work(group="change")
    async def delete(self, run: Run) -> None:
        """Delete a run in the trash for good."""
        outcome = await self.perform(run, "delete", "delete")
        if outcome is not None:
            self._steps = [step for step in self._steps if step.run.id != run.id]
            self.tell(outcome.words, severity="warning" if outcome.data.get("left") else "information")

    @work(group="change")
    async def take_back(self, step: Step) -> None:
        """Keep a run as before a change."""
        outcome = await self.perform(
            step.run, "put-back", "undo", before=dict(step.before), names=list(step.names)
        )
        if outcome is not None:
            more = f"; u again: {self._steps[-1].what}" if self._steps else ""
            self.tell(f"Taken back: {step.what}{more}")
