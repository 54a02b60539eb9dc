"""From an engine's commit to the terminal: how long until a new score is on the screen.

Run: `python benchmarks/freshness.py [repeats]`. A score is committed by another process than the dashboard's;
the time is taken when its digits stand on the dashboard's screen, in tmux, which is looked at every 20 ms:
the figures are too high by half of that. Beside them: what a dashboard that polls each second would take on
average.
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
from common.tmux import TmuxScreen

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
        screen = TmuxScreen([lvmtui, "--store", str(store)], cols=120, rows=36)
        delays = []
        try:
            screen.wait_for("11.1", 20.0)
            time.sleep(3.0)
            for number in range(repeats):
                shown = f"{21 + number % 70}.{number * 7 % 9 + 1}"
                time.sleep(0.5 + rng.random())
                writer.epoch(report(number + 2, float(shown) / 100))
                committed = time.perf_counter()
                screen.wait_for(shown, 10.0)
                delays.append((time.perf_counter() - committed) * 1000)
        finally:
            alive.set()
            screen.close()
            database.close()
    delays.sort()
    median, worst = statistics.median(delays), delays[-1]
    print(f"commit to screen: median {median:.0f} ms, worst of {len(delays)} {worst:.0f} ms")
    print(f"a dashboard polling each second waits 500 ms on average: {500 / median:.1f} times as long")


if __name__ == "__main__":
    main()
