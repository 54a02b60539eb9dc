"""Recipes from where they stand: a phase's file, a `.toml` by path, the store."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lvmtui.errors import RecipeError
from lvmtui.recipe.fields import allowed, field_info, field_names, nearest, options_of, typed_value
from lvmtui.recipe.sections import Recipe


def build(values: Mapping[str, Any], overrides: Mapping[str, str] | None = None, source: str = "") -> Recipe:
    """Validate a recipe's values with overrides on top.

    Args:
        values: the TOML document.
        overrides: dotted name -> value text.
        source: where the values come from, for messages.

    Raises:
        RecipeError: the first wrong field, what it allows, and the nearest right name.
    """
    merged: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()
    }
    for dotted, text in (overrides or {}).items():
        section, _, name = dotted.partition(".")
        target = merged.setdefault(section, {})
        if isinstance(target, dict):
            target[name] = typed_value(dotted, text)
    try:
        return Recipe.model_validate(merged)
    except ValidationError as error:
        raise _explain(error, source) from error


def _explain(error: ValidationError, source: str) -> RecipeError:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    dotted = ".".join(path)
    place = f" in {source}" if source else ""
    if first["type"] == "extra_forbidden":
        known = field_names() + list(Recipe.model_fields)
        return RecipeError(f"unknown field {dotted!r}{place}", nearest(dotted, known))
    if not path:
        return RecipeError(f"{first['msg'].removeprefix('Value error, ')}{place}")
    if first["type"] == "missing":
        return RecipeError(f"{dotted!r} is missing{place}", f"Add `{path[-1]} = …` to it.")
    hint = f"{dotted} is: {allowed(dotted)}" if dotted in field_names() else first["msg"]
    if dotted in field_names():
        hint += f" ({field_info(dotted).description})."
        close = difflib.get_close_matches(str(first["input"]), options_of(dotted), n=1)
        if close:
            hint += f" Did you mean {close[0]}?"
    return RecipeError(f"{dotted} = {first['input']!r} is not allowed{place}", hint)


def shipped_dir() -> Path:
    """Where the shipped recipes are: beside this package. Asking the import system could find a folder named
    `engine` of the user's."""
    return Path(__file__).resolve().parents[2] / "engine" / "phases"


def user_dir() -> Path:
    """Where a project's own recipes are."""
    return Path.cwd() / "phases"


def recipe_files() -> dict[str, Path]:
    """Phase name -> file, as `phase_order` has it: the shipped ones, and those in `./phases`, which win."""
    files: dict[str, Path] = {}
    for folder in (shipped_dir(), user_dir()):
        if folder.is_dir():
            files |= {path.stem: path for path in folder.glob("*.toml")}
    return {name: files[name] for name in sorted(files, key=phase_order)}


_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<number>\d+(?:\.\d+)?)(?P<letter>[a-z]?)(?:-(?P<flavour>.+))?")


def phase_order(name: str) -> tuple[int, str, str, float, str]:
    """Where a phase stands among the others: `demo`, then numbered ones by number and letter (2, 2b, 3, 3.5),
    then those without a number, then numbered ones of another flavour (`phase-1-published`)."""
    found = _NUMBERED.fullmatch(name)
    if found is None:
        return (0 if name == "demo" else 2, name, "", 0.0, "")
    flavour = found["flavour"] or ""
    return (3 if flavour else 1, flavour, found["stem"], float(found["number"]), found["letter"])


def expand(text: str) -> list[str]:
    """The phases that a word of a command line means: one, or with `A..B` all from A to B of A's flavour.

    Raises:
        RecipeError: there are none: an unknown end, or ends that do not belong to one row of phases.
    """
    first, dots, last = text.partition("..")
    if text.endswith(".toml") or not (dots and first and last):
        return [text]
    files = recipe_files()
    for end in (first, last):
        if end not in files:
            raise _unknown(end, files)
    low, high = phase_order(first), phase_order(last)
    found = [name for name in files if low <= phase_order(name) <= high]
    if low[:3] != high[:3] or _NUMBERED.fullmatch(first) is None or not found:
        raise RecipeError(
            f"there is no row of phases from {first} to {last}",
            "Both ends need a number and the same flavour, the lower one first: phase-1..phase-3, or "
            "phase-1-published..phase-3-published.",
        )
    return found


@dataclass(frozen=True, slots=True)
class Written:
    """A recipe's TOML text that comes from elsewhere than a file of this machine."""

    text: str
    name: str
    """Of the phase, where the text does not say."""


def load(phase: str | Written, overrides: Mapping[str, str] | None = None) -> Recipe:
    """The recipe of a phase by name, of a `.toml` file by path, or of a text, with overrides.

    Raises:
        RecipeError: unknown phase, unreadable file, wrong field.
    """
    if isinstance(phase, Written):
        return _parse(phase.text, phase.name, overrides, source="the recipe")
    if phase.endswith(".toml"):
        return load_file(Path(phase), overrides)
    files = recipe_files()
    if phase not in files:
        raise _unknown(phase, files)
    return load_file(files[phase], overrides)


def _unknown(phase: str, files: Mapping[str, Path]) -> RecipeError:
    close = difflib.get_close_matches(phase, files, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return RecipeError(f"there is no phase {phase!r}", f"{hint}Known: {', '.join(files)}.")


def load_file(path: Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read one recipe file; its name defaults to the file's.

    Raises:
        RecipeError: unreadable, no TOML, wrong field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error
    return _parse(text, path.stem, overrides, source=str(path))


def _parse(text: str, name: str, overrides: Mapping[str, str] | None, *, source: str) -> Recipe:
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{source} is not valid TOML: {error}") from error
    values.setdefault("name", name)
    return build(values, overrides, source=source)


def from_json(text: str) -> Recipe:
    """A recipe as the store keeps it.

    Raises:
        RecipeError: it does not fit this version's recipe.
    """
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        raise _explain(error, "the stored recipe") from error
