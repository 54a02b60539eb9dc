"""One frame of the dashboard, drawn without a terminal: for cron, CI and pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.color import ColorSystem
    from textual.pilot import Pilot
    from textual.strip import Strip

    from lvmtui.app import LvmtuiApp
    from lvmtui.snapshot import Snapshot

SCREENS = ("dashboard", "run", "leaderboard", "compare", "devices", "events", "hosts", "help")
"""What can be drawn."""

READ_SECONDS = 30.0
"""The store must be read within this time."""

SETTLE_SECONDS = 20.0
"""What is worked out in the background may take this long; then the frame is taken as it is."""

QUIET_SECONDS = 0.25
"""The frame is complete when nothing on it has changed for this long."""

STEP_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Frame:
    """What stood on the screen."""

    lines: tuple[str, ...]
    """As text, blanks at the ends removed."""
    coloured: tuple[str, ...]
    """The same with ANSI colours, in the colour system that was asked for."""
    svg: str
    problem: str = ""
    """What is wrong with the store, or with a host that is watched."""


def take(
    app: LvmtuiApp,
    screen: str = SCREENS[0],
    *,
    size: tuple[int, int],
    keys: Sequence[str] = (),
    colours: ColorSystem | None = None,
) -> Frame:
    """Run an App without a terminal until its screen is complete, and take what stands there.

    Args:
        app: not started yet.
        screen: one of `SCREENS`.
        size: columns and lines.
        keys: pressed, as Textual names them, once the screen is there.
        colours: of `Frame.coloured`; None: true colours.

    Raises:
        TimeoutError: the store was not read in time.
    """
    taken: list[Frame] = []

    async def drive(pilot: Pilot[object]) -> None:
        app.animation_level = "none"
        try:
            await _read(app, pilot)
            await _show(app, screen)
            await _settle(app, pilot)
            for key in keys:
                await pilot.press(key)
                await _settle(app, pilot)
            taken.append(_frame(app, colours))
        finally:
            app.exit(0)

    app.run(headless=True, size=size, auto_pilot=drive)
    if not taken:
        raise TimeoutError("the screen was not drawn")
    return taken[0]


async def _read(app: LvmtuiApp, pilot: Pilot[object]) -> None:
    """Wait until the store is read, with the details of what is looked at."""
    deadline = time.monotonic() + READ_SECONDS
    while not _is_read(app):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the store was not read within {READ_SECONDS:.0f} s")
        await pilot.pause(STEP_SECONDS)


def _is_read(app: LvmtuiApp) -> bool:
    snapshot = app.snapshot
    if snapshot is None or snapshot.problem:
        return snapshot is not None
    known = {view.run.id for view in snapshot.runs}
    wanted = known.intersection(app.looked_at())
    same = snapshot.glanced_at == app.glanced_at()
    return snapshot.is_whole and same and wanted <= snapshot.details.keys()


async def _show(app: LvmtuiApp, screen: str) -> None:
    if screen == "run":
        await app.show_run()
    elif screen == "help":
        await app.action_help()
    elif screen != app.current_mode:
        await app.show_mode(screen)


async def _settle(app: LvmtuiApp, pilot: Pilot[object]) -> None:
    """Wait until nothing changes any more."""
    deadline = time.monotonic() + SETTLE_SECONDS
    before: tuple[str, ...] | None = None
    since = time.monotonic()
    while time.monotonic() < deadline:
        await pilot.pause(STEP_SECONDS)
        now = _lines(app)
        if now != before or not _is_read(app) or any(worker.is_running for worker in app.workers):
            before, since = now, time.monotonic()
        elif time.monotonic() - since >= QUIET_SECONDS:
            return


def _strips(app: LvmtuiApp) -> list[Strip]:
    """The lines of the screen with all that lies over it."""
    from textual._compositor import LayoutUpdate
    from textual.strip import Strip

    drawn = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    assert isinstance(drawn, LayoutUpdate)
    return [Strip.join(parts) for parts in drawn.strips]


def _lines(app: LvmtuiApp) -> tuple[str, ...]:
    return tuple(strip.text.rstrip() for strip in _strips(app))


def _frame(app: LvmtuiApp, colours: ColorSystem | None) -> Frame:
    from rich.color import ColorSystem

    system = colours or ColorSystem.TRUECOLOR
    return Frame(
        lines=_lines(app),
        coloured=tuple(_ansi(strip, system) for strip in _strips(app)),
        svg=app.export_screenshot(title="lvmtui"),
        problem=_problem(app.snapshot) if app.snapshot else "",
    )


def _problem(snapshot: Snapshot) -> str:
    hosts = [f"{host.name}: {host.reason}" for host in snapshot.hosts if host.reason]
    return "; ".join(filter(None, [snapshot.problem, *hosts]))


def _ansi(strip: Strip, system: ColorSystem) -> str:
    return "".join(
        part.style.render(part.text, color_system=system) if part.style else part.text for part in strip
    )
