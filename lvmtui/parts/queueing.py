"""What the user does with the queue, and what the open dashboard does for it."""

from __future__ import annotations

import time
from functools import partial

from textual import work

from lvmtui.parts.requests import RequestHandling
from lvmtui.store.records import Run
from lvmtui.store.slots import Why, waits
from lvmtui.waiting import queue_turns, stalled

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
        if (run := self._need_waiting("held back")) is None:
            return
        stuck = {Why.HELD, Why.BLOCKED}
        turns = queue_turns(self._runs(run.origin), time.time())
        held = any(turn.run.id == run.id and turn.why in stuck for turn in turns)
        if held:
            self.change(run, "release", "release")
        else:
            self.change(run, "hold", "hold")

    def action_queue_earlier(self) -> None:
        """Move the queued run under the cursor towards the front of the queue."""
        if (run := self._need_waiting("moved")) is not None:
            self.change(run, "move", "move", where="earlier")

    def action_queue_later(self) -> None:
        """Move the queued run under the cursor towards the end of the queue."""
        if (run := self._need_waiting("moved")) is not None:
            self.change(run, "move", "move", where="later")

    def _runs(self, host: str = "") -> list[Run]:
        """The runs of one store: each has a queue of its own."""
        return [view.run for view in self.snapshot.runs if view.run.origin == host] if self.snapshot else []

    def _need_waiting(self, what: str) -> Run | None:
        """The queued run that a command is about; None after saying that there is none."""
        view = self.changeable(self._need_run())
        if view is None:
            return None
        if waits(view.run):
            return view.run
        self.tell(f"{view.run.name} is {view.state}: only what waits can be {what}", severity="warning")
        return None

    def look_after_queue(self) -> None:
        """While something waits here, see that it starts when it may, where no engine is left to do so. Hosts
        look after their own queues."""
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
