"""A whole evaluation: self-checks, exact ranks, scores and intervals, beside the float32 product alone.

Run: `OMP_NUM_THREADS=2 python benchmarks/evaluation.py [queries] [pool] [dimension]` (5000 100000 768).
Printed are seconds, best of 5, for predictions that are noisy targets and for random ones, where most
candidates are hard to tell from the target, and what is set up once for a split. Memory: `ranking.py`.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from engine.data.split import SplitView
from engine.data.vectors import VectorSet, open_vectors
from engine.evaluate import Judge
from lvmtui.splits import document_starts

DOCUMENTS = 100
"""With queries; every other vector stands alone."""
TOPICS = 500
NOISE = 10.0
"""Length of the noise in a prediction, its target has 1."""


def make_set(folder: Path, queries: int, pool: int, dim: int) -> VectorSet:
    """Vectors around topics, of which `queries` have a predecessor in their document."""
    random = np.random.default_rng(0)
    topics = random.standard_normal((TOPICS, dim), dtype=np.float32)
    vectors = topics[random.integers(0, TOPICS, pool)]
    vectors += 1.2 * random.standard_normal((pool, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    length = queries // DOCUMENTS + 1
    asked = np.repeat(np.arange(DOCUMENTS), length)
    alone = np.arange(len(asked), pool)
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    np.save(folder / "documents.npy", np.concatenate([asked, alone]).astype(np.int32))
    return open_vectors(folder)


def best_of(action: Callable[[], object], times: int = 5) -> float:
    """Seconds of the fastest of some calls."""
    seconds = []
    for _ in range(times):
        before = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - before)
    return min(seconds)


def product(queries: torch.Tensor, pool: torch.Tensor) -> None:
    """Every cosine, in tiles; nothing is counted."""
    for tile in pool.split(1024):
        torch.mm(queries, tile.T)


def main() -> None:
    """Measure and print."""
    given = [int(value) for value in sys.argv[1:4]]
    queries, pool, dim = given + [5000, 100_000, 768][len(given) :]
    with tempfile.TemporaryDirectory() as folder:
        data = make_set(Path(folder), queries, pool, dim)
        starts = document_starts(data.documents)
        first = np.repeat(starts, np.diff(starts, append=len(data)))
        split = SplitView("validation", data, np.arange(len(data)), first, data.documents)
        before = time.perf_counter()
        judge = Judge.build(
            data,
            {"validation": split},
            "validation",
            split_seed=0,
            within_document=False,
            device=torch.device("cpu"),
        )
        print(f"{len(judge.asked)} queries, pool {len(split)} x {dim}, {torch.get_num_threads()} threads")
        print(f"set up once               {time.perf_counter() - before:6.2f} s")
        targets = judge.targets()
        torch.manual_seed(0)
        noise = torch.nn.functional.normalize(torch.randn_like(targets), dim=1)
        for name, predictions in (("noisy targets", targets + NOISE * noise), ("random", noise)):
            scores = judge.evaluation(predictions, epoch=0, step=0)
            seconds = best_of(lambda p=predictions: judge.evaluation(p, epoch=0, step=0))
            print(f"evaluation, {name:13} {seconds:6.2f} s   Hit@5 {100 * scores.hit5:.1f} %")
        vectors = torch.from_numpy(split.take(0, len(split)))
        print(f"float32 product alone     {best_of(lambda: product(noise, vectors)):6.2f} s")


if __name__ == "__main__":
    main()
