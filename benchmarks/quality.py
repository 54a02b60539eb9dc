"""How far training comes above the best baseline: several seeds of recipes, each compared query by query.

Run: `OMP_NUM_THREADS=1 python benchmarks/quality.py DATA STORE [PHASE ...] [--seeds 3] [-o KEY=VALUE ...]`.
Phases (`phase-1` where none is named) are trained by `lvmtui launch`, unless the store has such runs on these
data already. Printed is a line a run, with the validation scores of its best checkpoint and what lies between
them and the strongest baseline, in points, with 95 % intervals of the paired bootstrap over documents. With
`--test` each run is also judged on the test split by `lvmtui evaluate`: the store counts these looks.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lvmtui import stats
from lvmtui.leaderboard.verdicts import strongest
from lvmtui.recipe import from_json
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Evaluation, Protocol, Run


def lvmtui(*words: str) -> None:
    """Run a command of the product to its end."""
    subprocess.run([sys.executable, "-m", "lvmtui", *words], check=True)


def runs_of(reader: Reader, phase: str, data: str) -> list[Run]:
    """The runs of a phase on these data that ended by themselves, oldest first."""
    done = [run for run in reader.runs() if run.phase == phase and run.progress.best_epoch is not None]
    return [run for run in done if from_json(run.recipe).data.path == data]


def compared(own: Evaluation, other: Evaluation, protocol: Protocol) -> str:
    """The differences in Hit@5 and MRR, in points, with their intervals."""
    groups = stats.unpack_ranks(protocol.query_groups)
    first, second = stats.unpack_ranks(own.ranks), stats.unpack_ranks(other.ranks)
    cells = []
    for of in (lambda ranks: stats.hits(ranks, 5), stats.reciprocal_ranks):
        found = stats.paired_bootstrap(100.0 * of(first), 100.0 * of(second), groups)
        low, high = found.interval.low, found.interval.high
        cells.append(f"{found.difference:+.2f} [{low:+.2f}, {high:+.2f}]")
    return "  ".join(f"{cell:>22}" for cell in cells)


def line(reader: Reader, run: Run, own: Evaluation) -> str:
    """One run under one protocol beside the strongest baseline."""
    protocol = next(item for item in reader.protocols() if item.id == own.protocol_id)
    baselines = [item for item in reader.baselines(own.protocol_id) if item.context == own.context]
    best = strongest(baselines, split=own.split)
    hits = " / ".join(f"{100 * value:5.2f}" for value in (own.hit1, own.hit5, own.hit10))
    head = f"{run.name:24} {own.split:10} {hits}  {100 * own.mrr:5.2f}"
    if best is None:
        return f"{head}  no baseline"
    return f"{head}  {compared(own, best, protocol)}  over {best.baseline} ({100 * best.hit5:.2f})"


def judged(reader: Reader, run: Run) -> Sequence[Evaluation]:
    """The evaluation at the run's best epoch, and the newest on test."""
    best = reader.best_evaluation(run)
    on_test = [item for item in reader.evaluations(run.id) if item.split == "test"]
    return [item for item in (best, *on_test[-1:]) if item is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("phases", nargs="*", default=["phase-1"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--override", action="append", default=[])
    parser.add_argument("--test", action="store_true")
    arguments = parser.parse_args()
    data, store = str(arguments.data.resolve()), str(arguments.store)
    overrides = [word for item in arguments.override for word in ("-o", item)]
    for phase in arguments.phases:
        known: list[Run] = []
        if arguments.store.exists():
            database = Database.open(store, create=False, read_only=True)
            known = runs_of(Reader(database), phase, data)
            database.close()
        if not known:
            wanted = ("-o", f"data.path={data}", *overrides, "--seeds", str(arguments.seeds), "--wait")
            lvmtui("launch", phase, *wanted, "--store", store)
    database = Database.open(store, create=False, read_only=True)
    reader = Reader(database)
    found = [run for phase in arguments.phases for run in runs_of(reader, phase, data)]
    for run in found:
        if arguments.test and not any(item.split == "test" for item in reader.evaluations(run.id)):
            lvmtui("evaluate", str(run.id), "--split", "test", "--yes", "--store", store)
    print(f"{'':35} {'Hit@1/5/10':>21}  {'MRR':>5}  {'Hit@5, points':>22}  {'MRR, points':>22}")
    for run in found:
        for own in judged(reader, run):
            print(line(reader, run, own))
    for phase in arguments.phases:
        scores = [best.hit5 for run in found if run.phase == phase and (best := reader.best_evaluation(run))]
        if len(scores) > 1:
            mean, spread = 100 * np.mean(scores), 100 * np.std(scores, ddof=1)
            print(f"{phase}: Hit@5 on validation {mean:.2f} (sd {spread:.2f}), {len(scores)} runs")
    database.close()


if __name__ == "__main__":
    main()
