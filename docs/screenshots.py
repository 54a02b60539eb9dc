"""Draw the README's pictures: the real dashboard on a real store, as Textual writes it.

Run: `python docs/screenshots.py STORE` in a checkout; writes `docs/*.svg`.
"""

import asyncio
import sys
from pathlib import Path

from textual.pilot import Pilot

from lvmtui.app import LvmtuiApp
from lvmtui.screens.base import LvmScreen

FOLDER = Path(__file__).parent
SIZE = (120, 36)
PICTURES = (
    ("dashboard", ()),
    ("run", ("enter",)),
    ("audit", ("left_square_bracket",) * 3),
    ("leaderboard", ("escape", "2")),
    ("compare", ("1", "space", "down", "space", "3", "right_square_bracket")),
    ("scaling", ("right_square_bracket", "right_square_bracket", "c", "c")),
)
"""Name and the keys that lead there from the picture before."""


async def settle(app: LvmtuiApp, pilot: Pilot[int]) -> None:
    """Wait until the store is read and drawn."""
    for _ in range(200):
        await pilot.pause(0.05)
        screen = app.screen
        if isinstance(screen, LvmScreen) and screen.snapshot is not None and screen.snapshot.details:
            break
    for _ in range(10):
        await pilot.pause(0.05)


async def draw(store: str) -> None:
    """Open the screens one after the other and save each."""
    app = LvmtuiApp(store)
    async with app.run_test(size=SIZE) as pilot:
        for name, keys in PICTURES:
            await pilot.press(*keys)
            await settle(app, pilot)
            svg = app.export_screenshot(title="lvmtui")
            (FOLDER / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(draw(sys.argv[1]))
