"""Start-up: `lvmtui --help`, and the dashboard's first paint, beside a bare Textual app.

Run: `python benchmarks/startup.py [repeats]`. Prints medians in ms and the ratio to the bare app.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common.terminal import Terminal

BARE = """
from textual.app import App
from textual.widgets import Label


class Bare(App):
    def compose(self):
        yield Label("READY")


Bare().run()
"""


def command_ms(argv: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return (time.perf_counter() - begin) * 1000


def paint_ms(argv: list[str], word: bytes) -> float:
    terminal = Terminal(argv)
    try:
        return terminal.wait_for(lambda output: word in output) * 1000
    finally:
        terminal.close()


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    lvmtui = shutil.which("lvmtui", path=str(Path(sys.executable).parent)) or "lvmtui"
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        store = str(Path(folder) / "runs.db")
        cases = {
            "python -c pass": lambda: command_ms([sys.executable, "-c", "pass"]),
            "lvmtui --help": lambda: command_ms([lvmtui, "--help"]),
            "bare Textual app, first paint": lambda: paint_ms([sys.executable, str(bare)], b"READY"),
            "lvmtui dashboard, first paint": lambda: paint_ms([lvmtui, "--store", store], b"Runs"),
        }
        medians: dict[str, float] = {}
        for name, measure in cases.items():
            measure()
            medians[name] = statistics.median(measure() for _ in range(repeats))
            print(f"{name:32} {medians[name]:8.0f} ms")
        ratio = medians["lvmtui dashboard, first paint"] / medians["bare Textual app, first paint"]
        print(f"dashboard / bare Textual app: {ratio:.2f}")


if __name__ == "__main__":
    main()
