"""Large stores: how soon the dashboard shows something, how soon everything, and what memory it takes.

Run: `python benchmarks/scale.py [--repeats N] [--quick]`. In a terminal of 180x50. Times run from the start
of the process:

- first paint: to the first name of a run;
- first chart: to the first braille character;
- everything loaded: to the last moment of activity before a second without output or work of a processor.

Live: 30 runs log 10 times a second each, 8 of them overlaid, while the cursor goes up and down; the time from
a key to the next output tells whether a frame was dropped.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common.bulk import write_curves
from common.lists import write_list
from common.live import live_runs
from common.values import NAMES
from common.watched import Watched

from lvmtui.config import UiState, save_state

Figures = dict[str, float]


def dashboard(store: Path) -> Watched:
    lvmtui = shutil.which("lvmtui", path=str(Path(sys.executable).parent)) or "lvmtui"
    return Watched([lvmtui, "--store", str(store)])


def charts(store: Path) -> Figures:
    """Start, first chart, everything."""
    terminal = dashboard(store)
    try:
        first = terminal.first_chart()
        return {
            "first chart s": first,
            "all loaded s": terminal.at_rest(),
            "processor s": terminal.cpu_seconds(),
            "memory MB": terminal.memory() / 1e6,
        }
    finally:
        terminal.close()


def runs(store: Path) -> Figures:
    """Start, first paint of the list, one row down, other orders."""
    terminal = dashboard(store)
    try:
        terminal.wait_for(lambda output: b"phase-" in output)
        first = time.perf_counter() - terminal.started
        return {
            "first paint s": first,
            "all loaded s": terminal.at_rest(),
            "memory MB": terminal.memory() / 1e6,
            "down ms": terminal.key_ms(("j", "k")),
            "sort ms": terminal.key_ms(("s",), repeats=6),
        }
    finally:
        terminal.close()


def live(store: Path, seconds: float) -> Figures:
    """The processor's share, bytes a second, and the times from key to output."""
    save_state(str(store), UiState(focused_run=1, marked=tuple(range(1, 9))))
    with live_runs(store, runs=30, logs_per_second=10):
        terminal = dashboard(store)
        try:
            terminal.first_chart()
            terminal.read(3.0)
            used, began, written = terminal.cpu_seconds(), time.perf_counter(), len(terminal.output)
            delays = []
            while time.perf_counter() - began < seconds:
                delays.append(terminal.key_ms(("j" if len(delays) % 2 else "k",), repeats=1))
            took = time.perf_counter() - began
            return {
                "processor %": 100 * (terminal.cpu_seconds() - used) / took,
                "KB/s": (len(terminal.output) - written) / took / 1000,
                "key ms": statistics.median(delays),
                "worst key ms": max(delays),
                "memory MB": terminal.memory() / 1e6,
            }
        finally:
            terminal.close()


def show(name: str, measure: Callable[[], Figures], repeats: int) -> None:
    found = [measure() for _ in range(repeats)]
    medians = {what: statistics.median(figures[what] for figures in found) for what in found[0]}
    print(f"{name:44}", "  ".join(f"{what} {number:7.2f}" for what, number in medians.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="leave out the 1 000 000 rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = os.environ["XDG_CONFIG_HOME"] = folder
        place = Path(folder)
        sizes = [("1 run x 20 metrics x 2 000 steps", 1, 20, 2_000)]
        if not options.quick:
            sizes.append(("1 run x 20 metrics x 50 000 steps", 1, 20, 50_000))
        sizes.append(("50 runs overlaid x 10 metrics x 1 000 steps", 50, 10, 1_000))
        for name, number, metrics, steps in sizes:
            store = place / f"{number}-{steps}" / "runs.db"
            store.parent.mkdir()
            write_curves(store, runs=number, metrics=NAMES[:metrics], steps=steps)
            if number > 1:
                save_state(str(store), UiState(focused_run=1, marked=tuple(range(1, number + 1))))
            show(name, lambda store=store: charts(store), options.repeats)
        store = place / "list" / "runs.db"
        store.parent.mkdir()
        write_list(store, runs=10_000, epochs=20)
        show("10 000 runs", lambda: runs(store), options.repeats)
        store = place / "live" / "runs.db"
        store.parent.mkdir()
        show("30 live runs, 10 logs/s each", lambda: live(store, 15.0), 1)


if __name__ == "__main__":
    main()
