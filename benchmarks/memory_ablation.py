"""What the slot memory gives: `memory_gru` with its memory, with the memory silenced, and a `gru` of equal
size.

Run: `python benchmarks/memory_ablation.py [data]` (a folder, or `demo`), with `--context 200 --steps 150
--batch 16 --seeds 2 --hidden 256 --layers 1`. Both models are trained by the same recipe from the tuned start
on the same windows, and judged on validation under doc-v1 with averaged weights. `memory silenced` is the
trained `memory_gru` whose read gives zeros. Differences are paired over the same queries, their seeds
averaged, the interval from a bootstrap over documents. The runs are short: direction, not decimals.
"""

import argparse
import time

import numpy as np
import torch
from numpy.typing import NDArray

from engine.baselines import compute_baselines, tuned_start
from engine.building import build_learner
from engine.data.locate import resolve_data
from engine.evaluate import Judge
from engine.learner import Learner
from engine.models import ComposerStart, build_model, count_parameters
from engine.models.memory_gru import MemoryGru
from engine.predict import predict_queries
from engine.task import Task, task_of
from lvmtui import stats
from lvmtui.recipe import ModelSection, Recipe

CPU = torch.device("cpu")
Ranks = NDArray[np.uint32]


def recipe_of(args: argparse.Namespace, name: str, hidden: int, seed: int) -> Recipe:
    """The recipe of one run."""
    return Recipe.model_validate(
        {
            "name": "ablation",
            "data": {"path": args.data, "context": args.context},
            "model": {
                "name": name,
                "hidden": hidden,
                "layers": args.layers,
                "dropout": 0.3,
                "chunk": args.chunk,
            },
            "train": {
                "epochs": 1,
                "batch": args.batch,
                "accumulation": 1,
                "steps_per_epoch": args.steps,
                "lr": args.lr,
                "weight_decay": 0.05,
                "ema": 0.98,
                "seed": seed,
            },
        }
    )


def parameters(section: ModelSection, dim: int, context: int) -> int:
    """Of the model that a section describes."""
    start = ComposerStart.copy_last(torch.zeros(dim))
    return count_parameters(build_model(section, dim=dim, context=context, start=start))


def equal_hidden(args: argparse.Namespace, dim: int) -> int:
    """The width at which a gru has as many parameters as the memory_gru."""
    wanted = parameters(recipe_of(args, "memory_gru", args.hidden, 0).model, dim, args.context)

    def distance(hidden: int) -> int:
        return abs(parameters(recipe_of(args, "gru", hidden, 0).model, dim, args.context) - wanted)

    return min(range(args.hidden, 2 * args.hidden, 8), key=distance)


def train(recipe: Recipe, task: Task, start: ComposerStart) -> Learner:
    """A learner after all its steps."""
    learner = build_learner(recipe, task, start, CPU)
    learner.prepare()
    section, order = recipe.train, np.asarray(learner.windows.order(1))
    begun = time.perf_counter()
    for number in range(section.steps_per_epoch):
        result = learner.step(order[number * section.batch : (number + 1) * section.batch], number)
        if not result.finite:
            raise SystemExit(f"step {number} of {recipe.model.name}: {result}")
    print(
        f"  {recipe.model.name} {recipe.model.hidden}, seed {section.seed}:"
        f" {count_parameters(learner.model):,} parameters, {time.perf_counter() - begun:.0f} s",
        flush=True,
    )
    return learner


def ranks_of(learner: Learner, judge: Judge, context: int) -> Ranks:
    """Of the judge's queries, averaged weights."""
    with learner.evaluating():
        return judge.rank(predict_queries(learner.model, judge, context=context, batch=16, device=CPU))


def silence(model: torch.nn.Module) -> None:
    """Let the memory's read give zeros."""
    assert isinstance(model, MemoryGru)
    model.memory.read.register_forward_hook(lambda _module, _inputs, read: torch.zeros_like(read))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="?", default="demo")
    parser.add_argument("--context", type=int, default=200)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--chunk", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()
    recipe = recipe_of(args, "memory_gru", args.hidden, 0)
    data = resolve_data(args.data)
    task = task_of(recipe, data)
    judge = task.judge("validation", CPU)
    baselines = compute_baselines(
        task.splits, judge, context=args.context, device=CPU, names=["ewm-whitened"]
    )
    start = tuned_start(task.splits, baselines)
    wide = equal_hidden(args, data.dim)
    print(f"{args.data}: {judge.protocol.n} queries, pool {judge.protocol.pool}, context {args.context}")
    found: dict[str, list[Ranks]] = {"memory_gru": [], "memory silenced": [], "gru of equal size": []}
    for seed in range(args.seeds):
        learner = train(recipe_of(args, "memory_gru", args.hidden, seed), task, start)
        found["memory_gru"].append(ranks_of(learner, judge, args.context))
        print("  " + ", ".join(f"{key} {value:.3f}" for key, value in learner.model.diagnostics().items()))
        silence(learner.model)
        found["memory silenced"].append(ranks_of(learner, judge, args.context))
        learner = train(recipe_of(args, "gru", wide, seed), task, start)
        found["gru of equal size"].append(ranks_of(learner, judge, args.context))
    report(found, judge, baselines[0].hit5)


def report(found: dict[str, list[Ranks]], judge: Judge, baseline: float) -> None:
    """Print Hit@5 and how the memory's compares."""
    hits = {
        name: np.mean([stats.hits(ranks, 5) for ranks in ranks_], axis=0) for name, ranks_ in found.items()
    }
    print(f"Hit@5 of the start (the best baseline it can express): {baseline:.2%}")
    for name, values in hits.items():
        each = ", ".join(f"{stats.hit_at(ranks, 5):.2%}" for ranks in found[name])
        print(f"{name:20} Hit@5 {values.mean():.2%} ({each})")
    for name in ("memory silenced", "gru of equal size"):
        versus = stats.paired_bootstrap(hits["memory_gru"], hits[name], judge.asked.groups)
        low, high = versus.interval.low, versus.interval.high
        print(f"memory_gru minus {name}: {versus.difference:+.2%} [{low:+.2%}, {high:+.2%}]")


if __name__ == "__main__":
    main()
