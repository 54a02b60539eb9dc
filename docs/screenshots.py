"""Draw the README's pictures: the real dashboard on a real store, as `lvmtui once --svg` writes it.

Run: `python docs/screenshots.py STORE` in a checkout; writes `docs/*.svg`. The state of the dashboard on this
machine does not count.
"""

import os
import sys
import tempfile
from pathlib import Path

from lvmtui.cli import main

FOLDER = Path(__file__).parent
LEFT, RIGHT = ("--press", "left_square_bracket"), ("--press", "right_square_bracket")
MARKED = ("--run", "last", "--run", "1")
PICTURES: dict[str, tuple[str, ...]] = {
    "dashboard": ("dashboard",),
    "run": ("run",),
    "audit": ("run", *LEFT * 3),
    "leaderboard": ("leaderboard",),
    "compare": ("compare", *MARKED, *RIGHT),
    "scaling": ("compare", *MARKED, *RIGHT * 3, "--press", "c", "--press", "c"),
}
"""Name of the picture and what `lvmtui once` is asked for."""


def draw(store: str) -> int:
    """Draw all pictures.

    Returns:
        The worst exit code.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        return max(
            main(["--store", store, "once", *asked, "--size", "120x36", "--svg", str(FOLDER / f"{name}.svg")])
            for name, asked in PICTURES.items()
        )


if __name__ == "__main__":
    sys.exit(draw(sys.argv[1]))
