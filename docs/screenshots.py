"""Draw the README's pictures: the real dashboard on a real store, as `lvmtui once --svg` writes it.

Run: `python docs/screenshots.py STORE` in a checkout; writes `docs/*.svg`. With hosts behind it, as in
`python docs/screenshots.py STORE gpu1 gpu2 lab`, it draws the one picture with hosts instead: they are
watched over SSH (`LVMTUI_SSH` counts). The state of the dashboard on this machine does not count.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
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


def draw(store: str, hosts: Sequence[str] = ()) -> int:
    """Draw all pictures of a store; or the one of a store and the hosts that are watched beside it.

    Returns:
        The worst exit code.
    """
    watched = [word for host in hosts for word in ("--host", host)]
    pictures = {"hosts": ("dashboard", *watched)} if hosts else PICTURES
    size = "160x42" if hosts else "120x36"
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), folder)
        return max(
            main(["--store", store, "once", *asked, "--size", size, "--svg", str(FOLDER / f"{name}.svg")])
            for name, asked in pictures.items()
        )


if __name__ == "__main__":
    sys.exit(draw(sys.argv[1], sys.argv[2:]))
