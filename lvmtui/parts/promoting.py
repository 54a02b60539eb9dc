"""Promotes runs, and tells what they score on the test split."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual import on, work

from lvmtui.messages import PromoteRequested
from lvmtui.parts.performing import Performing
from lvmtui.store.records import Evaluation, Promotion, Run

if TYPE_CHECKING:
    from lvmtui.gates import Gate

TEST_POLL_SECONDS = 0.2
"""Time between two looks at whether a judging on the test split has ended."""

TEST_SHOWN_SECONDS = 20.0
"""How long a result on the test split is shown: it is the last word on a run."""


class Promoting(Performing):
    """The part of the App that promotes runs."""

    def __init__(self) -> None:
        super().__init__()
        self._judged: dict[int, tuple[Evaluation | None, int]] = {}
        """Runs of hosts that are being judged on the test split -> their last score there, and their newest
        event, when that began."""

    @on(PromoteRequested)
    @work(exclusive=True, group="ask")
    async def ask_to_promote(self, message: PromoteRequested) -> None:
        """Show the gates, ask, then promote."""
        from lvmtui.screens.confirm import GatesScreen, Question

        view = self.changeable(message.run_id)
        if view is None:
            return
        run = view.run
        if view.best is None:
            self.tell(f"{run.name} has no evaluation yet: there is nothing to promote", severity="warning")
            return
        question = Question(
            f"Promote {run.name} to champion?",
            f"The alias champion will point at its checkpoint of epoch {view.best.epoch}, which is then "
            "judged on the test split. Earlier champions stay in the log.",
            "Promote",
        )
        if await self.push_screen_wait(GatesScreen(question, partial(self._gates, run))):
            self.promote(run)

    def _gates(self, run: Run) -> tuple[Gate, ...]:
        """What speaks for and against promoting a run; called in a thread."""
        from lvmtui import promotion as promotions
        from lvmtui.gates import gates_from

        if not run.origin:
            return promotions.promotion_gates(self.store, run.id)
        return gates_from(self.ask_now(run, "gates"))

    @work(group="change")
    async def promote(self, run: Run) -> None:
        """Promote a run, have it judged on the test split, and tell what came out when it is there."""
        from lvmtui import promotion as promotions

        if run.origin:
            view = self.view_of(run.id)
            before = view.test if view is not None else None, self._newest_event(run.id)
            outcome = await self.perform(run, "promote", "promote")
            if outcome is not None:
                self._judged[run.id] = before
                self.tell(f"{outcome.words} …")
            return
        promotion = await self.call_blocking(partial(promotions.promote, self.store, run.id))
        if promotion is not None:
            self.tell(f"{run.name} is the {promotion.alias} now; judging it on the test split …")
            self.judge_on_test(run.name, promotion)

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

    def _newest_event(self, run_id: int) -> int:
        events = self.snapshot.events if self.snapshot else ()
        return max((event.id for event in events if event.run_id == run_id), default=0)

    def look_after_judging(self) -> None:
        """Tell the scores on the test split that have come from hosts, or why there are none."""
        for run_id, (score, newest) in list(self._judged.items()):
            from lvmtui.promotion import TEST_FAILED, test_words

            view = self.view_of(run_id)
            if self.snapshot is None or view is None:
                continue
            if view.test is not None and (score is None or score.id != view.test.id):
                del self._judged[run_id]
                looks = self.snapshot.test_looks.get(view.run.data_fingerprint or "", 0)
                words = test_words(view.run, view.test, view.baseline, looks)
                self.tell(words, seconds=TEST_SHOWN_SECONDS)
                continue
            since = (event for event in self.snapshot.events if event.run_id == run_id and event.id > newest)
            failure = next((event for event in since if event.kind == TEST_FAILED), None)
            if failure is not None:
                del self._judged[run_id]
                self.tell(f"{view.run.name} was {failure.message}", severity="error")
