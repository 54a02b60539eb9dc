"""Building what a recipe asks for."""

from typing import get_args

import pytest
import torch

from engine.models import ComposerStart, build_model, count_parameters
from lvmtui.errors import RecipeError, TrainingError
from lvmtui.recipe import ModelSection
from lvmtui.recipe.sections import Architecture

START = ComposerStart.copy_last(torch.zeros(768))


def test_the_flagship_has_the_published_size() -> None:
    model = build_model(ModelSection(), dim=768, context=1000, start=START)
    assert count_parameters(model) == pytest.approx(11_285_672, rel=0.01)
    parts = {
        "recurrent": 6.70e6,
        "memory.read": 1.06e6 - 16 * 512,
        "memory.write": 0.80e6,
        "memory.fusion": 1.42e6,
        "head": 1.31e6,
    }
    for name, size in parts.items():
        assert count_parameters(model.get_submodule(name)) == pytest.approx(size, rel=0.01), name


@pytest.mark.parametrize("name", get_args(Architecture))
def test_every_name_of_a_recipe_is_there(name: str) -> None:
    section = ModelSection.model_validate({"name": name, "hidden": 8, "layers": 1, "heads": 2})
    assert count_parameters(build_model(section, dim=768, context=5, start=START)) > 0


@pytest.mark.parametrize(("field", "value"), [("name", "perceptron"), ("head", "absolute")])
def test_unknown_parts_are_refused_with_what_is_known(field: str, value: str) -> None:
    section = ModelSection().model_copy(update={field: value})
    with pytest.raises(RecipeError, match=value) as caught:
        build_model(section, dim=768, context=5, start=START)
    assert "gru" in caught.value.hint or "composer" in caught.value.hint


@pytest.mark.parametrize(
    "start",
    [
        ComposerStart.copy_last(torch.zeros(5)),
        ComposerStart(mean=torch.zeros(768), centre=1.0, rate=0.5, whitening=torch.eye(5)),
        ComposerStart(mean=torch.zeros(768), centre=1.0, rate=0.0),
        ComposerStart(mean=torch.zeros(768), centre=1.0, rate=1.5),
    ],
)
def test_a_start_that_does_not_fit_is_refused(start: ComposerStart) -> None:
    with pytest.raises(TrainingError, match="start's"):
        build_model(ModelSection(), dim=768, context=5, start=start)
