"""The fields of a recipe by name: what they allow, what a user may have meant, what an override's text is."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from lvmtui.errors import RecipeError
from lvmtui.recipe.sections import PublishedSection, Recipe, Section

SECTIONS: dict[str, type[Section]] = {
    name: info.annotation
    for name, info in Recipe.model_fields.items()
    if isinstance(info.annotation, type)
    and issubclass(info.annotation, Section)
    and info.annotation is not PublishedSection
}
"""Section name -> its model, in the order of the file; those that can be changed at launch."""


def field_names() -> list[str]:
    """Dotted names of everything that can be overridden: `train.lr`, …"""
    return [f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields]


def field_info(dotted: str) -> FieldInfo:
    """The declaration of a field by its dotted name."""
    section, _, name = dotted.partition(".")
    return SECTIONS[section].model_fields[name]


def allowed(dotted: str) -> str:
    """The values a field takes, in words: `0 < value <= 10`, `gru | memory_gru`, …"""
    info = field_info(dotted)
    annotation = info.annotation
    options = list(_literals(annotation))
    if options:
        return " | ".join(options)
    if annotation is bool:
        return "true | false"
    bounds = {type(item).__name__: item for item in _constraints(info)}
    low = next((f"{v} {s} " for k, s, v in _low(bounds) if k in bounds), "")
    high = next((f" {s} {v}" for k, s, v in _high(bounds) if k in bounds), "")
    kind = {int: "integer", float: "number", str: "text"}.get(_plain(annotation), "value")
    return f"{low}{kind}{high}"


def _low(bounds: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [
        ("Ge", "<=", getattr(bounds.get("Ge"), "ge", None)),
        ("Gt", "<", getattr(bounds.get("Gt"), "gt", None)),
    ]


def _high(bounds: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [
        ("Le", "<=", getattr(bounds.get("Le"), "le", None)),
        ("Lt", "<", getattr(bounds.get("Lt"), "lt", None)),
    ]


def _constraints(info: FieldInfo) -> Iterator[Any]:
    yield from info.metadata
    for part in (info.annotation, *get_args(info.annotation)):
        for item in getattr(part, "__metadata__", ()):
            yield from getattr(item, "metadata", (item,))


def _plain(annotation: Any) -> Any:
    """The simple type behind `X | None` and `Annotated`."""
    if get_origin(annotation) in {Union, UnionType}:
        return _plain(next(part for part in get_args(annotation) if part is not type(None)))
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    return annotation


def _literals(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))


def full_name(key: str) -> str:
    """The dotted name for what a user typed: `lr` is `train.lr` when only one section has it.

    Raises:
        RecipeError: unknown or ambiguous; the hint names the nearest right ones.
    """
    names = field_names()
    if key == "data":
        return "data.path"
    if key in names:
        return key
    matches = [name for name in names if name.partition(".")[2] == key]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RecipeError(f"{key!r} is in several sections", f"Write {' or '.join(matches)}.")
    raise RecipeError(f"there is no field {key!r} in a recipe", nearest(key, names))


_OTHER_NAMES = {
    "learning_rate": "train.lr",
    "batch_size": "train.batch",
    "weight_decay": "train.weight_decay",
    "accumulation_steps": "train.accumulation",
    "max_epochs": "train.epochs",
    "context_length": "data.context",
    "hidden_size": "model.hidden",
    "num_layers": "model.layers",
    "warmup_ratio": "train.warmup",
    "grad_clip": "train.clip",
}
"""What other tools call our fields."""


def nearest(key: str, names: Iterable[str]) -> str:
    candidates = list(names)
    other = _OTHER_NAMES.get(key.rpartition(".")[2])
    if other:
        return f"Did you mean {other}?"
    by_leaf = {name.rpartition(".")[2]: name for name in candidates}
    close = difflib.get_close_matches(key, [*candidates, *by_leaf], n=1, cutoff=0.5)
    if close:
        return f"Did you mean {by_leaf.get(close[0], close[0])}?"
    return f"Known: {', '.join(candidates)}."


def parse_overrides(items: Iterable[str]) -> dict[str, str]:
    """`key=value` texts as dotted name -> value text.

    Raises:
        RecipeError: no `=`, or an unknown key.
    """
    overrides: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"{item!r} is not of the form key=value", "For example: -o train.lr=0.0005")
        overrides[full_name(key.strip())] = value.strip()
    return overrides


def typed_value(dotted: str, text: str) -> Any:
    """The typed value behind an override's text; what cannot be read is left for validation to refuse."""
    kind = _plain(field_info(dotted).annotation)
    if text.lower() in {"none", ""} and field_info(dotted).default is None:
        return None
    if kind is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            text.lower(), text
        )
    if kind is str or options_of(dotted):
        return text
    try:
        return int(text.replace("_", "")) if kind is int else float(text)
    except ValueError:
        return text


def options_of(dotted: str) -> list[str]:
    return list(_literals(field_info(dotted).annotation))


def differences(first: Recipe, second: Recipe) -> dict[str, tuple[str, str]]:
    """Dotted field -> its two values, for the fields that differ."""
    result: dict[str, tuple[str, str]] = {}
    for dotted in field_names():
        section, _, name = dotted.partition(".")
        values = [getattr(getattr(recipe, section), name) for recipe in (first, second)]
        if values[0] != values[1]:
            result[dotted] = (str(values[0]), str(values[1]))
    return result
