"""What training holds in memory.

Run: `python benchmarks/memory.py [--data]` (needs 1 GB of disk in the temporary folder; `--data`: the
second part alone).

1. Activations, with and without `train.checkpointing`: one forward and backward pass at context 2000, the
   largest number of bytes that all tensors held at one time (weights and inputs aside), and the process's
   peak, each in a process of its own.
2. Data: 640 000 vectors of 768 numbers (float16, 0.98 GB) in a memory-mapped file; opening them again, once
   they have been checked, and some steps of `memory_gru` with 11.3M parameters at context 1000, batch 8.
   What the process holds of its own (anonymous memory) and of files is told apart: pages of the file that
   were read are the system's to take back.
"""

import json
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

VECTORS, DIM, DOCUMENT = 640_000, 768, 200
MODELS = {
    "gru 256 x 1": {"model.name": "gru", "model.hidden": "256", "model.layers": "1"},
    "memory_gru 512 x 4 (11.3M)": {"model.name": "memory_gru", "model.hidden": "512", "model.layers": "4"},
    "transformer 256 x 4": {"model.name": "transformer", "model.hidden": "256", "model.layers": "4"},
}
STEPS = 2
MB = 1e6


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all storages that were made inside and are still held."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage.data_ptr(), storage.nbytes()
        if not size or place in self._known:
            return
        self._known.add(place)
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._gone, place, size)

    def _gone(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.held -= size


def memory(kind: str) -> int:
    """A figure of this process from Linux, in bytes: VmHWM, RssAnon, RssFile."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(kind)


def activations(name: str, checkpointing: str) -> None:
    """One pass; prints its figures as JSON."""
    from engine.losses import build_objective
    from engine.models import ComposerStart, build_model
    from engine.passes import Negatives, Passes
    from lvmtui.recipe import load

    fixed = {"data.context": "2000", "model.dropout": "0.1", "train.checkpointing": checkpointing}
    recipe = load("demo", {**fixed, **MODELS[name]})
    torch.manual_seed(0)
    torch.set_num_threads(1)
    start = ComposerStart.copy_last(torch.zeros(DIM))
    model = build_model(recipe.model, dim=DIM, context=2000, start=start)
    passes = Passes(
        model,
        build_objective(recipe.loss, "all"),
        device=torch.device("cpu"),
        balance=0.0,
        precision="fp32",
        checkpointing=recipe.train.checkpointing,
        compile_model=False,
    )
    window, bank = torch.randn(2, 2001, DIM), torch.randn(recipe.loss.bank, DIM)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before, begun = memory("VmHWM"), time.perf_counter()
    with LiveTensors() as live:
        loss, _ = passes.loss(window[:, :-1], window[:, 1:], Negatives(bank))
        kept = live.held
        torch.autograd.backward(loss)
    seconds = time.perf_counter() - begun
    print(
        json.dumps({"kept": kept, "peak": live.peak, "process": memory("VmHWM") - before, "seconds": seconds})
    )


def make_data(folder: Path) -> None:
    """Vectors that drift inside documents, as real ones do, written block by block."""
    random = np.random.default_rng(0)
    shape = (VECTORS, DIM)
    stored = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, shape)
    for begin in range(0, VECTORS, 20_000):
        block = random.standard_normal((20_000, DIM), np.float32)
        block[1:] += block[:-1]
        stored[begin : begin + 20_000] = block / np.linalg.norm(block, axis=1, keepdims=True)
    stored.flush()
    np.save(folder / "documents.npy", np.arange(VECTORS) // DOCUMENT)


def opening(folder: str) -> None:
    """Open the set; prints the seconds and what is held then."""
    from engine.data.vectors import open_vectors

    begun = time.perf_counter()
    data = open_vectors(Path(folder))
    seconds = time.perf_counter() - begun
    assert len(data) == VECTORS
    print(json.dumps({"seconds": seconds, "own": memory("RssAnon"), "files": memory("RssFile")}))


def training(folder: str, checkpointing: str) -> None:
    """Some steps on the set; prints the figures."""
    from engine.building import build_learner
    from engine.data.vectors import open_vectors
    from engine.models import ComposerStart, count_parameters
    from engine.task import task_of
    from lvmtui.recipe import load

    changes = {
        "data.context": "1000",
        "train.batch": "8",
        "train.accumulation": "1",
        "train.ema": "0.99",
        "train.precision": "fp32",
        "train.checkpointing": checkpointing,
        "loss.bank": "2048",
        **MODELS["memory_gru 512 x 4 (11.3M)"],
    }
    torch.set_num_threads(1)
    recipe = load("demo", changes)
    task = task_of(recipe, open_vectors(Path(folder)))
    start = ComposerStart.copy_last(torch.zeros(DIM))
    learner = build_learner(recipe, task, start, torch.device("cpu"))
    order = learner.windows.order(0)
    begun = time.perf_counter()
    for number in range(STEPS):
        learner.step(order[8 * number : 8 * number + 8], number)
    print(
        json.dumps(
            {
                "parameters": count_parameters(learner.model),
                "seconds": (time.perf_counter() - begun) / STEPS,
                "own": memory("RssAnon"),
                "files": memory("RssFile"),
                "peak": memory("VmHWM"),
            }
        )
    )


def child(*arguments: str) -> dict[str, float]:
    """Run a part in a process of its own: what one leaves behind is not the next one's."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    if "--data" not in sys.argv:
        compare_activations()
    compare_data()


def compare_activations() -> None:
    """Part 1."""
    print("activations of one pass, context 2000, batch 2, bank 1024:")
    for name in MODELS:
        plain, less = (child("activations", name, on) for on in ("false", "true"))
        print(
            f"  {name}: kept for the backward pass {plain['kept'] / MB:,.0f} -> {less['kept'] / MB:,.0f} MB; "
            f"peak of tensors {plain['peak'] / MB:,.0f} -> {less['peak'] / MB:,.0f} MB "
            f"({less['peak'] / plain['peak']:.2f}); of the process {plain['process'] / MB:,.0f} -> "
            f"{less['process'] / MB:,.0f} MB ({less['process'] / plain['process']:.2f}); time "
            f"x {less['seconds'] / plain['seconds']:.2f}",
            flush=True,
        )


def compare_data() -> None:
    """Part 2."""
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder))
        size = (Path(folder) / "vectors.npy").stat().st_size
        first, again = child("opening", folder), child("opening", folder)
        print(
            f"{VECTORS:,} vectors of {DIM}, {size / MB:,.0f} MB: first opening (checks every vector) "
            f"{first['seconds']:.2f} s, opening again {again['seconds']:.3f} s; held then: own "
            f"{again['own'] / MB:,.0f} MB, of files {again['files'] / MB:,.0f} MB",
            flush=True,
        )
        for on in ("false", "true"):
            found = child("training", folder, on)
            print(
                f"memory_gru {found['parameters'] / MB:.1f}M, context 1000, batch 8, checkpointing {on}, "
                f"{STEPS} steps of {found['seconds']:.1f} s: own {found['own'] / MB:,.0f} MB, of files "
                f"{found['files'] / MB:,.0f} MB, peak {found['peak'] / MB:,.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] != "--data":
        parts: dict[str, Callable[..., None]] = {
            "activations": activations,
            "opening": opening,
            "training": training,
        }
        parts[sys.argv[1]](*sys.argv[2:])
    else:
        main()
