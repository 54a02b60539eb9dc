"""The dashboard through `ssh -t` over a slow link: how long a key takes, and how many bytes a frame has.

Run: `python benchmarks/link.py [--wandb PATH/TO/wandb]`. A real sshd on loopback behind a proxy that delays
each direction; 180x50. Beside it, where wandb 0.31 is installed, `wandb leet` on the same curves. A frame is
what is written after one key, or after one epoch of a live run (one more point on each curve). Bytes are
counted at the terminal, so they are not compressed; `ssh -C` makes them fewer.
"""

import argparse
import os
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common.link import SSHD, ssh_host
from common.stores import begin, report
from common.watched import Watched
from leet import Leet, Ours, Program

from lvmtui.store.database import Database


def bytes_of_frames(terminal: Watched, keys: tuple[str, str], repeats: int = 10) -> tuple[float, int]:
    """Median and greatest number of bytes after a key."""
    found = []
    for number in range(repeats):
        terminal.read(0.6)
        before = len(terminal.output)
        terminal.send(keys[number % 2])
        terminal.read(0.9)
        found.append(len(terminal.output) - before)
    return statistics.median(found), max(found)


def keys_of(program: Program, ssh: list[str], name: str, repeats: int) -> None:
    """Print first chart, key latency and bytes for finished runs."""
    variables = [f"{key}={value}" for key, value in os.environ.items() if key.startswith("XDG_")]
    remote = shlex.join(
        ["env", "WANDB_MODE=offline", "COLORTERM=truecolor", *variables, *program.words(name)]
    )
    terminal = Watched([*ssh[:-1], "-t", ssh[-1], remote])
    try:
        print(f"{program.name}: first chart {terminal.first_chart():.2f} s", end="", flush=True)
        program.open_all(terminal, 1)
        print(f", everything {terminal.at_rest():.2f} s, {len(terminal.output) / 1000:.1f} kB so far")
        program.ready_for_keys(terminal, 1)
        for label, pair in program.keys.items():
            with program.pages(terminal) if label == "page" else nullcontext():
                waited = terminal.key_ms(pair, repeats)
                median, most = bytes_of_frames(terminal, pair, repeats)
            print(f"  {label:6} key to repaint {waited:6.0f} ms, {median:7.0f} bytes a frame (most {most})")
    finally:
        terminal.close()


def live(ours: Ours, ssh: list[str], folder: Path, repeats: int) -> None:
    """Print the bytes of a frame in which each curve of the dashboard gets one more point."""
    folder.mkdir()
    store = folder / "live.db"
    database = Database.open(store)
    _, writer = begin(database, 0)
    for epoch in range(1, 11):
        writer.epoch(report(epoch, 0.1 + epoch / 500))
    words = [*ours.words("small")[:1], "--store", str(store)]
    terminal = Watched([*ssh[:-1], "-t", ssh[-1], shlex.join(["env", "COLORTERM=truecolor", *words])])
    try:
        terminal.first_chart()
        terminal.at_rest()
        found = []
        for number in range(repeats):
            before = len(terminal.output)
            writer.epoch(report(11 + number, 0.13 + number / 500))
            terminal.read(1.5)
            found.append(len(terminal.output) - before)
        print(f"an epoch of a live run: {statistics.median(found):.0f} bytes (most {max(found)})")
    finally:
        terminal.close()
        database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="The dashboard through a slow link.")
    parser.add_argument("--wandb", default=shutil.which("wandb") or "")
    parser.add_argument("--round-trip", type=float, nargs="+", default=[0.0, 0.25], metavar="SECONDS")
    asked = parser.parse_args()
    if not SSHD:
        print("needs an OpenSSH server: apt-get install openssh-server")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(XDG_STATE_HOME=str(folder / "state"), XDG_CONFIG_HOME=str(folder / "config"))
        programs: list[Program] = [Ours(folder / "ours")]
        programs += [Leet(folder / "leet", asked.wandb)] if asked.wandb else []
        for program in programs:
            (folder / program.name.replace("lvmtui", "ours")).mkdir()
            program.make("small", runs=1, metrics=20, steps=2000)
        for seconds in asked.round_trip:
            print(f"\nround trip {1000 * seconds:.0f} ms")
            with ssh_host(folder / f"ssh-{time.monotonic_ns()}", round_trip=seconds) as ssh:
                for program in programs:
                    keys_of(program, ssh, "small", 8)
                live(Ours(folder / "ours"), ssh, folder / f"ssh-live-{seconds}", 6)


if __name__ == "__main__":
    main()
