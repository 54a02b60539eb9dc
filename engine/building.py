"""From a recipe to what is trained: windows, model and objective, before the first step."""

import torch
from torch import Tensor

from engine.lanes import centres
from engine.learner import Learner
from engine.losses import build_objective
from engine.models import ComposerStart, build_model
from engine.task import Task
from lvmtui.recipe import Recipe


def lanes_start(recipe: Recipe, task: Task) -> Tensor | None:
    """The lanes that the model's routing starts from; None for a model that routes nothing.

    Raises:
        DataError: the lanes that the recipe asks for are missing or damaged.
    """
    if recipe.model.name != "lane_experts":
        return None
    return centres(task.splits["train"], recipe.model.experts, recipe.data.lanes)


def build_learner(
    recipe: Recipe, task: Task, start: ComposerStart, device: torch.device, lanes: Tensor | None = None
) -> Learner:
    """A learner at its first step; its windows are `learner.windows`.

    Args:
        task: what the recipe asks of the data; only its training split is used.
        start: where a composer starts. For a learner that takes its state from a checkpoint any will do.
        lanes: as `lanes_start` finds them; None for a learner that takes its state from a checkpoint.

    Raises:
        DataError: the training split is shorter than a window.
    """
    section, train = recipe.train, task.splits["train"]
    per_epoch = section.steps_per_epoch * section.batch * section.accumulation or None
    windows = task.windows(per_epoch=per_epoch, seed=section.seed)
    torch.manual_seed(section.seed)
    dim = train.data.vectors.shape[1]
    model = build_model(recipe.model, dim=dim, context=recipe.data.context, start=start, lanes=lanes)
    steps_per_epoch = -(-len(windows) // (section.batch * section.accumulation))
    return Learner(
        recipe,
        model,
        build_objective(recipe.loss, section.positions),
        windows=windows,
        train=train,
        device=device,
        total_steps=section.epochs * steps_per_epoch,
    )
