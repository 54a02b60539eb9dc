"""Turns what the user asked for into calls of the launcher: asks first, works in threads, reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from textual import on, work
from textual.app import App

from lvmtui.errors import LvmtuiError
from lvmtui.messages import (
    AnnotateRequested,
    KillRequested,
    LaunchRequested,
    PromoteRequested,
    ResumeRequested,
    StopRequested,
)
from lvmtui.snapshot import RunView, Snapshot, State
from lvmtui.store.records import Promotion, Run
from lvmtui.store.slots import waits

if TYPE_CHECKING:
    from lvmtui.screens.base import LvmScreen
    from lvmtui.screens.launch import LaunchChoice

ESCALATION_SECONDS = 20.0
"""A run that has not stopped this long after it was asked may be killed."""

TEST_POLL_SECONDS = 0.2
"""Time between two looks at whether a judging on the test split has ended."""

TEST_SHOWN_SECONDS = 20.0
"""How long a result on the test split is shown: it is the last word on a run."""

Value = TypeVar("Value")


class RequestHandling(App[int]):
    """The part of the App that changes runs."""

    store: str
    snapshot: Snapshot | None = None
    readonly: bool = False
    focused_run: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self._waiting_for: set[int] = set()
        """Runs that are being stopped and are looked after."""

    def view_of(self, run_id: int | None) -> RunView | None:
        """The run with this id, if it is known."""
        return self.snapshot.view(run_id) if self.snapshot else None

    def tell(self, message: str, *, severity: str = "information", seconds: float | None = None) -> None:
        """A notification whose text is never taken for markup."""
        timeout = seconds or (10 if severity == "error" else 5)
        self.notify(message, severity=severity, markup=False, timeout=timeout)  # type: ignore[arg-type]

    async def call_blocking(self, work: Callable[[], Value]) -> Value | None:
        """The result of a blocking call, made in a thread; None after telling why it failed."""
        try:
            return await asyncio.to_thread(work)
        except LvmtuiError as error:
            self.tell(str(error), severity="error")
        except OSError as error:
            self.tell(f"{error.strerror or error}: {error.filename or self.store}", severity="error")
        return None

    @on(LaunchRequested)
    @work(exclusive=True, group="ask")
    async def ask_what_to_launch(self, message: LaunchRequested) -> None:
        """Show the launch form, then launch."""
        from lvmtui.screens.launch import LaunchScreen

        if self.readonly:
            return
        choice = await self.push_screen_wait(LaunchScreen(self.snapshot, message.phase))
        if choice is not None:
            self.start_run(choice)

    @work(group="change")
    async def start_run(self, choice: LaunchChoice) -> None:
        """Launch what was chosen and put the cursor on it."""
        made = await self.call_blocking(partial(_launch, self.store, choice))
        if made:
            self.tell(_launched(made))
            self.run_appeared(made[0].id)

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

    def can_be_undone(self, run: Run, what: str, *names: str) -> None:
        """The user changed how a run is kept: `run` is as it was before, `names` are the fields changed."""
        raise NotImplementedError

    def run_appeared(self, run_id: int) -> None:
        """A run was launched from here."""
        raise NotImplementedError

    @on(StopRequested)
    @work(exclusive=True, group="ask")
    async def ask_to_stop(self, message: StopRequested) -> None:
        """Say what stopping does, ask, then stop."""
        from lvmtui import launcher
        from lvmtui.screens.confirm import ConfirmScreen, Question

        view = self.view_of(message.run_id)
        if view is None or self.readonly:
            return
        if not view.state.is_stoppable:
            self.tell(f"{view.run.name} is {view.state}: there is nothing to stop", severity="warning")
            return
        if view.stop_requested:
            self.tell(f"{view.run.name} was asked to stop already; it finishes its batch first")
            return
        name = view.run.name
        if view.state is State.QUEUED:
            text = f"{name} is taken out of the queue. It can be resumed."
        else:
            text = f"{name} finishes its batch, saves a checkpoint and stops. It can be resumed from there."
        if await self.push_screen_wait(ConfirmScreen(Question(f"Stop {name}?", text, "Stop"))):
            await self.call_blocking(partial(launcher.stop, self.store, message.run_id))

    @on(ResumeRequested)
    @work(group="change")
    async def resume_run(self, message: ResumeRequested) -> None:
        """Resume a run; nothing is lost by it, so nothing is asked."""
        from lvmtui import launcher

        view = self.view_of(message.run_id)
        if view is None or self.readonly:
            return
        run = await self.call_blocking(partial(launcher.resume, self.store, message.run_id))
        if run is not None:
            how = "goes on from its last checkpoint" if run.attempt else "starts at once"
            self.tell(f"{run.name} {how}")

    @on(KillRequested)
    @work(exclusive=True, group="ask")
    async def ask_to_kill(self, message: KillRequested) -> None:
        """Ask twice, then kill."""
        from lvmtui import launcher
        from lvmtui.screens.confirm import ConfirmScreen, Question

        view = self.view_of(message.run_id)
        if view is None or self.readonly:
            return
        name, pid = view.run.name, view.run.pid
        if pid is None or not (view.state.is_active or view.state in {State.QUEUED, State.LOST}):
            self.tell(f"{name} is {view.state}: there is no process to kill", severity="warning")
            return
        first = Question(
            f"Kill {name}?",
            f"Process {pid} ends at once. What came after its last checkpoint is lost. "
            "S stops it without loss.",
            "Kill",
            danger=True,
        )
        second = Question(f"Really kill {name}?", f"Process {pid} gets SIGKILL now.", "Kill now", danger=True)
        if await self.push_screen_wait(ConfirmScreen(first)) and await self.push_screen_wait(
            ConfirmScreen(second)
        ):
            run = await self.call_blocking(partial(launcher.kill, self.store, message.run_id))
            if run is not None:
                self.tell(f"{name} was killed; r resumes it from its last checkpoint")

    @on(PromoteRequested)
    @work(exclusive=True, group="ask")
    async def ask_to_promote(self, message: PromoteRequested) -> None:
        """Show the gates, ask, then promote."""
        from lvmtui import promotion as promotions
        from lvmtui.screens.confirm import GatesScreen, Question

        view = self.view_of(message.run_id)
        if view is None or self.readonly:
            return
        name = view.run.name
        if view.best is None:
            self.tell(f"{name} has no evaluation yet: there is nothing to promote", severity="warning")
            return
        question = Question(
            f"Promote {name} to champion?",
            f"The alias champion will point at its checkpoint of epoch {view.best.epoch}, which is then "
            "judged on the test split. Earlier champions stay in the log.",
            "Promote",
        )
        check = partial(promotions.promotion_gates, self.store, message.run_id)
        if await self.push_screen_wait(GatesScreen(question, check)):
            promotion = await self.call_blocking(partial(promotions.promote, self.store, message.run_id))
            if promotion is not None:
                self.tell(f"{name} is the {promotion.alias} now; judging it on the test split …")
                self.judge_on_test(name, promotion)

    @work(group="test")
    async def judge_on_test(self, name: str, promotion: Promotion) -> None:
        """Have what was promoted judged on the test split, in a process that outlives the dashboard, and tell
        what came out."""
        from lvmtui import promotion as promotions

        judging = await self.call_blocking(partial(promotions.start_test, self.store, promotion))
        if judging is None:
            return
        while (code := judging.process.poll()) is None:
            await asyncio.sleep(TEST_POLL_SECONDS)
        if code:
            reason = await self.call_blocking(judging.reason)
            text = f"{name} is the {promotion.alias}, but was not judged on the test split: {reason}"
            self.tell(text, severity="error")
            return
        result = await self.call_blocking(partial(promotions.test_result, self.store, promotion))
        if result is not None:
            self.tell(result, seconds=TEST_SHOWN_SECONDS)

    @on(AnnotateRequested)
    @work(exclusive=True, group="ask")
    async def edit_annotation(self, message: AnnotateRequested) -> None:
        """Show the form for note and tags, then save them."""
        from lvmtui import shelving
        from lvmtui.screens.annotate import AnnotateScreen, Annotation

        view = self.view_of(message.run_id)
        if view is None or self.readonly:
            return
        before = Annotation(view.run.note, view.run.tags)
        after = await self.push_screen_wait(AnnotateScreen(view.run.name, before))
        if after is not None and after != before:
            call = partial(shelving.annotate, self.store, message.run_id, note=after.note, tags=after.tags)
            run = await self.call_blocking(call)
            if run is not None:
                self.can_be_undone(run, f"the note on {run.name}", "note", "tags")

    def look_after_stopping(self) -> None:
        """Offer to kill runs that do not stop."""
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


def _is_stopping(view: RunView) -> bool:
    return view.state is State.STOPPING or (view.stop_requested and view.state.is_active)


def _launch(store: str, choice: LaunchChoice) -> list[Run]:
    from lvmtui import launcher

    if choice.seeds == 1:
        run = launcher.launch(store, choice.phase, choice.overrides, note=choice.note, start=choice.start)
        return [run]
    return launcher.launch_group(
        store,
        [choice.phase],
        choice.overrides,
        seeds=choice.seeds,
        jobs=choice.jobs,
        note=choice.note,
        start=choice.start,
    )


def _launched(made: list[Run]) -> str:
    """What became of runs that were launched."""
    started = [run.name for run in made if not waits(run)]
    waiting = [run.name for run in made if waits(run)]
    words = [f"{', '.join(started)} launched"] if started else []
    if len(waiting) > 1:
        words.append(f"{waiting[0]} to #{made[-1].id} are in the queue")
    elif waiting:
        words.append(f"{waiting[0]} is in the queue")
    return "; ".join(words)
