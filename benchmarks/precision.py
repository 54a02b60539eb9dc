"""bfloat16 against float32 in training: what it does to accuracy and to speed.

Run: `python benchmarks/precision.py [--steps 150] [--device cpu]`. On the demo data and its recipe: one
model is trained in float32 and judged in both; then a second one is trained in bfloat16, with the same
seed, and both are judged in float32, as runs are. Differences of Hit@5 come with their paired 95 % interval
over documents. Then the time of an optimiser step of each architecture in both, taking turns; on a CPU in
CPU time.
"""

import argparse
import logging
import statistics
import time

import torch

from engine.building import build_learner, lanes_start
from engine.data.locate import resolve_data
from engine.data.progress import silent
from engine.evaluate import Judge
from engine.learner import Learner
from engine.models import ComposerStart
from engine.precision import Precision, autocast
from engine.predict import predict_queries
from engine.task import Task, task_of
from lvmtui import stats
from lvmtui.recipe import Recipe, load
from lvmtui.store.records import Evaluation

MODELS = ("amn", "gru", "hierarchical_gru", "lane_experts", "lstm", "memory_gru", "mingru", "transformer")
TURNS = 4


def learner_of(recipe: Recipe, task: Task, device: torch.device) -> Learner:
    start = ComposerStart.copy_last(torch.zeros(task.splits["train"].data.dim))
    return build_learner(recipe, task, start, device, lanes_start(recipe, task))


def trained(recipe: Recipe, task: Task, device: torch.device, steps: int) -> Learner:
    """A learner after some steps."""
    learner = learner_of(recipe, task, device)
    per_step, number = recipe.train.batch * recipe.train.accumulation, 0
    while number < steps:
        order = learner.windows.order(number)
        for begin in range(0, len(order), per_step):
            if number < steps:
                learner.step(order[begin : begin + per_step], number)
                number += 1
    return learner


def judged(learner: Learner, judge: Judge, recipe: Recipe, precision: Precision) -> Evaluation:
    """The evaluation of a learner's model, run in a precision."""
    with learner.evaluating(), autocast(precision, learner.device):
        predictions = predict_queries(
            learner.model, judge, context=recipe.data.context, batch=16, device=learner.device
        )
    return judge.evaluation(predictions.float(), epoch=1, step=1, context=recipe.data.context)


def compare(what: str, first: Evaluation, second: Evaluation, judge: Judge) -> None:
    """Print the difference of two evaluations, with its interval."""
    hits = [stats.hits(stats.unpack_ranks(each.ranks), 5) for each in (first, second)]
    paired = stats.paired_bootstraps(hits[1], hits[0][:, None], judge.asked.groups)[0]
    changed = (stats.unpack_ranks(first.ranks) != stats.unpack_ranks(second.ranks)).mean()
    low, high = paired.interval.low, paired.interval.high
    print(
        f"{what}: Hit@5 {100 * first.hit5:.2f} in fp32, {100 * second.hit5:.2f} in bf16; difference "
        f"{100 * paired.difference:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] points; MRR {first.mrr:.4f}, "
        f"{second.mrr:.4f}; {100 * changed:.1f} % of the ranks differ",
        flush=True,
    )


def speeds(name: str, device: torch.device) -> None:
    """Print the time of a step in both precisions."""
    changes = {
        "model.name": name,
        "model.hidden": "256",
        "model.layers": "2",
        "model.experts": "4",
        "data.context": "100",
        "train.batch": "8",
        "train.steps_per_epoch": "30",
    }
    if name == "memory_gru":
        changes |= {"model.hidden": "512", "model.layers": "4"}
    recipes = [load("demo", {**changes, "train.precision": precision}) for precision in ("fp32", "bf16")]
    task = task_of(recipes[0], resolve_data("demo", silent))
    learners = [learner_of(recipe, task, device) for recipe in recipes]
    order = learners[0].windows.order(0)
    times: list[list[float]] = [[], []]
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    for turn in range(TURNS + 1):
        for learner, seen in zip(learners, times, strict=True):
            begun = clock()
            learner.step(order[8 * turn : 8 * turn + 8], turn)
            if turn:
                seen.append(clock() - begun)
    full, half = map(statistics.median, times)
    print(
        f"{name}: a step of 8 x 100 vectors {1000 * full:.0f} ms in fp32, {1000 * half:.0f} ms in bf16: "
        f"{full / half:.2f} times as fast",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="*", default=MODELS, help="whose speed is measured")
    arguments = parser.parse_args()
    logging.getLogger("engine").setLevel(logging.CRITICAL)
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    print(
        f"{device}, bf16 by AVX-512: {torch.cpu._is_avx512_bf16_supported()}, by AMX: "
        f"{torch.cpu._is_amx_tile_supported()}",
        flush=True,
    )
    for name in arguments.models:
        speeds(name, device)
    full, half = (load("demo", {"train.precision": name}) for name in ("fp32", "bf16"))
    task = task_of(full, resolve_data("demo", silent))
    judge = task.judge("validation", device)
    learner = trained(full, task, device, arguments.steps)
    in_full = judged(learner, judge, full, "fp32")
    compare("one model, judged in both", in_full, judged(learner, judge, full, "bf16"), judge)
    other = trained(half, task, device, arguments.steps)
    compare("two models, trained in one each", in_full, judged(other, judge, half, "fp32"), judge)


if __name__ == "__main__":
    main()
