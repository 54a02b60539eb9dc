"""The phase recipe: what a run trains on, what it trains, how, and when it stops.

A recipe is a TOML file with the sections below. `load` finds it by name, applies `key=value` overrides and
refuses what is wrong with the field, the allowed range and the nearest right name.
"""

from lvmtui.recipe.fields import (
    SECTIONS,
    allowed,
    differences,
    field_info,
    field_names,
    full_name,
    parse_overrides,
)
from lvmtui.recipe.files import (
    Written,
    build,
    expand,
    from_json,
    load,
    load_file,
    recipe_files,
    shipped_dir,
    user_dir,
)
from lvmtui.recipe.sections import (
    DataSection,
    EvaluateSection,
    LossSection,
    ModelSection,
    PublishedSection,
    Recipe,
    Section,
    StopSection,
    TargetsSection,
    TrainSection,
)

__all__ = [
    "SECTIONS",
    "DataSection",
    "EvaluateSection",
    "LossSection",
    "ModelSection",
    "PublishedSection",
    "Recipe",
    "Section",
    "StopSection",
    "TargetsSection",
    "TrainSection",
    "Written",
    "allowed",
    "build",
    "differences",
    "expand",
    "field_info",
    "field_names",
    "from_json",
    "full_name",
    "load",
    "load_file",
    "parse_overrides",
    "recipe_files",
    "shipped_dir",
    "user_dir",
]
