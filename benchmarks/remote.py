"""Runs of another machine on a dashboard here: how fresh they are, and what that costs.

Run: `python benchmarks/remote.py [PART...]`, parts: fresh, trickle, first, hosts, keys, copies. A real sshd
on loopback behind a proxy that delays each direction and counts bytes, those of ssh included. Beside them
the plain way: the dashboard run there through `ssh -t`.
"""

import argparse
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common.bulk import write_curves
from common.link import SSHD, SshHost
from common.live import live_runs
from common.stores import begin, report
from common.tmux import TmuxScreen
from common.values import NAMES
from common.watched import Watched

from lvmtui.store.database import Database

LVMTUI = shutil.which("lvmtui", path=str(Path(sys.executable).parent)) or "lvmtui"
ROUND_TRIPS = (0.0, 0.05, 0.25)
MOST_HOSTS = 8
COPIED_BYTES = 64 << 20


@contextmanager
def watching(folder: Path, *stores: Path, round_trip: float = 0.0) -> Iterator[SshHost]:
    """An ssh host, and settings by which the dashboard watches each of the stores as a host of its own."""
    folder.mkdir(parents=True)
    names = {"XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache"}
    for variable, name in names.items():
        os.environ[variable] = str(folder / name)
    with SshHost(folder / "ssh", round_trip=round_trip, own_home=False) as host:
        settings = folder / "config" / "lvmtui" / "config.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(
            "".join(
                f'[hosts.host{number}]\ndestination = "bench"\nstore = "{store}"\ncommand = ["{LVMTUI}"]\n'
                for number, store in enumerate(stores)
            )
        )
        os.environ["LVMTUI_SSH"] = shlex.join(host.ssh[:-1])
        try:
            yield host
        finally:
            del os.environ["LVMTUI_SSH"]


def transferred(host: SshHost) -> int:
    """Bytes on the wire so far, both ways."""
    return host.proxy.sent + host.proxy.received


def connect_seconds(host: SshHost) -> float:
    """What a bare `ssh host true` takes."""
    begin = time.perf_counter()
    subprocess.run([*host.ssh, "true"], check=True)
    return time.perf_counter() - begin


def local(folder: Path) -> list[str]:
    """The dashboard here, with an empty store of its own."""
    return [LVMTUI, "--store", str(folder / "here.db")]


def freshness(folder: Path, seconds: float, repeats: int) -> None:
    """Print how long it takes from a commit there until its digits stand on the screen here."""
    store = folder / "there" / "runs.db"
    store.parent.mkdir(parents=True)
    database = Database.open(store)
    _, writer = begin(database, 0)
    writer.epoch(report(1, 0.111))
    alive = threading.Event()
    rng = random.Random(0)

    def beat() -> None:
        while not alive.wait(1.0):
            writer.heartbeat()

    threading.Thread(target=beat, daemon=True).start()
    delays = []
    with watching(folder / "ssh", store, round_trip=seconds):
        screen = TmuxScreen(local(folder), cols=120, rows=36)
        try:
            screen.wait_for("11.1", 60.0)
            time.sleep(3.0)
            for number in range(repeats):
                shown = f"{21 + number % 70}.{number * 7 % 9 + 1}"
                time.sleep(0.5 + rng.random())
                writer.epoch(report(number + 2, float(shown) / 100))
                committed = time.perf_counter()
                screen.wait_for(shown, 20.0)
                delays.append(time.perf_counter() - committed)
        finally:
            alive.set()
            screen.close()
            database.close()
    delays.sort()
    late = delays[min(len(delays) - 1, round(0.95 * len(delays)))]
    print(
        f"round trip {1000 * seconds:3.0f} ms: logged there to shown here: median "
        f"{1000 * statistics.median(delays):.0f} ms, p95 {1000 * late:.0f} ms, "
        f"worst {1000 * delays[-1]:.0f} ms (wanted: at most {1000 * seconds + 300:.0f} ms)",
        flush=True,
    )


def fresh(folder: Path) -> None:
    """From a commit there to the screen here."""
    for seconds in ROUND_TRIPS:
        freshness(folder / f"fresh-{seconds}", seconds, 30)


def trickle(folder: Path) -> None:
    """Bytes a second for one live run that is looked at."""
    for logs, metrics in ((0.001, 3), (10.0, 3), (10.0, 10)):
        place = folder / f"trickle-{logs}-{metrics}"
        store = place / "there" / "runs.db"
        store.parent.mkdir(parents=True)
        writing = live_runs(store, runs=1, logs_per_second=logs, keys=NAMES[:metrics])
        with writing, watching(place / "ssh", store) as host:
            terminal = Watched(local(place))
            try:
                terminal.read(8.0)
                before = transferred(host)
                terminal.read(30.0)
                used = (transferred(host) - before) / 30
            finally:
                terminal.close()
        what = "an idle host" if logs < 1 else f"one live run, {logs:.0f} logs/s of {metrics} metrics"
        print(f"{what}: {used:.0f} bytes/s both ways, ssh included (wanted: under 2 000)", flush=True)


def first(folder: Path) -> None:
    """First view of a large store: bytes, and the time to the first chart."""
    store = folder / "first" / "there" / "runs.db"
    store.parent.mkdir(parents=True)
    print("writing 100 runs x 10 metrics x 10 000 steps …", flush=True)
    write_curves(store, runs=100, metrics=NAMES[:10], steps=10_000)
    for seconds in ROUND_TRIPS:
        place = folder / f"first-{seconds}"
        with watching(place / "ssh", store, round_trip=seconds) as host:
            connecting = statistics.median(connect_seconds(host) for _ in range(3))
            before = transferred(host)
            terminal = Watched(local(place))
            try:
                chart = terminal.first_chart()
                terminal.at_rest()
                used = transferred(host) - before
            finally:
                terminal.close()
        print(
            f"round trip {1000 * seconds:3.0f} ms: first chart {chart:.2f} s after the start; "
            f"`ssh host true` takes {connecting:.2f} s, so {chart - connecting:.2f} s more "
            f"(wanted: {3 * seconds + 0.5:.2f}); {used / 1000:.0f} kB in all (wanted: under 300)",
            flush=True,
        )


def hosts(folder: Path) -> None:
    """Processor time with eight hosts at once, each with a live run."""
    for logs in (0.001, 1.0):
        place = folder / f"hosts-{logs}"
        stores = [place / f"there-{number}" / "runs.db" for number in range(MOST_HOSTS)]
        for store in stores:
            store.parent.mkdir(parents=True)
        with (
            live(stores, logs),
            watching(place / "ssh", *stores),
        ):
            terminal = Watched(local(place))
            try:
                terminal.read(15.0)
                share, written = terminal.idle(20.0)
            finally:
                terminal.close()
        what = "nothing happens" if logs < 1 else f"each a live run with {logs:.0f} log/s"
        print(
            f"{MOST_HOSTS} hosts, {what}: {100 * share:.1f} % of a processor, the ssh processes included "
            f"(wanted: under 5), {written / 20:.0f} bytes/s to the terminal",
            flush=True,
        )


@contextmanager
def live(stores: list[Path], logs: float) -> Iterator[None]:
    """A live run in each of the stores."""
    if not stores:
        yield
        return
    with live_runs(stores[0], runs=1, logs_per_second=logs), live(stores[1:], logs):
        yield


def keys(folder: Path) -> None:
    """Key latency and bytes at 250 ms, beside the dashboard run through `ssh -t`."""
    store = folder / "keys" / "there" / "runs.db"
    store.parent.mkdir(parents=True)
    write_curves(store, runs=8, metrics=NAMES, steps=2_000)
    with watching(folder / "keys" / "ssh", store, round_trip=0.25) as host:
        through = shlex.join(["env", "COLORTERM=truecolor", LVMTUI, "--store", str(store)])
        ways = {
            "watched from here": local(folder / "keys"),
            "through ssh -t": [*host.ssh[:-1], "-t", host.ssh[-1], through],
        }
        for name, words in ways.items():
            terminal = Watched(words)
            try:
                chart = terminal.first_chart()
                terminal.at_rest()
                for label, pair in {"move": ("j", "k"), "log-y": ("y", "y")}.items():
                    before = transferred(host)
                    waited = terminal.key_ms(pair, 10)
                    terminal.read(2.0)
                    used = (transferred(host) - before) / 10
                    print(
                        f"{name}: {label:6} key to repaint {waited:4.0f} ms, {used:6.0f} bytes on the wire",
                        flush=True,
                    )
                print(f"{name}: first chart {chart:.2f} s", flush=True)
            finally:
                terminal.close()


def copies(folder: Path) -> None:
    """How fast a run with a large file is fetched."""
    store = folder / "copies" / "there" / "runs.db"
    store.parent.mkdir(parents=True)
    database = Database.open(store)
    run, writer = begin(database, 0)
    writer.epoch(report(1, 0.111))
    large = store.parent / run.folder / "large.bin"
    large.parent.mkdir(parents=True, exist_ok=True)
    large.write_bytes(random.Random(0).randbytes(COPIED_BYTES))
    database.close()
    for seconds in ROUND_TRIPS:
        place = folder / f"copies-{seconds}"
        with watching(place / "ssh", store, round_trip=seconds):
            start = time.perf_counter()
            subprocess.run(
                [*local(place), "pull", "last", "--host", "host0"], check=True, capture_output=True
            )
            took = time.perf_counter() - start
        print(
            f"round trip {1000 * seconds:3.0f} ms: {COPIED_BYTES >> 20} MiB that cannot be compressed "
            f"in {took:.1f} s, start included: {COPIED_BYTES / took / 1e6:.1f} MB/s",
            flush=True,
        )


PARTS = {
    "fresh": fresh,
    "trickle": trickle,
    "first": first,
    "hosts": hosts,
    "keys": keys,
    "copies": copies,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs of another machine on a dashboard here.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    asked = parser.parse_args()
    if not SSHD:
        print("needs an OpenSSH server: apt-get install openssh-server")
        return
    with tempfile.TemporaryDirectory() as name:
        for part in asked.parts or PARTS:
            PARTS[part](Path(name) / part)


if __name__ == "__main__":
    main()
