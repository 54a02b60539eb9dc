"""Training speed of the architectures, side by side in one process.

Run: `python benchmarks/models.py` with `--context 1000 --batch 8 --hidden 512 --layers 4 --threads 1
--repeats 5 --precision fp32,bf16 --models gru,mingru,…`.

Each figure is vectors per second of whole optimiser steps (forward, loss, backward, clipping, AdamW): every
position of a random window is supervised, under the composer head. The loss is the cosine, which costs next
to nothing: architectures are compared here; `--loss nce` takes that of the recipes. The models take turns,
and medians are compared, so that what else the machine does hits all alike. With one thread it is the
process's own CPU time that counts, with more it is the clock.

- `torch gru` is `gru` with torch's own CPU layers in place of ours: the same numbers, its ratio shows what
  ours give.
- `published` is the published recipe on `memory_gru` (torch's own layers): only the last position of each
  window is supervised, by the published loss with its delta head. Compared are supervised targets per second.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from engine.losses import build_objective
from engine.models import MODELS, ComposerStart, build_model, count_parameters
from lvmtui.recipe import LossSection, ModelSection

DIM = 768
BANK = 2048


class Trainee:
    """A model with everything that one optimiser step needs."""

    def __init__(self, name: str, args: argparse.Namespace, precision: str) -> None:
        self.own = name not in {"torch gru", "published"}
        published = name == "published"
        architecture = {"torch gru": "gru", "published": "memory_gru"}.get(name, name)
        section = ModelSection.model_validate(
            {
                "name": architecture,
                "hidden": args.hidden,
                "layers": args.layers,
                "chunk": 200 if architecture == "hierarchical_gru" else 50,
                "dropout": args.dropout,
                "head": "delta" if published else "composer",
            }
        )
        start = ComposerStart(torch.zeros(DIM), 1.0, 0.4, torch.eye(DIM))
        torch.manual_seed(0)
        self.model = build_model(section, dim=DIM, context=args.context, start=start)
        loss = LossSection(name="nce") if args.loss == "nce" else LossSection(name="published", alpha=0)
        if published:
            loss = LossSection(name="published")
        self.objective = build_objective(loss, "last" if published else "all")
        self.parameters = [*self.model.parameters(), *self.objective.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4)
        self.bfloat16 = precision == "bf16"
        self.targets = args.batch if published else args.batch * args.context
        self.seconds: list[float] = []

    def step(self, windows: Tensor, bank: Tensor, clock: Callable[[], float]) -> None:
        """One optimiser step, and the time it took."""
        with nullcontext() if self.own else torch_layers():
            before = clock()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                predictions, _ = self.model(windows[:, :-1])
            loss, _ = self.objective(predictions, windows[:, 1:], bank)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.seconds.append(clock() - before)

    @property
    def median(self) -> float:
        """Seconds a step."""
        return statistics.median(self.seconds)


@contextmanager
def torch_layers() -> Iterator[None]:
    """GRU layers run as torch runs them."""
    import engine.models.gru

    module: Any = engine.models.gru
    ours = module.run_gru
    module.run_gru = lambda layers, x, hidden: layers(x, hidden)
    try:
        yield
    finally:
        module.run_gru = ours


def compare(args: argparse.Namespace, precision: str) -> None:
    """Train all models for some steps in turns, and print their speed."""
    clock = time.process_time if args.threads == 1 else time.perf_counter
    names = ["gru", "torch gru", *(name for name in args.models.split(",") if name != "gru"), "published"]
    trainees = {name: Trainee(name, args, precision) for name in names}
    generator = torch.Generator().manual_seed(0)
    bank = torch.randn(BANK, DIM, generator=generator)
    for trainee in trainees.values():
        # What only a first step does: moments of AdamW, kernels chosen.
        trainee.step(torch.randn(args.batch, 9, DIM, generator=generator), bank, clock)
        trainee.seconds.clear()
    for _ in range(args.repeats):
        windows = torch.randn(args.batch, args.context + 1, DIM, generator=generator)
        for trainee in trainees.values():
            trainee.step(windows, bank, clock)
    print(f"{precision}, context {args.context}, batch {args.batch}, {args.hidden} x {args.layers}")
    print(f"  {'':18}{'parameters':>11}{'seconds':>9}{'vectors/s':>11}{'/ gru':>7}{'targets/s':>11}")
    vectors = args.batch * args.context
    for name, trainee in trainees.items():
        seconds = trainee.median
        print(
            f"  {name:18}{count_parameters(trainee.model):11,}{seconds:9.3f}{vectors / seconds:11,.0f}"
            f"{trainees['gru'].median / seconds:7.2f}{trainee.targets / seconds:11,.1f}"
        )
    ours, theirs = trainees["memory_gru"], trainees["published"]
    ratio = ours.targets / ours.median * theirs.median / theirs.targets
    print(f"  memory_gru: {ratio:,.0f} times the supervised targets a second of `published`", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--context", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--loss", choices=["cosine", "nce"], default="cosine")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="fp32,bf16", help="with commas between")
    parser.add_argument("--models", default=",".join(MODELS), help="besides gru; memory_gru at least")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    how = "CPU time of the process" if args.threads == 1 else "by the clock"
    print(f"torch {torch.__version__}, {args.threads} threads, {how}, median of {args.repeats} in turns")
    for precision in args.precision.split(","):
        compare(args, precision)


if __name__ == "__main__":
    main()
