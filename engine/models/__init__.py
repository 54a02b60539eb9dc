"""The models: one architecture a file, one contract (`base`), one registry."""

from collections.abc import Callable
from typing import Protocol

from engine.models.base import (
    Head,
    NextVectorModel,
    State,
    count_parameters,
    restore_state,
    state_tensors,
)
from engine.models.composer import Composer, ComposerStart, recency_weights
from engine.models.gru import Gru
from engine.models.heads import DeltaHead, ResidualHead
from engine.models.memory_gru import MemoryGru
from lvmtui.errors import RecipeError, TrainingError
from lvmtui.recipe import ModelSection

__all__ = [
    "MODELS",
    "ComposerStart",
    "NextVectorModel",
    "State",
    "build_model",
    "count_parameters",
    "recency_weights",
    "restore_state",
    "state_tensors",
]


class Backbone(Protocol):
    """How an architecture is made."""

    def __call__(self, section: ModelSection, *, dim: int, head: Head) -> NextVectorModel: ...


MODELS: dict[str, Backbone] = {"gru": Gru, "memory_gru": MemoryGru}
"""Architecture by its name in a recipe."""

_HEADS: dict[str, Callable[..., Head]] = {
    "composer": lambda section, dim, context, start: Composer(
        hidden=section.hidden, dim=dim, context=context, start=start
    ),
    "residual": lambda section, dim, **_: ResidualHead(hidden=section.hidden, dim=dim),
    "delta": lambda section, dim, **_: DeltaHead(hidden=section.hidden, dim=dim),
}


def build_model(section: ModelSection, *, dim: int, context: int, start: ComposerStart) -> NextVectorModel:
    """Make the model that a recipe asks for, on the CPU, from torch's default generator: the same seed gives
    the same weights.

    Args:
        dim: numbers in a vector.
        context: vectors before a prediction; bounds the lags that a composer attends to.
        start: the baseline that a composer starts at; other heads make no use of it.

    Raises:
        RecipeError: the architecture or the head is unknown.
        TrainingError: the start does not fit the vectors.
    """
    if section.name not in MODELS:
        raise RecipeError(f"there is no model {section.name!r}", f"Known: {', '.join(MODELS)}.")
    if section.head not in _HEADS:
        raise RecipeError(f"there is no head {section.head!r}", f"Known: {', '.join(_HEADS)}.")
    _check_start(start, dim)
    head = _HEADS[section.head](section=section, dim=dim, context=context, start=start)
    return MODELS[section.name](section, dim=dim, head=head)


def _check_start(start: ComposerStart, dim: int) -> None:
    if start.mean.shape != (dim,):
        raise TrainingError(f"the start's mean is {tuple(start.mean.shape)}, the vectors have {dim} numbers")
    if start.whitening is not None and start.whitening.shape != (dim, dim):
        raise TrainingError(
            f"the start's whitening is {tuple(start.whitening.shape)}, the vectors have {dim} numbers"
        )
    if not 0.0 < start.rate <= 1.0:
        raise TrainingError(f"the start's rate is {start.rate}; it must be above 0 and at most 1")
