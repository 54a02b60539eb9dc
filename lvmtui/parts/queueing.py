"""What the user does with the queue, and what the open dashboard does for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from textual import work

from lvmtui.parts.requests import RequestHandling
from lvmtui.store.records import Run
from lvmtui.store.slots import Turn, Why, waits
from lvmtui.waiting import queue_turns, stalled, words

QUEUE_SECONDS = 2.0
"""Time between two looks at whether a run that waits may start and nothing else starts it."""

QUEUE_RETRY_SECONDS = 60.0
"""The same after a start has failed: what is wrong seldom mends itself at once."""


class QueueRequests(RequestHandling):
    """The part of the App that changes the queue and keeps it going."""

    def __init__(self) -> None:
        super().__init__()
        self._queue_watched = False
        """The next look at the queue is due already."""

    def action_hold(self) -> None:
        """Hold the queued run under the cursor back, or let it go."""
        from lvmtui.launcher import queueing

        if (run := self._need_waiting("held back")) is None:
            return
        stuck = {Why.HELD, Why.BLOCKED}
        held = any(turn.run.id == run.id and turn.why in stuck for turn in self._turns())
        self.change_queue(partial(queueing.release if held else queueing.hold, self.store, run.id))

    def action_queue_earlier(self) -> None:
        """Move the queued run under the cursor towards the front of the queue."""
        from lvmtui.launcher import queueing

        if (run := self._need_waiting("moved")) is not None:
            self.change_queue(partial(queueing.move, self.store, run.id, queueing.earlier))

    def action_queue_later(self) -> None:
        """Move the queued run under the cursor towards the end of the queue."""
        from lvmtui.launcher import queueing

        if (run := self._need_waiting("moved")) is not None:
            self.change_queue(partial(queueing.move, self.store, run.id, queueing.later))

    def _runs(self) -> list[Run]:
        return [view.run for view in self.snapshot.runs] if self.snapshot else []

    def _turns(self, changed: Run | None = None) -> list[Turn]:
        runs = [run for run in self._runs() if changed is None or run.id != changed.id]
        return queue_turns([*runs, changed] if changed is not None else runs, time.time())

    def _need_waiting(self, what: str) -> Run | None:
        """The queued run that a command is about; None after saying that there is none."""
        view = self.view_of(self._need_run())
        if view is None or self.readonly:
            return None
        if waits(view.run):
            return view.run
        self.tell(f"{view.run.name} is {view.state}: only what waits can be {what}", severity="warning")
        return None

    @work(group="change")
    async def change_queue(self, change: Callable[[], Run]) -> None:
        """Change the queue, and say where the run stands now."""
        run = await self.call_blocking(change)
        if run is None:
            return
        if not waits(run):
            self.tell(f"{run.name} starts")
            return
        turns = self._turns(run)
        for place, turn in enumerate(turns, start=1):
            if turn.run.id == run.id:
                self.tell(f"{run.name} is {place} of {len(turns)} in the queue: {words(turn)}")

    def look_after_queue(self) -> None:
        """While something waits, see that it starts when it may, where no engine is left to take it up."""
        if self._queue_watched or self.readonly or not any(map(waits, self._runs())):
            return
        self._queue_watched = True
        self.set_timer(QUEUE_SECONDS, self.start_what_may)

    @work(group="queue")
    async def start_what_may(self) -> None:
        """Start what waits for nothing, then look again as long as anything waits."""
        from lvmtui import launcher

        if self.snapshot and not self.snapshot.problem and stalled(self._runs(), time.time()):
            started = await self.call_blocking(partial(launcher.fill_slots, self.store))
            if started is None:  # it was told why
                self.set_timer(QUEUE_RETRY_SECONDS, self.start_what_may)
                return
            for run in started:
                self.tell(f"{run.name} starts: it was next in the queue")
        self._queue_watched = False
        self.look_after_queue()
