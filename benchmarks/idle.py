"""An idle dashboard: CPU time and bytes written to the terminal when nothing changes.

Run: `python benchmarks/idle.py [seconds]`. The store has 40 finished runs; nothing trains.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))
from common.stores import fill
from common.terminal import Terminal


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    lvmtui = shutil.which("lvmtui", path=str(Path(sys.executable).parent)) or "lvmtui"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "runs.db"
        fill(store, runs=40, epochs=20)
        terminal = Terminal([lvmtui, "--store", str(store)])
        try:
            terminal.wait_for(lambda output: b"phase-1" in output)
            terminal.read(5.0)
            process = psutil.Process(terminal.pid)
            before, begin = process.cpu_times(), time.perf_counter()
            written = terminal.read(seconds)
            after, wall = process.cpu_times(), time.perf_counter() - begin
            used = (after.user - before.user) + (after.system - before.system)
            print(
                f"idle for {wall:.0f} s with 40 runs: {100 * used / wall:.2f} % of one core, "
                f"{len(written)} bytes written"
            )
        finally:
            terminal.close()


if __name__ == "__main__":
    main()
