"""From an engine's commit to the terminal: how long until a new score is on the screen.

Run: `python benchmarks/freshness.py [repeats]`. A score is committed by another process than the dashboard's;
the time is taken when its digits come out of the dashboard's pseudo-terminal. Beside it: what a dashboard
that polls each second would take on average.
"""

import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common.stores import begin, report
from common.terminal import Terminal

from lvmtui.store.database import Database


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    lvmtui = shutil.which("lvmtui", path=str(Path(sys.executable).parent)) or "lvmtui"
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "runs.db"
        database = Database.open(store)
        _, writer = begin(database, 0)
        writer.epoch(report(1, 0.111))
        alive = threading.Event()

        def beat() -> None:
            while not alive.wait(1.0):
                writer.heartbeat()

        threading.Thread(target=beat, daemon=True).start()
        terminal = Terminal([lvmtui, "--store", str(store)])
        delays = []
        try:
            terminal.wait_for(lambda output: b"11.1" in output)
            terminal.read(3.0)
            for number in range(repeats):
                digit = "23456789"[number % 8]
                shown = f"{digit}{digit}.{digit}".encode()
                terminal.read(0.5 + rng.random())
                seen_before = len(terminal.output)
                writer.epoch(report(number + 2, float(shown) / 100))
                committed = time.perf_counter()
                terminal.wait_for(lambda output, at=seen_before, text=shown: text in output[at:])
                delays.append((time.perf_counter() - committed) * 1000)
        finally:
            alive.set()
            terminal.close()
            database.close()
    delays.sort()
    median, worst = statistics.median(delays), delays[-1]
    print(f"commit to screen: median {median:.0f} ms, worst of {len(delays)} {worst:.0f} ms")
    print(f"a dashboard polling each second waits 500 ms on average: {500 / median:.1f} times as long")


if __name__ == "__main__":
    main()
