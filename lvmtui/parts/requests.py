"""Turns what the user asked for into calls of the launcher: asks first, works in threads, reports."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual import on, work

from lvmtui.errors import LvmtuiError
from lvmtui.messages import (
    AnnotateRequested,
    KillRequested,
    LaunchRequested,
    PromoteRequested,
    ResumeRequested,
    StopRequested,
)
from lvmtui.operations import Outcome
from lvmtui.parts.promoting import Promoting
from lvmtui.snapshot import RunView, State
from lvmtui.store.records import Run

if TYPE_CHECKING:
    from lvmtui.screens.base import LvmScreen
    from lvmtui.screens.launch import LaunchChoice, LaunchScreen

ESCALATION_SECONDS = 20.0
"""A run that has not stopped this long after it was asked may be killed."""


class RequestHandling(Promoting):
    """The part of the App that changes runs."""

    focused_run: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self._waiting_for: set[int] = set()
        """Runs that are being stopped and are looked after."""

    @on(LaunchRequested)
    @work(exclusive=True, group="ask")
    async def ask_what_to_launch(self, message: LaunchRequested) -> None:
        """Show the launch form, then launch."""
        from lvmtui.screens.launch import LaunchScreen

        if self.readonly:
            return
        choice = await self.push_screen_wait(LaunchScreen(self.snapshot, message.phase, self.launch_on_host))
        if choice is not None:
            self.start_run(choice)

    @work(group="change")
    async def start_run(self, choice: LaunchChoice) -> None:
        """Launch what was chosen on this machine and put the cursor on it."""
        from lvmtui import operations

        call = partial(operations.perform, self.store, "launch", choice.arguments())
        outcome = await self.call_blocking(call)
        if outcome is not None and outcome.run is not None:
            self.tell(outcome.words)
            self.run_appeared(outcome.run)

    @work(group="change")
    async def launch_on_host(self, choice: LaunchChoice, form: LaunchScreen) -> None:
        """Have a host launch what was chosen; what it refuses is said in the form."""
        words = f"launch {choice.phase} on {choice.host}"
        try:
            arguments = await asyncio.to_thread(choice.arguments)
            outcome = await self.ask_host(choice.host, "launch", arguments, words, on_wait=form.close)
        except LvmtuiError as error:
            if form.is_attached:
                form.refuse(error)
            else:
                self.tell(str(error), severity="error")
            return
        form.close()
        if outcome is None:
            return
        self.tell(outcome.words)
        if outcome.run is not None and (run_id := self.id_on(choice.host, outcome.run)) is not None:
            self.run_appeared(run_id)

    @property
    def uppermost(self) -> LvmScreen | None:
        """The uppermost of our screens; a dialog may lie over it."""
        from lvmtui.screens.base import LvmScreen

        return next((item for item in reversed(self.screen_stack) if isinstance(item, LvmScreen)), None)

    def _need_run(self) -> int | None:
        """The run that a command is about; None after saying that there is none."""
        # The screen knows of a move before the message about it gets here: keys typed fast mean its run.
        screen = self.uppermost
        run_id = screen.cursor_run if screen is not None else self.focused_run
        if self.view_of(run_id) is None:
            self.tell("There is no run under the cursor; n launches one.", severity="warning")
            return None
        return run_id

    def action_launch(self) -> None:
        """Open the launch form."""
        self.launch_phase(None)

    def launch_phase(self, phase: str | None) -> None:
        """Open the launch form on a phase."""
        self.post_message(LaunchRequested(phase))

    def action_stop(self) -> None:
        """Stop the run under the cursor."""
        if (run_id := self._need_run()) is not None:
            self.post_message(StopRequested(run_id))

    def action_resume(self) -> None:
        """Resume the run under the cursor."""
        if (run_id := self._need_run()) is not None:
            self.post_message(ResumeRequested(run_id))

    def action_promote(self) -> None:
        """Promote the run under the cursor."""
        if (run_id := self._need_run()) is not None:
            self.post_message(PromoteRequested(run_id))

    def action_kill(self) -> None:
        """Kill the run under the cursor."""
        if (run_id := self._need_run()) is not None:
            self.post_message(KillRequested(run_id))

    def action_annotate(self) -> None:
        """Edit note and tags of the run under the cursor."""
        if (run_id := self._need_run()) is not None:
            self.post_message(AnnotateRequested(run_id))

    def can_be_undone(self, run: Run, outcome: Outcome, what: str, *names: str) -> None:
        """The user changed how a run is kept: `outcome` has how it was before, `names` are what changed."""
        raise NotImplementedError

    def run_appeared(self, run_id: int) -> None:
        """A run was launched from here."""
        raise NotImplementedError

    @on(StopRequested)
    @work(exclusive=True, group="ask")
    async def ask_to_stop(self, message: StopRequested) -> None:
        """Say what stopping does, ask, then stop."""
        from lvmtui.screens.confirm import ConfirmScreen, Question

        view = self.changeable(message.run_id)
        if view is None:
            return
        run = view.run
        if not view.state.is_stoppable:
            self.tell(f"{run.name} is {view.state}: there is nothing to stop", severity="warning")
            return
        if "stop" in view.pending:
            self.tell(f"{run.name} was asked to stop already; that waits for {run.origin}")
            return
        if view.stop_requested:
            self.tell(f"{run.name} was asked to stop already; it finishes its batch first")
            return
        if view.state is State.QUEUED:
            text = f"{run.name} is taken out of the queue. It can be resumed."
        else:
            text = (
                f"{run.name} finishes its batch, saves a checkpoint and stops. It can be resumed from there."
            )
        text = f"{text}{_later(view)}"
        if await self.push_screen_wait(ConfirmScreen(Question(f"Stop {run.name}?", text, "Stop"))):
            self.change(run, "stop", "stop")

    @work(group="change")
    async def change(self, run: Run, what: str, verb: str, more: str = "", /, **arguments: object) -> None:
        """Have something done to a run, and tell what was.

        Args:
            run: the run.
            what: name of the operation.
            verb: what it does in a word.
            more: told behind what was done.
        """
        outcome = await self.perform(run, what, verb, **arguments)
        if outcome is not None:
            self.tell(f"{outcome.words}{more}")

    @on(ResumeRequested)
    def resume_run(self, message: ResumeRequested) -> None:
        """Resume a run; nothing is lost by it, so nothing is asked."""
        if (view := self.changeable(message.run_id)) is not None:
            self.change(view.run, "resume", "resume")

    @on(KillRequested)
    @work(exclusive=True, group="ask")
    async def ask_to_kill(self, message: KillRequested) -> None:
        """Ask twice, then kill."""
        from lvmtui.screens.confirm import ConfirmScreen, Question

        view = self.changeable(message.run_id)
        if view is None:
            return
        name, pid = view.run.name, view.run.pid
        if pid is None or not (view.state.is_active or view.state in {State.QUEUED, State.LOST}):
            self.tell(f"{name} is {view.state}: there is no process to kill", severity="warning")
            return
        process = f"Process {pid}{f' on {view.run.origin}' if view.run.origin else ''}"
        first = Question(
            f"Kill {name}?",
            f"{process} ends at once. What came after its last checkpoint is lost. S stops it without loss."
            f"{_later(view)}",
            "Kill",
            danger=True,
        )
        second = Question(f"Really kill {name}?", f"{process} gets SIGKILL now.", "Kill now", danger=True)
        if await self.push_screen_wait(ConfirmScreen(first)) and await self.push_screen_wait(
            ConfirmScreen(second)
        ):
            self.change(view.run, "kill", "kill", "; r resumes it from its last checkpoint")

    @on(AnnotateRequested)
    @work(exclusive=True, group="ask")
    async def edit_annotation(self, message: AnnotateRequested) -> None:
        """Show the form for note and tags, then save them."""
        from lvmtui.screens.annotate import AnnotateScreen, Annotation

        view = self.changeable(message.run_id)
        if view is None:
            return
        before = Annotation(view.run.note, view.run.tags)
        after = await self.push_screen_wait(AnnotateScreen(view.run.name, before))
        if after is not None and after != before:
            self.annotate(view.run, after.note, after.tags)

    @work(group="change")
    async def annotate(self, run: Run, note: str, tags: str) -> None:
        """Save note and tags of a run."""
        outcome = await self.perform(run, "annotate", "note", note=note, tags=tags)
        if outcome is not None:
            self.can_be_undone(run, outcome, f"the note on {run.name}", "note", "tags")

    def look_after_stopping(self) -> None:
        """Offer to kill runs that do not stop; take up what hosts have answered and found out since."""
        self.look_after_answers()
        self.look_after_judging()
        views = self.snapshot.runs if self.snapshot else ()
        for view in views:
            run_id = view.run.id
            if _is_stopping(view) and run_id not in self._waiting_for and not self.readonly:
                self._waiting_for.add(run_id)
                self.set_timer(ESCALATION_SECONDS, partial(self._offer_kill, run_id))

    def _offer_kill(self, run_id: int) -> None:
        self._waiting_for.discard(run_id)
        view = self.view_of(run_id)
        if view is not None and _is_stopping(view):
            self.tell(
                f"{view.run.name} has not stopped {ESCALATION_SECONDS:.0f} s after it was asked. "
                "It may be in a long batch; K kills it.",
                severity="warning",
            )


def _later(view: RunView) -> str:
    """What is to be known before something is asked of a run whose host does not answer."""
    return f" {view.run.origin} does not answer now: it is asked once it is back." if view.silent else ""


def _is_stopping(view: RunView) -> bool:
    if view.silent is not None:
        return False  # nobody knows
    return view.state is State.STOPPING or (view.stop_requested and view.state.is_active)
