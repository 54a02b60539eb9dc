"""The models: one architecture a file, one contract (`base`), one registry."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from engine.models.amn import Amn
from engine.models.base import (
    Head,
    NextVectorModel,
    State,
    count_parameters,
    restore_state,
    state_tensors,
)
from engine.models.composer import Composer, ComposerStart, MixingComposer, recency_weights
from engine.models.gru import Gru
from engine.models.heads import DeltaHead, ResidualHead
from engine.models.hierarchical_gru import HierarchicalGru
from engine.models.lane_experts import LaneExperts
from engine.models.lstm import Lstm
from engine.models.memory_gru import MemoryGru
from engine.models.mingru import MinGru
from engine.models.transformer import Transformer
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
    """An architecture that needs nothing but its section of the recipe."""

    def __call__(self, section: ModelSection, *, dim: int, head: Head) -> NextVectorModel: ...


class Builder(Protocol):
    """How an architecture is made; see `build_model`."""

    def __call__(
        self, section: ModelSection, *, dim: int, head: Head, context: int, lanes: Tensor | None
    ) -> NextVectorModel: ...


def _plain(backbone: Backbone) -> Builder:
    return lambda section, *, dim, head, **_: backbone(section, dim=dim, head=head)


MODELS: dict[str, Builder] = {
    "amn": _plain(Amn),
    "gru": _plain(Gru),
    "hierarchical_gru": _plain(HierarchicalGru),
    "lane_experts": lambda section, *, dim, head, lanes, **_: LaneExperts(
        section, dim=dim, lanes=lanes, head=head
    ),
    "lstm": _plain(Lstm),
    "memory_gru": _plain(MemoryGru),
    "mingru": _plain(MinGru),
    "transformer": lambda section, *, dim, head, context, **_: Transformer(
        section, dim=dim, context=context, head=head
    ),
}
"""Architecture by its name in a recipe."""

_HEADS: dict[str, Callable[..., Head]] = {
    "composer": lambda section, dim, context, start: (MixingComposer if section.name == "amn" else Composer)(
        hidden=section.hidden, dim=dim, context=context, start=start
    ),
    "residual": lambda section, dim, **_: ResidualHead(hidden=section.hidden, dim=dim),
    "delta": lambda section, dim, **_: DeltaHead(hidden=section.hidden, dim=dim),
}


def build_model(
    section: ModelSection, *, dim: int, context: int, start: ComposerStart, lanes: Tensor | None = None
) -> NextVectorModel:
    """Make the model that a recipe asks for, on the CPU, from torch's default generator: the same seed gives
    the same weights.

    Args:
        dim: numbers in a vector.
        context: vectors before a prediction; bounds the lags that a composer or a transformer attends to.
        start: the baseline that a composer starts at; other heads make no use of it.
        lanes: (experts, D) the centres that the routing of `lane_experts` starts from, as
            `engine.lanes.centres` finds them; None for a model whose weights come from a checkpoint.

    Raises:
        RecipeError: the architecture or the head is unknown, or its options do not fit together.
        TrainingError: the start or the lanes do not fit the vectors.
    """
    if section.name not in MODELS:
        raise RecipeError(f"there is no model {section.name!r}", f"Known: {', '.join(MODELS)}.")
    if section.head not in _HEADS:
        raise RecipeError(f"there is no head {section.head!r}", f"Known: {', '.join(_HEADS)}.")
    _check_start(start, dim)
    head = _HEADS[section.head](section=section, dim=dim, context=context, start=start)
    return MODELS[section.name](section, dim=dim, head=head, context=context, lanes=lanes)


def _check_start(start: ComposerStart, dim: int) -> None:
    if start.mean.shape != (dim,):
        raise TrainingError(f"the start's mean is {tuple(start.mean.shape)}, the vectors have {dim} numbers")
    if start.whitening is not None and start.whitening.shape != (dim, dim):
        raise TrainingError(
            f"the start's whitening is {tuple(start.whitening.shape)}, the vectors have {dim} numbers"
        )
    if not 0.0 < start.rate <= 1.0:
        raise TrainingError(f"the start's rate is {start.rate}; it must be above 0 and at most 1")
