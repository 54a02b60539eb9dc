"""Judging a model in training: the evaluation with its loss, and what came out in words."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from engine.evaluate import Judge, predict_queries
from engine.learner import Learner
from lvmtui.recipe import Recipe
from lvmtui.store.records import Evaluation, Interval

_NAMES = {"hit1": "Hit@1", "hit5": "Hit@5", "hit10": "Hit@10", "mrr": "MRR"}


def score_name(metric: str) -> str:
    """The usual name of a watched metric."""
    return _NAMES[metric]


def validate(learner: Learner, judge: Judge, recipe: Recipe, *, epoch: int, step: int) -> Evaluation:
    """Judge the model as it stands; leaves no trace in the training.

    Raises:
        TrainingError: a prediction is NaN or zero.
    """
    context = recipe.data.context
    with learner.evaluating():
        predictions = predict_queries(
            learner.model, judge, context=context, batch=recipe.train.batch, device=learner.device
        )
        loss = _loss(learner, judge, predictions, recipe)
        return judge.evaluation(predictions, epoch=epoch, step=step, loss=loss, context=context)


def _loss(learner: Learner, judge: Judge, predictions: Tensor, recipe: Recipe) -> float:
    """The mean of the training objective over the queries' predictions (n, D).

    The negatives are the same at every evaluation. Queries come in blocks of a micro-batch's shape, so that a
    loss with negatives from its batch has as many as in training.
    """
    bank = learner.negatives(-1)
    length = 1 if recipe.train.positions == "last" else recipe.data.context
    block = recipe.train.batch * length
    total = 0.0
    for begin in range(0, len(predictions), block):
        part = predictions[begin : begin + block]
        targets = judge.targets(np.arange(begin, begin + len(part))).to(part)
        shape = (-1, length, part.shape[1]) if len(part) == block else (len(part), 1, part.shape[1])
        loss, _ = learner.objective(part.view(shape), targets.view(shape), bank)
        total += float(loss) * len(part)
    return total / len(predictions)


def verdict(best: Evaluation | None, baselines: Sequence[Evaluation], metric: str) -> str:
    """The best evaluation beside the strongest baseline, in words."""
    if best is None:
        return "never evaluated"
    name = score_name(metric)
    score: float = getattr(best, metric)
    line = f"{name} {100 * score:.1f} % at epoch {best.epoch}"
    if not baselines:
        return line
    strongest = max(baselines, key=lambda baseline: getattr(baseline, metric))
    bar: float = getattr(strongest, metric)
    interval: Interval | None = getattr(best, f"{metric}_interval", None)
    noise = interval is not None and interval.low <= bar <= interval.high
    named = f"its best baseline {strongest.baseline} ({100 * bar:.1f} %)"
    if score < bar:
        return f"{line}: below {named}{', within noise' if noise else ''}"
    return f"{line}: {'within noise of' if noise else 'above'} {named}"
