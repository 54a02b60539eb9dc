"""Exact ranks: our blocked ranking beside the plain one that keeps the whole similarity matrix.

Run: `python benchmarks/ranking.py [queries] [pool] [dimension]` (5000 100000 768). Each way runs in a process
of its own on the same vectors, clustered random ones with exact duplicates among them. Printed are seconds
(best of 3), the memory that the process takes on top of what it has before, and how many ranks of a sample
differ from float64. The plain way knows no exclusions and no near duplicates: it is timed for its cost.
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
SAMPLE = 50


def make_vectors(folder: Path, pool: int, dim: int) -> None:
    """Vectors that wander within each document, float16, every 50th a copy of an earlier one."""
    import numpy as np

    random = np.random.default_rng(0)
    out = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, (pool, dim))
    for start in range(0, pool, DOCUMENT):
        size = min(DOCUMENT, pool - start)
        topic = random.standard_normal(dim)
        steps = random.standard_normal((size, dim))
        vectors = topic + np.cumsum(steps, axis=0) / np.sqrt(np.arange(1, size + 1))[:, None]
        out[start : start + size] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    copies = np.arange(50, pool, 50)
    out[copies] = out[random.integers(0, copies)]
    np.save(folder / "documents.npy", np.arange(pool, dtype=np.int64) // DOCUMENT)


def peak() -> int:
    """Most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(way: str, folder: Path, queries: int) -> dict[str, float]:
    """Seconds and memory of one way; runs in a process of its own."""
    import numpy as np
    import torch

    from engine.data.split import SplitView
    from engine.data.vectors import VectorSet
    from engine.protocol import select_queries
    from engine.ranks import near_duplicates, rank

    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    documents = np.load(folder / "documents.npy")
    rows = np.arange(len(vectors))
    data = VectorSet(folder, vectors, documents, "0" * 16)
    split = SplitView("validation", data, rows, rows // DOCUMENT * DOCUMENT, documents)
    asked = select_queries(split)
    asked = asked.subset(np.linspace(0, len(asked) - 1, queries).astype(np.int64))
    before = peak()
    cpu = torch.device("cpu")
    last = torch.from_numpy(vectors[asked.positions - 1].astype(np.float32))
    noise = torch.randn(last.shape, generator=torch.Generator().manual_seed(0)) / last.shape[1] ** 0.5
    predictions = last + noise
    result: dict[str, float] = {}
    if way == "blocked":
        start = time.perf_counter()
        duplicates = near_duplicates(split, asked, cpu)
        result["once"] = time.perf_counter() - start
        result["seconds"] = best_of(lambda: rank(predictions, split, asked, duplicates, cpu))
        result["memory"] = peak() - before
        ranks = rank(predictions, split, asked, duplicates, cpu)
        result["wrong"] = sum(
            int(ranks[i]) != reference(vectors, asked, i, predictions[i].numpy())
            for i in range(0, queries, max(1, queries // SAMPLE))
        )
    else:
        result["seconds"] = best_of(lambda: full_matrix(predictions, vectors, asked.positions))
        result["memory"] = peak() - before
    return result


def best_of(call: object, repeats: int = 3) -> float:
    """Least seconds of some calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()  # type: ignore[operator]
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def full_matrix(predictions, vectors, positions):  # type: ignore[no-untyped-def]
    """The plain way: all similarities at once, then count what beats the target."""
    import numpy as np
    import torch
    from torch.nn.functional import normalize

    pool = normalize(torch.from_numpy(np.asarray(vectors, np.float32)), dim=1)
    scores = normalize(predictions, dim=1) @ pool.T
    target = scores[torch.arange(len(scores)), torch.from_numpy(positions)]
    return (scores >= target[:, None]).sum(1)


def reference(vectors, asked, query, prediction):  # type: ignore[no-untyped-def]
    """One rank by the rules of `doc-v1`, all in float64."""
    import numpy as np

    pool = np.asarray(vectors, np.float64)
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    position, start = asked.positions[query], asked.document_start[query]
    candidate = np.ones(len(pool), bool)
    candidate[start:position] = False
    same = (pool @ pool[position] > 0.98) & candidate
    same[position] = True
    scores = pool @ (prediction.astype(np.float64) / np.linalg.norm(prediction.astype(np.float64)))
    return 1 + int((scores[candidate & ~same] >= scores[same].max() - 1e-9).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("queries", type=int, nargs="?", default=5_000)
    parser.add_argument("pool", type=int, nargs="?", default=100_000)
    parser.add_argument("dim", type=int, nargs="?", default=768)
    parser.add_argument("--way", choices=["blocked", "full"])
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.folder, args.queries)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_vectors(Path(folder), args.pool, args.dim)
        results = {}
        for way in ("blocked", "full"):
            command = [sys.executable, __file__, str(args.queries), "--way", way, "--folder", folder]
            results[way] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    blocked, full = results["blocked"], results["full"]
    print(f"{args.queries} queries, pool {args.pool} x {args.dim}")
    print(f"  {'':12}{'seconds':>9}{'memory MB':>11}")
    for way, result in results.items():
        print(f"  {way:12}{result['seconds']:9.2f}{result['memory'] / 1e6:11.0f}")
    print(
        f"  ratio       {blocked['seconds'] / full['seconds']:9.2f}{blocked['memory'] / full['memory']:11.2f}"
    )
    print(f"  near duplicates, once for a split: {blocked['once']:.2f} s")
    print(f"  ranks that differ from float64, of a sample of about {SAMPLE}: {blocked['wrong']}")


if __name__ == "__main__":
    main()
