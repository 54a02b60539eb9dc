"""How long the list of runs takes with many runs: `python benchmarks/table.py [--runs 10000]`.

Drives the widget under Textual's Pilot at 180x50. Each figure is the time that the processor works from the
key (or the reading) until everything is handled and the frame that answers it is drawn: what keeps a user
waiting. The Pilot does not wait in it, but works: see the key without a meaning. Median, 95th percentile and
worst of several.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.reactive import reactive

sys.path.insert(0, str(Path(__file__).parents[1]))

from lvmtui.config import ViewOptions
from lvmtui.messages import OptionsChanged, RunFocused, RunMarked
from lvmtui.snapshot import RunView, Snapshot, State
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Evaluation, Interval, Progress, Run
from lvmtui.themes import DEFAULT_THEME, load_themes, to_textual_theme
from lvmtui.widgets.run_list import RunList

NOW = 1_790_000_000.0
SIZE = (180, 50)
STATES = (
    (State.COMPLETED, Status.DONE, Result.COMPLETED),
    (State.EARLY_STOPPED, Status.DONE, Result.EARLY_STOPPED),
    (State.FAILED, Status.DONE, Result.FAILED),
    (State.STOPPED, Status.DONE, Result.STOPPED),
)


def made_view(number: int, chance: random.Random) -> RunView:
    """A run with an evaluation and a baseline."""
    state, status, result = STATES[number % 4] if number % 300 else (State.RUNNING, Status.RUNNING, None)
    run = Run(
        *(number, number, f"phase-{number % 7}", status, result, "{}", f"{number % 50:08x}", {}, number % 5),
        *(f"model-{number % 3}", (100, 500, 1000)[number % 3], "val/hit5", {"hit5": 0.2}, "wikitext2", "f"),
        *(NOW - 60.0 * number, Progress(number % 40, 50, number % 40 * 81, 4050, patience=3)),
        protocol_id="4f1c9a7e02b85d36",
        tags=f"tag-{number % 11}",
        note="warm start" if number % 9 == 0 else "",
    )
    score = chance.random() / 4
    best = _evaluation(score, number % 40)
    return RunView(run, state, best=best, last=best, baseline=_evaluation(0.08, 0, "copy-last"))


def _evaluation(score: float, epoch: int, baseline: str | None = None) -> Evaluation:
    return Evaluation(
        *("4f1c9a7e02b85d36", "validation", epoch, epoch * 81, NOW, score / 3, score, score * 1.3, score / 2),
        *(4109, 4802),
        hit5_interval=Interval(score - 0.01, score + 0.01),
        baseline=baseline,
    )


class Board(App[None]):
    """The list alone, with the state that the App gives it."""

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None)
    focused_run: reactive[int | None] = reactive[int | None](None)
    marked: reactive[tuple[int, ...]] = reactive[tuple[int, ...]](())
    options: reactive[ViewOptions] = reactive(ViewOptions())

    def compose(self) -> ComposeResult:
        yield RunList().data_bind(
            snapshot=Board.snapshot,
            focused=Board.focused_run,
            marked=Board.marked,
            options=Board.options,
        )

    def on_mount(self) -> None:
        """Take the default theme and give the rows the keys."""
        for theme in load_themes()[0].values():
            self.register_theme(to_textual_theme(theme))
        self.theme = DEFAULT_THEME
        self.query_one("RunTable").focus()

    def on_run_focused(self, message: RunFocused) -> None:
        """As the App does."""
        self.focused_run = message.run_id

    def on_run_marked(self, message: RunMarked) -> None:
        """As the App does."""
        self.marked = (*self.marked, message.run_id)[-8:]

    def on_options_changed(self, message: OptionsChanged) -> None:
        """As the App does."""
        self.options = message.options


async def timed(what: str, times: int, act: Callable[[], Awaitable[None]]) -> None:
    """Run something several times and print how long it took."""
    took = []
    for _ in range(times):
        start = time.process_time()
        await act()
        took.append(1000 * (time.process_time() - start))
    took.sort()
    print(
        f"{what:34} {statistics.median(took):8.1f} {took[int(0.95 * (len(took) - 1))]:8.1f} {took[-1]:8.1f}",
        flush=True,
    )


async def settle(app: Board, pilot: Pilot[None]) -> None:
    """Wait until everything is handled and the frame is drawn."""
    await pilot._wait_for_screen()
    app.screen._on_timer_update()


async def measure(count: int) -> None:
    """Print a line for each thing that is done."""
    chance = random.Random(0)
    views = tuple(made_view(number, chance) for number in range(count, 0, -1))
    snapshot = Snapshot("runs.db", NOW, runs=views)
    app = Board()
    print(f"{count} runs, {SIZE[0]}x{SIZE[1]}, CPU ms{'median':>19} {'p95':>8} {'worst':>8}")
    async with app.run_test(size=SIZE) as pilot:

        async def press(key: str) -> None:
            await pilot.press(key)
            await settle(app, pilot)

        async def give(**state: object) -> None:
            for name, value in state.items():
                setattr(app, name, value)
            await settle(app, pilot)

        await timed("first reading", 1, lambda: give(snapshot=snapshot))
        gc.freeze()  # as the App does
        await timed("a key without a meaning", 30, lambda: press("f12"))
        await timed("down", 60, lambda: press("down"))
        await timed("page down", 40, lambda: press("pagedown"))
        table = app.query_one(RunList).table

        async def wheel() -> None:
            table.scroll_relative(y=3, animate=False)
            await settle(app, pilot)

        await timed("wheel", 60, wheel)
        await timed("to the end and back", 20, lambda: press("G" if table.scroll_offset.y < 99 else "g"))
        await timed("mark", 8, lambda: press("space"))
        sorts = iter(("hit5", "name", "state", "epoch", "vs", "started") * 5)
        await timed("sort", 18, lambda: give(options=replace(app.options, sort=next(sorts))))
        await timed("reverse", 10, lambda: press("v"))
        filters = iter(("p", "ph", "phase:3", "hit5>15", "model-1", "tag:tag-3", "warm", "") * 5)
        await timed("filter", 24, lambda: give(options=replace(app.options, filter=next(filters))))
        await timed("group", 8, lambda: press("b"))

        async def changed() -> None:
            place = chance.randrange(40)
            now = app.snapshot.runs if app.snapshot else ()
            run = replace(now[place].run, progress=replace(now[place].run.progress, epoch=place))
            view = replace(now[place], run=run)
            await give(snapshot=Snapshot("runs.db", NOW, runs=(*now[:place], view, *now[place + 1 :])))

        await timed("a reading with one changed run", 30, changed)


def main() -> None:
    """Print how long everything takes."""
    parser = argparse.ArgumentParser(description="How long the list of runs takes with many runs.")
    parser.add_argument("--runs", type=int, default=10_000)
    asyncio.run(measure(parser.parse_args().runs))


if __name__ == "__main__":
    main()
