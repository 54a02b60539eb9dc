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


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process. Linux counts it to the nanosecond; `psutil` has ticks of 10 ms,
    which a program that wakes with the tick is charged too often."""
    if not Path("/proc/self/schedstat").exists():
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    lvmtui = shutil.which("lvmtui", path=str(Path(sys.executable).parent)) or "lvmtui"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "runs.db"
        fill(store, runs=40, epochs=20)
        terminal = Terminal([lvmtui, "--store", str(store)])
        try:
            terminal.wait_for(lambda output: b"phase-1" in output)
            terminal.read(15.0)
            before, begin = cpu_seconds(terminal.pid), time.perf_counter()
            written = terminal.read(seconds)
            used, wall = cpu_seconds(terminal.pid) - before, time.perf_counter() - begin
            print(
                f"idle for {wall:.0f} s with 40 runs: {100 * used / wall:.2f} % of one core, "
                f"{len(written)} bytes written"
            )
        finally:
            terminal.close()


if __name__ == "__main__":
    main()
