"""What the launch form shows of a phase: its recipe, what was changed, and whether that is allowed.

No Textual here; imports the recipe model (pydantic), so it is imported when the form is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvmtui import architectures
from lvmtui import format as fmt
from lvmtui import recipe as recipes
from lvmtui.errors import LvmtuiError, RecipeError
from lvmtui.leaderboard.ranking import training_seconds
from lvmtui.recipe import Recipe
from lvmtui.requirements import DEMO_DIM, check_recipe, require_train, set_facts
from lvmtui.snapshot import RunView, Snapshot


@dataclass(frozen=True, slots=True)
class Phase:
    """One recipe that can be launched, or what is wrong with it."""

    name: str
    path: Path
    recipe: Recipe | None
    trouble: str = ""

    def value(self, dotted: str) -> str:
        """A field's value as it is typed."""
        section, _, name = dotted.partition(".")
        return as_text(getattr(getattr(self.recipe, section), name))

    def changed(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Of the typed values, those that differ from the recipe's."""
        return {dotted: text for dotted, text in texts.items() if text != self.value(dotted)}

    def build(self, overrides: Mapping[str, str]) -> Recipe:
        """The recipe with changes.

        Raises:
            RecipeError: a value that is not allowed.
        """
        if self.recipe is None:
            raise RecipeError(self.trouble)
        return recipes.build(self.recipe.model_dump(), overrides)

    def error(self, dotted: str, text: str) -> str:
        """What is wrong with one field's value; empty when nothing is."""
        try:
            self.build({dotted: text})
        except RecipeError as error:
            return error.hint or error.message
        return ""


def all_phases() -> list[Phase]:
    """Every phase, the shipped ones and those in `./phases`."""
    found = []
    for name, path in recipes.recipe_files().items():
        try:
            found.append(Phase(name, path, recipes.load_file(path)))
        except LvmtuiError as error:
            found.append(Phase(name, path, None, str(error)))
    return found


def as_text(value: Any) -> str:
    """A recipe's value as it is typed in an override."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_HEEDED_LOSS = {
    "nce": {"name", "bank", "temperature", "learn_temperature", "cosine", "hard", "window_negatives"},
    "rank": {"name", "bank", "temperature", "depth", "pool", "cosine", "hard"},
    "published": {"name", "temperature", "alpha", "hard"},
}


def heeded(recipe: Recipe, dotted: str) -> bool:
    """Whether a field makes any difference to a run of this recipe."""
    section, _, name = dotted.partition(".")
    if section == "model":
        if name == "start" and recipe.model.head != "composer":
            return False
        return name == "name" or name in architectures.ARCHITECTURES[recipe.model.name].options
    if dotted == "loss.balance":
        return recipe.model.name == "lane_experts"
    if section == "loss":
        return name in _HEEDED_LOSS[recipe.loss.name]
    if dotted == "data.stride":
        return recipe.evaluate.protocol == "window-v0" or not recipe.train.steps_per_epoch
    return True


def obstacle(recipe: Recipe) -> LvmtuiError | None:
    """Why a launch would fail on this machine, and what to do; None when nothing is known to be wrong."""
    try:
        require_train()
        check_recipe(recipe)
    except LvmtuiError as error:
        return error
    return None


def parameters(recipe: Recipe) -> int | None:
    """How many parameters the model will have; None where its vector set cannot be read."""
    try:
        facts = set_facts(recipe.data.path)
    except LvmtuiError:
        return None
    dim = DEMO_DIM if facts is None else facts.dim
    return architectures.parameters(recipe.model, dim=dim, context=recipe.data.context)


def last_run(snapshot: Snapshot | None, phase: str) -> RunView | None:
    """The newest run of a phase that has a result to show, else the newest."""
    runs = [view for view in snapshot.runs if view.run.phase == phase] if snapshot else []
    return next((view for view in runs if view.best is not None), runs[0] if runs else None)


def what_it_takes(recipe: Recipe, last: RunView | None) -> list[str]:
    """What is known of the cost before starting, a line each."""
    train = recipe.train
    epochs = f"at most {train.epochs} epochs, stops after {recipe.stop.patience} without a gain"
    steps = f", {fmt.thousands(train.steps_per_epoch)} steps each" if train.steps_per_epoch else ""
    size = parameters(recipe)
    model = f"{recipe.model.name}, {fmt.count(size)} parameters" if size else recipe.model.name
    lines = [
        model,
        f"{epochs}{steps}",
        f"{train.batch} windows of {fmt.thousands(recipe.data.context)} vectors × {train.accumulation} "
        f"= {fmt.thousands(train.batch * train.accumulation)} windows a step",
    ]
    if last is None:
        return [*lines, "no run of this phase yet: its time is not known"]
    run = last.run
    facts = [f"last: {run.name}, {last.state}"]
    if last.best is not None:
        facts.append(f"Hit@5 {fmt.percent(last.best.hit5)}")
    if run.progress.epoch:
        facts.append(f"{run.progress.epoch} epochs in {fmt.duration(training_seconds(last))}")
    if run.device:
        facts.append(f"on {run.device.partition(' ')[0]}")
    return [*lines, ", ".join(facts)]
