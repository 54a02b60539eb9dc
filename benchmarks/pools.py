"""How far scores on another pool are off where ranks, or candidates, are missing.

Run: `python benchmarks/pools.py STORE` on a run store whose baselines have their ranks. Pools that shrink are
exact where ranks are known; that is the truth here, in percent, for Hit@5. Beside it what `lvmtui.legacy`
makes of Hit@1/5/10 alone, with its bounds. Then the other way round: each query's candidates are cut at
random, and the scores on all of them are forecast from what is left.
"""

import argparse
from pathlib import Path

import numpy as np

from lvmtui import stats
from lvmtui.leaderboard.equating import Judged, judged_of
from lvmtui.leaderboard.verdicts import one_of_each
from lvmtui.legacy import estimate_hit
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Evaluation

POOL = 115
PARTS = (2, 10)
"""A forecast is made from one of so many candidates."""


def estimates(evaluation: Evaluation, judged: Judged) -> str:
    """Truth, estimate and bounds on half the pool and on `POOL`."""
    ranks = stats.unpack_ranks(evaluation.ranks)
    hits = {k: stats.hit_at(ranks, k) for k in (1, 5, 10)}
    own = round(float(judged.candidates.mean()))
    cells = []
    for pool in (own // 2, POOL):
        truth = stats.equated_hits(ranks, judged.candidates, pool, 5).mean()
        found = estimate_hit(hits, own, pool, 5)
        bounds = f"[{100 * found.low:.0f}, {100 * found.high:.0f}]"
        cells.append(f"{100 * truth:7.1f}{100 * found.value:7.1f} {bounds:>10}")
    return "  ".join(cells)


def forecasts(evaluation: Evaluation, judged: Judged) -> str:
    """Truth and forecast of Hit@1 and Hit@5 from parts of the candidates."""
    ranks = stats.unpack_ranks(evaluation.ranks).astype(np.int64)
    pool = int(judged.candidates.min())
    random = np.random.default_rng(0)
    cells = []
    for part in PARTS:
        left = pool // part
        better = random.hypergeometric(ranks - 1, judged.candidates - ranks, left - 1)
        for k in (1, 5):
            truth = stats.equated_hits(ranks, judged.candidates, pool, k).mean()
            found = stats.equated_hits(better + 1, left, pool, k).mean()
            cells.append(f"{100 * truth:7.1f}{100 * found:7.1f}")
    return "  ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("store", type=Path)
    database = Database.open(parser.parse_args().store, create=False, read_only=True)
    reader = Reader(database)
    for protocol in reader.protocols():
        judged = judged_of(reader, protocol)
        known = [item for item in one_of_each(reader.baselines(protocol.id)) if item.ranks]
        if judged is None or not known or judged.candidates.min() <= 2 * POOL:
            continue
        print(
            f"{protocol.name} {protocol.id}: n {protocol.n}, pool {protocol.pool}; Hit@5, truth and estimate"
        )
        print(f"  {'':18}{'on half':>14} {'possible':>10}  {f'on {POOL}':>14} {'possible':>10}")
        for item in known:
            print(f"  {item.baseline or '':18}{estimates(item, judged)}")
        print("  truth and forecast from a part of the candidates")
        heads = "  ".join(f"{f'Hit@{k}, 1 of {part}':>14}" for part in PARTS for k in (1, 5))
        print(f"  {'':18}{heads}")
        for item in known:
            print(f"  {item.baseline or '':18}{forecasts(item, judged)}")
    database.close()


if __name__ == "__main__":
    main()
