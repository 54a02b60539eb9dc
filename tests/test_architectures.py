"""What is known of the architectures without torch is true of the models that the engine builds."""

import subprocess
import sys
from typing import Any, get_args

import pytest
import torch

from engine.models import MODELS, ComposerStart, build_model, count_parameters
from lvmtui.architectures import ARCHITECTURES, parameters
from lvmtui.recipe import ModelSection
from lvmtui.recipe.sections import Architecture

HEADS = ("composer", "residual", "delta")
SIZES: list[tuple[int, int, dict[str, Any]]] = [
    (12, 1, {"hidden": 8, "layers": 1, "heads": 2, "slots": 1, "chunk": 3, "experts": 2, "rank": 1}),
    (48, 40, {"hidden": 24, "layers": 3, "heads": 3, "slots": 5, "experts": 7, "rank": 4}),
    (20, 1000, {"hidden": 64, "layers": 2, "heads": 8, "experts": 3, "active": 1, "rank": 9}),
]


def built(section: ModelSection, dim: int, context: int) -> int:
    start = ComposerStart.copy_last(torch.zeros(dim))
    return count_parameters(build_model(section, dim=dim, context=context, start=start))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_number_of_parameters_is_that_of_the_built_model(name: str, head: str) -> None:
    for dim, context, fields in SIZES:
        section = ModelSection.model_validate({"name": name, "head": head, **fields})
        assert parameters(section, dim=dim, context=context) == built(section, dim, context)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_so_it_is_at_the_defaults(name: str) -> None:
    section = ModelSection.model_validate({"name": name})
    assert parameters(section, dim=768, context=1000) == built(section, 768, 1000)


def test_every_name_of_a_recipe_has_facts_and_a_model() -> None:
    assert set(ARCHITECTURES) == set(MODELS) == set(get_args(Architecture))
    for name, facts in ARCHITECTURES.items():
        assert facts.name == name
        assert facts.summary
        assert facts.source
        assert set(facts.options) <= set(ModelSection.model_fields)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_option_that_is_not_named_changes_nothing(name: str) -> None:
    """Options that shape the model are those that the facts name: the number of parameters says so."""
    base = ModelSection.model_validate({"name": name, "hidden": 16, "layers": 2, "heads": 2})
    size = parameters(base, dim=12, context=9)
    others = {"hidden": 32, "layers": 3, "slots": 3, "experts": 5, "rank": 7, "head": "residual"}
    for field, value in others.items():
        changed = base.model_copy(update={field: value})
        heeded = parameters(changed, dim=12, context=9) != size
        assert heeded == (field in ARCHITECTURES[name].options), field


def test_the_facts_need_no_torch() -> None:
    code = "import sys, lvmtui.architectures; sys.exit(bool({'torch', 'numpy', 'engine'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
