"""Driving the real App under Pilot, on real stores."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from lvmtui.app import LvmtuiApp

Condition = Callable[[], object]


async def until(
    pilot: Pilot[Any], condition: Condition, what: str = "the condition", seconds: float = 30.0
) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}\n{text(pilot.app)}")
        await pilot.pause(0.02)


def text(app: Any) -> str:
    """What stands on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


@asynccontextmanager
async def opened(
    store: Path, size: tuple[int, int] = (120, 36), **options: Any
) -> AsyncIterator[tuple[LvmtuiApp, Pilot[int]]]:
    """The App on a store, after its first reading."""
    app = LvmtuiApp(str(store), **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.snapshot is not None, "the first reading")
        await pilot.pause()
        yield app, pilot
