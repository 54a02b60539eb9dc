"""What a recipe asks of a vector set: how it is split, what is trained on, who judges."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from engine import windowed
from engine.data.split import SplitView, split_documents
from engine.data.vectors import VectorSet
from engine.data.windows import Windows
from engine.evaluate import Judge
from engine.windowed import RandomWindows
from lvmtui.recipe import Recipe
from lvmtui.splits import Blocks, no_documents


class Task(Protocol):
    """A vector set under a protocol."""

    @property
    def splits(self) -> Mapping[str, SplitView]:
        """Split name -> its vectors; `train` is all that training may look at."""

    def windows(self, *, per_epoch: int | None, seed: int) -> Windows:
        """What is trained on.

        Args:
            per_epoch: windows an epoch, drawn at random; None: one pass.
            seed: of draws and order.

        Raises:
            DataError: the training split is too short.
        """

    def judge(self, split_name: str, device: torch.device) -> Judge:
        """The judge of a split; it has checked itself.

        Raises:
            DataError: the split cannot be judged on.
            TrainingError: a self-check failed.
        """


@dataclass(frozen=True, eq=False)
class DocumentTask:
    """`doc-v1`: split by document, or by blocks where there are none."""

    data: VectorSet
    splits: Mapping[str, SplitView]
    context: int
    stride: int
    split_seed: int
    within_document: bool

    def windows(self, *, per_epoch: int | None, seed: int) -> Windows:
        """See `Task`."""
        return Windows(
            self.splits["train"],
            context=self.context,
            stride=self.stride,
            per_epoch=per_epoch,
            seed=seed,
            within_document=self.within_document,
        )

    def judge(self, split_name: str, device: torch.device) -> Judge:
        """See `Task`."""
        return Judge.build(
            self.data,
            self.splits,
            split_name,
            split_seed=self.split_seed,
            within_document=self.within_document,
            device=device,
        )


def task_of(recipe: Recipe, data: VectorSet) -> Task:
    """The task that a recipe sets on a vector set.

    Raises:
        DataError: the data are too small for it, or have no documents where it needs them, or its context is
            longer than the gap between blocks.
    """
    section, seed = recipe.data, recipe.evaluate.split_seed
    if recipe.evaluate.protocol == windowed.NAME:
        return RandomWindows.of(data, context=section.context, stride=section.stride, seed=seed)
    splits = split_documents(data, seed)
    if not data.has_documents:
        _check_stream(recipe, data)
    return DocumentTask(data, splits, section.context, section.stride, seed, section.within_document)


def _check_stream(recipe: Recipe, data: VectorSet) -> None:
    """What data without documents cannot give."""
    if recipe.data.within_document:
        raise no_documents(data.path)
    Blocks.of(len(data)).check_context(data.path, recipe.data.context)
