"""Latency of `memory_gru` with 11.3M parameters: streaming against re-encoding, in several precisions.

Run: `OMP_NUM_THREADS=1 python benchmarks/latency.py [queries] [pool]` (200 10000). The weights are random:
what they are changes no time. Vectors and pool are random, too, at unit length, 768 numbers; what a real run
takes, with its Hit@K, `lvmtui bench RUN` measures. Printed are P50, P95 and P99 in milliseconds of one vector
more and the top 10 of the pool (streaming), and of the whole context computed anew and the same search
(re-encoding): see `engine/bench/timing.py` for how noise is kept out. Goals: streaming P95 at most 5 ms at
every length on a processor; the published system took 306 ms for 1000 vectors.
"""

import os
import platform
import sys

import numpy as np
import torch
from numpy.typing import NDArray

from engine.bench import timing
from engine.bench.bench import load_average, measure
from engine.bench.plan import CONTEXTS, TOP
from engine.data.progress import terminal_progress
from engine.device import DeviceSampler, choose_device, device_name
from engine.infer import Pool, Predictor
from engine.infer.precision import Precision, prepare
from engine.models import ComposerStart, build_model, count_parameters
from lvmtui.latencies import ENCODE, MODES, STREAM, milliseconds
from lvmtui.recipe import build

DIM = 768
GOAL = 0.005
"""Seconds: streaming P95 on a processor."""
PUBLISHED = 0.306
"""Seconds that re-encoding 1000 vectors took in the published system."""


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Random unit vectors (count, 768), float32."""
    vectors = np.random.default_rng(seed).standard_normal((count, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def predictor_of(precision: Precision, device: torch.device) -> Predictor:
    """The model with random weights, the same for every precision."""
    recipe = build({"name": "latency", "data": {"context": 1000}, "model": {"name": "memory_gru"}})
    torch.manual_seed(0)
    start = ComposerStart.copy_last(torch.zeros(DIM))
    model = build_model(recipe.model, dim=DIM, context=recipe.data.context, start=start).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    print(f"{precision}: {count_parameters(model):,} parameters")
    prepared = prepare(model.to(device).requires_grad_(False), precision)
    return Predictor(prepared, recipe, dim=DIM, device=device, precision=precision)


def main() -> None:
    """Measure and print."""
    # Of whole contexts fewer than `lvmtui bench` takes: the run should end in minutes.
    timing.BLOCK_SECONDS, timing.LEAST = 0.4, 2
    queries, pool_size = (int(word) for word in [*sys.argv[1:], *("200", "10000")[len(sys.argv) - 1 :]])
    device = choose_device("auto")
    on_cpu = device.type == "cpu"
    names: tuple[Precision, ...] = ("fp32", "bf16", "int8") if on_cpu else ("fp32", "bf16", "fp16")
    predictors: dict[str, Predictor] = {name: predictor_of(name, device) for name in names}
    processor = next(item.name for item in DeviceSampler().sample() if item.device == "cpu")
    busy = load_average()
    print(
        f"memory_gru, random weights; {device_name(device)}; {processor}, "
        f"{torch.get_num_threads()} threads of {os.cpu_count()}; torch {torch.__version__}, Python "
        f"{platform.python_version()}; load before "
        f"{'unknown' if busy is None else f'{busy:.1f}'}; top {TOP} of {pool_size}"
    )
    stream, pool = unit_vectors(CONTEXTS[-1] + queries + 1, 1), Pool(unit_vectors(pool_size, 2))
    with terminal_progress() as progress:
        found = measure(predictors, pool, stream, CONTEXTS, queries, progress)
    print(f"{'':12} {'':5} {'context':>8} {'P50 ms':>8} {'P95 ms':>8} {'P99 ms':>8} {'queries':>8}")
    for (name, mode, context), times in found.items():
        values = " ".join(f"{milliseconds(value):>8}" for value in (times.p50, times.p95, times.p99))
        print(f"{MODES[mode]:12} {name:5} {context:8} {values} {times.n:8}")
    for name in names:
        worst = max(found[name, STREAM, context].p95 for context in CONTEXTS)
        anew, streaming = found[name, ENCODE, 1000].p50, found[name, STREAM, 1000].p50
        reached = "" if not on_cpu else f", goal 5: {'reached' if worst <= GOAL else 'missed'}"
        print(
            f"{name}: slowest streaming P95 {milliseconds(worst)} ms{reached}; re-encoding 1000 takes "
            f"{anew / streaming:.0f} times as long as streaming; published re-encoding / our streaming: "
            f"{PUBLISHED / streaming:.0f}"
        )


if __name__ == "__main__":
    main()
