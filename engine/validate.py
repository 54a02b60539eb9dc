"""Judging a model in training: the evaluation with its loss, beside its baselines."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.baselines.kept import rivals_among
from engine.candidates import Window
from engine.evaluate import Judge
from engine.expert_use import Collected
from engine.learner import Learner
from engine.predict import predict_queries
from engine.verdict import UNPAIRED
from lvmtui import stats
from lvmtui.experts import KEY as EXPERTS
from lvmtui.recipe import Recipe
from lvmtui.store.records import Evaluation, Versus
from lvmtui.versus import KEY, as_details


def validate(
    learner: Learner,
    judge: Judge,
    recipe: Recipe,
    *,
    epoch: int,
    step: int,
    baselines: Sequence[Evaluation] = (),
    seen: Callable[[Tensor], None] | None = None,
) -> Evaluation:
    """Judge the model as it stands; leaves no trace in the training.

    Args:
        judge: of any split.
        baselines: under the judge's protocol, of any context, with their ranks: the model is compared with
            the strongest of them and with copy-last, query by query.
        seen: is shown the predictions (n, D).

    Raises:
        TrainingError: a prediction is NaN or zero.
    """
    context = recipe.data.context
    routes = Collected(len(judge.asked))
    with learner.evaluating():
        predictions = predict_queries(
            learner.model,
            judge,
            context=context,
            batch=recipe.train.batch,
            device=learner.device,
            routed=routes.add,
        )
        if seen is not None:
            seen(predictions)
        loss = _loss(learner, judge, predictions, recipe)
        use = routes.by_lane(judge, learner.train)
        evaluation = judge.evaluation(
            predictions,
            epoch=epoch,
            step=step,
            loss=loss,
            context=context,
            details={} if use is None else {EXPERTS: use},
        )
    return beside(evaluation, baselines, judge)


def beside(evaluation: Evaluation, baselines: Sequence[Evaluation], judge: Judge) -> Evaluation:
    """The evaluation with its paired comparisons (Hit@5) in its details: with the strongest of some
    baselines, then with copy-last. Where a single document has queries, which tells nothing of chance, that
    is said instead.

    Args:
        evaluation: by this judge, with its ranks.
        baselines: under the same protocol, with their ranks.
    """
    rivals = rivals_among(baselines)
    if not rivals:
        return evaluation
    if len(np.unique(judge.asked.groups)) < 2:
        return replace(evaluation, details={**evaluation.details, UNPAIRED: "a single document has queries"})
    hits = stats.hits(stats.unpack_ranks(evaluation.ranks), 5)
    others = np.column_stack([stats.hits(stats.unpack_ranks(rival.ranks), 5) for rival in rivals])
    compared = stats.paired_bootstraps(hits, others, judge.asked.groups)
    versus = [
        Versus(
            rival.baseline or "",
            item.difference,
            item.interval,
            item.p,
            context=rival.context,
            detectable=item.detectable,
        )
        for rival, item in zip(rivals, compared, strict=True)
    ]
    return replace(evaluation, details={**evaluation.details, KEY: as_details(versus)})


def _loss(learner: Learner, judge: Judge, predictions: Tensor, recipe: Recipe) -> float:
    """The mean of the training objective over the queries' predictions (n, D).

    The negatives are the same at every evaluation. Queries come in blocks of a micro-batch's shape, so that a
    loss with negatives from its batch has as many as in training. Hard negatives are left out: validation
    vectors have none in the training split.
    """
    bank = learner.negatives(-1)
    length = 1 if recipe.train.positions == "last" else recipe.data.context
    block = recipe.train.batch * length
    total = 0.0
    for begin in range(0, len(predictions), block):
        part = predictions[begin : begin + block]
        targets = judge.targets(np.arange(begin, begin + len(part))).to(part)
        shape = (-1, length, part.shape[1]) if len(part) == block else (len(part), 1, part.shape[1])
        window = None
        if learner.objective.uses_window:
            documents = torch.from_numpy(judge.asked.groups[begin : begin + len(part)]).to(part.device)
            documents = documents.view(-1, shape[1])
            window = Window(targets.view(shape), documents, torch.ones_like(documents, dtype=torch.bool))
        loss, _ = learner.objective(part.view(shape), targets.view(shape), bank, window=window)
        total += float(loss) * len(part)
    return total / len(predictions)
