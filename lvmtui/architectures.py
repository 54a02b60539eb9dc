"""The architectures that a recipe can name: what each is, where it comes from, how many parameters it has.

Torch-free, so that the number of parameters is known before a process is started; tests hold every formula
against the built model.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lvmtui.recipe.sections import ModelSection


@dataclass(frozen=True, slots=True)
class ArchitectureFacts:
    """One architecture."""

    name: str
    summary: str
    """In one line."""
    source: str
    """Paper or book."""
    options: tuple[str, ...]
    """Fields of the recipe's model section that it heeds."""
    backbone: Callable[[ModelSection, int], int]
    """Parameters without the head, by section and numbers in a vector."""
