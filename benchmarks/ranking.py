"""Exact ranks: our blocked ranking beside the plain ways to compare all queries with all of a pool.

Run: `python benchmarks/ranking.py [queries] [pool] [dimension]` (5000 100000 768), with `--threads 1` (all
cores). Two kinds of data:

- clustered: vectors that wander within documents, some of them copies; predictions are noisy targets with a
  Hit@5 of about a quarter, as a model's.
- random: vectors and predictions without any structure, so that targets lie in the thick of the candidates:
  the most that can be hard to tell.

Each way runs in a process of its own. Printed are seconds (best of 5), the memory that the process takes on
top of what it had before, and how many ranks of a sample differ from float64. The plain ways are timed for
their cost: `product` is the matrix product in float32 alone, in tiles, no rank is counted; `matrix` keeps all
similarities and counts, but knows no exclusions and no near duplicates.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCUMENT = 100
SAMPLE = 100
NOISE = 8.8
"""Length of the noise in a prediction, its target has 1."""


def make_vectors(folder: Path, kind: str, pool: int, dim: int) -> None:
    """Vectors (pool, dim), float16; clustered ones wander within each document, every 50th is a copy."""
    import numpy as np

    random = np.random.default_rng(0)
    out = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, (pool, dim))
    for start in range(0, pool, DOCUMENT):
        size = min(DOCUMENT, pool - start)
        steps = random.standard_normal((size, dim))
        if kind == "clustered":
            topic = random.standard_normal(dim)
            steps = topic + np.cumsum(steps, axis=0) / np.sqrt(np.arange(1, size + 1))[:, None]
        out[start : start + size] = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    if kind == "clustered":
        copies = np.arange(50, pool, 50)
        out[copies] = out[random.integers(0, copies)]


def peak() -> int:
    """Most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(way: str, kind: str, folder: Path, queries: int, threads: int) -> dict[str, float]:
    """Seconds and memory of one way; runs in a process of its own."""
    import numpy as np
    import torch

    from engine.data.split import SplitView
    from engine.data.vectors import VectorSet
    from engine.protocol import select_queries
    from engine.ranks import near_duplicates, rank

    torch.set_num_threads(threads)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    rows = np.arange(len(vectors))
    data = VectorSet(folder, vectors, rows // DOCUMENT, "0" * 16)
    split = SplitView("validation", data, rows, rows // DOCUMENT * DOCUMENT, rows // DOCUMENT)
    asked = select_queries(split)
    asked = asked.subset(np.linspace(0, len(asked) - 1, queries).astype(np.int64))
    cpu = torch.device("cpu")
    noise = torch.randn(queries, vectors.shape[1], generator=torch.Generator().manual_seed(0))
    predictions = noise
    if kind == "clustered":
        targets = torch.from_numpy(vectors[asked.positions].astype(np.float32))
        predictions = targets + NOISE * noise / vectors.shape[1] ** 0.5
    before = peak()
    result: dict[str, float] = {}
    if way == "ranks":
        start = time.perf_counter()
        duplicates = near_duplicates(split, asked, cpu)
        result["once"] = time.perf_counter() - start
        result["seconds"] = best_of(lambda: rank(predictions, split, asked, duplicates, cpu))
        result["memory"] = peak() - before
        ranks = rank(predictions, split, asked, duplicates, cpu)
        result["hit5"] = float((ranks <= 5).mean())
        sample = range(0, queries, max(1, queries // SAMPLE))
        result["wrong"] = count_wrong(vectors, asked, predictions.numpy(), ranks, sample)
    else:
        plain = product if way == "product" else matrix
        result["seconds"] = best_of(lambda: plain(predictions, vectors, asked.positions))
        result["memory"] = peak() - before
    return result


def best_of(call: object, repeats: int = 5) -> float:
    """Least seconds of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()  # type: ignore[operator]
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def product(predictions, vectors, _positions):  # type: ignore[no-untyped-def]
    """Nothing but the products with tiles of the pool, float32."""
    import numpy as np
    import torch

    memory = torch.empty(len(predictions), 1024)
    for start in range(0, len(vectors), 1024):
        tile = torch.from_numpy(np.asarray(vectors[start : start + 1024], np.float32))
        torch.mm(predictions, tile.T, out=memory[:, : len(tile)])


def matrix(predictions, vectors, positions):  # type: ignore[no-untyped-def]
    """All similarities at once, then count what beats the target."""
    import numpy as np
    import torch
    from torch.nn.functional import normalize

    pool = normalize(torch.from_numpy(np.asarray(vectors, np.float32)), dim=1)
    scores = normalize(predictions, dim=1) @ pool.T
    target = scores[torch.arange(len(scores)), torch.from_numpy(positions)]
    return (scores >= target[:, None]).sum(1)


def count_wrong(vectors, asked, predictions, ranks, sample):  # type: ignore[no-untyped-def]
    """How many ranks differ from those by the rules of `doc-v1`, all in float64."""
    import numpy as np

    pool = np.asarray(vectors, np.float64)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    wrong = 0
    for query in sample:
        position, start = asked.positions[query], asked.document_start[query]
        candidate = np.ones(len(pool), bool)
        candidate[start:position] = False
        same = (pool @ pool[position] > 0.98) & candidate
        same[position] = True
        prediction = predictions[query].astype(np.float64)
        scores = pool @ (prediction / np.linalg.norm(prediction))
        rank = 1 + int((scores[candidate & ~same] >= scores[same].max() - 1e-9).sum())
        wrong += rank != int(ranks[query])
    return wrong


def report(kind: str, results: dict[str, dict[str, float]]) -> None:
    """Print what was measured on one kind of data."""
    ours, alone = results["ranks"], results["product"]
    print(f"{kind}, Hit@5 {ours['hit5']:.1%}")
    print(f"  {'':12}{'seconds':>9}{'/ product':>11}{'memory MB':>11}")
    for way, result in results.items():
        ratio = result["seconds"] / alone["seconds"]
        print(f"  {way:12}{result['seconds']:9.2f}{ratio:11.2f}{result['memory'] / 1e6:11.0f}")
    print(f"  near duplicates, once for a split: {ours['once']:.2f} s")
    print(f"  ranks that differ from float64, of a sample of {SAMPLE}: {ours['wrong']}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("queries", type=int, nargs="?", default=5_000)
    parser.add_argument("pool", type=int, nargs="?", default=100_000)
    parser.add_argument("dim", type=int, nargs="?", default=768)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    parser.add_argument("--kinds", default="clustered,random", help="of data, with commas between")
    parser.add_argument("--ways", default="ranks,product,matrix", help="the first two at least")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "KIND"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()

    import torch

    from engine.ranking.margins import Arithmetic

    threads = args.threads or torch.get_num_threads()
    if args.one:
        print(json.dumps(measure(*args.one, args.folder, args.queries, threads)))
        return
    split = Arithmetic.best(args.dim, torch.device("cpu")).split
    how = "split bfloat16" if split else "float32"
    print(f"{args.queries} queries, pool {args.pool} x {args.dim}, {threads} threads, by {how}")
    for kind in args.kinds.split(","):
        with tempfile.TemporaryDirectory() as folder:
            make_vectors(Path(folder), kind, args.pool, args.dim)
            results = {}
            for way in args.ways.split(","):
                command = [sys.executable, __file__, *map(str, (args.queries, args.pool, args.dim))]
                command += ["--threads", str(threads), "--one", way, kind, "--folder", folder]
                results[way] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        report(kind, results)


if __name__ == "__main__":
    main()
