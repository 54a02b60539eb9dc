"""Writes offline runs for W&B's terminal UI; run by a Python that has wandb, not by this project's.

`python wandb_runs.py OUT RUNS METRIC… --steps N` writes finished runs. With `--live` it leaves one run open
and logs one more step for each number on its standard input, as the metric `a_signal`, and answers with the
moment of the call.
"""

import argparse
import os
import sys
import time

os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DISABLE_GIT="true")
import wandb  # type: ignore[import-not-found]

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from values import value


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("runs", type=int)
    parser.add_argument("metrics", nargs="+")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--live", action="store_true")
    asked = parser.parse_args()
    os.makedirs(asked.out, exist_ok=True)
    settings = wandb.Settings(x_disable_stats=True, console="off")
    for number in range(asked.runs):
        run = wandb.init(project="bench", name=f"bench {number}", dir=asked.out, settings=settings)
        for step in range(asked.steps):
            run.log(row(asked.metrics, number, step, asked.steps), step=step)
        if asked.live:
            follow(run, asked.metrics, number, asked.steps)
        run.finish()


def follow(run: object, metrics: list[str], number: int, steps: int) -> None:
    print("ready", flush=True)
    for extra, line in enumerate(sys.stdin):
        step = steps + extra
        values = row(metrics, number, step, steps) | {"a_signal": float(line)}
        print(time.perf_counter(), flush=True)
        run.log(values, step=step)  # type: ignore[attr-defined]


def row(metrics: list[str], number: int, step: int, steps: int) -> dict[str, float]:
    return {name: value(number, place, step, steps) for place, name in enumerate(metrics)}


if __name__ == "__main__":
    main()
