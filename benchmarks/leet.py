"""The dashboard beside W&B's terminal UI (`wandb leet`) on the same curves, both from outside.

Run: `python benchmarks/leet.py [--wandb PATH/TO/wandb] [--repeats N] [--quick]`. Needs wandb 0.31 in an
environment of its own (`python -m venv V && V/bin/pip install wandb==0.31.0`); without it only our own
figures are printed. The terminal has 180x50 and answers what programs ask it. Times run from the start of the
process:

- first chart: to the first braille character;
- everything loaded: to the last moment of activity before a second without output or work of a processor. The
  dashboard opens the run as soon as it shows a chart, so that both draw a grid of all metrics;
- key to repaint: to the first byte after a key that moves between charts, makes y logarithmic, or turns the
  page, once everything is loaded. Every chart that fits is on the first page of ours, so the pages that are
  turned have 3x2 charts there;
- memory: resident, of the program and what it starts. `wandb leet` is a Python launcher and a Go program.
"""

import argparse
import glob
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common.bulk import write_curves
from common.stores import begin, report
from common.tmux import TmuxScreen
from common.values import NAMES
from common.watched import Watched

from lvmtui.config import UiState, save_state
from lvmtui.store.database import Database

HERE = Path(__file__).parent
UP, DOWN, PAGE_DOWN, PAGE_UP = "\x1b[A", "\x1b[B", "\x1b[6~", "\x1b[5~"
Keys = Mapping[str, tuple[str, str]]
"""What is measured -> a key, and the one that takes it back."""


Live = tuple[TmuxScreen, Callable[[int], tuple[float, str]]]
"""A screen on a run that goes on, and what logs value number 0, 1, …: gives the moment of the call and what
then stands on the screen."""
LONGEST = 30.0
"""Seconds after which a value counts as not shown."""


class Ours:
    """The dashboard on a store."""

    name = "lvmtui"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = shutil.which("lvmtui", path=str(Path(sys.executable).parent)) or "lvmtui"

    def make(self, name: str, *, runs: int, metrics: int, steps: int) -> None:
        store = self._store(name)
        write_curves(store, runs=runs, metrics=NAMES[:metrics], steps=steps)
        if runs > 1:
            marked = tuple(range(1, runs + 1))
            save_state(str(store), UiState(focused_run=1, marked=marked))

    def words(self, name: str) -> list[str]:
        return [self._program, "--store", str(self._store(name))]

    def open_all(self, terminal: Watched, runs: int) -> None:
        """Show every metric: the run's own screen, or the marked runs over each other."""
        terminal.send("3" if runs > 1 else "\r")

    keys: Keys = {"move": (DOWN, UP), "log-y": ("y", "y"), "page": (PAGE_DOWN, PAGE_UP)}

    def ready_for_keys(self, terminal: Watched, runs: int) -> None:
        """The grid has the focus."""

    @contextmanager
    def pages(self, terminal: Watched) -> Iterator[None]:
        """Go from as many charts as fit to 1x1, 2x2 and 3x2; afterwards on to 6x6 and back, lest that is
        remembered."""
        for presses in (3, 4):
            for _ in range(presses):
                terminal.send("f")
                terminal.read(1.0)
            if presses == 3:
                yield

    def _store(self, name: str) -> Path:
        (self._folder / name).mkdir(exist_ok=True)
        return self._folder / name / "runs.db"

    @contextmanager
    def live(self) -> Iterator[Live]:
        """A run that goes on: the terminal, and a function that logs a score."""
        store = self._store("live")
        database = Database.open(store)
        _, writer = begin(database, 0)
        writer.epoch(report(1, 0.111))
        screen = TmuxScreen(self.words("live"))
        screen.wait_for("11.1", 20.0)
        epochs = itertools.count(2)

        def log(number: int) -> tuple[float, str]:
            now = time.perf_counter()
            writer.epoch(report(next(epochs), 0.112 + number / 1000))
            return now, f"{11.2 + number / 10:.1f}"

        try:
            yield screen, log
        finally:
            screen.close()
            database.close()


class Leet:
    """`wandb leet` on offline runs."""

    name = "leet"

    def __init__(self, folder: Path, wandb: str) -> None:
        self._folder = folder
        self._wandb = wandb
        self._python = str(Path(wandb).parent / "python")

    def make(self, name: str, *, runs: int, metrics: int, steps: int) -> None:
        words = [str(self._folder / name), str(runs), *NAMES[:metrics], "--steps", str(steps)]
        script = str(HERE / "common" / "wandb_runs.py")
        subprocess.run([self._python, script, *words], check=True, capture_output=True)

    def words(self, name: str) -> list[str]:
        folders = sorted(glob.glob(str(self._folder / name / "wandb" / "offline-run-*")))
        target = folders[0] if len(folders) == 1 else str(self._folder / name / "wandb")
        return [self._wandb, "leet", target]

    def open_all(self, terminal: Watched, runs: int) -> None:
        """Choose every run; the first is chosen from the start."""
        for _ in range(runs - 1):
            for key in (DOWN, " "):
                terminal.send(key)
                terminal.read(0.005)

    keys: Keys = {"move": ("d", "a"), "log-y": ("y", "y"), "page": ("n", "N")}

    @contextmanager
    def pages(self, terminal: Watched) -> Iterator[None]:  # noqa: ARG002
        """There are several as it is."""
        yield

    def ready_for_keys(self, terminal: Watched, runs: int) -> None:
        """Tab goes from the overview (or the runs) to the grid."""
        for _ in range(2 if runs == 1 else 1):
            terminal.send("\t")
            terminal.read(0.3)

    @contextmanager
    def live(self) -> Iterator[Live]:
        """As for `Ours.live`."""
        words = [str(self._folder / "live"), "1", *NAMES[:4], "--steps", "100", "--live"]
        logger = subprocess.Popen(
            [self._python, str(HERE / "common" / "wandb_runs.py"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert logger.stdin is not None
        assert logger.stdout is not None
        questions, answers = logger.stdin, logger.stdout
        answers.readline()
        screen = TmuxScreen(self.words("live"))
        screen.wait_for("Running", 20.0)

        def log(number: int) -> tuple[float, str]:
            questions.write(f"{70_000 + number}\n")
            questions.flush()
            return float(answers.readline()), str(70_000 + number)

        try:
            yield screen, log
        finally:
            screen.close()
            questions.close()
            logger.wait(20)


Program = Ours | Leet


def one(program: Program, data: str, *, runs: int, keys: bool) -> dict[str, float]:
    """All figures of one start."""
    terminal = Watched(program.words(data))
    try:
        found = {"first chart s": terminal.first_chart()}
        program.open_all(terminal, runs)
        found["everything loaded s"] = terminal.at_rest()
        found["memory MB"] = terminal.memory() / 1e6
        if keys:
            program.ready_for_keys(terminal, runs)
            for name, pair in program.keys.items():
                with program.pages(terminal) if name == "page" else nullcontext():
                    found[f"key to repaint, {name} ms"] = terminal.key_ms(pair)
            terminal.at_rest()
            share, written = terminal.idle()
            found["idle % of a CPU"], found["idle bytes"] = 100 * share, written
        return found
    finally:
        terminal.close()


def freshness(program: Program, values: int) -> dict[str, float]:
    """From a logged value to when it, or a later one, stands on the screen; one value a second."""
    logged: list[float] = []
    texts: list[str] = []
    delays: list[float] = []
    with program.live() as (screen, log):
        while len(delays) < values:
            now = time.perf_counter()
            if len(logged) < values and (not logged or now - logged[-1] >= 1.0):
                moment, shown_as = log(len(logged))
                logged.append(moment)
                texts.append(shown_as)
            text = screen.text()
            newest = max((number for number, word in enumerate(texts) if word in text), default=-1)
            now = time.perf_counter()
            delays += [now - moment for moment in logged[len(delays) : newest + 1]]
            if len(delays) < len(logged) and now - logged[-1] > LONGEST:
                delays += [LONGEST] * (values - len(delays))
            time.sleep(0.01)
    return {"logged to shown, median s": statistics.median(delays), "logged to shown, worst s": max(delays)}


def table(title: str, found: dict[str, dict[str, float]]) -> None:
    """Both side by side, with the ratio where both are known."""
    print(f"\n{title}")
    names = list(found)
    for row in found[names[0]]:
        values = [found[name].get(row, float("nan")) for name in names]
        written = "".join(f"  {name} {number:9.2f}" for name, number in zip(names, values, strict=True))
        ratio = f"  leet / lvmtui {values[1] / values[0]:6.2f}" if len(values) > 1 and values[0] else ""
        print(f"  {row:28}{written}{ratio}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The dashboard beside `wandb leet`.")
    parser.add_argument("--wandb", default=shutil.which("wandb") or "")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small data only")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ.update(
            XDG_STATE_HOME=str(root / "state"), XDG_CONFIG_HOME=str(root / "config"), WANDB_MODE="offline"
        )
        programs: list[Program] = [Ours(root / "ours")]
        if asked.wandb:
            programs.append(Leet(root / "leet", asked.wandb))
        else:
            print("wandb is not installed: our own figures only")
        for program in programs:
            (root / ("ours" if isinstance(program, Ours) else "leet")).mkdir()
        sets = [("1 run x 20 metrics x 2 000 steps", "small", 1, 20, 2000)]
        if not asked.quick:
            sets.append(("1 run x 20 metrics x 50 000 steps", "large", 1, 20, 50_000))
            sets.append(("50 runs x 10 metrics x 1 000 steps, all over each other", "many", 50, 10, 1000))
        for title, name, runs, metrics, steps in sets:
            for program in programs:
                program.make(name, runs=runs, metrics=metrics, steps=steps)
            rounds: dict[str, list[dict[str, float]]] = {program.name: [] for program in programs}
            for number in range(asked.repeats):
                for program in programs:  # in turns: what else the machine does hits both
                    rounds[program.name].append(one(program, name, runs=runs, keys=number == 0))
            found = {
                who: {row: statistics.median([i[row] for i in items if row in i]) for row in items[0]}
                for who, items in rounds.items()
            }
            table(title, found)
        table(
            "a value logged every second", {p.name: freshness(p, 8 if asked.quick else 40) for p in programs}
        )


if __name__ == "__main__":
    main()
